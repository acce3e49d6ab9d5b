"""A token that was used before: whatever the service makes of it, one session is live."""

from __future__ import annotations

import pytest
from scripted import IDENTITY, REQUEST, FakeClock, ScriptedAthena, answer, start

from athena_session_provider.service import errors
from athena_session_provider.service.api import session_arn
from athena_session_provider.service.lifecycle import DEAD_STARTS, UNKNOWN_STARTS
from athena_session_provider.service.ownership import (
    CREATE_TAG,
    FINISHED,
    STARTED,
    Mark,
    hash_of,
    marked,
)
from athena_session_provider.service.states import SessionState
from athena_session_provider.service.token import client_request_token

MARK = Mark("0123456789abcdef" * 2, hash_of(IDENTITY.urn), hash_of("arguments"), IDENTITY.urn)
MARKED = marked(REQUEST, MARK)
REUSED = errors.TokenReusedError(answer("SessionAlreadyExistsException"))
NO_TAGS = errors.InvalidRequestError(answer(message="Tags are not supported."))
MAY_NOT_TAG = errors.AccessDeniedError(
    answer("AccessDeniedException", "not authorized to perform: athena:TagResource")
)


@pytest.fixture
def athena() -> ScriptedAthena:
    return ScriptedAthena(FakeClock())


def tags_of(athena: ScriptedAthena, session_id: str) -> dict[str, str]:
    return athena.tags.get(str(session_arn(athena, "spark", session_id)), {})


# -- SessionAlreadyExistsException -----------------------------------------------------------------


def test_already_exists_without_a_live_session(athena: ScriptedAthena) -> None:
    """The session of the token is dead: the token is used up."""
    athena.failures["StartSession"] = [REUSED, REUSED]
    created = start(athena)
    assert created.client_request_token == client_request_token(IDENTITY, REQUEST, 2)
    assert athena.live() == ["session-0"]


def test_already_exists_with_a_live_session_in_the_listing(athena: ScriptedAthena) -> None:
    """The create that was interrupted has left it: it is adopted, by its mark."""
    first = start(athena, request=MARKED)
    athena.scripts["session-0"] = ["CREATING", "IDLE"]
    athena.failures["StartSession"] = [REUSED]
    created = start(athena, request=MARKED)
    assert created.status.session_id == first.status.session_id
    assert created.client_request_token == first.client_request_token
    assert athena.live() == ["session-0"]


@pytest.mark.parametrize(
    "description",
    [
        "",
        marked(REQUEST, Mark(MARK.identity, MARK.urn_hash, hash_of("other"), MARK.urn))[
            "Description"
        ],
        marked(REQUEST, Mark("f" * 32, MARK.urn_hash, MARK.request_hash, MARK.urn))["Description"],
        marked(REQUEST, Mark(MARK.identity, hash_of("other"), MARK.request_hash, MARK.urn))[
            "Description"
        ],
    ],
    ids=["no mark", "other arguments", "another stack", "another resource"],
)
def test_already_exists_with_a_session_of_something_else(
    athena: ScriptedAthena, description: str
) -> None:
    """Only the session of this very resource and request is adopted."""
    start(athena, request=MARKED)
    athena.descriptions["session-0"] = description
    athena.failures["StartSession"] = [REUSED]
    created = start(athena, request={**MARKED, "NotebookVersion": "1"})
    assert created.status.session_id == "session-1"


@pytest.mark.parametrize("state", ["TERMINATING", "DEGRADED"])
def test_already_exists_with_a_listed_session_that_is_dead(
    athena: ScriptedAthena, state: str
) -> None:
    """It is in no phase to be adopted."""
    start(athena, request=MARKED)
    athena.scripts["session-0"] = [state]
    athena.failures["StartSession"] = [REUSED]
    assert start(athena, request=MARKED).status.session_id == "session-1"


def test_already_exists_and_nothing_can_be_listed(athena: ScriptedAthena) -> None:
    """A role without ListSessions goes on with the next generation."""
    start(athena, request=MARKED)
    athena.failures["StartSession"] = [REUSED]
    athena.failures["ListSessions"] = [errors.AccessDeniedError(answer("AccessDeniedException"))]
    assert start(athena, request=MARKED).status.session_id == "session-1"


# -- sessions and tokens that the service forgets --------------------------------------------------


@pytest.mark.parametrize("forgotten", [1, DEAD_STARTS, 4 * DEAD_STARTS])
def test_forgotten_sessions_do_not_end_a_create(athena: ScriptedAthena, forgotten: int) -> None:
    """The service may forget ended sessions before their tokens; none of them failed now."""
    for _ in range(forgotten):
        session_id = start(athena).status.session_id
        athena.scripts[session_id] = ["TERMINATED"]
        athena.clock.now += 60
    for session_id in list(athena.scripts):
        del athena.scripts[session_id]
    created = start(athena, timeout=6000)
    assert created.client_request_token == client_request_token(IDENTITY, REQUEST, forgotten)
    assert athena.live() == [created.status.session_id]


