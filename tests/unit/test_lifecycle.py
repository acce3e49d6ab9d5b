"""Start or adopt, wait, terminate: every branch, by a scripted service and a fake clock."""

from __future__ import annotations

import pytest
from scripted import IDENTITY, REQUEST, FakeClock, ScriptedAthena, answer, lifecycle, start

from athena_session_provider.service import errors
from athena_session_provider.service.states import SessionState
from athena_session_provider.service.token import client_request_token
from athena_session_provider.service.waiting import Deadline


def end(
    athena: ScriptedAthena, session_id: str, timeout: float = 600, account_id: str | None = None
) -> None:
    lifecycle(athena, timeout).terminate(session_id, account_id)


@pytest.fixture
def athena() -> ScriptedAthena:
    return ScriptedAthena(FakeClock())


def test_first_start_uses_the_token_of_generation_0(athena: ScriptedAthena) -> None:
    """One StartSession, and the status of the session once it is IDLE."""
    created = start(athena)
    assert created.client_request_token == client_request_token(IDENTITY, REQUEST, 0)
    assert created.status.session_id == "session-0"
    assert created.status.state is SessionState.IDLE
    assert created.status.engine_version == "PySpark engine version 3"
    assert athena.calls.count("StartSession") == 1
    assert athena.calls.count("ListTagsForResource") == 0


@pytest.mark.parametrize("state", ["CREATING", "CREATED", "IDLE", "BUSY"])
def test_a_live_session_of_the_token_is_adopted(athena: ScriptedAthena, state: str) -> None:
    """A create that was interrupted left it behind."""
    start(athena)
    athena.scripts["session-0"] = [state, "IDLE"]
    assert start(athena).status.session_id == "session-0"
    assert athena.live() == ["session-0"]


@pytest.mark.parametrize("state", ["TERMINATING", "TERMINATED", "FAILED", "DEGRADED"])
def test_a_dead_session_has_used_its_token_up(athena: ScriptedAthena, state: str) -> None:
    """The next generation is started."""
    start(athena)
    athena.scripts["session-0"] = [state]
    athena.clock.now += 60
    created = start(athena)
    assert created.client_request_token == client_request_token(IDENTITY, REQUEST, 1)
    assert created.status.session_id == "session-1"


def test_a_degraded_session_is_terminated_before_another_starts(athena: ScriptedAthena) -> None:
    """It is of no use to anybody, and costs money until its idle timeout."""
    start(athena)
    athena.scripts["session-0"] = ["DEGRADED"]
    athena.clock.now += 60
    assert athena.live() == ["session-0"]
    start(athena)
    assert athena.scripts["session-0"][0] == "TERMINATING"
    athena.states = ("DEGRADED",)
    athena.scripts["session-1"] = ["TERMINATED"]
    with pytest.raises(errors.SessionDiedError):
        start(athena)
    assert athena.scripts["session-2"][0] == "TERMINATED"


@pytest.mark.parametrize("token_known", [True, False])
def test_a_redeploy_costs_as_much_as_the_first_start_if_the_token_is_known(
    athena: ScriptedAthena, *, token_known: bool
) -> None:
    """The generation of the session that is replaced is used up. Without it, each is tried."""
    calls, token = [], ""
    for _ in range(30):
        athena.calls.clear()
        created = start(athena, previous_token=token if token_known else "")
        token = created.client_request_token
        calls.append(len(athena.calls))
        assert athena.live() == [created.status.session_id]
        end(athena, created.status.session_id)
    assert len(athena.tokens) == 30
    if token_known:
        assert calls[29] == calls[0]
    else:
        assert calls[29] > calls[0] + 50


@pytest.mark.parametrize("state", ["FAILED", "DEGRADED"])
def test_a_start_that_fails_at_once_is_an_error(athena: ScriptedAthena, state: str) -> None:
    """It is not taken for a session of an earlier run, which would start another one for ever."""
    athena.states, athena.reason = (state,), "Role cannot be assumed"
    with pytest.raises(errors.SessionDiedError, match="Role cannot be assumed") as caught:
        start(athena)
    assert caught.value.state == state
    assert len(athena.tokens) == 1
    athena.clock.now += 60
    athena.states = ("IDLE",)
    assert start(athena).status.session_id == "session-1"


def test_a_session_that_is_ready_at_once_is_asked_for_once(athena: ScriptedAthena) -> None:
    """Three calls: start it, ask for its state, and read what the outputs tell."""
    athena.states = ("IDLE",)
    start(athena)
    assert athena.calls == ["StartSession", "GetSessionStatus", "GetSession"]


