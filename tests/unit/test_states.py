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


def test_states_are_those_of_the_api() -> None:
    """The enum and botocore's model have the same members, in the same order."""
    shape = service_model().shape_for("SessionState")
    assert [state.value for state in SessionState] == shape.metadata["enum"]


@pytest.mark.parametrize("engine", PHASES)
def test_every_state_has_a_phase(engine: str) -> None:
    """On each engine. What has ended is dead; DEGRADED is dead, and may still cost money."""
    assert set(PHASES[engine]) == set(SessionState)
    assert {phase_of(state, engine) for state in ENDED} == {Phase.DEAD}
    assert phase_of(SessionState.DEGRADED, engine) is Phase.DEAD
    assert SessionState.DEGRADED not in ENDED


@pytest.mark.parametrize(
    ("engine", "phase"),
    [
        (ENGINE_3, Phase.PENDING),
        (ENGINE_3_5, Phase.READY),
        ("Apache Spark version 4.0", Phase.READY),
        ("", Phase.PENDING),
    ],
)
def test_the_engine_decides_what_created_means(engine: str, phase: Phase) -> None:
    """A new engine is treated as the newest known one, an unknown engine as the oldest."""
    assert phase_of(SessionState.CREATED, engine) is phase
