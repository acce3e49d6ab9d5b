"""The states of a work group's sessions, asked for once for all who want to know.

One that waits alone asks for its session. Several share the pages of ListSessions, of which each
tells a hundred sessions, so that the number of calls does not grow with the number of waiters.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from athena_session_provider.client import SESSIONS_PER_PAGE, Athena, SessionStatus
from athena_session_provider.errors import ServiceError
from athena_session_provider.waiting import is_passing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from athena_session_provider.states import SessionState

LISTING_SECONDS = 0.5
"""The least time between two calls of ListSessions."""

LONE_CALLS_SECONDS = 1.0
"""The least time between two calls of GetSessionStatus for sessions that no listing tells."""

UNLISTED_SECONDS = 0.34
"""The same where ListSessions is not allowed, and each session has to be asked for."""


class SessionWatch:
    """Tells the states of sessions of one work group; one for all threads of a process."""

    def __init__(
        self,
        athena: Athena,
        work_group: str,
        monotonic: Callable[[], float],
        state_filter: SessionState | None = None,
    ) -> None:
        """Watch the active sessions of a work group, or those in one state."""
        self._athena = athena
        self._work_group = work_group
        self._monotonic = monotonic
        self._state_filter = state_filter
        self._lock = threading.Lock()
        self._waiting = 0
        self._listed: dict[str, SessionStatus] = {}
        self._listed_at = float("-inf")
        self._list_again_at = float("-inf")
        self._ask_again_at = float("-inf")
        self._may_list = True
        # A session that is not listed as TERMINATING has most likely ended: one call confirms it.
        self._lone_calls_seconds = 0.0 if state_filter else LONE_CALLS_SECONDS

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count as one who waits: as soon as there are two, they share."""
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    @property
    def shared(self) -> bool:
        """Whether several wait."""
        return self._waiting > 1

    def status(self, session_id: str, since: float) -> SessionStatus | None:
        """Give a session's status as it was at ``since`` (seconds of the clock) or later.

        None where nothing new may be asked yet. Raises what the calls raise.
        """
        if not self.shared:
            return self._athena.get_session_status(session_id)
        with self._lock:
            if self._may_list and not self._list_since(since):
                return None
            listed = self._listed.get(session_id)
            if listed is not None:
                return listed
            now = self._monotonic()
            if now < self._ask_again_at:
                return None
            pause = self._lone_calls_seconds if self._may_list else UNLISTED_SECONDS
            self._ask_again_at = now + pause
        return self._athena.get_session_status(session_id)

    def recent_status(self, session_id: str, since: float) -> SessionStatus:
        """Give a session's status as it was at ``since`` or later; asks where it is not known."""
        with self._lock:
            if self._may_list:
                self._list_since(since)
            listed = self._listed.get(session_id)
        return listed if listed is not None else self._athena.get_session_status(session_id)

    def _list_since(self, since: float) -> bool:
        """Have a listing of ``since`` or later; tells whether there is one."""
        now = self._monotonic()
        if self._listed_at >= since:
            return True
        if now < self._list_again_at:
            return False
        try:
            sessions = self._athena.list_sessions(self._work_group, self._state_filter)
        except ServiceError as exc:
            if is_passing(exc):
                raise
            # A role without athena:ListSessions, say, or a work group that is gone: each session
            # is asked for, which is slower.
            self._may_list = False
            self._listed = {}
            return True
        self._listed = {status.session_id: status for status in sessions}
        pages = 1 + len(sessions) // SESSIONS_PER_PAGE
        self._listed_at = now
        self._list_again_at = now + pages * LISTING_SECONDS
        return True


class Watches:
    """The watches of a process: one for each client, work group and state."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Watch by this clock."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._watches: dict[tuple[Athena, str, SessionState | None], SessionWatch] = {}

    def of(
        self, athena: Athena, work_group: str, state_filter: SessionState | None = None
    ) -> SessionWatch:
        """Give the watch that everybody shares."""
        key = (athena, work_group, state_filter)
        with self._lock:
            if key not in self._watches:
                self._watches[key] = SessionWatch(athena, work_group, self._monotonic, state_filter)
            return self._watches[key]
