"""The states of a work group's sessions, polled once on behalf of every waiting thread.

A single waiter calls GetSessionStatus for its session. Several waiters share the pages of
ListSessions, which have a hundred sessions each, so that the number of calls does not grow with the
number of waiters.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from athena_session_provider.service.api import SESSIONS_PER_PAGE, Athena, SessionStatus
from athena_session_provider.service.errors import AthenaSessionError, ServiceError
from athena_session_provider.service.states import SessionState
from athena_session_provider.service.waiting import SHARED_INTERVAL_SECONDS, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from athena_session_provider.service.waiting import Deadline

CALL_SECONDS = 0.35
"""The shortest time between two calls for waiters: fewer than three a second in all."""

LISTING_SECONDS = 0.4
"""How old a listing may become before it is repeated for waiters."""

ACTIVE_SECONDS = 2 * SHARED_INTERVAL_SECONDS
"""How long a status request stays active after its last caller; waiters repeat it sooner."""


@dataclass
class _Request:
    """A kind of call that waiters take turns with: single statuses, or one of the listings."""

    requested_at: float = float("-inf")
    called_at: float = float("-inf")


@dataclass
class _Listing(_Request):
    state: SessionState | None = None
    """The state of the listed sessions; None for all active ones."""
    sessions: dict[str, SessionStatus] = field(default_factory=dict)
    at: float = float("-inf")


class StatusPoller:
    """Polls the sessions of one work group for all threads of a process."""

    def __init__(self, athena: Athena, work_group: str, monotonic: Callable[[], float]) -> None:
        """Poll a work group's sessions; ``monotonic`` returns the time in seconds."""
        self._athena = athena
        self._work_group = work_group
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._recent_lock = threading.Lock()
        self._waiting = 0
        self._ever_waited = 0
        self._single = _Request()
        self._active = _Listing()
        self._terminated = _Listing(state=SessionState.TERMINATED)
        self._call_again_at = float("-inf")
        self._may_list = True
        self._listed = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Register a waiter; two or more waiters share one poll."""
        with self._lock:
            self._waiting += 1
            self._ever_waited += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    @property
    def shared(self) -> bool:
        """Whether there are two or more waiters."""
        return self._waiting > 1

    def status(
        self, session_id: str, since: float, *, terminated: bool = False
    ) -> SessionStatus | None:
        """Return a session's status, if it is known or may be asked for now.

        Args:
            session_id: The session.
            since: The oldest time of the status, in seconds by the poller's clock.
            terminated: Whether to look for it in the listing of TERMINATED sessions, instead of
                the active ones.

        Returns:
            The status; None if the call rate forbids a call now.

        Raises:
            AthenaSessionError: What the call raised.
        """
        listing = self._terminated if terminated else self._active
        with self._lock:
            now = self._monotonic()
            known = listing.at >= since
            listed = listing.sessions.get(session_id) if known else None
            may_list = self._may_list and self.shared
            unlisted = listed is None and (known or not may_list)
            outdated = may_list and listing.at < max(since, now - LISTING_SECONDS)
            alone = (unlisted or not self.shared) and self._may_call(self._single, now)
            if not alone and not (outdated and self._may_call(listing, now)):
                return listed
            self._count(self._single if alone else listing, now)
        # Without the lock, so that other waiters can be cancelled while a call hangs.
        if alone:
            return self._athena.get_session_status(session_id)
        self._list(listing, now)
        return listing.sessions.get(session_id)

    def wait_for_status(
        self, session_id: str, since: float, deadline: Deadline, *, terminated: bool = False
    ) -> SessionStatus:
        """Return a session's status as of ``since`` or later, once the call rate allows for it.

        Args:
            session_id: The session.
            since: Seconds by the poller's clock.
            deadline: Its clock does the waiting; it raises CancelledError.
            terminated: As in ``status``.

        Raises:
            AthenaSessionError: What the call raised.
        """
        while True:
            status = self.status(session_id, since, terminated=terminated)
            if status is not None:
                return status
            deadline.clock.sleep(SHARED_INTERVAL_SECONDS)

    def recent_status(self, session_id: str, since: float) -> SessionStatus:
        """Return a session's status as of ``since`` or later, from the shared listing if it can."""
        listed = (self.recent_listing(since) or {}).get(session_id)
        return listed if listed is not None else self._athena.get_session_status(session_id)

    def recent_listing(self, since: float) -> Mapping[str, SessionStatus] | None:
        """Return the active sessions of the work group as of ``since`` or later, by their ids.

        None if they cannot be listed, for want of permission or of an answer.
        """
        with self._recent_lock:
            if self._may_list and self._active.at < since:
                now = self._monotonic()
                with self._lock:
                    self._count(self._active, now)
                self._list(self._active, now)
            return self._active.sessions if self._active.at >= since and self._listed else None

    def _may_call(self, request: _Request, now: float) -> bool:
        """Return whether the rate allows a call, and it is this request's turn."""
        request.requested_at = now
        return now >= self._call_again_at and not any(
            other.called_at < request.called_at and now - other.requested_at < ACTIVE_SECONDS
            for other in (self._single, self._active, self._terminated)
        )

    def _count(self, request: _Request, now: float) -> None:
        request.called_at = now
        self._call_again_at = now + CALL_SECONDS

    def _list(self, listing: _Listing, now: float) -> None:
        # There may be thousands of ended sessions; the waiters' are among the newest, listed first.
        at_most = self._ever_waited if listing.state else None
        may_list = listed = True
        try:
            sessions = self._athena.list_sessions(self._work_group, listing.state, at_most)
        except AthenaSessionError as exc:
            # Each session is polled instead, which is slower: from now on if the service refused,
            # for want of athena:ListSessions for example; else until the next listing.
            sessions = []
            listed = False
            may_list = is_transient(exc) or not isinstance(exc, ServiceError)
        with self._lock:
            self._may_list &= may_list
            self._call_again_at += len(sessions) // SESSIONS_PER_PAGE * CALL_SECONDS
            # Another listing may have overtaken one that was answered late.
            if now >= listing.at:
                listing.sessions = {status.session_id: status for status in sessions}
                listing.at = now
                if listing is self._active:
                    self._listed = listed


class PollerPool:
    """The pollers of a process: one for each client and work group."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Make pollers that use this clock."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._pollers: dict[tuple[Athena, str], StatusPoller] = {}

    def of(self, athena: Athena, work_group: str) -> StatusPoller:
        """Return the shared poller of a work group."""
        key = (athena, work_group)
        with self._lock:
            if key not in self._pollers:
                self._pollers[key] = StatusPoller(athena, work_group, self._monotonic)
            return self._pollers[key]
