"""What Pulumi's calls on a session mean, on a scripted service."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scripted import UNKNOWN, FakeClock, FakeHost, ScriptedAthena, ScriptedOperations, answer

from athena_session_provider import inputs
from athena_session_provider.operations.run import Run
from athena_session_provider.operations.session import AfterEnd, after_end
from athena_session_provider.service import errors
from athena_session_provider.service.api import session_arn
from athena_session_provider.service.request import Failure
from athena_session_provider.service.states import SessionState

STACK = "0123456789abcdef0123456789abcdef"
URN = "urn:pulumi:dev::p::pulumi-python:dynamic/athena:Session::etl"


@pytest.fixture
def athena() -> ScriptedAthena:
    return ScriptedAthena(FakeClock())


@pytest.fixture
def host(athena: ScriptedAthena) -> FakeHost:
    return FakeHost(athena.clock)


def command(athena: ScriptedAthena, host: FakeHost) -> ScriptedOperations:
    """The operations of another command, in a new process, a minute later."""
    athena.clock.now += 60
    host.warnings.clear()
    return ScriptedOperations(athena, host)


def properties(urn: str = URN, **changes: Any) -> dict[str, Any]:
    """The checked inputs of a session."""
    return {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 4},
        "region": "eu-west-1",
        "identity": {"urn": urn, "owner": STACK},
        **changes,
    }


# -- a session that has ended ----------------------------------------------------------------------

SESSION_ID = "session-0"
COMBINATIONS = [
    pytest.param(
        {
            "restart_when_dead": restart,
            "adopt_session_id": SESSION_ID if adopted else None,
            "identity": {"urn": URN, "owner": STACK, "protected": protected or None},
        },
        (
            AfterEnd.STAY
            if restart is False
            else AfterEnd.STAY_PROTECTED
            if protected
            else AfterEnd.STAY_ADOPTED
            if adopted
            else AfterEnd.RESTART
        ),
        id=f"restart={restart}, adopted={adopted}, protected={protected}",
    )
    for restart, adopted, protected in itertools.product(
        (True, False, None), (True, False), (True, False)
    )
]


@pytest.mark.parametrize(("given", "expected"), COMBINATIONS)
def test_what_becomes_of_a_resource_whose_session_has_ended(
    given: dict[str, Any], expected: AfterEnd
) -> None:
    """By its arguments alone."""
    props = properties(**given)
    assert after_end(props, props, SESSION_ID) is expected


@pytest.mark.parametrize(("old", "new"), [(True, False), (False, True), (True, True)])
def test_a_resource_is_protected_by_the_state_or_the_program(*, old: bool, new: bool) -> None:
    """The engine refuses to replace what the state has as protected, and would set it again."""
    olds, news = ({"identity": {"protected": protected}} for protected in (old, new))
    assert after_end(olds, news, SESSION_ID) is AfterEnd.STAY_PROTECTED


@pytest.mark.parametrize("end", ["alive", "dead", "unknown to the service"])
@pytest.mark.parametrize(("given", "expected"), COMBINATIONS)
def test_diff_and_read_agree(
    athena: ScriptedAthena,
    host: FakeHost,
    given: dict[str, Any],
    expected: AfterEnd,
    end: str,
) -> None:
    """Refresh removes a resource exactly if the next `pulumi up` replaces its session."""
    started = command(athena, host).create(properties())
    given = properties(**given)
    outs = {**started[1], **given}
    if end == "dead":
        athena.scripts[SESSION_ID] = ["TERMINATED"]
    elif end != "alive":
        del athena.scripts[SESSION_ID]
    diff = command(athena, host).diff(SESSION_ID, outs, given)
    warnings = list(host.warnings)
    read = command(athena, host).read(SESSION_ID, outs)
    if end == "alive":
        assert (diff.replaces, warnings) == ([], [])
        assert read is not None
        assert (read[0], read[1]["state"]) == (SESSION_ID, "IDLE")
        return
    if expected is AfterEnd.RESTART:
        assert diff.replaces == ["session_id"]
        assert read is None
    else:
        assert diff.replaces == []
        assert read is not None
        assert (read[0], read[1]["state"]) == (SESSION_ID, "TERMINATED")
        # A refresh changes nothing else about it, so that it is not replaced for that.
        assert {**outs, "state": "TERMINATED"} == {**outs, **read[1]}
        assert command(athena, host).diff(SESSION_ID, read[1], given).replaces == []
    # With restart_when_dead=False, nothing is asked: an ended session is what the user expects.
    assert len(warnings) == (0 if expected is AfterEnd.STAY else 1)
    assert expected in (AfterEnd.RESTART, AfterEnd.STAY) or expected.value in warnings[0]


@pytest.mark.parametrize("change", [{"triggers": {"at": 2}}, {"notebook_version": "2"}])
def test_a_session_that_stays_ended_is_replaced_when_its_arguments_change(
    athena: ScriptedAthena, host: FakeHost, change: dict[str, Any]
) -> None:
    """That is how the user asks for a new one."""
    props = properties(restart_when_dead=False)
    session_id, outs = command(athena, host).create(props)
    athena.scripts[session_id] = ["TERMINATED"]
    assert command(athena, host).diff(session_id, outs, props | change).replaces == list(change)


def test_a_session_that_cannot_be_checked_is_assumed_to_run(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """A denied call is a warning, and never a replacement."""
    session_id, outs = command(athena, host).create(properties())
    athena.denied = frozenset({"ListSessions", "GetSessionStatus"})
    assert not command(athena, host).diff(session_id, outs, properties()).changes
    assert len(host.warnings) == 1
    assert host.warnings[0].startswith(f"Could not check whether session {session_id} still runs.")


# -- timeouts --------------------------------------------------------------------------------------


def test_a_changed_timeout_is_stored_and_used_by_delete(
    athena: ScriptedAthena, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delete is given the stored properties only."""
    session_id, outs = command(athena, host).create(properties())
    news = properties(timeouts={"delete": "30s"})
    diff = command(athena, host).diff(session_id, outs, news)
    assert (diff.replaces, diff.updates) == ([], ["timeouts"])
    stored = command(athena, host).update(session_id, outs, news)
    assert stored == outs | {"timeouts": {"delete": "30s"}}
    athena.scripts[session_id] = ["TERMINATING"]
    monkeypatch.setattr(athena, "terminate_session", athena.calls.append)
    with pytest.raises(errors.WaitTimeoutError, match="after 30 seconds"):
        command(athena, host).delete(session_id, stored)
    with pytest.raises(errors.WaitTimeoutError, match="after 5 seconds"):
        command(athena, host).delete(session_id, stored, timeout=5)


