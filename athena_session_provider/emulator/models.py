"""Sessions, the table of request tokens, and the clock they live by. No HTTP.

Nothing runs in the background. A session carries the transitions that time will
bring it, and the first call that reads it applies those that are due:

    CREATING -> CREATED -> IDLE <-> BUSY -> TERMINATING -> TERMINATED
    CREATING -> FAILED, and IDLE -> TERMINATED when the idle timeout has passed

A session of engine 3.5 stays CREATED until a client connects to it; it ends by the idle timeout
from there, too.
"""

from __future__ import annotations

import copy
import itertools
import secrets
import string
import time
import uuid
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from . import messages
from .errors import InvalidRequestError, ServiceError
from .paging import page
from .tokens import TokenTable
from .validation import service_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .scope import Scope
    from .settings import Settings

LIVE_STATES = ("CREATING", "CREATED", "IDLE", "BUSY")
"""The states that ListSessions calls active."""
CONNECTABLE_STATES = ("CREATED", "IDLE", "BUSY")
"""The states in which GetSessionEndpoint answers: sagemaker-studio 1.1.1 and later takes all three
as ready (PyPI, `sagemaker_studio/utils/spark/session/athena`)."""
INACTIVE_STATES = ("TERMINATING", "TERMINATED", "FAILED")
"""The states in which TerminateSession succeeds but has no effect."""
END_STATES = ("TERMINATED", "FAILED", "DEGRADED")

