"""Random histories of two resources: whatever goes wrong, the next create makes it right.

Hypothesis plays Pulumi (the state, the commands), the service (by its own, skewed clock) and fate.
`make properties` plays longer; PROPERTY_EXAMPLES is how many histories there are.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from scripted import EPOCH, FakeClock, answer

from athena_session_provider.service import errors, lifecycle
from athena_session_provider.service.api import SessionDetails, SessionStatus, StartedSession
from athena_session_provider.service.lifecycle import DEAD_STARTS
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.states import ENDED, PHASES, Phase, SessionState
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "150"))
STEPS = 50
RESOURCES = ("a", "b")
IDLE_SECONDS = 20 * 60.0
TIMEOUT_SECONDS = 600.0

COMMAND_SECONDS = 3.0
"""What Pulumi takes at least to come to a create; dates of HTTP have whole seconds."""


class Killed(BaseException):
    """The process is gone: nothing after this is done by it."""


BEFORE: dict[str | None, BaseException] = {
    "throttled": errors.ThrottledError(answer("TooManyRequestsException", "Rate exceeded")),
    "500": errors.InternalServiceError(answer("InternalServerException")),
    "refused": errors.AccessDeniedError(answer("AccessDeniedException")),
    "raise-before": RuntimeError("before"),
}
"""What can happen to a call before it acts, besides "kill-before"."""

AFTER: dict[str | None, BaseException] = {
    "500-after": errors.InternalServiceError(answer("InternalServerException")),
    "lost": errors.EndpointUnreachableError(
        "Operation",
        subject="it",
        region="eu-west-1",
        endpoint="there",
        detail="timed out",
        may_have_acted=True,
    ),
    "raise-after": RuntimeError("after"),
    "interrupt-after": KeyboardInterrupt(),
}
"""What can happen to a call once it has acted, besides "kill-after"."""

FAULTS = ("kill-before", "kill-after", *sorted(str(name) for name in (*BEFORE, *AFTER)))


@dataclass
class ServiceSession:
    """One session, by the service's clock."""

    session_id: str
    urn: str
    started_at: float
    start_seconds: float
    fate: str
    """What becomes of its start: IDLE, FAILED or TERMINATED."""
    seen_from: float
    terminated_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def state(self, now: float) -> SessionState:
        """The state at a moment of the service's clock."""
        ready_at = self.started_at + self.start_seconds
        if self.terminated_at is not None:
            ended = now >= self.terminated_at + 1.0
            return SessionState.TERMINATED if ended else SessionState.TERMINATING
        if now < ready_at:
            return SessionState.CREATING
        if self.fate != "IDLE":
            return SessionState(self.fate)
        idle_out = now >= ready_at + IDLE_SECONDS
        return SessionState.TERMINATED if idle_out else SessionState.IDLE