@pytest.mark.parametrize(
    ("olds", "news", "updates"),
    [
        ({}, {"timeouts": {"create": "1h"}}, ["timeouts"]),
        ({"timeouts": {"create": "1h"}}, {}, ["timeouts"]),
        ({"timeouts": {}}, {}, []),
        ({}, {"tags": {"a": "1"}}, ["tags"]),
        ({}, {"aws": {"profile": "p"}}, ["aws"]),
        ({"restart_when_dead": True}, {"restart_when_dead": False}, ["restart_when_dead"]),
        ({}, {"identity": {"protected": True}}, ["protect"]),
        ({}, {"identity": {"urn": "renamed"}}, []),
    ],
)
def test_what_is_stored_without_a_new_session(
    olds: dict[str, Any], news: dict[str, Any], updates: list[str]
) -> None:
    """Read and delete see the stored values, so a change of any has to reach the state."""
    assert inputs.updated_by(olds, news) == updates


# -- failures --------------------------------------------------------------------------------------

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("failure", "value", "shown"),
    [
        (Failure("triggers", "must be a map"), SECRET, "triggers, which is secret, must be a map"),
        (
            Failure("tags", f"has the value {SECRET}, too long"),
            {"a": SECRET},
            "tags, which is secret, has the value [secret], too long",
        ),
        (
            Failure(f'tags["{SECRET}"]', "has 15 characters"),
            {"a": SECRET},
            "tags, which is secret, has 15 characters",
        ),
        (
            Failure("engine_configuration.max_concurrent_dpus", "is 5001, too many"),
            {"max_concurrent_dpus": 5001.0, "coordinator_dpu_size": 1.0},
            "engine_configuration, which is secret, is [secret], too many",
        ),
    ],
)
def test_a_failure_never_shows_a_secret(failure: Failure, value: Any, shown: str) -> None:
    """The engine prints the value of the property that a failure names: so it names none."""
    top = failure.path.replace("[", ".").split(".")[0]
    given = {top: value, "identity": {"secrets": [top]}}
    assert inputs.present([failure], given) == [Failure("", shown)]


def test_a_failure_of_a_plain_property_names_it() -> None:
    """A nested one in the reason, since the engine would print its value as <nil>."""
    assert inputs.present(
        [Failure("work_group", "is required"), Failure('tags["a"]', "is long")],
        {"identity": {"secrets": ["triggers"]}},
    ) == [Failure("work_group", "is required"), Failure("", 'tags["a"] is long')]


@pytest.mark.parametrize("secrets", [None, "tags", 5, {"tags": True}, [None, ["tags"], {}]])
def test_names_of_secrets_of_another_type_are_survived(secrets: Any) -> None:
    """The input is the resource's own, and still is an input."""
    shown = inputs.present([Failure("tags", "is wrong")], {"identity": {"secrets": secrets}})
    assert [failure.reason for failure in shown] == ["is wrong"]


# -- tags ------------------------------------------------------------------------------------------