def test_a_session_that_dies_while_it_is_waited_for_is_an_error(athena: ScriptedAthena) -> None:
    """With the service's reason; nothing is started in its place."""
    athena.states, athena.reason = ("CREATING", "CREATING", "FAILED"), "No role"
    with pytest.raises(errors.SessionDiedError, match="FAILED and never became ready: No role"):
        start(athena)
    assert len(athena.tokens) == 1
    assert athena.live() == []


def test_create_gives_up_at_its_deadline_and_terminates(athena: ScriptedAthena) -> None:
    """The error tells what was waited for and what became of the session."""
    athena.states = ("CREATING",)
    with pytest.raises(errors.WaitTimeoutError) as caught:
        start(athena, timeout=90)
    assert (caught.value.state, caught.value.target, caught.value.timeout_seconds) == (
        "CREATING", "IDLE", 90,
    )  # fmt: skip
    assert "was still CREATING after 90 seconds" in str(caught.value)
    assert str(caught.value).endswith("Session session-0 was terminated.")
    assert athena.live() == []
    assert 90 <= athena.clock.now - 1000 <= 100


def test_failed_termination_names_the_command(athena: ScriptedAthena) -> None:
    """The user can end the session; the next create takes it up."""
    athena.states = ("CREATING",)
    denied = errors.AccessDeniedError(answer("AccessDeniedException", operation="TerminateSession"))
    athena.failures["TerminateSession"] = [denied]
    with pytest.raises(errors.WaitTimeoutError) as caught:
        start(athena, timeout=10)
    command = "aws athena terminate-session --session-id session-0 --region eu-west-1"
    assert command in str(caught.value)
    athena.scripts["session-0"] = ["IDLE"]
    assert start(athena).status.session_id == "session-0"


def test_any_other_exception_terminates_too(athena: ScriptedAthena) -> None:
    """KeyboardInterrupt in a program of one's own, for example."""
    athena.states = ("CREATING",)
    with pytest.raises(KeyboardInterrupt):
        lifecycle(athena, progress=_interrupt).create(
            IDENTITY, REQUEST, cleanup=lambda: Deadline.after(60, athena.clock)
        )
    assert len(athena.tokens) == 1
    assert athena.live() == []


def _interrupt(_message: str) -> None:
    raise KeyboardInterrupt


def test_lost_answer_does_not_start_a_second_session(athena: ScriptedAthena) -> None:
    """The same token is sent again."""
    athena.lost["StartSession"] = [
        errors.InternalServiceError(answer("InternalServerException")),
        errors.EndpointUnreachableError(
            "StartSession", subject="s", region="r", endpoint="e", detail="d", may_have_acted=True
        ),
    ]
    assert start(athena).status.session_id == "session-0"
    assert athena.calls.count("StartSession") == 3
    assert len(athena.tokens) == 1


def test_unreachable_endpoint_is_an_error_at_once(athena: ScriptedAthena) -> None:
    """Nothing was sent, and waiting would hide a typo in the endpoint."""
    error = errors.EndpointUnreachableError(
        "StartSession", subject="s", region="r", endpoint="e", detail="d", may_have_acted=False
    )
    athena.failures["StartSession"] = [error]
    with pytest.raises(errors.EndpointUnreachableError):
        start(athena)
    assert athena.clock.slept == []


@pytest.mark.parametrize(
    "kind", [errors.QuotaExceededError, errors.NoCapacityError, errors.ThrottledError]
)
def test_missing_capacity_is_waited_out(
    athena: ScriptedAthena, kind: type[errors.CapacityError]
) -> None:
    """The user sees what is waited for."""
    athena.failures["StartSession"] = [kind(answer("X", "Maximum allowed sessions"))] * 20
    shown: list[str] = []
    start(athena, shown=shown)
    assert shown[0] == "waiting to start: Maximum allowed sessions"
    assert athena.calls.count("StartSession") == 21


def test_missing_capacity_is_an_error_at_the_deadline(athena: ScriptedAthena) -> None:
    """Nothing was started, so nothing is terminated."""
    athena.failures["StartSession"] = [errors.QuotaExceededError(answer("X", "full"))] * 1000
    with pytest.raises(errors.QuotaExceededError, match="Service Quotas"):
        start(athena, timeout=120)
    assert 120 <= athena.clock.now - 1000 <= 135
    assert "TerminateSession" not in athena.calls


