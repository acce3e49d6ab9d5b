"""Answers of the service that lack members: the API marks none of them as required."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from athena_session_provider.service import errors
from athena_session_provider.service.boto import BotoAthena
from athena_session_provider.service.settings import AwsSettings
from athena_session_provider.service.states import SessionState

IDLE = {"State": "IDLE"}


Answering = Callable[[dict[str, Any]], BotoAthena]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """A client that every call gives the same answer."""

    def client(answer: dict[str, Any]) -> BotoAthena:
        athena = BotoAthena(AwsSettings(region="eu-west-1", access_key="AK", secret_key="SK"))
        monkeypatch.setattr(athena, "_call", lambda *_operation, **_parameters: answer)
        return athena

    return client


@pytest.mark.parametrize(
    ("configuration", "minutes"),
    [
        ({"SessionIdleTimeoutInMinutes": 30}, 30),
        ({"IdleTimeoutSeconds": 1200}, 20),
        ({"SessionIdleTimeoutInMinutes": 30, "IdleTimeoutSeconds": 1200}, 30),
        ({}, None),
    ],
)
def test_the_idle_timeout_is_in_one_of_two_members(
    answering: Answering, configuration: dict[str, Any], minutes: int | None
) -> None:
    """IdleTimeoutSeconds is the older one."""
    answer = {"SessionId": "s", "Status": IDLE, "SessionConfiguration": configuration}
    arguments = answering(answer).get_session("s").arguments
    assert arguments.get("session_idle_timeout_in_minutes") == minutes


def test_a_session_of_which_only_the_state_is_known(answering: Answering) -> None:
    """What is absent is empty, and no argument of Session.get."""
    details = answering({"Status": IDLE}).get_session("s")
    assert details.status.session_id == "s"
    assert details.status.state is SessionState.IDLE
    assert details.status.started_at is None
    assert (details.work_group, details.engine_version, details.arguments) == ("", "", {})


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("get_session", {}),
        ("get_session", {"Status": {}}),
        ("get_session_status", {}),
        ("get_session_status", {"Status": {}}),
    ],
)
def test_a_session_without_a_state(
    answering: Answering, operation: str, answer: dict[str, Any]
) -> None:
    """Nothing can be said about it: an error of this package, not a KeyError."""
    with pytest.raises(errors.UnexpectedStateError):
        getattr(answering(answer), operation)("s")


def test_a_listing_with_holes(answering: Answering) -> None:
    """A session without a state is skipped, since it need not be ours."""
    listed: dict[str, Any] = {
        "Sessions": [{"SessionId": "a"}, {"SessionId": "b", "Status": IDLE}, {"SessionId": "c"}]
    }
    (status,) = answering(listed).list_sessions("spark")
    assert (status.session_id, status.description, status.engine_version) == ("b", "", "")


@pytest.mark.parametrize("answer", [{}, {"EndpointUrl": "https://endpoint"}])
def test_an_endpoint_without_a_token(answering: Answering, answer: dict[str, Any]) -> None:
    """Seen by dbt-adapters: the URL comes a moment before the token."""
    assert answering(answer).get_session_endpoint("s").token == ""
