"""One watch for many who wait."""

from __future__ import annotations

import pytest
from scripted import FakeClock, ScriptedAthena, answer

from athena_session_provider.errors import AccessDeniedError, ServiceError
from athena_session_provider.watch import SessionWatch


@pytest.fixture
def athena() -> ScriptedAthena:
    athena = ScriptedAthena(FakeClock(), states=("CREATING",))
    for number in range(64):
        athena.start_session({"WorkGroup": "spark"}, f"token-{number}")
    athena.calls.clear()
    return athena


def watch_of(athena: ScriptedAthena) -> SessionWatch:
    return SessionWatch(athena, "spark", athena.clock.monotonic)


def poll_all(athena: ScriptedAthena, watch: SessionWatch, seconds: float) -> None:
    """Let all 64 look four times a second."""
    with watch.waiting(), watch.waiting():
        for _ in range(round(seconds * 4)):
            for number in range(64):
                watch.status(f"session-{number}", since=athena.clock.now - 0.5)
            athena.clock.now += 0.25


def test_one_who_waits_alone_asks_for_its_session(athena: ScriptedAthena) -> None:
    """No listing is needed for one."""
    watch = watch_of(athena)
    with watch.waiting():
        status = watch.status("session-0", since=athena.clock.now)
    assert status is not None
    assert athena.calls == ["GetSessionStatus"]


def test_many_share_at_most_three_calls_a_second(athena: ScriptedAthena) -> None:
    """64 that look four times a second, for ten seconds."""
    poll_all(athena, watch_of(athena), seconds=10)
    assert len(athena.calls) <= 30
    assert set(athena.calls) == {"ListSessions"}


@pytest.mark.parametrize("kind", [AccessDeniedError, ServiceError])
def test_where_nothing_is_listed_each_is_asked_for_in_turn(
    athena: ScriptedAthena, kind: type[ServiceError]
) -> None:
    """It falls back by itself, and still keeps to three calls a second."""
    athena.failures["ListSessions"] = [kind(answer("SomeException"))]
    poll_all(athena, watch_of(athena), seconds=10)
    assert athena.calls.count("ListSessions") == 1
    assert 20 <= athena.calls.count("GetSessionStatus") <= 30


def test_a_session_that_left_the_listing_is_asked_for(athena: ScriptedAthena) -> None:
    """It has died, and only its own status tells how."""
    watch = watch_of(athena)
    athena.scripts["session-7"] = ["FAILED"]
    with watch.waiting(), watch.waiting():
        status = watch.status("session-7", since=athena.clock.now)
    assert status is not None
    assert status.state.value == "FAILED"
    assert athena.calls == ["ListSessions", "GetSessionStatus"]


def test_liveness_of_many_takes_one_listing(athena: ScriptedAthena) -> None:
    """A no-change up of 64 sessions makes one call."""
    watch = watch_of(athena)
    for number in range(64):
        assert watch.recent_status(f"session-{number}", athena.clock.now - 10).state == "CREATING"
    assert athena.calls == ["ListSessions"]