DEFAULT_IDLE_TIMEOUT_MINUTES = 20
DEFAULT_MAX_CONCURRENT_DPUS = 20
"""The console's default (User Guide, notebooks-spark-getting-started)."""
ON_DEMAND_DPUS_OF_A_SESSION = 2
"""A driver and spark.dynamicAllocation.initialExecutors = 1 (User Guide, release versions)."""
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
    was_idle_since: float | None = None
    """When it was IDLE the last time, whatever it is now."""
    endpoint_asked: bool = False
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
    def is_spark_35(self) -> bool:
        """Whether a Spark Connect client uses it, and not the calculation API."""
        return self.work_group.engine_version == SPARK_35

    @property
    def dpus(self) -> int:
        """Return what the session counts against the quota of its engine."""
        if self.is_spark_35:
            return ON_DEMAND_DPUS_OF_A_SESSION
        given = self.parameters["EngineConfiguration"].get("MaxConcurrentDpus")
        return DEFAULT_MAX_CONCURRENT_DPUS if given is None else int(given)

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
        self.was_idle_since = self.idle_since or self.was_idle_since
        if state in END_STATES:
            self.ended_at = at
        if state == "IDLE" or (state == "CREATED" and not self.planned):
            end = at + self.idle_timeout_minutes * 60
            self.planned = [Transition(end, "TERMINATED", messages.TERMINATED_PER_REQUEST)]
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
        """Return the error for an id that is not known, as the settings have it."""
        texts = {
            "not-found": messages.UNKNOWN_NOT_FOUND,
            "other": messages.UNKNOWN_OTHER,
        }
        message = texts[self.settings.unknown_session_text].format(kind=kind, name=name)
        if self.settings.unknown_session_error == "ResourceNotFoundException":
            return ServiceError("ResourceNotFoundException", message, ResourceName=name)
        return InvalidRequestError(message)

    def find(self, scope: Scope, session_id: str) -> Session | None:
        """Return a session of this account and region, or None."""
        session = self._sessions.get(session_id)
        if session is None or session.scope != scope:
            return None
        now = self.clock.now()
        session.refresh(now)
        return None if self._is_forgotten(session, now) else session

    def _is_forgotten(self, session: Session, now: float) -> bool:
        retention = self.settings.session_retention_seconds
        if retention is None or session.ended_at is None or session.state == "DEGRADED":
            return False
        return now >= session.ended_at + retention

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
            raise ServiceError(self.settings.throttling_code, messages.THROTTLED)

    def start(
        self,
        scope: Scope,
        work_group: WorkGroup,
        parameters: Mapping[str, Any],
        fail_reason: str | None = None,
    ) -> Session:
        """Start a session; with a fail_reason it will end FAILED instead of IDLE."""
        settings = self.settings
        check_engine_rules(work_group, parameters, settings)
        takes_tags = work_group.engine_version != SPARK_3 or settings.engine_3_tags == "accepted"
        # Copied unless the request says no (User Guide, notebooks-spark-cost-attribution).
        copies = parameters.get("CopyWorkGroupTags") is not False and takes_tags
        tags = dict(work_group.tags) if copies else {}
        tags.update({tag["Key"]: tag.get("Value", "") for tag in parameters.get("Tags") or []})
        check_tag_count(tags)
        now = self.clock.now()
        session = Session(
            session_id=_new_id(work_group.engine_version),
            number=next(self._numbers),
            scope=scope,
            work_group=work_group,
            parameters=copy.deepcopy(dict(parameters)),
            tags=tags,
            started_at=now,
            modified_at=now,
        )
        self._check_limits(session)
        self._plan_start(session, fail_reason)
        self._sessions[session.session_id] = session
        return session

    def _plan_start(self, session: Session, fail_reason: str | None) -> None:
        """Plan the states of a new session until it is ready, or FAILED."""
        settings, now = self.settings, session.started_at
        ready = now + settings.start_seconds
        half = now + settings.start_seconds / 2
        stays_created = session.is_spark_35 and settings.ready_state_3_5 == "CREATED"
        first = settings.start_session_state
        if first == "by-engine":
            first = "CREATING" if session.is_spark_35 else "CREATED"
        if fail_reason is not None:
            later = [Transition(half, "FAILED", fail_reason)]
        elif first == "CREATING" and stays_created:
            later = [Transition(ready, "CREATED", None)]
        elif first == "CREATING":
            later = [Transition(half, "CREATED", None), Transition(ready, "IDLE", None)]
        else:
            later = [] if stays_created else [Transition(ready, "IDLE", None)]
        session.planned = later
        session.enter(now, first, None)

    def connected(self, session: Session) -> None:
        """Tell that a Spark Connect client has connected: a CREATED session becomes IDLE."""
        now = self.clock.now()
        session.refresh(now)
        if session.state == "CREATED":
            session.enter(now, "IDLE", None)

    def terminate(self, session: Session) -> None:
        """End a session, unless it is already inactive."""
        reason = messages.TERMINATED_PER_REQUEST
        now = self.clock.now()
        session.refresh(now)
        if session.state in INACTIVE_STATES:
            return
        session.enter(now, "TERMINATING", reason)
        session.planned = [Transition(now + self.settings.terminate_seconds, "TERMINATED", reason)]

    def set_state(self, session_id: str, state: str, reason: str | None) -> None:
        """Put a session into a state at once, whatever it was in before."""
        states = service_model().shape_for("SessionState").metadata["enum"]
        if state not in states:
            raise ValueError(f"unknown state {state!r}; there are {states}")
        with self.lock:
            session = self._sessions[session_id]
            now = self.clock.now()
            session.refresh(now)
            session.ended_at = None
            session.planned = []
            session.enter(now, state, reason)

    def change_settings(self, **changes: Any) -> None:
        """Change some settings, for everything from now on."""
        with self.lock:
            self.settings = self.settings.changed(changes)

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
        now = self.clock.now()
        states = {state} if state else set(LIVE_STATES)
        if not state and self.settings.degraded_sessions == "listed":
            states.add("DEGRADED")
        found = (
            session
            for session in reversed(self.all())
            if session.scope == scope
            and session.work_group.name == name
            and session.state in states
            and not self._is_forgotten(session, now)
        )
        return page(found, [name, state], parameters)

    def endpoint(self, session: Session, url: str) -> dict[str, Any]:
        """Return a Spark Connect endpoint at a URL, with a token that was never given before."""
        if not session.is_spark_35:
            engine = session.work_group.engine_version
            raise InvalidRequestError(
                messages.NOT_FOR_ENGINE.format(what="GetSessionEndpoint", engine=engine)
            )
        if session.state not in CONNECTABLE_STATES:
            state = "STOPPED" if session.state in INACTIVE_STATES else session.state
            raise InvalidRequestError(messages.NO_ENDPOINT.format(state=state))
        answer = {"EndpointUrl": url}
        asked_before, session.endpoint_asked = session.endpoint_asked, True
        if self.settings.endpoint_without_token == "at-first" and not asked_before:  # noqa: S105
            return answer
        return {
            **answer,
            "AuthToken": secrets.token_urlsafe(48),
            "AuthTokenExpirationTime": self.clock.now() + self.settings.endpoint_token_seconds,
        }

    def _check_limits(self, new: Session) -> None:
        """Refuse a session for which there is no room."""
        settings = self.settings
        if settings.no_capacity:
            raise InvalidRequestError(messages.NO_CAPACITY)
        live = self.live(new.scope)
        same_engine = [item for item in live if item.is_spark_35 == new.is_spark_35]
        dpus = sum(item.dpus for item in same_engine) + new.dpus
        quota = settings.on_demand_dpus if new.is_spark_35 else settings.engine_3_account_dpus
        too_many = settings.max_sessions is not None and len(live) >= settings.max_sessions
        if too_many or (quota is not None and dpus > quota):
            # The one text that was seen; of exceeded DPUs on engine 3 no source has any.
            if settings.quota_error_code == "InvalidRequestException":
                raise InvalidRequestError(messages.TOO_MANY_SESSIONS)
            raise ServiceError(settings.quota_error_code, messages.TOO_MANY_SESSIONS)


