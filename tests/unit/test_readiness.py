"""When a session counts as ready: IDLE or BUSY, and on engine 3.5 CREATED with an endpoint."""

from __future__ import annotations

import pytest
from scripted import FakeClock, ScriptedAthena, answer, lifecycle, start

from athena_session_provider.service import errors
from athena_session_provider.service.api import SessionEndpoint
from athena_session_provider.service.lifecycle import ENDPOINT_SECONDS
from athena_session_provider.service.states import ENGINE_3_5, SessionState

URL = "https://endpoint"
WITHOUT_TOKEN = SessionEndpoint(URL, "", None)
WITH_TOKEN = SessionEndpoint(URL, "token", None)
DENIED = errors.AccessDeniedError(answer("AccessDeniedException", operation="GetSessionEndpoint"))
FAILED = errors.InternalServiceError(answer("InternalServerException"))
REFUSED = errors.InvalidRequestError(answer())
UNANSWERED = errors.EndpointUnreachableError(
    "GetSessionEndpoint", subject="s", region="r", endpoint="e", detail="d", may_have_acted=True
)


@pytest.fixture
def athena() -> ScriptedAthena:
    return ScriptedAthena(
        FakeClock(), states=("CREATING", "CREATING", "CREATED"), engine_version=ENGINE_3_5
    )


def test_created_is_ready_on_engine_3_5(athena: ScriptedAthena) -> None:
    """Amazon's own client takes CREATED as ready; the endpoint confirms it."""
    assert start(athena).status.state is SessionState.CREATED
    assert athena.calls.count("GetSessionEndpoint") == 1
    # The engine is asked for once, for GetSessionStatus does not return it.
    assert athena.calls.count("GetSession") == 1
    assert athena.live() == ["session-0"]


@pytest.mark.parametrize("state", ["IDLE", "BUSY"])
def test_a_client_has_connected_before(athena: ScriptedAthena, state: str) -> None:
    """IDLE and BUSY are ready without any endpoint."""
    athena.states = ("CREATING", state)
    assert start(athena).status.state is SessionState(state)
    assert "GetSessionEndpoint" not in athena.calls


def test_an_endpoint_without_a_token_is_waited_for(athena: ScriptedAthena) -> None:
    """Seen by dbt-adapters: the URL comes a moment before the token."""
    athena.endpoints = [SessionEndpoint("", "", None), WITHOUT_TOKEN, WITHOUT_TOKEN, WITH_TOKEN]
    shown: list[str] = []
    warned: list[str] = []
    start(athena, shown=shown, warned=warned)
    assert athena.calls.count("GetSessionEndpoint") == 4
    assert any(message.startswith("CREATED for") for message in shown)
    assert warned == []


@pytest.mark.parametrize("error", [FAILED, REFUSED, UNANSWERED])
def test_an_endpoint_that_fails_for_a_while_is_waited_for(
    athena: ScriptedAthena, error: errors.AthenaSessionError
) -> None:
    """What it says meanwhile is no reason to end a session that costs money already."""
    athena.failures["GetSessionEndpoint"] = [error] * 5
    start(athena)
    assert athena.calls.count("GetSessionEndpoint") == 6


def test_without_permission_for_the_endpoint_created_alone_counts(athena: ScriptedAthena) -> None:
    """A role that starts sessions need not be one that connects to them."""
    athena.failures["GetSessionEndpoint"] = [DENIED]
    warned: list[str] = []
    assert start(athena, warned=warned).status.state is SessionState.CREATED
    assert athena.calls.count("GetSessionEndpoint") == 1
    assert warned == []


@pytest.mark.parametrize("timeout", [60, 600])
def test_a_session_that_stays_created_is_never_terminated(
    athena: ScriptedAthena, timeout: float
) -> None:
    """It may be usable: the create succeeds with a warning, at the deadline at the latest."""
    athena.endpoints = [WITHOUT_TOKEN]
    warned: list[str] = []
    start(athena, timeout=timeout, warned=warned)
    assert len(warned) == 1
    assert "is CREATED, but clients cannot connect to it yet" in warned[0]
    assert "TerminateSession" not in athena.calls
    waited = min(timeout, ENDPOINT_SECONDS)
    assert waited <= athena.clock.now - 1000 <= waited + 10


def test_the_endpoint_has_its_time_from_created_on(athena: ScriptedAthena) -> None:
    """A slow start takes nothing from it."""
    athena.states = (*["CREATING"] * 100, "CREATED")
    athena.endpoints = [*[WITHOUT_TOKEN] * 10, WITH_TOKEN]
    warned: list[str] = []
    start(athena, warned=warned)
    assert athena.clock.now - 1000 > ENDPOINT_SECONDS
    assert warned == []


def test_a_session_that_dies_while_its_endpoint_is_waited_for(athena: ScriptedAthena) -> None:
    """CREATED is not the end of the wait."""
    athena.states, athena.reason = ("CREATED", "CREATED", "CREATED", "FAILED"), "No role"
    athena.endpoints = [WITHOUT_TOKEN]
    with pytest.raises(errors.SessionDiedError, match="No role"):
        start(athena)


def test_created_is_not_ready_on_engine_3() -> None:
    """There it is a step on the way to IDLE, and one that does not come is terminated."""
    athena = ScriptedAthena(FakeClock(), states=("CREATED",))
    with pytest.raises(errors.WaitTimeoutError, match="still CREATED after 60 seconds"):
        start(athena, timeout=60)
    assert "GetSessionEndpoint" not in athena.calls
    assert athena.live() == []


def test_adoption_by_id_follows_the_same_table(athena: ScriptedAthena) -> None:
    """A CREATED session of 3.5 is taken over at once."""
    start(athena)
    athena.calls.clear()
    assert lifecycle(athena).adopt("session-0").status.state is SessionState.CREATED
    assert athena.calls == ["GetSession", "GetSessionEndpoint"]