def test_passing_errors_of_polls_are_tolerated(athena: ScriptedAthena) -> None:
    """A throttled or failed question is not an answer."""
    athena.states = ("CREATING", "CREATING", "IDLE")
    throttled = errors.ThrottledError(answer("ThrottlingException"))
    athena.failures["GetSessionStatus"] = [throttled] * 3
    assert start(athena).status.session_id == "session-0"


def test_a_poll_that_is_refused_ends_the_wait_and_the_session(athena: ScriptedAthena) -> None:
    """Without permission to ask, nobody would ever know that the session is ready."""
    denied = errors.AccessDeniedError(answer("AccessDeniedException", operation="GetSession"))
    athena.failures["GetSession"] = [denied]
    with pytest.raises(errors.AccessDeniedError, match="was terminated"):
        start(athena)
    assert athena.live() == []


def test_an_older_session_that_may_not_be_adopted_is_left_alone(athena: ScriptedAthena) -> None:
    """The old session of a replacement that creates first: the next generation is started."""
    start(athena)
    athena.clock.now += 60
    asked: list[str] = []

    def may_adopt(session_id: str) -> bool:
        asked.append(session_id)
        return False

    assert start(athena, may_adopt=may_adopt).status.session_id == "session-1"
    # The one that this create started itself is not asked about: nothing would ever be ours.
    assert asked == ["session-0"]
    assert athena.live() == ["session-0", "session-1"]


def test_a_create_that_may_not_adopt_ends_only_its_own_session(athena: ScriptedAthena) -> None:
    """When it fails, too."""
    start(athena)
    athena.clock.now += 60
    athena.states = ("CREATING",)
    with pytest.raises(errors.WaitTimeoutError):
        start(athena, timeout=30, may_adopt=lambda _session_id: False)
    assert athena.live() == ["session-0"]


def test_delete_terminates_and_waits(athena: ScriptedAthena) -> None:
    """It returns when the session has ended."""
    start(athena)
    end(athena, "session-0")
    assert athena.state("session-0").value == "TERMINATED"


def test_delete_of_a_session_that_is_gone_succeeds(athena: ScriptedAthena) -> None:
    """Dead, or unknown to the service: both are what was asked for."""
    start(athena)
    end(athena, "session-0")
    end(athena, "session-0")
    athena.failures["TerminateSession"] = [errors.SessionNotFoundError(answer())]
    end(athena, "session-0", account_id="123456789012")


def test_delete_with_credentials_of_another_account_fails(athena: ScriptedAthena) -> None:
    """Its "not found" says nothing about the session."""
    athena.failures["TerminateSession"] = [errors.SessionNotFoundError(answer())]
    with pytest.raises(errors.WrongAccountError, match="account 999999999999"):
        end(athena, "session-0", account_id="999999999999")


def test_any_other_refusal_of_delete_is_an_error(athena: ScriptedAthena) -> None:
    """An invalid request is not an absence."""
    athena.failures["TerminateSession"] = [errors.InvalidRequestError(answer())]
    with pytest.raises(errors.InvalidRequestError):
        end(athena, "session-0")


def test_delete_gives_up_at_its_deadline(athena: ScriptedAthena) -> None:
    """The state keeps the session, and the message tells its last state."""
    start(athena)
    athena.terminate_session = lambda session_id: athena.scripts.update(  # type: ignore[method-assign]
        {session_id: ["TERMINATING"]}
    )
    with pytest.raises(errors.WaitTimeoutError, match="still TERMINATING after 30 seconds"):
        end(athena, "session-0", timeout=30)


@pytest.mark.parametrize(
    ("state", "work_group", "message"),
    [
        ("TERMINATED", "spark", "cannot be taken over, since it is TERMINATED"),
        ("DEGRADED", "spark", "cannot be taken over, since it is DEGRADED"),
        ("IDLE", "other", "runs in work group spark, not in other"),
    ],
)
def test_adoption_by_id_is_refused(
    athena: ScriptedAthena, state: str, work_group: str, message: str
) -> None:
    """Only a live session of that work group is taken over; it is left alone otherwise."""
    start(athena)
    athena.scripts["session-0"] = [state]
    with pytest.raises(errors.AdoptionError, match=message):
        lifecycle(athena, work_group=work_group).adopt("session-0")
    assert "TerminateSession" not in athena.calls


def test_adoption_by_id_waits_until_the_session_is_ready(athena: ScriptedAthena) -> None:
    """A session that is still being created is taken over too."""
    start(athena)
    athena.scripts["session-0"] = ["CREATING", "CREATED", "IDLE"]
    details = lifecycle(athena).adopt("session-0")
    assert details.status.state.value == "IDLE"