class Service:
    """Athena in memory, with faults on order for its next calls."""

    region = "eu-west-1"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.skew = 0.0
        self.account_id: str | None = "123456789012"
        self.tokens: dict[str, tuple[dict[str, Any], str]] = {}
        self.sessions: dict[str, ServiceSession] = {}
        self.faults: deque[str | None] = deque()
        self.dead = False
        self.fates: deque[str] = deque()
        self.start_seconds = 8.0
        self.unseen_seconds = 0.0
        self.may_tag = True
        self.may_list = True
        self.starts = 0

    def now(self) -> float:
        """The service's clock, which need not be the machine's."""
        return self.clock.now + self.skew

    def live(self, urn: str) -> list[str]:
        """The sessions of a resource that run and cost money, DEGRADED ones too."""
        return [
            item.session_id
            for item in self.sessions.values()
            if item.urn == urn and item.state(self.now()) not in (*ENDED, SessionState.TERMINATING)
        ]

    def _call(self, act: Callable[[], Any]) -> Any:
        fault = None if self.dead or not self.faults else self.faults.popleft()
        if fault == "kill-before" or self.dead:
            self.dead = True
            raise Killed
        self.clock.now += 0.05
        if fault in BEFORE:
            raise BEFORE[fault]
        result = act()
        if fault == "kill-after":
            self.dead = True
            raise Killed
        if fault in AFTER:
            raise AFTER[fault]
        return result

    def start_session(
        self, request: Mapping[str, Any], client_request_token: str
    ) -> StartedSession:
        def act() -> StartedSession:
            if client_request_token not in self.tokens:
                session = ServiceSession(
                    session_id=f"session-{len(self.sessions)}",
                    urn=request["Description"],
                    started_at=self.now(),
                    start_seconds=self.start_seconds,
                    fate=self.fates.popleft() if self.fates else "IDLE",
                    seen_from=self.now() + self.unseen_seconds,
                )
                if session.fate != "IDLE":
                    session.start_seconds = 0.0
                self.starts += 1
                self.sessions[session.session_id] = session
                self.tokens[client_request_token] = (dict(request), session.session_id)
            parameters, session_id = self.tokens[client_request_token]
            if parameters != request:
                raise errors.TokenReusedError(answer())
            second = dt.timedelta(seconds=int(self.now()))
            return StartedSession(session_id, EPOCH + second)

        started: StartedSession = self._call(act)
        return started

    def _session(self, session_id: str) -> ServiceSession:
        session = self.sessions.get(session_id)
        if session is None or self.now() < session.seen_from:
            raise errors.SessionNotFoundError(answer(message="Session not found"))
        return session

    def _status(self, session: ServiceSession) -> SessionStatus:
        started = EPOCH + dt.timedelta(seconds=session.started_at)
        return SessionStatus(
            session.session_id, session.state(self.now()), "why", started_at=started
        )

    def get_session_status(self, session_id: str) -> SessionStatus:
        status: SessionStatus = self._call(lambda: self._status(self._session(session_id)))
        return status

    def get_session(self, session_id: str) -> SessionDetails:
        details: SessionDetails = self._call(
            lambda: SessionDetails(self._status(self._session(session_id)), "spark", "3"),
        )
        return details

    def list_sessions(
        self, _work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        def act() -> list[SessionStatus]:
            if not self.may_list:
                raise errors.AccessDeniedError(answer("AccessDeniedException"))
            found = [self._status(item) for item in reversed(self.sessions.values())]
            return [
                status
                for status in found
                if (status.state is state if state else PHASES[status.state] is not Phase.DEAD)
            ][:at_most]

        listed: list[SessionStatus] = self._call(act)
        return listed

    def terminate_session(self, session_id: str) -> None:
        def act() -> None:
            session = self._session(session_id)
            if session.state(self.now()) not in (*ENDED, SessionState.TERMINATING):
                session.terminated_at = self.now()

        self._call(act)

    def _tagged(self, arn: str) -> ServiceSession:
        if not self.may_tag:
            raise errors.AccessDeniedError(answer("AccessDeniedException"))
        return self._session(arn.rpartition("/")[2])

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        self._call(lambda: self._tagged(arn).tags.update(tags))

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        self._call(lambda: [self._tagged(arn).tags.pop(key, "") for key in keys])

    def list_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = self._call(lambda: dict(self._tagged(arn).tags))
        return tags


faults = st.lists(st.none() | st.sampled_from(FAULTS), max_size=6)
resources = st.sampled_from(RESOURCES)


class Histories(RuleBasedStateMachine):
    """Pulumi's state for two resources, and what their sessions really do."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.service = Service(self.clock)
        self.state: dict[str, str | None] = dict.fromkeys(RESOURCES)
        self.dpus = dict.fromkeys(RESOURCES, 4)
        self.unknown: dict[str, bool] = dict.fromkeys(RESOURCES, False)
        """Whether a command failed so that a session may run that the state does not know."""

    @invariant()
    def count(self) -> None:
        """Count the steps; the test below asserts that there were enough."""
        type(self).steps += 1

    def deadline(self, seconds: float = TIMEOUT_SECONDS) -> Deadline:
        return Deadline.after(seconds, self.clock)

    def create(self, name: str) -> bool:
        """What an up does for a resource that the state does not have; tells if it succeeded."""
        self.service.dead = False
        self.clock.now += COMMAND_SECONDS
        before = self.service.starts
        request = {
            "WorkGroup": "spark",
            "Description": name,
            "EngineConfiguration": {"MaxConcurrentDpus": self.dpus[name]},
        }
        try:
            token, details = lifecycle.create(
                self.service,
                Identity(urn=name),
                request,
                pollers=PollerPool(self.clock.monotonic),
                deadline=self.deadline(),
                cleanup=lambda: self.deadline(lifecycle.CLEANUP_SECONDS),
            )
        except (errors.AthenaSessionError, RuntimeError, KeyboardInterrupt, Killed):
            self.unknown[name] = True
            assert self.service.starts - before <= DEAD_STARTS
            return False
        assert details.status.session_id == token.session_id
        assert details.status.state is SessionState.IDLE
        assert self.service.live(name) == [token.session_id]
        assert self.service.starts - before <= DEAD_STARTS
        self.state[name] = token.session_id
        self.unknown[name] = False
        return True

    def delete(self, name: str) -> bool:
        """What a destroy does for a resource that the state has; tells if it succeeded."""
        session_id = self.state[name]
        assert session_id is not None
        self.service.dead = False
        try:
            lifecycle.terminate_session(
                self.service,
                session_id,
                "spark",
                pollers=PollerPool(self.clock.monotonic),
                deadline=self.deadline(),
                account_id=self.service.account_id,
            )
        except (errors.AthenaSessionError, RuntimeError, KeyboardInterrupt, Killed):
            return False
        self.state[name] = None
        assert self.service.live(name) == []
        return True

    @rule(name=resources, plan=faults)
    def up(self, name: str, plan: list[str | None]) -> None:
        """Run up, with faults: a dead session is replaced, one that is missing is started."""
        self.service.faults = deque(plan)
        session_id = self.state[name]
        if session_id is not None and session_id in self.service.live(name):
            return
        if session_id is None or self.delete(name):
            self.create(name)

    @rule(name=resources)
    def up_in_peace(self, name: str) -> None:
        """An up that nothing happens to leaves one session, which the state names."""
        self.service.faults.clear()
        self.service.fates.clear()
        session_id = self.state[name]
        if session_id is not None and session_id not in self.service.live(name):
            assert self.delete(name)
        if self.state[name] is None:
            assert self.create(name)
        assert self.service.live(name) == [self.state[name]]

    @rule(name=resources, plan=faults)
    def destroy(self, name: str, plan: list[str | None]) -> None:
        """Run destroy, with faults."""
        self.service.faults = deque(plan)
        if self.state[name] is not None:
            self.delete(name)

    @rule(name=resources, calls=st.integers(0, 6), after=st.booleans())
    def up_killed(self, name: str, calls: int, *, after: bool) -> None:
        """Run up, and kill it at one of its calls."""
        self.up(name, [*[None] * calls, "kill-after" if after else "kill-before"])

    @rule(name=resources, fate=st.sampled_from(("FAILED", "DEGRADED", "TERMINATED")))
    def up_in_vain(self, name: str, fate: str) -> None:
        """Run up while the service ends every session at once."""
        self.service.fates = deque([fate] * 20)
        self.up(name, [])
        self.service.fates.clear()

    @rule(name=resources)
    def destroy_in_peace(self, name: str) -> None:
        """A destroy that nothing happens to leaves none of the sessions that the state knew."""
        self.service.faults.clear()
        if self.state[name] is not None:
            assert self.delete(name)

    @rule(name=resources, dpus=st.integers(4, 6), plan=faults)
    def replace(self, name: str, dpus: int, plan: list[str | None]) -> None:
        """Change the request: the old session ends before the new one starts."""
        if self.unknown[name]:
            # Its token went with the old request: see docs/explanation/tokens.md.
            return
        self.service.faults = deque(plan)
        self.dpus[name] = dpus
        if self.state[name] is None or self.delete(name):
            self.create(name)

    @rule(fates=st.lists(st.sampled_from(("IDLE", "FAILED", "DEGRADED", "TERMINATED")), max_size=9))
    def decide(self, fates: list[str]) -> None:
        """Choose what becomes of the next sessions that are started."""
        self.service.fates = deque(fates)

    @rule(seconds=st.sampled_from((0.1, 1.0, 2.0, 5.0, 90.0, IDLE_SECONDS + 60, 86400.0)))
    def wait(self, seconds: float) -> None:
        """Let time pass: starts end, idle sessions too."""
        self.clock.now += seconds

    @rule(data=st.data())
    def kill_session(self, data: st.DataObject) -> None:
        """Somebody else ends a session."""
        if self.service.sessions:
            session = data.draw(st.sampled_from(sorted(self.service.sessions)))
            self.service.sessions[session].terminated_at = self.service.now()

    @rule(seconds=st.floats(-300.0, 300.0, allow_nan=False))
    def skew(self, seconds: float) -> None:
        """Another machine, whose clock differs from the service's by up to five minutes."""
        self.clock.now -= seconds - self.service.skew  # the service's own time goes on
        self.service.skew = seconds

    @rule(
        may_tag=st.booleans(),
        may_list=st.booleans(),
        account=st.sampled_from(("123456789012", None)),
        start_seconds=st.sampled_from((0.0, 8.0, 90.0)),
        unseen_seconds=st.sampled_from((0.0, 1.0, 2.5)),
    )
    def change_surroundings(
        self,
        *,
        may_tag: bool,
        may_list: bool,
        account: str | None,
        start_seconds: float,
        unseen_seconds: float,
    ) -> None:
        """Run with other permissions, and against a service that is slower."""
        self.service.may_tag = may_tag
        self.service.may_list = may_list
        self.service.account_id = account
        self.service.start_seconds = start_seconds
        self.service.unseen_seconds = unseen_seconds

    @invariant()
    def one_session_at_most(self) -> None:
        """No resource ever has two live sessions, whatever went wrong so far."""
        for name in RESOURCES:
            assert len(self.service.live(name)) <= 1

    @invariant()
    def no_session_is_forgotten(self) -> None:
        """A live session is in the state, unless a command failed before it could be."""
        for name in RESOURCES:
            if not self.unknown[name]:
                assert self.service.live(name) in ([], [self.state[name]])


def test_the_next_create_makes_it_right() -> None:
    """Over all histories, and over at least 2,000 steps of them."""
    Histories.steps = 0
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Histories.steps >= 2000
