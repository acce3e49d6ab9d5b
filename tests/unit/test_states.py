"""The table of states."""

from __future__ import annotations

import pytest

from athena_session_provider.service.request import service_model
from athena_session_provider.service.states import (
    ENDED,
    ENGINE_3,
    ENGINE_3_5,
    PHASES,
    Phase,
    SessionState,
    phase_of,
)

NEWER_ENGINE = "Apache Spark version 4.1"


def test_states_are_those_of_the_api() -> None:
    """Neither a state of the API is missing here, nor the other way round."""
    shape = service_model().shape_for("SessionState")
    assert [state.value for state in SessionState] == shape.metadata["enum"]


@pytest.mark.parametrize(
    ("state", "engine_3", "engine_3_5"),
    [
        ("CREATING", Phase.PENDING, Phase.PENDING),
        ("CREATED", Phase.PENDING, Phase.READY),
        ("IDLE", Phase.READY, Phase.READY),
        ("BUSY", Phase.READY, Phase.READY),
        ("TERMINATING", Phase.DEAD, Phase.DEAD),
        ("TERMINATED", Phase.DEAD, Phase.DEAD),
        ("DEGRADED", Phase.DEAD, Phase.DEAD),
        ("FAILED", Phase.DEAD, Phase.DEAD),
    ],
)
def test_each_state_has_a_phase_on_each_engine(
    state: str, engine_3: Phase, engine_3_5: Phase
) -> None:
    """An engine that is not known counts as 3, and one that is newer than this package as 3.5."""
    assert phase_of(SessionState(state), ENGINE_3) is engine_3
    assert phase_of(SessionState(state)) is engine_3
    assert phase_of(SessionState(state), ENGINE_3_5) is engine_3_5
    assert phase_of(SessionState(state), NEWER_ENGINE) is engine_3_5


def test_the_table_has_every_state_for_every_engine() -> None:
    """A state without a phase would be a KeyError in the middle of a wait."""
    assert all(set(phases) == set(SessionState) for phases in PHASES.values())


def test_only_dead_states_have_ended() -> None:
    """What has ended is dead; what is DEGRADED is dead and still costs money."""
    for phases in PHASES.values():
        assert all(phases[state] is Phase.DEAD for state in ENDED)
    assert SessionState.DEGRADED not in ENDED
