"""Work that may block, on a thread of its own: who waits for it can be cancelled."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from athena_session_provider.service.errors import AthenaSessionError, CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

GRACE_SECONDS = 1.2
"""How long work may still take once the command is cancelled.

A session that was just started is ended then, for which credentials may be needed.
"""

_SLICE_SECONDS = 0.1
"""How often a waiting thread looks whether the command was cancelled."""


class SingleFlight(Generic[T]):
    """One piece of work at a time: threads that ask for it while it runs share its result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempt: _Attempt[T] | None = None

    def run(
        self,
        work: Callable[[], T],
        *,
        seconds: float = math.inf,
        late: Callable[[], Exception] = TimeoutError,
        cancelled: threading.Event | None = None,
    ) -> T:
        """Return the result of ``work``, or raise its error.

        Args:
            work: What to do, on a daemon thread. Not called if it is being done already.
            seconds: How long to wait for it.
            late: Makes the error for work that takes longer; the work is left to itself.
            cancelled: Ends the wait after GRACE_SECONDS.

        Raises:
            CancelledError: The command was cancelled.
        """
        with self._lock:
            attempt = self._attempt
            if attempt is None or attempt.done.is_set():
                attempt = self._attempt = _Attempt(work)
                threading.Thread(target=attempt.run, name="aws-call", daemon=True).start()
        end = time.monotonic() + seconds
        while not attempt.done.wait(_SLICE_SECONDS):
            now = time.monotonic()
            if cancelled is not None and cancelled.is_set():
                end = min(end, now + GRACE_SECONDS)
                cancelled = None  # seen: the end does not move any more
                late = CancelledError
            if now >= end:
                raise late()
        return attempt.result()


class _Attempt(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value.append(self._work())
        except BaseException as exc:  # noqa: BLE001 - it is raised where the result is wanted
            self._error = exc
        finally:
            self.done.set()

    def result(self) -> T:
        error = self._error
        if error is None:
            return self._value[0]
        if isinstance(error, AthenaSessionError):
            # Each thread adds the result for its own session to its error.
            own = type(error).__new__(type(error), *error.args)
            own.__dict__.update(error.__dict__)
            raise own from error.__cause__
        raise error
