"""The table of states."""

from __future__ import annotations

import pytest

from athena_session_provider.request import service_model
from athena_session_provider.states import ENDED, VERDICTS, SessionState, Verdict


def test_states_are_those_of_the_api() -> None:
    """Neither a state of the API is missing here, nor the other way round."""
    shape = service_model().shape_for("SessionState")
    assert [state.value for state in SessionState] == shape.metadata["enum"]


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("CREATING", Verdict.PENDING),
        ("CREATED", Verdict.PENDING),
        ("IDLE", Verdict.READY),
        ("BUSY", Verdict.READY),
        ("TERMINATING", Verdict.DEAD),
        ("TERMINATED", Verdict.DEAD),
        ("DEGRADED", Verdict.DEAD),
        ("FAILED", Verdict.DEAD),
    ],
)
def test_each_state_has_its_verdict(state: str, verdict: Verdict) -> None:
    """The table of the design, row by row."""
    assert VERDICTS[SessionState(state)] is verdict
    assert set(VERDICTS) == set(SessionState)


def test_only_dead_states_have_ended() -> None:
    """What has ended is dead; what is DEGRADED is dead and still costs money."""
    assert all(VERDICTS[state] is Verdict.DEAD for state in ENDED)
    assert SessionState.DEGRADED not in ENDED
