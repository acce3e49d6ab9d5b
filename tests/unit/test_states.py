"""The table of states."""

from __future__ import annotations

import pytest

from athena_session_provider.service.request import service_model
from athena_session_provider.service.states import ENDED, PHASES, Phase, SessionState


def test_states_are_those_of_the_api() -> None:
    """Neither a state of the API is missing here, nor the other way round."""
    shape = service_model().shape_for("SessionState")
    assert [state.value for state in SessionState] == shape.metadata["enum"]


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("CREATING", Phase.PENDING),
        ("CREATED", Phase.PENDING),
        ("IDLE", Phase.READY),
        ("BUSY", Phase.READY),
        ("TERMINATING", Phase.DEAD),
        ("TERMINATED", Phase.DEAD),
        ("DEGRADED", Phase.DEAD),
        ("FAILED", Phase.DEAD),
    ],
)
def test_each_state_has_its_verdict(state: str, verdict: Phase) -> None:
    """The table of the design, row by row."""
    assert PHASES[SessionState(state)] is verdict
    assert set(PHASES) == set(SessionState)


def test_only_dead_states_have_ended() -> None:
    """What has ended is dead; what is DEGRADED is dead and still costs money."""
    assert all(PHASES[state] is Phase.DEAD for state in ENDED)
    assert SessionState.DEGRADED not in ENDED
