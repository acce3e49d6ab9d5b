"""Intervals, deadlines and the clock of the machine."""

from __future__ import annotations

import threading
import time

import pytest
from scripted import FakeClock, answer

from athena_session_provider.service.errors import CancelledError, InternalServiceError
from athena_session_provider.service.waiting import (
    UNANSWERED_SECONDS,
    Deadline,
    SystemClock,
    poll_interval,
    retry,
)


def test_a_lone_wait_makes_at_most_one_and_a_half_calls_a_second() -> None:
    """Over any length of wait, the first call included from the fourth second on."""
    waited, calls = 0.0, 1
    while waited < 600:
        waited += poll_interval(waited)
        calls += 1
        assert calls - 1 <= 1.5 * waited


def test_intervals_are_dense_first_and_never_shrink() -> None:
    """Those who share look often, since looking costs no call."""
    intervals = [poll_interval(float(second)) for second in range(600)]
    assert intervals == sorted(intervals)
    assert intervals[0] == 0.72
    assert intervals[-1] == 5.0
    assert poll_interval(29, shared=True) == 0.15


def test_cancelling_ends_a_sleep_at_once() -> None:
    """The clock of the machine wakes up."""
    cancelled = threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        SystemClock(cancelled).sleep(30)
    assert time.monotonic() - began < 5


def test_a_failing_service_is_given_up_after_a_minute() -> None:
    """Its cause may be ours, so the deadline is not waited for."""
    clock = FakeClock()

    def call() -> None:
        raise InternalServiceError(answer("InternalServerException"))

    with pytest.raises(InternalServiceError):
        retry(call, Deadline.after(600, clock))
    assert UNANSWERED_SECONDS <= clock.now - 1000 <= UNANSWERED_SECONDS + 15
