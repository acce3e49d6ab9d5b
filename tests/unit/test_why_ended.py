"""How a session ended, by its state, its reason and its times.

Source of the reason that says nothing: Athena user guide, "Troubleshoot session errors".
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from scripted import EPOCH

from athena_session_provider.service.api import SessionStatus
from athena_session_provider.service.lifecycle import why_ended
from athena_session_provider.service.states import SessionState

PER_REQUEST = "Session was terminated per request"
EITHER = "was terminated, on request or after 20 idle minutes"


def after(minutes: float) -> dt.datetime:
    return EPOCH + dt.timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("state", "reason", "times", "idle_timeout", "expected"),
    [
        # Idle for the whole timeout: by the times alone.
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "ended_at": 25}, 20, "idle 20"),
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "ended_at": 25.9}, 20, "idle 20"),
        ("TERMINATED", "", {"idle_since": 5, "ended_at": 25}, 20, "idle 20"),
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "ended_at": 6}, 1, "idle 1"),
        # The service's default.
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "ended_at": 25}, None, "idle 20"),
        # LastModifiedDateTime, where EndDateTime is absent.
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "modified_at": 25}, 20, "idle 20"),
        # Ended too early for the timeout.
        ("TERMINATED", PER_REQUEST, {"idle_since": 5, "ended_at": 15}, 20, "on request"),
        ("TERMINATED", PER_REQUEST, {"started_at": 0, "ended_at": 15}, 20, "on request"),
        # The times do not decide.
        ("TERMINATED", PER_REQUEST, {}, 20, "either"),
        ("TERMINATED", "", {}, 20, "either"),
        ("TERMINATED", PER_REQUEST, {"started_at": 0, "ended_at": 60}, 20, "either"),
        ("TERMINATED", PER_REQUEST, {"idle_since": 60, "ended_at": 60}, 20, "either"),
        ("TERMINATING", PER_REQUEST, {"started_at": 0, "modified_at": 5}, 20, "either"),
        # The service says more.
        ("TERMINATED", "Role revoked", {"idle_since": 5, "ended_at": 25}, 20, "Role revoked"),
        ("FAILED", "No role", {}, 20, "No role"),
        ("FAILED", PER_REQUEST, {"idle_since": 5, "ended_at": 25}, 20, PER_REQUEST),
        ("DEGRADED", "", {}, 20, "the service gave no reason"),
    ],
)
def test_how_a_session_ended(
    state: str, reason: str, times: dict[str, float], idle_timeout: float | None, expected: str
) -> None:
    """The reason is the same for an idle timeout and for TerminateSession."""
    given: dict[str, Any] = {name: after(minutes) for name, minutes in times.items()}
    text = why_ended(SessionStatus("s", SessionState(state), reason, **given), idle_timeout)
    assert text == {
        "idle 20": "ended after 20 idle minutes",
        "idle 1": "ended after 1 idle minute",
        "on request": "was terminated on request",
        "either": EITHER,
    }.get(expected, f"is {state} ({expected})")
