"""The states of an Athena session and what each of them means to us.

Source: API member ``SessionState`` of Amazon Athena (2017-05-18).
"""

from __future__ import annotations

from enum import Enum

ENGINE_3 = "PySpark engine version 3"
ENGINE_3_5 = "Apache Spark version 3.5"


class SessionState(str, Enum):
    """``SessionStatus.State``. A test holds the members against botocore's model."""

    CREATING = "CREATING"
    """The session is being started, including acquiring resources."""
    CREATED = "CREATED"
    """The session has been started, but does not accept calculations yet."""
    IDLE = "IDLE"
    """The session is able to accept a calculation."""
    BUSY = "BUSY"
    """The session runs a calculation."""
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
    """What a state means for somebody who waits for, or relies on, a session."""

    PENDING = "pending"
    """It will be usable; keep waiting."""
    READY = "ready"
    """It takes calculations, or is running one."""
    DEAD = "dead"
    """It will never take a calculation again."""


PHASES: dict[SessionState, Phase] = {
    SessionState.CREATING: Phase.PENDING,
    SessionState.CREATED: Phase.PENDING,
    SessionState.IDLE: Phase.READY,
    SessionState.BUSY: Phase.READY,
    SessionState.TERMINATING: Phase.DEAD,
    SessionState.TERMINATED: Phase.DEAD,
    SessionState.DEGRADED: Phase.DEAD,
    SessionState.FAILED: Phase.DEAD,
}

ENDED = frozenset({SessionState.TERMINATED, SessionState.FAILED})
"""The states in which nothing runs, and nothing is paid for, any more.

A DEGRADED session is dead for its users and still has executors: it is terminated as a live one.
"""
