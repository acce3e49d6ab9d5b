"""The Athena operations that a session needs, with errors that a user can act on.

The only module that looks at what boto3 returns or raises.
"""

from __future__ import annotations

import email.utils
import functools
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from athena_session_provider import errors
from athena_session_provider.aws import (
    AwsSettings,
    account_of,
    boto3_session,
    client_config,
    resolved_region,
)
from athena_session_provider.request import from_response, to_tag_list
from athena_session_provider.states import SessionState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

SESSIONS_PER_PAGE = 100
"""The most that ListSessions gives at once."""


@dataclass(frozen=True)
class SessionStatus:
    """API member ``SessionStatus``, with the session's id."""

    session_id: str
    state: SessionState
    reason: str = ""
    """``StateChangeReason``; empty where the service gave none."""
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    idle_since: dt.datetime | None = None
    description: str = ""
    """Only ListSessions and GetSession tell it."""


@dataclass(frozen=True)
class StartedSession:
    """What StartSession answered."""

    session_id: str
    answered_at: dt.datetime | None
    """When, by the service's own clock; None where it did not say."""


@dataclass(frozen=True)
class SessionDetails:
    """What GetSession tells."""

    status: SessionStatus
    work_group: str
    engine_version: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments that the session was started with, in snake_case, as far as it is told."""
    dpu_milliseconds: int = 0
    """``DpuExecutionInMillis``: what is paid for."""


@dataclass(frozen=True)
class SessionEndpoint:
    """What GetSessionEndpoint tells: where a session's Spark Connect server is."""

    url: str
    token: str = field(repr=False)
    expires_at: dt.datetime


