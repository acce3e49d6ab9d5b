"""Sessions, the table of request tokens, and the clock they live by. No HTTP.

Nothing runs in the background. A session carries the transitions that time will
bring it, and whoever looks at it first applies those that are due:

    CREATING -> CREATED -> IDLE <-> BUSY -> TERMINATING -> TERMINATED
    CREATING -> FAILED, and IDLE -> TERMINATED when the idle timeout has passed
"""

from __future__ import annotations

import copy
import itertools
import secrets
import time
import uuid
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidRequestError, ServiceError
from .paging import page
from .tokens import TokenTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .scope import Scope
    from .settings import Settings

LIVE_STATES = ("CREATING", "CREATED", "IDLE", "BUSY")
"""The states that ListSessions calls active."""
READY_STATES = ("IDLE", "BUSY")
INACTIVE_STATES = ("TERMINATING", "TERMINATED", "FAILED")
"""The states in which TerminateSession succeeds but has no effect."""
END_STATES = ("TERMINATED", "FAILED", "DEGRADED")

DEFAULT_IDLE_TIMEOUT_MINUTES = 20
ENDPOINT_TOKEN_SECONDS = 3600.0
SPARK_3 = "PySpark engine version 3"
SPARK_35 = "Apache Spark version 3.5"
NOTEBOOK_VERSION = "Athena notebook version 1"
MAX_TAGS = 50


class Clock:
    """Wall-clock time in seconds since the epoch, which a test can set forward."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the emulated time."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Set the clock forward (or, with a negative number, back)."""
        self._offset += seconds


@dataclass(frozen=True)
class WorkGroup:
    """What a session needs to know of its work group."""

    name: str
    state: str
    engine_version: str
    execution_role: str | None
    output_location: str | None
    tags: Mapping[str, str]

    @property
    def is_spark(self) -> bool:
        """Whether sessions can be started in it."""
        return "spark" in self.engine_version.lower()


class Transition(NamedTuple):
    """A change of state that time will bring."""

    at: float
    state: str
    reason: str | None


@dataclass
class Session:
    """One session. Times are in seconds since the epoch."""

    session_id: str
    number: int
    scope: Scope
    work_group: WorkGroup
    parameters: dict[str, Any]
    tags: dict[str, str]
    started_at: float
    state: str = "CREATING"
    state_change_reason: str | None = None
    modified_at: float = 0.0
    ended_at: float | None = None
    idle_since: float | None = None
    planned: list[Transition] = field(default_factory=list)
    on_end: Callable[[], None] | None = None
    """Called when the session can do no more work."""

    @property
    def arn(self) -> str:
        """Return the session's ARN, which is the name that its tags go by."""
        return self.scope.arn(f"workgroup/{self.work_group.name}/session/{self.session_id}")

    @property
    def working_directory(self) -> str:
        """Return the location in S3 that the session's calculations write below."""
        location = self.work_group.output_location or f"s3://{self.scope.default_bucket}"
        return f"{location.rstrip('/')}/{self.session_id}"

    @property
    def idle_timeout_minutes(self) -> int:
        """Return the minutes after which an idle session ends (1 to 480)."""
        minutes = self.parameters.get("SessionIdleTimeoutInMinutes")
        return DEFAULT_IDLE_TIMEOUT_MINUTES if minutes is None else int(minutes)

    def refresh(self, now: float) -> None:
        """Apply the transitions that are due, each at its own time."""
        while self.planned and self.planned[0].at <= now:
            self.enter(*self.planned.pop(0))

    def enter(self, at: float, state: str, reason: str | None) -> None:
        """Change the state, and plan what time will make of the new one."""
        self.state = state
        self.state_change_reason = reason
        self.modified_at = at
        self.idle_since = at if state == "IDLE" else None
        if state in END_STATES:
            self.ended_at = at
        if state == "IDLE":
            minutes = self.idle_timeout_minutes
            self.planned = [
                Transition(
                    at + minutes * 60,
                    "TERMINATED",
                    f"Session terminated: idle timeout of {minutes} minutes reached",
                )
            ]
        elif state not in {"CREATING", "CREATED"}:
            self.planned = []
        if state not in LIVE_STATES and self.on_end:
            self.on_end()

    def dpu_milliseconds(self, now: float) -> int:
        """Return what one DPU adds up to in the session's life so far."""
        return max(0, int(((self.ended_at or now) - self.started_at) * 1000))