def test_tags_changed_outside_are_seen_by_refresh_and_set_again(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Tags that come from the work group are no drift, and are not removed."""
    props = properties(tags={"team": "a", "cost": "1"})
    session_id, outs = command(athena, host).create(props)
    arn = str(session_arn(athena, "spark", session_id))
    athena.tags[arn] |= {"team": "b", "from-work-group": "x"}
    del athena.tags[arn]["cost"]
    found = command(athena, host).read(session_id, outs)
    assert found is not None
    assert found[1] == outs | {"tags": {"team": "b"}}
    assert command(athena, host).diff(session_id, found[1], props).updates == ["tags"]
    stored = command(athena, host).update(session_id, found[1], props)
    assert stored == outs
    assert athena.tags[arn]["from-work-group"] == "x"
    assert {"team": "a", "cost": "1"}.items() <= athena.tags[arn].items()


# -- the cost of a session without a maximum -------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "olds", "warnings"),
    [
        ({}, {}, 1),
        ({}, {"work_group": "spark"}, 0),
        ({"engine_configuration": {"max_concurrent_dpus": 4}}, {}, 0),
        ({"engine_configuration": UNKNOWN}, {}, 0),
        ({"engine_configuration": {"max_concurrent_dpus": UNKNOWN}}, {}, 0),
        ({"adopt_session_id": "s"}, {}, 0),
        ({"work_group": ""}, {}, 0),
    ],
)
def test_a_session_without_a_maximum_of_dpus_is_warned_of(
    host: FakeHost, changes: dict[str, Any], olds: dict[str, Any], warnings: int
) -> None:
    """Once, before it is started; engine 3 may refuse it, and 3.5 may use 60 DPUs."""
    athena = ScriptedAthena(host.fake_clock)
    news = {"work_group": "spark", "aws": {"region": "eu-west-1"}, **changes}
    command(athena, host).check(news, olds)
    assert host.warnings == [inputs.NO_MAXIMUM_DPUS] * warnings


def test_each_command_has_a_memory_of_its_own(athena: ScriptedAthena, host: FakeHost) -> None:
    """A session is known once any operation was about it; its token counts for the next create."""
    session_id, outs = command(athena, host).create(properties())
    run = Run(athena.clock)
    assert not run.knows(session_id)
    ScriptedOperations(athena, host, run).diff(session_id, outs, properties())
    assert run.knows(session_id)
    assert run.token_of(URN) == outs["client_request_token"]


def test_the_old_session_of_a_replacement_that_creates_first(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """Its token gives the old session again, which the engine deletes afterwards."""
    identity = {"urn": URN, "owner": STACK, "create_before_delete": True}
    props = properties(identity=identity)
    old, _ = command(athena, host).create(props)
    new, _ = command(athena, host).create(props)
    assert new != old
    assert athena.live() == [old, new]


@pytest.mark.parametrize("account", ["123456789012", None])
@pytest.mark.parametrize("denied", [(), ("ListTagsForResource",), ("TagResource",)])
def test_a_replacement_that_creates_first_starts_one_session(
    athena: ScriptedAthena, host: FakeHost, account: str | None, denied: tuple[str, ...]
) -> None:
    """With whatever permissions; without TagResource it is started again without tags."""
    athena.account_id, athena.denied = account, frozenset(denied)
    identity = {"urn": URN, "owner": STACK, "create_before_delete": True}
    session_id, _ = command(athena, host).create(properties(identity=identity))
    running = [name for name in athena.scripts if athena.state(name) is SessionState.IDLE]
    assert running == [session_id]
    assert len(athena.tokens) == 1 + (account is not None and "TagResource" in denied)


def test_the_interrupted_create_of_a_replacement_that_creates_first_is_adopted(
    athena: ScriptedAthena, host: FakeHost
) -> None:
    """The tag tells it from the old session."""
    identity = {"urn": URN, "owner": STACK, "create_before_delete": True}
    athena.lost["StartSession"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        command(athena, host).create(properties(identity=identity))
    (left,) = athena.live()
    assert command(athena, host).create(properties(identity=identity))[0] == left
    assert athena.live() == [left]


def test_update_needs_an_account_for_tags(athena: ScriptedAthena, host: FakeHost) -> None:
    """An ARN has the account in it."""
    athena.account_id = None
    session_id, outs = command(athena, host).create(properties())
    with pytest.raises(errors.ConfigurationError, match="GetCallerIdentity"):
        command(athena, host).update(session_id, outs, properties(tags={"a": "1"}))


def test_a_read_that_is_denied_removes_nothing(athena: ScriptedAthena, host: FakeHost) -> None:
    """Refresh fails instead."""
    session_id, outs = command(athena, host).create(properties())
    athena.failures["GetSession"] = [errors.AccessDeniedError(answer("AccessDeniedException"))]
    with pytest.raises(errors.AccessDeniedError):
        command(athena, host).read(session_id, outs)
    del athena.scripts[session_id]
    outs["account_id"] = "999999999999"
    with pytest.raises(errors.WrongAccountError):
        command(athena, host).read(session_id, outs)
