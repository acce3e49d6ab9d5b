"""Random histories of two resources: whatever goes wrong, the next create makes it right.

Hypothesis plays Pulumi (the state, the commands), the service (by its own, skewed clock) and fate.
`make properties` plays longer; PROPERTY_EXAMPLES is how many histories there are.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from scripted import EPOCH, FakeClock, FakeHost, ScriptedOperations, answer

from athena_session_provider.service import errors
from athena_session_provider.service.api import (
    SessionDetails,
    SessionEndpoint,
    SessionStatus,
    StartedSession,
)
from athena_session_provider.service.lifecycle import DEAD_STARTS
from athena_session_provider.service.ownership import CREATE_TAG, STARTED, parse_mark
from athena_session_provider.service.states import (
    ENDED,
    ENGINE_3,
    Phase,
    SessionState,
    phase_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "150"))
STEPS = 50
RESOURCES = ("a", "b")
IDENTITY = "0123456789abcdef0123456789abcdef"
IDLE_SECONDS = 20 * 60.0

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
    description: str
    started_at: float
    start_seconds: float
    fate: str
    """What becomes of its start: IDLE, FAILED or TERMINATED."""
    seen_from: float
    terminated_at: float | None = None
    terminated_by: str = ""
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
        self.deleting = ""

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

    def _call(self, act: Callable[[], Any], *, with_tags: bool = False) -> Any:
        fault = None if self.dead or not self.faults else self.faults.popleft()
        if fault == "refused" and with_tags:
            # The permission for tags is one of the role's, and stays as long as the role does.
            fault = None
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
            tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
            if tags and not self.may_tag:
                raise errors.AccessDeniedError(answer("AccessDeniedException"))
            if client_request_token not in self.tokens:
                mark = parse_mark(request["Description"])
                assert mark is not None
                session = ServiceSession(
                    session_id=f"session-{len(self.sessions)}",
                    urn=mark.urn,
                    description=request["Description"],
                    tags=tags,
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

        started: StartedSession = self._call(act, with_tags=True)
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

    def _listed(self, session: ServiceSession) -> SessionStatus:
        return replace(
            self._status(session), description=session.description, engine_version=ENGINE_3
        )

    def get_session(self, session_id: str) -> SessionDetails:
        details: SessionDetails = self._call(
            lambda: SessionDetails(self._listed(self._session(session_id)), "spark", ENGINE_3),
        )
        return details

    def get_session_endpoint(self, _session_id: str) -> SessionEndpoint:
        raise AssertionError

    def list_sessions(
        self, _work_group: str, state: SessionState | None = None, at_most: int | None = None
    ) -> list[SessionStatus]:
        def act() -> list[SessionStatus]:
            if not self.may_list:
                raise errors.AccessDeniedError(answer("AccessDeniedException"))
            found = [self._listed(item) for item in reversed(self.sessions.values())]
            return [
                status
                for status in found
                if (status.state is state if state else phase_of(status.state) is not Phase.DEAD)
            ][:at_most]

        listed: list[SessionStatus] = self._call(act)
        return listed

    def terminate_session(self, session_id: str) -> None:
        def act() -> None:
            session = self._session(session_id)
            if session.state(self.now()) not in (*ENDED, SessionState.TERMINATING):
                session.terminated_at = self.now()
                session.terminated_by = "delete" if session_id == self.deleting else "cleanup"

        self._call(act)

    def _tagged(self, arn: str) -> ServiceSession:
        if not self.may_tag:
            raise errors.AccessDeniedError(answer("AccessDeniedException"))
        return self._session(arn.rpartition("/")[2])

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        self._call(lambda: self._tagged(arn).tags.update(tags), with_tags=True)

    def untag_resource(self, arn: str, keys: Sequence[str]) -> None:
        self._call(lambda: [self._tagged(arn).tags.pop(key, "") for key in keys])

    def list_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = self._call(lambda: dict(self._tagged(arn).tags))
        return tags


def command_of(service: Service) -> ScriptedOperations:
    """The operations of one command, which may be killed."""
    return ScriptedOperations(service, FakeHost(service.clock))


GAVE_UP = (errors.AthenaSessionError, RuntimeError, KeyboardInterrupt, Killed)
"""How a command can fail."""

faults = st.lists(st.none() | st.sampled_from(FAULTS), max_size=6)
resources = st.sampled_from(RESOURCES)


class Histories(RuleBasedStateMachine):
    """Pulumi's state for two resources, and what their sessions really do."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.service = Service(self.clock)
        self.state: dict[str, tuple[str, dict[str, Any]] | None] = dict.fromkeys(RESOURCES)
        self.dpus = dict.fromkeys(RESOURCES, 4)
        self.unknown: set[str] = set()
        """Resources of which a session may run that the state does not know."""
        self.other_arguments: set[str] = set()
        """Those of them that were created again with other arguments."""
        self.unfinished: set[str] = set()
        """Sessions whose create succeeded without the tag that says so."""

    @initialize(
        may_tag=st.booleans(),
        may_list=st.booleans(),
        account=st.sampled_from(("123456789012", None)),
    )
    def choose_permissions(self, *, may_tag: bool, may_list: bool, account: str | None) -> None:
        """Choose what the role may do, once: a leftover is found by what its create could write."""
        self.service.may_tag = may_tag
        self.service.may_list = may_list
        self.service.account_id = account

    @property
    def finds_leftovers(self) -> bool:
        """Whether the role has the permissions to find sessions of interrupted creates."""
        return bool(self.service.may_tag and self.service.may_list and self.service.account_id)

    @invariant()
    def count(self) -> None:
        """Count the steps; the test below asserts that there were enough."""
        type(self).steps += 1

    def properties(self, name: str) -> dict[str, Any]:
        """What the program and check give for a resource."""
        return {
            "work_group": "spark",
            "engine_configuration": {"max_concurrent_dpus": self.dpus[name]},
            "region": "eu-west-1",
            "identity": {"urn": name, "owner": IDENTITY},
        }

    def command(self) -> ScriptedOperations:
        """Start another command, which takes Pulumi a while."""
        self.service.dead = False
        self.clock.now += COMMAND_SECONDS
        return command_of(self.service)

    def create(self, operations: ScriptedOperations, name: str) -> bool:
        """What an up does for a resource that the state does not have; tells if it succeeded."""
        before = self.service.starts
        try:
            session_id, outs = operations.create(self.properties(name))
        except GAVE_UP:
            self.unknown.add(name)
            assert self.service.starts - before <= DEAD_STARTS
            return False
        assert self.service.starts - before <= DEAD_STARTS
        assert outs["session_id"] == session_id
        assert outs["state"] == "IDLE"
        assert session_id in self.service.live(name)
        self.state[name] = (session_id, outs)
        if name not in self.other_arguments:
            self.unknown.discard(name)
        if self.service.sessions[session_id].tags.get(CREATE_TAG) == STARTED:
            self.unfinished.add(session_id)
        return True

    def delete(self, operations: ScriptedOperations, name: str) -> bool:
        """What a destroy does for a resource that the state has; tells if it succeeded."""
        known = self.state[name]
        assert known is not None
        session_id, outs = known
        self.service.deleting = session_id
        try:
            operations.delete(session_id, outs)
        except GAVE_UP:
            return False
        self.state[name] = None
        assert session_id not in self.service.live(name)
        return True

    def nothing_is_left(self) -> None:
        """Expect no session that the state does not name, after a command without any fault."""
        if not self.finds_leftovers:
            return
        self.unknown.clear()
        self.other_arguments.clear()
        for name, known in self.state.items():
            assert self.service.live(name) in ([], [known[0]] if known else [])

    def run_up(self, name: str, plan: list[str | None]) -> bool:
        """Run up on one resource; tells if it succeeded."""
        self.service.faults = deque(plan)
        operations = self.command()
        known = self.state[name]
        if known is not None:
            try:
                diff = operations.diff(*known, self.properties(name))
            except GAVE_UP:
                return False
            if not diff.replaces:
                return True
            if not self.delete(operations, name):
                return False
        return self.create(operations, name)

    @rule(name=resources, plan=faults)
    def up(self, name: str, plan: list[str | None]) -> None:
        """Run up, with faults: a dead session is replaced, one that is missing is started."""
        self.run_up(name, plan)

    @rule(name=resources)
    def up_in_peace(self, name: str) -> None:
        """An up that nothing happens to leaves one session, which the state names."""
        self.service.fates.clear()
        changed = self.state[name] is None
        assert self.run_up(name, [])
        known = self.state[name]
        assert known is not None
        assert known[0] in self.service.live(name)
        if changed:
            self.nothing_is_left()

    @rule(name=resources, plan=faults)
    def destroy(self, name: str, plan: list[str | None]) -> None:
        """Run destroy, with faults."""
        self.service.faults = deque(plan)
        if self.state[name] is not None:
            self.delete(self.command(), name)

    @rule(name=resources, calls=st.integers(0, 10), after=st.booleans())
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
        """A destroy that nothing happens to leaves no session that the state does not name."""
        self.service.faults.clear()
        if self.state[name] is not None:
            assert self.delete(self.command(), name)
            self.nothing_is_left()

    @rule(name=resources, dpus=st.integers(4, 6), plan=faults)
    def change(self, name: str, dpus: int, plan: list[str | None]) -> None:
        """Change the arguments: the old session ends before the new one starts."""
        if dpus != self.dpus[name] and name in self.unknown:
            if not self.finds_leftovers:
                # Its token went with the old arguments: see docs/explanation/tokens.md.
                return
            self.other_arguments.add(name)
        self.dpus[name] = dpus
        self.run_up(name, plan)

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
            session = self.service.sessions[
                data.draw(st.sampled_from(sorted(self.service.sessions)))
            ]
            session.terminated_at = self.service.now()
            session.terminated_by = "somebody else"

    @rule(seconds=st.floats(-300.0, 300.0, allow_nan=False))
    def skew(self, seconds: float) -> None:
        """Another machine, whose clock differs from the service's by up to five minutes."""
        self.clock.now -= seconds - self.service.skew  # the service's own time goes on
        self.service.skew = seconds

    @rule(
        start_seconds=st.sampled_from((0.0, 8.0, 90.0)),
        unseen_seconds=st.sampled_from((0.0, 1.0, 2.5)),
    )
    def change_surroundings(self, *, start_seconds: float, unseen_seconds: float) -> None:
        """Run against a service that is slower."""
        self.service.start_seconds = start_seconds
        self.service.unseen_seconds = unseen_seconds

    @invariant()
    def one_session_at_most(self) -> None:
        """No resource has two live sessions, unless its arguments changed after a failure."""
        for name in RESOURCES:
            assert name in self.other_arguments or len(self.service.live(name)) <= 1

    @invariant()
    def no_session_is_forgotten(self) -> None:
        """A live session is in the state, unless a command failed before it could be."""
        for name in RESOURCES:
            if name not in self.unknown:
                known = self.state[name]
                assert self.service.live(name) in ([], [known[0]] if known else [])

    @invariant()
    def no_session_in_the_state_is_ended(self) -> None:
        """Nothing but its own delete, or the service, ends a session that the state names."""
        for known in self.state.values():
            if known is not None and known[0] not in self.unfinished:
                session = self.service.sessions[known[0]]
                assert session.terminated_by != "cleanup"


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