def _new_id(engine: str) -> str:
    """Return a new session id in the form of its engine.

    `s-00g3acf5akqt8i01` on 3.5 (dbt-labs/dbt-adapters pull request 1874); on engine 3 a UUID in
    form that has no version of RFC 9562, such as `a2c1ebba-ad01-865f-ed2d-a142b7451f7e` (User
    Guide, notebooks-spark-troubleshooting-cloudtrail).
    """
    if engine == SPARK_35:
        alphabet = string.digits + string.ascii_lowercase
        return "s-" + "".join(secrets.choice(alphabet) for _ in range(16))
    octets = bytearray(secrets.token_bytes(16))
    octets[8] |= 0xE0  # the variant that the RFC reserves
    return str(uuid.UUID(bytes=bytes(octets)))


def check_tag_count(tags: Mapping[str, str]) -> None:
    """Refuse more tags than a resource of AWS can have."""
    if len(tags) > MAX_TAGS:
        raise InvalidRequestError(f"A resource can have at most {MAX_TAGS} tags, not {len(tags)}")


def check_engine_rules(
    work_group: WorkGroup, parameters: Mapping[str, Any], settings: Settings
) -> None:
    """Refuse what the work group's engine does not take.

    Engine 3.5 refuses the DPU sizes and SparkProperties and takes Classifications,
    engine 3 the other way round (dbt-labs/dbt-adapters issue 1854). A NotebookId needs a
    NotebookVersion (aws/aws-sdk-pandas issue 2866); clients send the version alone, too.
    """
    configuration, engine = parameters["EngineConfiguration"], work_group.engine_version
    if given := [
        name
        for name in _refused(engine, settings)
        if (configuration if name in _IN_CONFIGURATION else parameters).get(name) is not None
    ]:
        raise InvalidRequestError(
            messages.NOT_FOR_ENGINE.format(what=", ".join(given), engine=engine)
        )
    dpus = configuration.get("MaxConcurrentDpus")
    if engine == SPARK_3 and dpus is None and settings.engine_3_without_dpus == "refused":
        raise InvalidRequestError(messages.NO_DPUS.format(engine=engine))
    quota = settings.engine_3_session_dpus
    if engine == SPARK_3 and quota is not None and (dpus or 0) > quota:
        raise InvalidRequestError(messages.TOO_MANY_DPUS.format(quota=quota))
    version = parameters.get("NotebookVersion")
    notebook_id = (configuration.get("AdditionalConfigs") or {}).get("NotebookId")
    if notebook_id is not None and version is None:
        raise InvalidRequestError(messages.NO_NOTEBOOK_VERSION)
    if version is not None and version != NOTEBOOK_VERSION:
        raise InvalidRequestError(f"The only valid notebook version is {NOTEBOOK_VERSION}")


_DPU_SIZES = ("CoordinatorDpuSize", "DefaultExecutorDpuSize", "SparkProperties")
_IN_CONFIGURATION = frozenset({*_DPU_SIZES, "Classifications"})


def _refused(engine: str, settings: Settings) -> tuple[str, ...]:
    """Return the members of StartSession that an engine refuses."""
    if engine == SPARK_35:
        return _DPU_SIZES
    answers = {
        "Classifications": settings.engine_3_classifications,
        "MonitoringConfiguration": settings.engine_3_monitoring,
        "Tags": settings.engine_3_tags,
    }
    return tuple(name for name, answer in answers.items() if answer == "refused")