class Athena(Protocol):
    """The service as the rest of the package sees it; the methods are the API's operations.

    Every method raises members of the ``AthenaSessionError`` family, and only those.
    """

    @property
    def region(self) -> str:
        """The region of every call."""
        ...

    @property
    def account_id(self) -> str | None:
        """The account of the credentials; None where it cannot be had."""
        ...

    def start_session(
        self, request: Mapping[str, Any], client_request_token: str
    ) -> StartedSession:
        """StartSession. A token that was used before gives the session that it started."""
        ...

    def get_session(self, session_id: str) -> SessionDetails:
        """GetSession."""
        ...

    def get_session_status(self, session_id: str) -> SessionStatus:
        """GetSessionStatus."""
        ...

    def list_sessions(
        self, work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        """ListSessions: those in an active state, or in one state; newest first, 100 to a call.

        No more pages are asked for once there are ``at_most``.
        """
        ...

    def terminate_session(self, session_id: str) -> None:
        """TerminateSession; has no effect on a session that has ended."""
        ...

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        ...

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        """UntagResource."""
        ...

    def list_tags(self, arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        ...


def session_arn(athena: Athena, work_group: str, session_id: str) -> str | None:
    """Give the ARN of a session; None where the account is not known."""
    if athena.account_id is None:
        return None
    # botocore reads its list of all endpoints for this: once, not once in each thread.
    with _partition_lock:
        partition = _partition(athena.region)
    return (
        f"arn:{partition}:athena:{athena.region}:{athena.account_id}"
        f":workgroup/{work_group}/session/{session_id}"
    )


_partition_lock = threading.Lock()


@functools.cache
def _partition(region: str) -> str:
    from botocore.exceptions import UnknownRegionError
    from botocore.session import get_session

    try:
        return str(get_session().get_partition_for_region(region))
    except UnknownRegionError:
        return "aws"


class BotoAthena:
    """``Athena`` by boto3. One client is shared by all threads, as boto3 allows."""

    def __init__(self, settings: AwsSettings) -> None:
        """Make the client; raises ConfigurationError. Nothing is sent yet."""
        self._settings = settings
        self._session: boto3.Session = boto3_session(settings)
        self._region = resolved_region(settings)
        with self._translated("CreateClient", "the client"):
            self._client = self._session.client(
                "athena",
                region_name=self._region,
                endpoint_url=settings.endpoint("athena"),
                config=client_config(),
            )
        self._account_lock = threading.Lock()
        self._account: tuple[str | None] | None = None

    @property
    def region(self) -> str:
        """The region that sessions are started in."""
        return self._region

    @property
    def account_id(self) -> str | None:
        """The account of the credentials, asked for once; None where it cannot be had."""
        with self._account_lock:
            if self._account is None:
                self._account = (account_of(self._session, self._settings),)
            return self._account[0]

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
        arguments |= {
            name: configuration[name]
            for name in ("ExecutionRole", "SessionIdleTimeoutInMinutes")
            if configuration.get(name)
        }
        arguments |= {name: answer[name] for name in ("Description", "WorkGroup") if name in answer}
        return SessionDetails(
            status=session_status(session_id, answer["Status"], answer.get("Description", "")),
            work_group=answer.get("WorkGroup", ""),
            engine_version=answer.get("EngineVersion", ""),
            arguments=from_response("StartSessionRequest", arguments),
            dpu_milliseconds=answer.get("Statistics", {}).get("DpuExecutionInMillis", 0),
        )

    def get_session_status(self, session_id: str) -> SessionStatus:
        """GetSessionStatus."""
        answer = self._call("GetSessionStatus", f"session {session_id}", SessionId=session_id)
        return session_status(session_id, answer["Status"])

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
                session_status(entry["SessionId"], entry["Status"], entry.get("Description", ""))
                for entry in page.get("Sessions", [])
                # Somebody else's session in a state that is not known here is no error of ours.
                if entry["Status"]["State"] in SessionState.__members__
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
        """GetSessionEndpoint, of the engine 3.5 alone. Not for the provider: it holds no token."""
        answer = self._call("GetSessionEndpoint", f"session {session_id}", SessionId=session_id)
        return SessionEndpoint(
            answer["EndpointUrl"], answer["AuthToken"], answer["AuthTokenExpirationTime"]
        )

    def _runs_spark(self, work_group: str) -> bool | None:
        """Ask what kind of work group refused a session; None where that cannot be told."""
        try:
            answer = self._call("GetWorkGroup", f"work group {work_group}", WorkGroup=work_group)
        except errors.AthenaSessionError:
            return None
        version = answer["WorkGroup"].get("Configuration", {}).get("EngineVersion", {})
        name = version.get("EffectiveEngineVersion") or version.get("SelectedEngineVersion")
        return "spark" in name.lower() if name else None

    def _call(self, operation: str, subject: str, **parameters: Any) -> dict[str, Any]:
        from botocore import xform_name

        method: Callable[..., dict[str, Any]] = getattr(self._client, xform_name(operation))
        with self._translated(operation, subject):
            return method(**parameters)

    @contextmanager
    def _translated(self, operation: str, subject: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as exc:
            raise service_error(exc, operation, self._region, subject) from exc
        except BotoCoreError as exc:
            endpoint = self._settings.endpoint("athena") or f"athena in {self._region}"
            raise local_error(exc, operation, self._region, subject, endpoint) from exc


_shared: dict[AwsSettings, BotoAthena] = {}
_shared_lock = threading.Lock()


def shared_athena(settings: AwsSettings) -> BotoAthena:
    """Give the one client of these settings that all threads of the process share.

    Raises ConfigurationError.
    """
    # boto3 may not make two clients at a time, and making one takes long.
    with _shared_lock:
        if settings not in _shared:
            _shared[settings] = BotoAthena(settings)
        return _shared[settings]


def session_status(
    session_id: str, status: Mapping[str, Any], description: str = ""
) -> SessionStatus:
    """Read the API's SessionStatus; raises UnexpectedStateError for a state not known here."""
    try:
        state = SessionState(status["State"])
    except ValueError as exc:
        raise errors.UnexpectedStateError(session_id, state=str(status["State"])) from exc
    return SessionStatus(
        session_id=session_id,
        state=state,
        reason=status.get("StateChangeReason", ""),
        started_at=status.get("StartDateTime"),
        ended_at=status.get("EndDateTime"),
        idle_since=status.get("IdleSinceDateTime"),
        description=description,
    )


def _http_date(text: str | None) -> dt.datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


_ACCESS_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}
_CREDENTIALS_REFUSED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
# The service tells these apart by its message only.
_QUOTA = re.compile(r"maximum allowed sessions", re.IGNORECASE)
_NO_CAPACITY = re.compile(r"required capacity not being available", re.IGNORECASE)
_NOT_FOUND = re.compile(r"not found|does not exist", re.IGNORECASE)
_WORK_GROUP = re.compile(r"work\s?group", re.IGNORECASE)
_TOKEN_REUSED = re.compile(r"idempoten|client\s?request\s?token", re.IGNORECASE)
_INTERNAL = 500


def service_error(
    exc: ClientError, operation: str, region: str, subject: str
) -> errors.ServiceError:
    """Give the error of this package for one that the service answered with."""
    detail = exc.response.get("Error", {})
    metadata = exc.response.get("ResponseMetadata", {})
    answer = errors.ServiceAnswer(
        operation=operation,
        region=region,
        subject=subject,
        code=detail.get("Code", "Unknown"),
        message=detail.get("Message", "") or "no message was given",
        request_id=metadata.get("RequestId", ""),
    )
    return _error_class(answer, int(metadata.get("HTTPStatusCode", 0)))(answer)


def _error_class(  # noqa: C901, PLR0911 - a table, most specific first
    answer: errors.ServiceAnswer, http_status: int
) -> type[errors.ServiceError]:
    code, message = answer.code, answer.message
    if _QUOTA.search(message):
        return errors.QuotaExceededError
    if _NO_CAPACITY.search(message):
        return errors.NoCapacityError
    if code in _THROTTLED:
        return errors.ThrottledError
    if code in _ACCESS_DENIED:
        return errors.AccessDeniedError
    if code in _CREDENTIALS_REFUSED:
        return errors.ExpiredCredentialsError
    if code == "SessionAlreadyExistsException":
        return errors.TokenReusedError
    # An unknown session is documented as ResourceNotFoundException and has been seen as
    # InvalidRequestException; any other InvalidRequestException is not an absence.
    if code == "ResourceNotFoundException" or (
        code == "InvalidRequestException" and _NOT_FOUND.search(message)
    ):
        about_work_group = answer.operation in ("StartSession", "ListSessions", "GetWorkGroup")
        if about_work_group or _WORK_GROUP.match(message):
            return errors.WorkGroupNotFoundError
        return errors.SessionNotFoundError
    if code == "InvalidRequestException":
        if _TOKEN_REUSED.search(message):
            return errors.TokenReusedError
        return errors.InvalidRequestError
    if code == "InternalServerException" or http_status >= _INTERNAL:
        return errors.InternalServiceError
    return errors.ServiceError


def local_error(
    exc: BotoCoreError, operation: str, region: str, subject: str, endpoint: str
) -> errors.AthenaSessionError:
    """Give the error of this package for a call that got no answer."""
    from botocore import exceptions as boto

    detail = str(exc).strip().rstrip(".")
    if isinstance(exc, boto.ParamValidationError):
        return errors.InvalidArgumentError(f"{operation} was not sent: {detail}.")
    if isinstance(exc, (boto.NoRegionError,)):
        return errors.MissingRegionError()
    if isinstance(
        exc,
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.TokenRetrievalError,
            boto.NoAuthTokenError,
            boto.SSOError,
            boto.LoginError,
            boto.RefreshWithMFAUnsupportedError,
        ),
    ):
        return errors.MissingCredentialsError(region, detail)
    if isinstance(exc, (boto.ConnectionError, boto.HTTPClientError)):
        return errors.EndpointUnreachableError(
            operation,
            subject=subject,
            region=region,
            endpoint=endpoint,
            detail=detail,
            # A connection that was never made carried nothing.
            may_have_acted=not isinstance(exc, boto.ConnectionError),
        )
    return errors.ConfigurationError(f"{operation} in region {region} could not be sent: {detail}.")
