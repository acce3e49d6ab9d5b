"""The WSGI application: who answers a request, what is recorded, what goes wrong.

Three parties share the port: `/emulator/...` controls the emulator, the operations
of `responses.py` are ours, and everything else is moto's whole server.
"""

from __future__ import annotations

import io
import json
import re
import uuid
from dataclasses import asdict
from http import HTTPStatus
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moto.core.base_backend import BackendDict
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from moto.utilities.utils import get_partition

from .calculations import CalculationStore
from .errors import ServiceError
from .faults import ACTS_FIRST, ConnectionDropped, Fault, FaultPlan
from .models import Clock, Session, SessionStore
from .records import Call, CallLog, SessionRecord
from .responses import Operations, Request
from .scope import Scope
from .spark import Spark
from .spark_connect import Certificate, SparkConnect
from .validation import service_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .settings import Settings

CONTROL_PATH = "/emulator/"
_TARGET_PREFIX = "AmazonAthena."
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
_XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_STS_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "ThrottlingException": "Throttling",
    "TooManyRequestsException": "Throttling",
    "InternalServerException": "InternalFailure",
}


class Answer(NamedTuple):
    """What goes back to the client."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    error_code: str | None = None


class Credentials(NamedTuple):
    """What a signature says of its request, unverified."""

    access_key_id: str
    region: str
    service: str


class EmulatorApp:
    """The emulated AWS account, as a WSGI application."""

    def __init__(self, settings: Settings, account_id: str, spark: Spark | None = None) -> None:
        service_model()  # read now: the first connections would each read it, all at once
        self._initial = settings
        self._account_id = account_id
        self._spark = spark or Spark()
        self._certificate: Certificate | None = None
        self._certificate_lock = Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.stopping = Event()
        self.url = ""
        self._calculations: CalculationStore | None = None
        self._spark_connect: SparkConnect | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything: sessions, calls, faults, settings, and all of moto."""
        self._end_processes()
        BackendDict.reset()
        self._clock = Clock()
        self._sessions = SessionStore(self._clock, self._initial)
        self._calculations = CalculationStore(self._sessions, lambda: self.url, self._spark)
        self._spark_connect = SparkConnect(
            self._sessions, self._spark, self._trusted, lambda: self.url
        )
        self._operations = Operations(self._sessions, self._calculations, self._spark_connect)
        self._faults = FaultPlan()
        self._calls = CallLog()
        self._controls: dict[str, Callable[..., Any]] = {
            "advance": self._clock.advance,
            "calls": self._calls.entries,
            "certificate": lambda: self._trusted().path,
            "clear-calls": self._calls.clear,
            "clear-faults": self._faults.clear,
            "faults": self._faults.describe,
            "inject": self._faults.add,
            "now": self.now,
            "reset": self.reset,
            "sessions": self._list_sessions,
            "set-state": self._sessions.set_state,
            "settings": self._sessions.change_settings,
        }

    def close(self) -> None:
        """End the processes that sessions run in."""
        self._end_processes()
        if self._certificate:
            self._certificate.remove()

    def _end_processes(self) -> None:
        if self._calculations:
            self._calculations.close()
        if self._spark_connect:
            self._spark_connect.close()

    def _trusted(self) -> Certificate:
        """Return the certificate of the port for Spark Connect, which stays over a reset."""
        with self._certificate_lock:
            if self._certificate is None:
                self._certificate = Certificate()
            return self._certificate

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL_PATH):
            answer = self._control(path.removeprefix(CONTROL_PATH), environ)
        else:
            credentials = _credentials(environ)
            account_id = self._account_of(credentials)
            # moto would take the account from its environment variable, which is
            # the whole process's.
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = account_id
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            if target.startswith(_TARGET_PREFIX):
                operation = target.removeprefix(_TARGET_PREFIX)
                answer = self._athena(environ, operation, credentials, account_id)
            elif credentials and credentials.service == "sts":
                answer = self._sts(environ, credentials, account_id)
            else:
                return cast("Iterable[bytes]", self._moto(environ, start_response))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return [answer.body]

    # The services

    def _athena(
        self,
        environ: WSGIEnvironment,
        operation: str,
        credentials: Credentials | None,
        account_id: str,
    ) -> Answer:
        if operation not in service_model().operation_names:
            return _json_error(ServiceError("UnknownOperationException", operation))
        if credentials is None:
            code = "MissingAuthenticationTokenException"
            return _json_error(ServiceError(code, "Missing Authentication Token"))
        body = environ["wsgi.input"].read()
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            return _json_error(ServiceError("SerializationException", str(error)))
        if not isinstance(parameters, dict):
            text = "The body of a request is a JSON object"
            return _json_error(ServiceError("SerializationException", text))
        parameters = {key: item for key, item in parameters.items() if item is not None}
        region = credentials.region
        request = Request(operation, parameters, Scope(account_id, region, get_partition(region)))
        if self._operations.handles(request):
            return self._serve("athena", request, credentials, lambda: self._own(request))
        environ["wsgi.input"] = io.BytesIO(body)
        return self._serve("athena", request, credentials, lambda: self._from_moto(environ))

    def _sts(self, environ: WSGIEnvironment, credentials: Credentials, account_id: str) -> Answer:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        region = credentials.region
        request = Request(
            form.get("Action", ""), form, Scope(account_id, region, get_partition(region))
        )
        return self._serve("sts", request, credentials, lambda: self._from_moto(environ))

    def _own(self, request: Request) -> Answer:
        try:
            return _json(self._operations.handle(request))
        except ServiceError as error:
            return _json_error(error)

    def _from_moto(self, environ: WSGIEnvironment) -> Answer:
        started: list[Any] = []

        def start_response(status: str, headers: Any, _: Any = None) -> Any:
            started[:] = [int(status.split(maxsplit=1)[0]), list(headers)]

        body = b"".join(self._moto(environ, start_response))
        status, headers = started
        code = None
        if status >= HTTPStatus.BAD_REQUEST:
            code = _error_code(body)
        return Answer(status, headers, body, code)

    def _account_of(self, credentials: Credentials | None) -> str:
        """Return the account of an access key that moto gave out, else our own."""
        if credentials:
            for account_id, backends in list(iam_backends.items()):
                for backend in list(backends.values()):
                    if credentials.access_key_id in backend.access_keys:
                        # moto has keys of its own default account for those of ours.
                        return account_id
        return self._account_id

    # What goes wrong

    def _serve(
        self,
        service: str,
        request: Request,
        credentials: Credentials,
        act: Callable[[], Answer],
    ) -> Answer:
        """Answer a request that is recorded, as far as the faults let it pass."""
        entry = self._record(service, request, credentials)
        try:
            fault = self._faults.take(
                request.operation,
                request.parameters,
                self._work_group_of(request),
                request.scope.region,
            )
            answer = self._with_fault(fault, service, request, act) if fault else act()
            entry["status"] = answer.status
            entry["error_code"] = answer.error_code
            return answer
        finally:
            entry["created_session"] = request.created_session
            if request.session_id is not None:
                entry["session_id"] = request.session_id

    def _with_fault(
        self,
        fault: Fault,
        service: str,
        request: Request,
        act: Callable[[], Answer],
    ) -> Answer:
        if fault.kind == "fail-start":
            request.fail_start = fault.message or "Session failed to start"
        answer = act() if fault.kind in ACTS_FIRST else None
        if fault.seconds:
            self.stopping.wait(fault.seconds)
        if fault.kind in {"drop-before", "drop-after", "reset"}:
            raise ConnectionDropped(reset=fault.kind == "reset")
        error = fault.error(
            service,
            request.operation,
            request.scope,
            self._work_group_of(request),
            self._sessions.settings,
        )
        if error:
            return _json_error(error) if service == "athena" else _xml_error(error)
        return answer or act()

    def _work_group_of(self, request: Request) -> str:
        session_id = request.parameters.get("SessionId")
        if isinstance(session_id, str):
            with self._sessions.lock:
                session = self._sessions.find(request.scope, session_id)
            if session:
                return session.work_group.name
        arn = str(request.parameters.get("ResourceARN", ""))
        if match := re.search(r":workgroup/([^/]+)", arn):
            return match[1]
        return str(request.parameters.get("WorkGroup", "*"))

    def _record(self, service: str, request: Request, credentials: Credentials) -> dict[str, Any]:
        entry = asdict(
            Call(
                service=service,
                operation=request.operation,
                parameters=request.parameters,
                region=request.scope.region,
                access_key_id=credentials.access_key_id,
                received_at=self._clock.now(),
                status=None,
                error_code=None,
                created_session=False,
                session_id=None,
            )
        )
        session_id = request.parameters.get("SessionId")
        entry["session_id"] = session_id if isinstance(session_id, str) else None
        self._calls.add(entry)
        return entry

    # Control

    def _control(self, verb: str, environ: WSGIEnvironment) -> Answer:
        control = self._controls.get(verb)
        if control is None:
            text = f"unknown control {verb!r}; there are {sorted(self._controls)}"
            return _json({"error": text}, HTTPStatus.NOT_FOUND)
        try:
            arguments = json.loads(environ["wsgi.input"].read() or b"{}")
            return _json({"result": control(**arguments)})
        except (TypeError, ValueError, KeyError) as error:
            text = f"{type(error).__name__}: {error}"
            return _json({"error": text}, HTTPStatus.BAD_REQUEST)

    def now(self) -> float:
        """Return the emulated time, in seconds since the epoch."""
        return self._clock.now()

    def _list_sessions(self) -> list[dict[str, Any]]:
        with self._sessions.lock:
            return [asdict(_session_record(item)) for item in self._sessions.all()]


