"""A clock that only tests advance, and a service with scripted responses."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations
from athena_session_provider.operations.stack_sessions import StackSessionsOperations
from athena_session_provider.service.api import (
    Athena,
    SessionDetails,
    SessionEndpoint,
    SessionStatus,
    StartedSession,
    session_arn,
)
from athena_session_provider.service.errors import (
    AccessDeniedError,
    AthenaSessionError,
    ServiceAnswer,
    SessionNotFoundError,
)
from athena_session_provider.service.lifecycle import Created, SessionLifecycle
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.states import (
    ENDED,
    ENGINE_3,
    Phase,
    SessionState,
    phase_of,
)
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNKNOWN = "unknown in preview"
IDENTITY = Identity(urn="urn:pulumi:dev::p::t::n")
REQUEST = {"WorkGroup": "spark", "EngineConfiguration": {}}
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)


class FakeClock:
    """Sleeping takes no time and moves the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def answer(
    code: str = "InvalidRequestException", message: str = "no", operation: str = "StartSession"
) -> ServiceAnswer:
    """An error as the service would give it."""
    return ServiceAnswer(operation, "eu-west-1", "work group spark", code, message, "request-1")


@dataclass
class ScriptedAthena:
    """Sessions that pass through ``states``, one with each time that they are asked for.

    The last state stays. ``failures`` raise, by operation, before the operation acts; those of
    ``lost`` after it. A session that is taken out of ``scripts`` is forgotten by the service; its
    token is not.
    """

    clock: FakeClock
    states: Sequence[str] = ("CREATING", "IDLE")
    reason: str = ""
    region: str = "eu-west-1"
    account_id: str | None = "123456789012"
    failures: dict[str, list[AthenaSessionError]] = field(default_factory=dict)
    lost: dict[str, list[AthenaSessionError]] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    """Operations that the role may not call."""
    calls: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, list[str]] = field(default_factory=dict)
    started: dict[str, dt.datetime] = field(default_factory=dict)
    work_groups: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""
    descriptions: dict[str, str] = field(default_factory=dict)
    engine_version: str = ENGINE_3
    endpoints: list[SessionEndpoint] = field(
        default_factory=lambda: [SessionEndpoint("https://endpoint", "token", None)]
    )
    """What GetSessionEndpoint returns, one after the other; the last one stays."""

    __hash__ = object.__hash__

    def _act(self, operation: str, act: Callable[[], Any]) -> Any:
        self.calls.append(operation)
        if self.failures.get(operation):
            raise self.failures[operation].pop(0)
        if operation in self.denied:
            raise AccessDeniedError(answer("AccessDeniedException", operation=operation))
        result = act()
        if self.lost.get(operation):
            raise self.lost[operation].pop(0)
        return result

    @property
    def time(self) -> dt.datetime:
        """The service's own clock."""
        return EPOCH + dt.timedelta(seconds=self.clock.now)

    def state(self, session_id: str) -> SessionState:
        """The state that the session is in, without asking for it."""
        return SessionState(self.scripts[session_id][0])

    def live(self) -> list[str]:
        """The sessions that cost money."""
        return [name for name in self.scripts if self.state(name) not in ENDED]

    def start_session(
        self, request: Mapping[str, Any], client_request_token: str
    ) -> StartedSession:
        def act() -> StartedSession:
            session_id = self.tokens.get(client_request_token)
            if session_id is None:
                session_id = f"session-{len(self.tokens)}"
                self.tokens[client_request_token] = session_id
                self.scripts[session_id] = list(self.states)
                self.started[session_id] = self.time
                self.work_groups[session_id] = request["WorkGroup"]
                self.descriptions[session_id] = request.get("Description", "")
                arn = session_arn(self, request["WorkGroup"], session_id)
                if arn is not None and request.get("Tags"):
                    self.tags[arn] = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
            return StartedSession(session_id, self.time.replace(microsecond=0))

        result: StartedSession = self._act("StartSession", act)
        return result

    def _known(self, session_id: str) -> None:
        if session_id not in self.scripts:
            raise SessionNotFoundError(answer("ResourceNotFoundException"))

    def _status(self, session_id: str) -> SessionStatus:
        self._known(session_id)
        script = self.scripts[session_id]
        state = script.pop(0) if len(script) > 1 else script[0]
        return SessionStatus(
            session_id, SessionState(state), self.reason, started_at=self.started[session_id]
        )

    def _listed(self, status: SessionStatus) -> SessionStatus:
        """The status with what GetSessionStatus does not return."""
        return replace(
            status,
            description=self.descriptions[status.session_id],
            engine_version=self.engine_version,
        )

    def get_session_status(self, session_id: str) -> SessionStatus:
        status: SessionStatus = self._act("GetSessionStatus", lambda: self._status(session_id))
        return status

    def get_session(self, session_id: str) -> SessionDetails:
        def act() -> SessionDetails:
            self._known(session_id)
            status = SessionStatus(
                session_id,
                self.state(session_id),
                self.reason,
                started_at=self.started[session_id],
            )
            return SessionDetails(
                self._listed(status), self.work_groups[session_id], self.engine_version
            )

        details: SessionDetails = self._act("GetSession", act)
        return details

    def list_sessions(
        self, work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        def act() -> list[SessionStatus]:
            return [
                self._listed(self._status(name))
                for name in reversed(self.scripts)
                if self.work_groups[name] == work_group
                and (
                    self.state(name) is state
                    if state
                    else phase_of(self.state(name)) is not Phase.DEAD
                )
            ][:at_most]

        listed: list[SessionStatus] = self._act("ListSessions", act)
        return listed

    def terminate_session(self, session_id: str) -> None:
        def act() -> None:
            self._known(session_id)
            if self.state(session_id) not in ENDED:
                self.scripts[session_id] = ["TERMINATING", "TERMINATED"]

        self._act("TerminateSession", act)

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        self._act("TagResource", lambda: self.tags.setdefault(arn, {}).update(tags))

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        self._act("UntagResource", lambda: [self.tags[arn].pop(key) for key in keys])

    def list_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = self._act("ListTagsForResource", lambda: self.tags.get(arn, {}))
        return tags

    def get_session_endpoint(self, session_id: str) -> SessionEndpoint:
        def act() -> SessionEndpoint:
            self._known(session_id)
            return self.endpoints.pop(0) if len(self.endpoints) > 1 else self.endpoints[0]

        endpoint: SessionEndpoint = self._act("GetSessionEndpoint", act)
        return endpoint


class FakeHost(ProviderHost):
    """A provider process whose time is the fake clock's, and that keeps its messages."""

    def __init__(self, clock: FakeClock) -> None:
        self.warnings: list[str] = []
        self.fake_clock = clock
        super().__init__(lambda _urn, message: self.warnings.append(message), lambda *_: None)

    def clock(self) -> FakeClock:
        return self.fake_clock

    cleanup_clock = clock


class ScriptedOperations(SessionOperations):
    """The operations of one command, on a scripted service."""

    def __init__(self, athena: Athena, host: FakeHost, run: Run | None = None) -> None:
        super().__init__({}, run or Run(host.fake_clock), host, unknown=UNKNOWN)
        self.athena = athena

    def _athena(self, _props: Mapping[str, Any]) -> Athena:
        return self.athena


class ScriptedStackSessions(StackSessionsOperations):
    """The operations on a stack's identity, on a scripted service."""

    def __init__(self, athena: Athena, host: FakeHost, run: Run | None = None) -> None:
        super().__init__({}, run or Run(host.fake_clock), host)
        self.athena = athena

    def _athena(self, _props: Mapping[str, Any]) -> Athena:
        return self.athena


def lifecycle(
    athena: ScriptedAthena, timeout: float = 600, work_group: str = "spark", **receivers: Any
) -> SessionLifecycle:
    """The operations of a new process."""
    pollers = PollerPool(athena.clock.monotonic)
    deadline = Deadline.after(timeout, athena.clock)
    return SessionLifecycle(athena, work_group, pollers, deadline, **receivers)


def start(
    athena: ScriptedAthena,
    timeout: float = 600,
    *,
    shown: list[str] | None = None,
    warned: list[str] | None = None,
    request: dict[str, Any] = REQUEST,
    **options: Any,
) -> Created:
    return lifecycle(
        athena,
        timeout,
        progress=(shown if shown is not None else []).append,
        warn=(warned if warned is not None else []).append,
    ).create(IDENTITY, request, cleanup=lambda: Deadline.after(60, athena.clock), **options)
