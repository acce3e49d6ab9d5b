"""The emulator's own books, which tests read instead of anybody's logs."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request of Athena or STS that arrived, whatever became of it."""

    service: str
    """`athena` or `sts`."""
    operation: str
    parameters: dict[str, Any]
    region: str
    access_key_id: str
    received_at: float
    """Emulated time, in seconds since the epoch."""
    status: int | None
    """HTTP status of the answer; None where the client got none (yet)."""
    error_code: str | None
    created_session: bool
    """Whether this call started a session: False for a replayed token."""
    session_id: str | None
    """The session that the call is about, where there is one."""


class CallLog:
    """The calls so far. An entry is a `Call` as a dict, which the answer completes."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._lock = Lock()

    def add(self, entry: dict[str, Any]) -> None:
        """Add a call."""
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[dict[str, Any]]:
        """Return all calls, in the order in which they arrived."""
        with self._lock:
            return [dict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._entries.clear()


@dataclass(frozen=True)
class SessionRecord:
    """One session. Times are emulated, in seconds since the epoch."""

    session_id: str
    work_group: str
    region: str
    account_id: str
    state: str
    state_change_reason: str | None
    client_request_token: str | None
    description: str | None
    tags: dict[str, str]
    started_at: float
    ended_at: float | None
    parameters: dict[str, Any]
    """The StartSession request."""