def test_a_service_that_knows_none_of_its_sessions_is_given_up(athena: ScriptedAthena) -> None:
    """Each could be running: a create must not go on for ever."""
    athena.failures["GetSessionStatus"] = [
        errors.SessionNotFoundError(answer("ResourceNotFoundException")) for _ in range(10_000)
    ]
    with pytest.raises(errors.SessionDiedError, match="unknown to the service"):
        start(athena, timeout=6000)
    assert len(athena.tokens) == UNKNOWN_STARTS
    assert {athena.state(name) for name in athena.scripts} == {SessionState.TERMINATING}


def test_a_forgotten_token_starts_a_new_session(athena: ScriptedAthena) -> None:
    """One is live, as after any other create."""
    start(athena)
    athena.scripts["session-0"] = ["TERMINATED"]
    athena.tokens = {"forgotten": "session-0"}
    created = start(athena)
    assert created.client_request_token == client_request_token(IDENTITY, REQUEST, 0)
    assert athena.live() == ["session-1"]


# -- tags of StartSession --------------------------------------------------------------------------


def test_the_tag_says_how_far_the_create_is(athena: ScriptedAthena) -> None:
    """Set by StartSession itself, and changed when the session is ready."""
    athena.failures["TagResource"] = [errors.InternalServiceError(answer("X"))]
    start(athena, request=MARKED)
    assert tags_of(athena, "session-0") == {CREATE_TAG: FINISHED}
    athena.scripts["session-0"] = ["TERMINATED"]
    athena.clock.now += 60
    athena.states = ("CREATING",)
    with pytest.raises(errors.WaitTimeoutError):
        start(athena, timeout=10, request=MARKED)
    assert tags_of(athena, "session-1") == {CREATE_TAG: STARTED}


def test_a_create_whose_tag_cannot_be_changed_starts_again_without_it(
    athena: ScriptedAthena,
) -> None:
    """As it is tagged, a later command would take the session for a leftover, and end it."""
    athena.failures["TagResource"] = [MAY_NOT_TAG]
    warned: list[str] = []
    created = start(athena, request=MARKED, warned=warned)
    assert created.status.session_id == "session-1"
    assert athena.state("session-0") is SessionState.TERMINATED
    assert tags_of(athena, "session-1") == {}
    assert len(warned) == 1
    assert "Session session-0 is started again without tags" in warned[0]


@pytest.mark.parametrize("refusal", [NO_TAGS, MAY_NOT_TAG])
def test_tags_that_are_refused_are_given_up_with_a_warning(
    athena: ScriptedAthena, refusal: errors.ServiceError
) -> None:
    """Engine 3 may refuse them, and a role may lack athena:TagResource; the start goes on."""
    athena.failures["StartSession"] = [refusal]
    warned: list[str] = []
    created = start(athena, request=MARKED, warned=warned)
    assert created.client_request_token == client_request_token(IDENTITY, MARKED, 0)
    assert len(warned) == 1
    assert "Session session-0 was started without tags" in warned[0]
    assert tags_of(athena, "session-0") == {}
    assert athena.descriptions["session-0"] == MARKED["Description"]
    assert "TagResource" not in athena.calls


def test_the_users_own_tags_that_are_refused_are_an_error(athena: ScriptedAthena) -> None:
    """The user asked for them, so they are not dropped."""
    athena.failures["StartSession"] = [NO_TAGS]
    request = {**MARKED, "Tags": [{"Key": "team", "Value": "a"}]}
    with pytest.raises(errors.InvalidRequestError, match="Tags are not supported"):
        start(athena, request=request)
    assert athena.calls == ["StartSession"]


def test_a_start_that_is_refused_for_another_reason_shows_that_one(athena: ScriptedAthena) -> None:
    """It is tried without tags once, and the first answer is the one that is shown."""
    other = errors.InvalidRequestError(answer(message="Still no."))
    athena.failures["StartSession"] = [
        errors.InvalidRequestError(answer(message="DPU sizes not supported")),
        other,
    ]
    warned: list[str] = []
    with pytest.raises(errors.InvalidRequestError, match="DPU sizes not supported"):
        start(athena, request=MARKED, warned=warned)
    assert warned == []
    assert athena.calls.count("StartSession") == 2


def test_without_an_account_there_are_no_tags(athena: ScriptedAthena) -> None:
    """They could not be changed: an ARN has the account in it."""
    athena.account_id = None
    start(athena, request=MARKED)
    assert athena.tags == {}
    assert "TagResource" not in athena.calls
