"""What a test may change about the emulated service."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_SESSION_ERRORS = ("InvalidRequestException", "ResourceNotFoundException")


@dataclass(frozen=True)
class Settings:
    """How the emulated service behaves. All times are in seconds."""

    start_seconds: float = 5.0
    """From StartSession to IDLE: CREATING for one half of it, CREATED for the other."""
    terminate_seconds: float = 0.0
    """From TerminateSession to TERMINATED. Not below 0."""
    start_rate: float | None = None
    """StartSession calls a second beyond which it is throttled; None is no limit."""
    start_burst: int = 1
    """StartSession calls that may come at once where there is a rate. At least 1."""
    max_sessions: int | None = None
    """Live sessions per account and region; None is no limit."""
    no_capacity: bool = False
    """Whether StartSession is refused because the region has no capacity."""
    unknown_session_error: str = UNKNOWN_SESSION_ERRORS[0]
    """The error for an unknown session id. The model allows both, clients see both."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.start_seconds < 0 or self.terminate_seconds < 0:
            raise ValueError("start_seconds and terminate_seconds must not be negative")
        if self.start_rate is not None and self.start_rate <= 0:
            raise ValueError("start_rate must be positive, or None for no limit")
        if self.start_burst < 1:
            raise ValueError("start_burst must be at least 1")
        if self.unknown_session_error not in UNKNOWN_SESSION_ERRORS:
            raise ValueError(f"unknown_session_error must be one of {UNKNOWN_SESSION_ERRORS}")

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with some settings changed; unknown names are refused."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(f"unknown settings {unknown}; there are {sorted(known)}")
        return replace(self, **changes)
