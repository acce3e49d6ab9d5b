"""Deadlines, retries and polling intervals."""

from __future__ import annotations

import random
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from athena_session_provider.service.errors import (
    AthenaSessionError,
    CancelledError,
    CapacityError,
    EndpointUnreachableError,
    InternalServiceError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS = 600.0
"""How long create and delete wait if the resource has no custom_timeouts."""

UNANSWERED_SECONDS = 60.0
"""How long a call that fails or gets no answer is retried. Capacity is waited for longer."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
"""The shortest and the longest pause between two tries of a call; it doubles in between."""

DENSE_SECONDS = 30.0
DENSE_INTERVAL_SECONDS = 0.72
"""The polling interval of the first 30 seconds, in which most sessions start."""

SHARED_INTERVAL_SECONDS = 0.15
"""The same for waiters that share the answers, so that most looks cost no call."""

SPARSE_FACTOR = 0.03
SPARSE_INTERVAL_SECONDS = 5.0
"""After that, the interval is this share of the time waited, up to five seconds."""


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(d|h|m(?!s)|s|ms))")
_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Clock(Protocol):
    """Time, passed in so that tests neither sleep nor patch."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises CancelledError as soon as the operation is cancelled."""
        ...


class SystemClock:
    """The machine's clock. ``cancelled`` ends every sleep at once."""

    def __init__(self, cancelled: threading.Event | None = None) -> None:
        self._cancelled = cancelled or threading.Event()

    def monotonic(self) -> float:
        """Seconds of time.monotonic."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; raises CancelledError once ``cancelled`` is set."""
        if self._cancelled.wait(seconds):
            raise CancelledError


@dataclass(frozen=True)
class Deadline:
    """A time of a clock, and the seconds that were allowed for reaching it."""

    clock: Clock
    at: float
    timeout_seconds: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """Return the deadline that is so many seconds from now."""
        return cls(clock, clock.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at - self.clock.monotonic()

    def passed(self) -> bool:
        """Return whether no time is left."""
        return self.remaining() <= 0

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the deadline."""
        self.clock.sleep(max(0.0, min(seconds, self.remaining())))


def is_transient(error: AthenaSessionError) -> bool:
    """Return whether the same call may succeed later."""
    return isinstance(error, (CapacityError, InternalServiceError)) or (
        isinstance(error, EndpointUnreachableError) and error.may_have_acted
    )


def retry(
    call: Callable[[], T],
    deadline: Deadline,
    on_wait: Callable[[AthenaSessionError], None] = lambda _error: None,
) -> T:
    """Make a call that is safe to repeat, until it is answered.

    Throttling, quotas and missing capacity are retried until the deadline; failures and missing
    answers for UNANSWERED_SECONDS, because this side may be the cause. botocore has already sent
    each try a few times.

    Args:
        call: The call.
        deadline: When to stop; its clock does the waiting.
        on_wait: Receives each error that is retried.

    Returns:
        What the call returned.

    Raises:
        AthenaSessionError: The last error, or CancelledError.
    """
    unanswered_until = deadline.clock.monotonic() + UNANSWERED_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return call()
        except (CapacityError, InternalServiceError, EndpointUnreachableError) as exc:
            patient = isinstance(exc, CapacityError) or (
                deadline.clock.monotonic() < unanswered_until
            )
            if deadline.passed() or not patient or not is_transient(exc):
                raise
            on_wait(exc)
            # A throttled start is one of many: a full pause, with jitter, spreads them.
            deadline.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            longest = FIRST_PAUSE_SECONDS * 4 if isinstance(exc, ThrottledError) else None
            pause = min(pause * 2, longest or LONGEST_PAUSE_SECONDS)


def poll_interval(waited_seconds: float, *, shared: bool = False) -> float:
    """Return the seconds until the next poll, after having waited so long."""
    dense = SHARED_INTERVAL_SECONDS if shared else DENSE_INTERVAL_SECONDS
    if waited_seconds < DENSE_SECONDS:
        return dense
    return min(SPARSE_INTERVAL_SECONDS, max(dense, waited_seconds * SPARSE_FACTOR))


def timeout_seconds(text: Any, default: float) -> float:
    """Return the seconds of a duration as resource options have them: "90s", "10m", "1h30m".

    Raises ValueError.
    """
    if text is None:
        return default
    parts = _DURATION.findall(str(text))
    if "".join(number + unit for number, unit in parts) != str(text).replace(" ", ""):
        message = f'invalid duration "{text}"; write it as in "90s", "10m" or "1h30m"'
        raise ValueError(message)
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
