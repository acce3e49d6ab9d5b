"""What the provider's process knows of the command that it serves."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.waiting import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from athena_session_provider.service.api import Athena
    from athena_session_provider.service.ownership import Mark


@dataclass(frozen=True)
class ProviderHost:
    """What a provider process offers to the operations."""

    warn: Callable[[str, str], None]
    """Shows a warning; takes the resource's URN and a sentence."""
    show_status: Callable[[str, str], None]
    """Shows what a resource waits for, until the next message."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the engine wants the provider to stop."""
    engine_lost_for: Callable[[], float] = lambda: 0.0
    """Returns the seconds since the engine ended without a word; 0 while it runs."""

    def clock(self) -> Clock:
        """Return a clock whose sleep ends when the command is cancelled."""
        return SystemClock(self.cancelled)

    def cleanup_clock(self) -> Clock:
        """Return a clock that goes on when the command is cancelled."""
        return SystemClock()


class Run:
    """The memory of one process, which serves one command. Safe for many threads.

    A session that an operation of this command was about is named by the state, or just about to
    be: it is never taken for a leftover.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """Know nothing yet. ``clock`` is the one of the pollers; None for the machine's."""
        self.pollers = PollerPool((clock or SystemClock()).monotonic)
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._tokens: dict[str, str] = {}
        self._starting: Counter[tuple[str, str]] = Counter()
        self._working: Counter[str] = Counter()
        self._places: dict[str, tuple[Athena, str]] = {}

    def know(self, session_id: str) -> None:
        """Note that the state names a session, or that this command started it."""
        with self._lock:
            self._known.add(session_id)

    def knows(self, session_id: str) -> bool:
        """Return whether ``know`` was called for a session."""
        with self._lock:
            return session_id in self._known

    def note_token(self, urn: str, client_request_token: str) -> None:
        """Note the token of a resource's session that this command may replace."""
        with self._lock:
            self._tokens[urn] = client_request_token

    def token_of(self, urn: str) -> str:
        """Return the token noted for a resource; empty if there is none."""
        with self._lock:
            return self._tokens.get(urn, "")

    @contextmanager
    def working(self, identity: str) -> Iterator[None]:
        """Count an operation of a stack while it runs."""
        with self._lock:
            self._working[identity] += 1
        try:
            yield
        finally:
            with self._lock:
                self._working[identity] -= 1

    def note_place(self, identity: str, athena: Athena, work_group: str) -> None:
        """Note where sessions with an identity run."""
        if identity:
            with self._lock:
                self._places[identity] = athena, work_group

    def idle_places(self, identity: str) -> dict[str, tuple[Athena, str]]:
        """Return the places where no operation is running, by identity.

        Args:
            identity: That of the operation that calls this, which does not count.
        """
        with self._lock:
            return {
                other: place
                for other, place in self._places.items()
                if self._working[other] <= (other == identity)
            }

    @property
    def busy(self) -> bool:
        """Whether an operation is running."""
        with self._lock:
            return any(self._working.values())

    @contextmanager
    def starting(self, mark: Mark) -> Iterator[None]:
        """Make the create of a resource's session visible to other processes of this machine."""
        key = (mark.identity, mark.urn_hash)
        with self._lock:
            self._starting[key] += 1
        try:
            with _locked(mark):
                yield
        finally:
            with self._lock:
                self._starting[key] -= 1

    def is_starting(self, mark: Mark) -> bool:
        """Return whether a create of the resource is running, here or in another process."""
        with self._lock:
            if self._starting[mark.identity, mark.urn_hash] > 0:
                return True
        return _is_locked(mark)


def _lock_file(mark: Mark) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"athena-session-provider-{user}"
    return folder / f"{mark.identity}-{mark.urn_hash}"


@contextmanager
def _locked(mark: Mark) -> Iterator[None]:
    """Hold a lock that the operating system releases when the process ends, however it ends.

    Several processes may hold it; the last one removes the file.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    file = _lock_file(mark)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        handle = _shared_lock(file)
    except OSError:
        # Without the lock, only another command of this very stack could be wrong about it.
        yield
        return
    with handle:
        try:
            yield
        finally:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink(missing_ok=True)


def _shared_lock(file: Path) -> TextIO:
    """Return the lock file, locked, as it is found by its name."""
    import fcntl

    while True:
        handle = file.open("w")
        fcntl.flock(handle, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if file.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                return handle
        # Its last holder has removed it in the meantime.
        handle.close()


def _is_locked(mark: Mark) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        with _lock_file(mark).open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
