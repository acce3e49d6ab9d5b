"""One poller for many who wait."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from scripted import FakeClock, ScriptedAthena, answer

from athena_session_provider.service.errors import (
    AccessDeniedError,
    AthenaSessionError,
    EndpointUnreachableError,
    InternalServiceError,
    ServiceError,
)
from athena_session_provider.service.poller import StatusPoller
from athena_session_provider.service.states import ENDED
from athena_session_provider.service.waiting import SHARED_INTERVAL_SECONDS

NO_ANSWER = EndpointUnreachableError(
    "ListSessions",
    subject="work group spark",
    region="eu-west-1",
    endpoint="athena",
    detail="timed out",
    may_have_acted=False,
)


@pytest.fixture
def athena() -> ScriptedAthena:
    athena = ScriptedAthena(FakeClock(), states=("CREATING",))
    for number in range(64):
        athena.start_session({"WorkGroup": "spark"}, f"token-{number}")
    athena.calls.clear()
    return athena


def poller_of(athena: ScriptedAthena) -> StatusPoller:
    return StatusPoller(athena, "spark", athena.clock.monotonic)


def poll_all(
    athena: ScriptedAthena,
    poller: StatusPoller,
    seconds: float,
    count: int = 64,
    terminated: int = 0,
) -> dict[str, float]:
    """Let all look as often as they do, in one order; tells when each was seen to have ended.

    The last ``terminated`` of them look among those that have ended.
    """
    began = athena.clock.now
    ended: dict[str, float] = {}
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(poller.waiting())
        while athena.clock.now < began + seconds:
            for number in range(count):
                session_id = f"session-{number}"
                if session_id not in ended:
                    last = number >= count - terminated
                    status = poller.status(session_id, since=began, terminated=last)
                    if status is not None and status.state in ENDED:
                        ended[session_id] = athena.clock.now - began
            athena.clock.now += SHARED_INTERVAL_SECONDS
    return ended


def test_one_who_waits_alone_asks_for_its_session(athena: ScriptedAthena) -> None:
    """No listing is needed for one."""
    poller = poller_of(athena)
    with poller.waiting():
        status = poller.status("session-0", since=athena.clock.now)
    assert status is not None
    assert athena.calls == ["GetSessionStatus"]


def test_one_after_the_other_keeps_to_the_same_rate(athena: ScriptedAthena) -> None:
    """Sessions that are ready at once are never waited for by two, and still are many."""
    poller = poller_of(athena)
    began = athena.clock.now
    for number in range(10):
        with poller.waiting():
            while poller.status(f"session-{number}", since=athena.clock.now) is None:
                athena.clock.now += SHARED_INTERVAL_SECONDS
    assert athena.calls == ["GetSessionStatus"] * 10
    assert athena.clock.now - began > 3


def test_many_share_at_most_three_calls_a_second(athena: ScriptedAthena) -> None:
    """64 that look all the time, for ten seconds."""
    poll_all(athena, poller_of(athena), seconds=10)
    assert 20 <= len(athena.calls) <= 30
    assert set(athena.calls) == {"ListSessions"}


@pytest.mark.parametrize("kind", [AccessDeniedError, ServiceError])
def test_where_nothing_is_listed_each_is_asked_for_in_turn(
    athena: ScriptedAthena, kind: type[ServiceError]
) -> None:
    """It falls back by itself, and still keeps to three calls a second."""
    athena.failures["ListSessions"] = [kind(answer("SomeException"))]
    poll_all(athena, poller_of(athena), seconds=10)
    assert athena.calls.count("ListSessions") == 1
    assert 20 <= athena.calls.count("GetSessionStatus") <= 30


@pytest.mark.parametrize("failure", [InternalServiceError(answer("SomeException")), NO_ANSWER])
def test_while_listings_fail_single_sessions_are_asked_for(
    athena: ScriptedAthena, failure: AthenaSessionError
) -> None:
    """A service that lists nothing for a while may well answer for one session."""
    athena.failures["ListSessions"] = [failure] * 5
    poll_all(athena, poller_of(athena), seconds=10)
    assert 5 <= athena.calls.count("GetSessionStatus") <= 8
    assert len(athena.calls) <= 30


def test_a_session_that_left_the_listing_is_asked_for(athena: ScriptedAthena) -> None:
    """It has died, and only its own status tells how; the 63 others do not keep it from that."""
    athena.scripts["session-63"] = ["FAILED"]
    ended = poll_all(athena, poller_of(athena), seconds=5)
    assert ended.keys() == {"session-63"}
    assert ended["session-63"] < 1
    assert athena.calls[:2] == ["ListSessions", "GetSessionStatus"]
    assert athena.calls.count("GetSessionStatus") == 1


def test_what_was_listed_earlier_tells_nothing_of_now(athena: ScriptedAthena) -> None:
    """A session that a diff saw alive may be dead when it is taken up."""
    poller = poller_of(athena)
    poller.recent_status("session-0", since=athena.clock.now)
    with poller.waiting(), poller.waiting():
        athena.clock.now += 0.1
        assert poller.status("session-0", since=athena.clock.now) is None
        athena.clock.now += 0.5
        assert poller.status("session-0", since=athena.clock.now) is not None


def test_many_that_have_ended_are_found_by_listings(athena: ScriptedAthena) -> None:
    """A destroy of 64 sessions does not ask for each of them."""
    for number in range(64):
        athena.scripts[f"session-{number}"] = ["TERMINATED"]
    ended = poll_all(athena, poller_of(athena), seconds=5, terminated=64)
    assert len(ended) == 64
    assert max(ended.values()) == 0
    assert athena.calls == ["ListSessions"]


def test_each_kind_of_question_has_its_turn(athena: ScriptedAthena) -> None:
    """One delete among 63 creates is not kept from the calls, nor the other way round."""
    athena.scripts["session-63"] = ["TERMINATED"]
    assert poll_all(athena, poller_of(athena), seconds=5, terminated=1)["session-63"] < 1
    athena.scripts["session-0"] = ["FAILED"]
    ended = poll_all(athena, poller_of(athena), seconds=5, terminated=63)
    assert ended["session-0"] < 2
    assert len(athena.calls) <= 30


def test_those_among_many_older_that_have_ended_are_found(athena: ScriptedAthena) -> None:
    """They are not among the first of the listing, so that each is asked for in its turn."""
    for number in range(64, 300):
        athena.start_session({"WorkGroup": "spark"}, f"token-{number}")
    for number in range(300):
        athena.scripts[f"session-{number}"] = ["TERMINATED"]
    ended = poll_all(athena, poller_of(athena), seconds=60, count=8, terminated=8)
    assert len(ended) == 8
    assert max(ended.values()) < 8


def test_liveness_of_many_takes_one_listing(athena: ScriptedAthena) -> None:
    """A no-change up of 64 sessions makes one call."""
    poller = poller_of(athena)
    for number in range(64):
        assert poller.recent_status(f"session-{number}", athena.clock.now - 10).state == "CREATING"
    assert athena.calls == ["ListSessions"]