def _session_record(session: Session) -> SessionRecord:
    return SessionRecord(
        session_id=session.session_id,
        work_group=session.work_group.name,
        region=session.scope.region,
        account_id=session.scope.account_id,
        state=session.state,
        state_change_reason=session.state_change_reason,
        client_request_token=session.parameters.get("ClientRequestToken"),
        description=session.parameters.get("Description"),
        tags=dict(session.tags),
        started_at=session.started_at,
        ended_at=session.ended_at,
        parameters=session.parameters,
    )


def _credentials(environ: WSGIEnvironment) -> Credentials | None:
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return Credentials(*match.groups()) if match else None


def _json(
    body: Mapping[str, Any],
    status: int = HTTPStatus.OK,
    error_code: str | None = None,
) -> Answer:
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("x-amzn-RequestId", str(uuid.uuid4())),
    ]
    return Answer(int(status), headers, json.dumps(body).encode(), error_code)


def _json_error(error: ServiceError) -> Answer:
    return _json(error.body(), error.status, error.code)


def _xml_error(error: ServiceError) -> Answer:
    """Return an error in the query protocol, with the codes that STS uses."""
    code, request_id = _STS_CODES.get(error.code, error.code), str(uuid.uuid4())
    fault = "Sender" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>{fault}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    status = HTTPStatus.FORBIDDEN if code in {"AccessDenied", "ExpiredToken"} else error.status
    return Answer(int(status), headers, body.encode(), code)


def _error_code(body: bytes) -> str | None:
    if match := _XML_CODE.search(body):
        return match[1].decode()
    try:
        return str(json.loads(body)["__type"])
    except (ValueError, KeyError, TypeError):
        return None
