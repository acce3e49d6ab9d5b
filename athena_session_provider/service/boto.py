"""``Athena`` by boto3: the only module that reads what boto3 returns."""

from __future__ import annotations

import email.utils
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from athena_session_provider.service import errors
from athena_session_provider.service.accounts import is_restricted, require_allowed
from athena_session_provider.service.api import (
    SESSIONS_PER_PAGE,
    SessionDetails,
    SessionEndpoint,
    SessionStatus,
    StartedSession,
)
from athena_session_provider.service.background import SingleFlight
from athena_session_provider.service.boto_errors import service_error
from athena_session_provider.service.credential_errors import credentials_error, local_error
from athena_session_provider.service.ownership import without_mark
from athena_session_provider.service.request import from_response, to_tag_list
from athena_session_provider.service.settings import AwsSettings, resolved_region
from athena_session_provider.service.states import SessionState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from athena_session_provider.service.credentials import AwsSession

T = TypeVar("T")


class BotoAthena:
    """``Athena`` by boto3. One client is shared by all threads, as boto3 allows."""

    def __init__(self, settings: AwsSettings, cancelled: threading.Event | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            settings: Where and as whom to call.
            cancelled: Ends a wait for credentials, and for the answer to a call that only reads.

        Raises:
            ConfigurationError: The profile, a file or the region is wrong.
        """
        self._settings = settings
        self._cancelled = cancelled
        self._region = resolved_region(settings)
        self._connecting: SingleFlight[_Connection] = SingleFlight()
        self._connected: _Connection | None = None
        self._asking: SingleFlight[str] = SingleFlight()
        self._account: tuple[str | None, str] | None = None

    @property
    def region(self) -> str:
        """The region that sessions are started in."""
        return self._region

    @property
    def account_id(self) -> str | None:
        """The account of the credentials, determined once; None if it cannot be determined.

        Raises CredentialsError or MissingCredentialsError for want of credentials.
        """
        account, _ = self._account_or_reason()
        return account

    def require_allowed_account(self) -> None:
        """Do nothing for credentials of an account that the settings allow.

        Calls STS, once, if the settings allow or forbid accounts.

        Raises:
            AccountNotAllowedError: The account is not allowed, or cannot be found out.
            CredentialsError: The credentials cannot be obtained.
            MissingCredentialsError: There are none.
        """
        if is_restricted(self._settings):
            account, reason = self._account_or_reason()
            require_allowed(self._settings, account, why=reason)

    def _account_or_reason(self) -> tuple[str | None, str]:
        """Return the account, or None and why it is not known."""
        if self._account is None:
            if self._settings.skip_requesting_account_id:
                return None, "aws:skipRequestingAccountId is true"
            connection = self._connection()
            session, credentials = connection.session, connection.credentials
            try:
                account = self._in_background(self._asking, lambda: session.account_of(credentials))
            except errors.CancelledError:
                raise
            except (errors.CapacityError, errors.InternalServiceError) as exc:
                return None, str(exc)
            except errors.AthenaSessionError as exc:
                # An endpoint that has no STS, or a network that does not reach it: not asked again.
                self._account = (None, str(exc))
            else:
                self._account = (account, "")
        return self._account

    def _connection(self) -> _Connection:
        """Return the client, with credentials that are fresh.

        Credentials may come from a slow process or network: who waits for them can be cancelled.
        """
        connection = self._connected
        if connection is None:
            connection = self._in_background(self._connecting, self._connect)
            self._connected = connection
        elif connection.needs_refresh():
            self._in_background(self._connecting, connection.refresh)
        return connection

    def _connect(self) -> _Connection:
        from athena_session_provider.service.credentials import AwsSession

        session = AwsSession(self._settings, self._region, self._cancelled)
        credentials = session.require_credentials()
        with self._translated("CreateClient", "the client"), _MAKING_CLIENTS:
            client = session.create_client("athena", region_name=self._region)
        return _Connection(session, credentials, client)

    def _in_background(self, flight: SingleFlight[T], work: Callable[[], T]) -> T:
        from athena_session_provider.service.credentials import CREDENTIALS_SECONDS

        def late() -> Exception:
            return errors.CredentialsError(
                f"The AWS credentials were not there after {CREDENTIALS_SECONDS:g} seconds. Check "
                "what supplies them, and the network."
            )

        return flight.run(work, seconds=CREDENTIALS_SECONDS, late=late, cancelled=self._cancelled)

    def start_session(
        self, request: Mapping[str, Any], client_request_token: str
    ) -> StartedSession:
        """StartSession. A token that was used before gives the session that it started."""
        work_group = request["WorkGroup"]
        try:
            answer = self._call(
                "StartSession",
                f"work group {work_group}",
                **request,
                ClientRequestToken=client_request_token,
            )
        except errors.InvalidRequestError as exc:
            if self._runs_spark(work_group) is False:
                raise errors.NotASparkWorkGroupError(exc.answer) from exc
            raise
        headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
        return StartedSession(answer["SessionId"], _http_date(headers.get("date")))

    def get_session(self, session_id: str) -> SessionDetails:
        """GetSession."""
        answer = self._call("GetSession", f"session {session_id}", SessionId=session_id)
        arguments = {
            name: answer[name]
            for name in ("EngineConfiguration", "NotebookVersion", "MonitoringConfiguration")
            if answer.get(name)
        }
        configuration = answer.get("SessionConfiguration", {})
        if configuration.get("ExecutionRole"):
            arguments["ExecutionRole"] = configuration["ExecutionRole"]
        # Engine 3 had the older member long before the other one came.
        if minutes := configuration.get("SessionIdleTimeoutInMinutes") or (
            configuration.get("IdleTimeoutSeconds", 0) // 60
        ):
            arguments["SessionIdleTimeoutInMinutes"] = minutes
        if description := without_mark(answer.get("Description", "")):
            arguments["Description"] = description
        if answer.get("WorkGroup"):
            arguments["WorkGroup"] = answer["WorkGroup"]
        return SessionDetails(
            status=session_status(
                session_id,
                answer.get("Status", {}),
                answer.get("Description", ""),
                answer.get("EngineVersion", ""),
            ),
            work_group=answer.get("WorkGroup", ""),
            engine_version=answer.get("EngineVersion", ""),
            arguments=from_response("StartSessionRequest", arguments),
            dpu_milliseconds=answer.get("Statistics", {}).get("DpuExecutionInMillis", 0),
        )

    def get_session_status(self, session_id: str) -> SessionStatus:
        """GetSessionStatus."""
        answer = self._call("GetSessionStatus", f"session {session_id}", SessionId=session_id)
        return session_status(session_id, answer.get("Status", {}))

    def list_sessions(
        self, work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        """ListSessions: those in an active state, or in one state; newest first, 100 to a call."""
        sessions: list[SessionStatus] = []
        parameters: dict[str, Any] = {"WorkGroup": work_group, "MaxResults": SESSIONS_PER_PAGE}
        if state is not None:
            parameters["StateFilter"] = state.value
        while True:
            page = self._call("ListSessions", f"work group {work_group}", **parameters)
            sessions += [
                session_status(
                    entry["SessionId"],
                    entry["Status"],
                    entry.get("Description", ""),
                    _engine_version(entry.get("EngineVersion", {})),
                )
                for entry in page.get("Sessions", [])
                # A session of another owner in a state that is not known here is not our error.
                if entry.get("Status", {}).get("State") in SessionState.__members__
            ]
            enough = at_most is not None and len(sessions) >= at_most
            if enough or not page.get("NextToken"):
                return sessions
            parameters["NextToken"] = page["NextToken"]

    def terminate_session(self, session_id: str) -> None:
        """TerminateSession; has no effect on a session that is already ended."""
        self._call("TerminateSession", f"session {session_id}", SessionId=session_id)

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        self._call("TagResource", f"session {arn}", ResourceARN=arn, Tags=to_tag_list(tags))

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        """UntagResource."""
        self._call("UntagResource", f"session {arn}", ResourceARN=arn, TagKeys=sorted(keys))

    def list_tags(self, arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        answer = self._call("ListTagsForResource", f"session {arn}", ResourceARN=arn)
        return {tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags", [])}

    def get_session_endpoint(self, session_id: str) -> SessionEndpoint:
        """GetSessionEndpoint; only sessions of engine 3.5 have one."""
        answer = self._call("GetSessionEndpoint", f"session {session_id}", SessionId=session_id)
        # The model requires every member, but a session that has just started may lack its token.
        return SessionEndpoint(
            url=answer.get("EndpointUrl", ""),
            token=answer.get("AuthToken", ""),
            expires_at=answer.get("AuthTokenExpirationTime"),
        )

    def _runs_spark(self, work_group: str) -> bool | None:
        """Return whether a work group runs Spark; None if it cannot be determined."""
        try:
            answer = self._call("GetWorkGroup", f"work group {work_group}", WorkGroup=work_group)
        except errors.AthenaSessionError:
            return None
        configuration = answer["WorkGroup"].get("Configuration", {})
        name = _engine_version(configuration.get("EngineVersion", {}))
        return "spark" in name.lower() if name else None

    def _call(self, operation: str, subject: str, **parameters: Any) -> dict[str, Any]:
        from botocore import xform_name

        # Before every call: nothing is read or changed in an account that is not allowed.
        self.require_allowed_account()
        client = self._connection().client
        method: Callable[..., dict[str, Any]] = getattr(client, xform_name(operation))

        def send() -> dict[str, Any]:
            with self._translated(operation, subject):
                return method(**parameters)

        if self._cancelled is None or not operation.startswith(("Get", "List")):
            # The answer to a call that changes something is always waited for.
            return send()
        reading: SingleFlight[dict[str, Any]] = SingleFlight()
        # botocore's own timeouts end the call, if nothing is cancelled.
        return reading.run(send, cancelled=self._cancelled)

    @contextmanager
    def _translated(self, operation: str, subject: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as exc:
            if exc.operation_name not in (operation, "Unknown"):
                # Credentials that were renewed while the call was signed.
                raise credentials_error(
                    exc, region=self._region, profile=self._settings.profile
                ) from exc
            raise service_error(exc, operation, self._region, subject) from exc
        except BotoCoreError as exc:
            endpoint = self._settings.endpoint("athena") or f"athena in {self._region}"
            profile = self._settings.profile
            raise local_error(
                exc, operation, self._region, subject, endpoint, profile=profile
            ) from exc


@dataclass(frozen=True)
class _Connection:
    """A client of Athena, and what it signs with."""

    session: AwsSession
    credentials: Any
    client: Any

    def needs_refresh(self) -> bool:
        """Return whether the next call would renew the credentials."""
        needed = getattr(self.credentials, "refresh_needed", None)
        return needed is not None and bool(needed())

    def refresh(self) -> _Connection:
        self.session.require_credentials()
        return self


_MAKING_CLIENTS = threading.Lock()
"""boto3 may not make two clients of a session at a time, and making them reads many files."""

_shared: dict[AwsSettings, BotoAthena] = {}
_shared_lock = threading.Lock()


def shared_athena(settings: AwsSettings, cancelled: threading.Event | None = None) -> BotoAthena:
    """Return the one client of these settings that all threads of the process share.

    Args:
        settings: Where and as whom to call.
        cancelled: As for BotoAthena; that of the first caller counts.

    Raises:
        ConfigurationError: The profile, a file or the region is wrong.
    """
    with _shared_lock:
        if settings not in _shared:
            _shared[settings] = BotoAthena(settings, cancelled)
        return _shared[settings]


def session_status(
    session_id: str, status: Mapping[str, Any], description: str = "", engine_version: str = ""
) -> SessionStatus:
    """Return the API's SessionStatus; raises UnexpectedStateError for a state not known here."""
    try:
        state = SessionState(status.get("State"))
    except ValueError as exc:
        raise errors.UnexpectedStateError(session_id, state=str(status.get("State"))) from exc
    return SessionStatus(
        session_id=session_id,
        state=state,
        reason=status.get("StateChangeReason", ""),
        started_at=status.get("StartDateTime"),
        ended_at=status.get("EndDateTime"),
        idle_since=status.get("IdleSinceDateTime"),
        modified_at=status.get("LastModifiedDateTime"),
        description=description,
        engine_version=engine_version,
    )


def _engine_version(version: Mapping[str, Any]) -> str:
    """Return the name in an API structure ``EngineVersion``."""
    return str(version.get("EffectiveEngineVersion") or version.get("SelectedEngineVersion") or "")


def _http_date(text: str | None) -> dt.datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
