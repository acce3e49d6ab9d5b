"""``Athena`` by boto3: the only module that reads what boto3 returns."""

from __future__ import annotations

import email.utils
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from athena_session_provider.service import errors
from athena_session_provider.service.api import (
    SESSIONS_PER_PAGE,
    SessionDetails,
    SessionEndpoint,
    SessionStatus,
    StartedSession,
)
from athena_session_provider.service.boto_errors import local_error, service_error
from athena_session_provider.service.ownership import without_mark
from athena_session_provider.service.request import from_response, to_tag_list
from athena_session_provider.service.settings import (
    AwsSettings,
    account_of,
    boto3_session,
    client_config,
    resolved_region,
)
from athena_session_provider.service.states import SessionState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import boto3


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
    """Return the client of these settings, which all threads of the process share.

    Raises ConfigurationError.
    """
    # boto3 may not make two clients at a time, and making one takes long.
    with _shared_lock:
        if settings not in _shared:
            _shared[settings] = BotoAthena(settings)
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
