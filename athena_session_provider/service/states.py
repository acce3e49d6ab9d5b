"""The states of an Athena session, and what each of them means on each engine.

Sources: API member ``SessionState`` of Amazon Athena (2017-05-18); for the engine
`Apache Spark version 3.5`, Amazon's own client ``sagemaker-studio``, which takes CREATED, IDLE and
BUSY as ready.
"""

from __future__ import annotations

from enum import Enum

ENGINE_3 = "PySpark engine version 3"
"""The engine whose sessions run calculations (``EngineVersion``)."""
ENGINE_3_5 = "Apache Spark version 3.5"
"""The engine whose sessions are Spark Connect servers (``EngineVersion``)."""


class SessionState(str, Enum):
    """API member ``SessionStatus.State``. A test holds the members against botocore's model."""

    CREATING = "CREATING"
    """The session is being started, including acquiring resources."""
    CREATED = "CREATED"
    """The session has been started."""
    IDLE = "IDLE"
    """The session is able to accept a calculation."""
    BUSY = "BUSY"
    """The session is processing another task."""
    TERMINATING = "TERMINATING"
    """The session is shutting down."""
    TERMINATED = "TERMINATED"
    """The session and its resources are no longer running."""
    DEGRADED = "DEGRADED"
    """The session has no healthy coordinators."""
    FAILED = "FAILED"
    """Due to a failure, the session and its resources are no longer running."""

    def __str__(self) -> str:
        return self.value


class Phase(Enum):
    """What a state means for a caller that waits for, or relies on, a session."""

    PENDING = "pending"
    """Not usable yet; keep waiting."""
    READY = "ready"
    """Usable: it runs calculations or accepts Spark Connect clients."""
    DEAD = "dead"
    """Never usable again."""


_PHASES: dict[SessionState, Phase] = {
    SessionState.CREATING: Phase.PENDING,
    SessionState.CREATED: Phase.PENDING,
    SessionState.IDLE: Phase.READY,
    SessionState.BUSY: Phase.READY,
    SessionState.TERMINATING: Phase.DEAD,
    SessionState.TERMINATED: Phase.DEAD,
    SessionState.DEGRADED: Phase.DEAD,
    SessionState.FAILED: Phase.DEAD,
}

PHASES: dict[str, dict[SessionState, Phase]] = {
    ENGINE_3: _PHASES,
    ENGINE_3_5: {**_PHASES, SessionState.CREATED: Phase.READY},
}
"""The phase of each state, by engine.

On 3.5, CREATED counts once GetSessionEndpoint returns a URL with a token, see
``SessionLifecycle.wait_until_ready``.
"""


def phase_of(state: SessionState, engine_version: str = "") -> Phase:
    """Return the phase of a session.

    Args:
        state: The session's state.
        engine_version: The session's ``EngineVersion``. Engines that are not listed are assumed
            to behave as the newest one does; "" (not known) as the oldest one.

    Returns:
        The phase.
    """
    return PHASES.get(engine_version or ENGINE_3, PHASES[ENGINE_3_5])[state]


ENDED = frozenset({SessionState.TERMINATED, SessionState.FAILED})
"""The states in which nothing runs, and nothing is paid for, any more.

A DEGRADED session is unusable and may still have executors: it is terminated like a live one.
"""