class SessionStore:
    """All sessions of all accounts and regions. Guard every use with `lock`."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.clock = clock
        self.settings = settings
        self.lock = RLock()
        self.tokens = TokenTable()
        self._sessions: dict[str, Session] = {}
        self._numbers = itertools.count(1)
        self._bucket: tuple[float, float] | None = None

    def all(self) -> list[Session]:
        """Return every session there ever was, oldest first, in its present state."""
        now = self.clock.now()
        for session in self._sessions.values():
            session.refresh(now)
        return list(self._sessions.values())

    def get(self, scope: Scope, session_id: str) -> Session:
        """Return a session of this account and region, dead or alive."""
        session = self.find(scope, session_id)
        if session is None:
            raise self.unknown("Session", session_id)
        return session

    def unknown(self, kind: str, name: str) -> ServiceError:
        """Return the error for an id that does not exist, as the settings have it."""
        message = f"{kind} {name} not found"
        if self.settings.unknown_session_error == "ResourceNotFoundException":
            return ServiceError("ResourceNotFoundException", message, ResourceName=name)
        return InvalidRequestError(message, f"{kind.upper()}_NOT_FOUND")

    def find(self, scope: Scope, session_id: str) -> Session | None:
        """Return a session of this account and region, or None."""
        session = self._sessions.get(session_id)
        if session is None or session.scope != scope:
            return None
        session.refresh(self.clock.now())
        return session

    def throttle_start(self) -> None:
        """Take one StartSession call from the token bucket, or refuse it."""
        rate, burst = self.settings.start_rate, float(self.settings.start_burst)
        if rate is None:
            return
        now = self.clock.now()
        filled, since = self._bucket or (burst, now)
        filled = min(burst, filled + max(0.0, now - since) * rate)
        self._bucket = (max(0.0, filled - 1) if filled >= 1 else filled, now)
        if filled < 1:
            raise ServiceError("TooManyRequestsException", "Rate exceeded")

    def start(
        self,
        scope: Scope,
        work_group: WorkGroup,
        parameters: Mapping[str, Any],
        fail_reason: str | None = None,
    ) -> Session:
        """Start a session; with a fail_reason it will end FAILED instead of IDLE."""
        check_engine_rules(work_group, parameters)
        self._check_limits(scope)
        now, seconds = self.clock.now(), self.settings.start_seconds
        tags = dict(work_group.tags) if parameters.get("CopyWorkGroupTags") else {}
        tags.update({tag["Key"]: tag.get("Value", "") for tag in parameters.get("Tags") or []})
        check_tag_count(tags)
        session = Session(
            session_id=str(uuid.uuid4()),
            number=next(self._numbers),
            scope=scope,
            work_group=work_group,
            parameters=copy.deepcopy(dict(parameters)),
            tags=tags,
            started_at=now,
            modified_at=now,
        )
        half = now + seconds / 2
        session.planned = (
            [Transition(half, "FAILED", fail_reason)]
            if fail_reason is not None
            else [
                Transition(half, "CREATED", None),
                Transition(now + seconds, "IDLE", None),
            ]
        )
        self._sessions[session.session_id] = session
        return session

    def terminate(self, session: Session, reason: str) -> None:
        """End a session, unless it is already inactive."""
        now = self.clock.now()
        session.refresh(now)
        if session.state in INACTIVE_STATES:
            return
        session.enter(now, "TERMINATING", reason)
        session.planned = [Transition(now + self.settings.terminate_seconds, "TERMINATED", reason)]

    def set_state(self, session_id: str, state: str, reason: str | None) -> None:
        """Put a session into a state at once, whatever it was in before."""
        session = self._sessions[session_id]
        now = self.clock.now()
        session.refresh(now)
        session.ended_at = None
        session.planned = []
        session.enter(now, state, reason)

    def live(self, scope: Scope, work_group: str | None = None) -> list[Session]:
        """Return the sessions of an account and region that cost money."""
        return [
            session
            for session in self.all()
            if session.scope == scope
            and session.state in LIVE_STATES
            and work_group in {None, session.work_group.name}
        ]

    def page(self, scope: Scope, parameters: Mapping[str, Any]) -> tuple[list[Session], str | None]:
        """Return one page of ListSessions, newest first, and the token of the next."""
        name, state = parameters["WorkGroup"], parameters.get("StateFilter")
        states = (state,) if state else LIVE_STATES
        found = (
            session
            for session in reversed(self.all())
            if session.scope == scope
            and session.work_group.name == name
            and session.state in states
        )
        return page(found, [name, state], parameters)

    def endpoint(self, session: Session) -> dict[str, Any]:
        """Return a Spark Connect endpoint with a token that was never given before."""
        if session.work_group.engine_version != SPARK_35:
            raise InvalidRequestError(
                "GetSessionEndpoint is not supported for sessions of engine version "
                f"{session.work_group.engine_version}"
            )
        if session.state not in READY_STATES:
            raise InvalidRequestError(
                f"Session is in the {session.state} state, must be in IDLE or BUSY"
            )
        return {
            "EndpointUrl": (
                f"https://{session.session_id}.athena-spark.{session.scope.region}"
                ".emulator.invalid:443"
            ),
            "AuthToken": secrets.token_urlsafe(48),
            "AuthTokenExpirationTime": self.clock.now() + ENDPOINT_TOKEN_SECONDS,
        }

    def _check_limits(self, scope: Scope) -> None:
        limit = self.settings.max_sessions
        if limit is not None and len(self.live(scope)) >= limit:
            raise ServiceError("TooManyRequestsException", "Maximum allowed sessions reached")
        if self.settings.no_capacity:
            raise InvalidRequestError(
                "Failed to Provision session due to required capacity not being "
                "available for the account"
            )


def check_tag_count(tags: Mapping[str, str]) -> None:
    """Refuse more tags than a resource of AWS can have."""
    if len(tags) > MAX_TAGS:
        raise InvalidRequestError(f"A resource can have at most {MAX_TAGS} tags, not {len(tags)}")


def check_engine_rules(work_group: WorkGroup, parameters: Mapping[str, Any]) -> None:
    """Refuse what the work group's engine does not take.

    Engine 3.5 refuses the DPU sizes and SparkProperties and takes Classifications,
    engine 3 the other way round (dbt-labs/dbt-adapters issue 1854). A NotebookId needs a
    NotebookVersion (aws/aws-sdk-pandas issue 2866); clients send the version alone, too.
    """
    configuration = parameters["EngineConfiguration"]
    refused = {
        SPARK_35: ("CoordinatorDpuSize", "DefaultExecutorDpuSize", "SparkProperties"),
        SPARK_3: ("Classifications",),
    }.get(work_group.engine_version, ())
    if given := [name for name in refused if configuration.get(name) is not None]:
        raise InvalidRequestError(
            f"{', '.join(given)} not supported for engine version {work_group.engine_version}"
        )
    version = parameters.get("NotebookVersion")
    notebook_id = (configuration.get("AdditionalConfigs") or {}).get("NotebookId")
    if notebook_id is not None and version is None:
        raise InvalidRequestError("NotebookVersion is required when NotebookId is provided.")
    if version is not None and version != NOTEBOOK_VERSION:
        raise InvalidRequestError(f"The only valid notebook version is {NOTEBOOK_VERSION}")
