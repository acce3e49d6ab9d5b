"""Pulumi's calls on the provider, without an engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from athena_session_provider.provider import AthenaSessionProvider
from athena_session_provider.service import errors

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

IDENTITY = {"urn": "urn:pulumi:dev::p::pulumi-python:dynamic/athena:Session::n", "owner": "acme"}
NEWS: dict[str, Any] = {
    "work_group": "spark",
    "engine_configuration": {"max_concurrent_dpus": 4.0},
    "restart_when_dead": True,
    "identity": IDENTITY,
    "session_id": None,
    "state": None,
}


UNKNOWN_OBJECT: Any = Unknown()  # type: ignore[no-untyped-call]


def configured(config: dict[str, Any] | None = None) -> AthenaSessionProvider:
    provider = AthenaSessionProvider()
    config = {"aws:region": "eu-west-1"} if config is None else config
    provider.configure(ConfigureRequest(Config(config, "p")))
    return provider


@pytest.fixture
def provider(emulator: Emulator) -> AthenaSessionProvider:
    return configured(
        {
            "aws:region": "eu-west-1",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:endpoints": f'[{{"athena": "{emulator.url}"}}]',
        }
    )


def check(provider: AthenaSessionProvider, **news: Any) -> tuple[dict[str, Any], dict[str, str]]:
    result = provider.check({}, NEWS | news)
    failures = {}
    for failure in result.failures:
        # A nested property is named in the reason, see ``inputs.present``.
        name, _, reason = f"{failure.property} {failure.reason}".lstrip().partition(" ")
        failures[name] = reason
    return result.inputs, failures


def test_check_normalizes_and_fills_in() -> None:
    """Whole floats become integers, absent values go, the region is filled in."""
    inputs, failures = check(configured())
    assert failures == {}
    assert inputs == {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 4},
        "restart_when_dead": True,
        "identity": IDENTITY,
        "region": "eu-west-1",
    }
    assert type(inputs["engine_configuration"]["max_concurrent_dpus"]) is int


def test_check_gives_the_engine_configuration_that_was_left_out() -> None:
    """The API wants it, and takes it empty."""
    assert check(configured(), engine_configuration=None)[0]["engine_configuration"] == {}


def test_check_merges_default_tags() -> None:
    """The resource's own win."""
    provider = configured({"aws:region": "r", "aws:defaultTags": '{"tags": {"a": "1", "b": "1"}}'})
    assert check(provider, tags={"b": "2"})[0]["tags"] == {"a": "1", "b": "2"}
    assert check(provider)[0]["tags"] == {"a": "1", "b": "1"}
    assert check(provider, tags=UNKNOWN)[0]["tags"] == UNKNOWN


@pytest.mark.parametrize(
    ("news", "name", "reason"),
    [
        ({"triggers": {"a": math.nan}}, "triggers", "has the number nan"),
        ({"triggers": "x"}, "triggers", "must be a map"),
        ({"restart_when_dead": "no"}, "restart_when_dead", "must be true or false"),
        ({"adopt_session_id": ""}, "adopt_session_id", "may have from 1 to 256"),
        ({"aws": {"access_key": "AK"}}, "aws.access_key", "inputs are stored in the state"),
        ({"aws": {"regoin": "x"}}, "aws.regoin", "is not known"),
        ({"aws": "x"}, "aws", "must be a map of AWS settings"),
        ({"timeouts": {"create": "soon"}}, "timeouts.create", "invalid duration"),
        ({"work_grup": "x"}, "work_grup", "did you mean work_group?"),
    ],
)
def test_check_refuses_its_own_arguments(news: dict[str, Any], name: str, reason: str) -> None:
    """With a sentence each."""
    failures = check(configured(), **news)[1]
    assert list(failures) == [name]
    assert reason in failures[name]


def test_values_that_are_unknown_in_preview_are_left_alone() -> None:
    """As the host gives them: objects, which go back to the engine as the text on the wire."""
    news = {
        "description": UNKNOWN_OBJECT,
        "tags": {"a": UNKNOWN_OBJECT},
        "triggers": {"a": [UNKNOWN_OBJECT]},
        "aws": {"profile": UNKNOWN_OBJECT, "endpoints": [{"athena": UNKNOWN_OBJECT}]},
    }
    inputs, failures = check(configured(), **news)
    assert failures == {}
    assert inputs["description"] == UNKNOWN
    assert inputs["tags"] == {"a": UNKNOWN}
    assert (
        check(configured(), aws=UNKNOWN_OBJECT, work_group=UNKNOWN_OBJECT, tags=UNKNOWN_OBJECT)[1]
        == {}
    )
    new = {**outs(), "restart_when_dead": False, "work_group": UNKNOWN_OBJECT}
    assert configured().diff("s", outs(), new).replaces == ["work_group"]


def test_check_tells_that_the_region_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In preview already."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert "pulumi config set aws:region" in check(configured({}))[1]["aws"]
    assert check(configured({}), aws={"region": UNKNOWN})[1] == {}


def outs(**changes: Any) -> dict[str, Any]:
    """The outputs in the state of a session that NEWS made."""
    return {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 4.0},
        "region": "eu-west-1",
        "session_id": "s",
        "identity": IDENTITY,
        "restart_when_dead": False,
        **changes,
    }


@pytest.mark.parametrize(
    ("olds", "news", "replaces", "changes"),
    [
        ({}, {}, [], False),
        ({}, {"engine_configuration": {"max_concurrent_dpus": 8}}, ["engine_configuration"], True),
        ({}, {"work_group": UNKNOWN}, ["work_group"], True),
        ({}, {"work_group": "b", "description": "d"}, ["description", "work_group"], True),
        ({}, {"notebook_version": "1"}, ["notebook_version"], True),
        ({}, {"session_idle_timeout_in_minutes": 5}, ["session_idle_timeout_in_minutes"], True),
        ({}, {"execution_role": "r"}, ["execution_role"], True),
        ({}, {"copy_work_group_tags": True}, ["copy_work_group_tags"], True),
        ({}, {"monitoring_configuration": {"x": 1}}, ["monitoring_configuration"], True),
        ({}, {"triggers": {"a": 1}}, ["triggers"], True),
        ({"triggers": {"a": 1.0}}, {"triggers": {"a": 1}}, [], False),
        ({}, {"region": "us-east-1"}, ["region"], True),
        ({}, {"tags": {"a": "1"}}, [], True),
        ({"tags": {"a": "1"}}, {"tags": {"a": "1"}}, [], False),
        ({"tags": {}}, {}, [], False),
        ({}, {"identity": {"urn": "other", "owner": "other"}}, [], False),
        ({}, {"timeouts": {"create": "1h"}}, [], True),
        ({"timeouts": {"create": "1h"}}, {"timeouts": {"create": "1h"}}, [], False),
        ({"restart_when_dead": True}, {}, [], True),
        ({}, {"identity": {**IDENTITY, "protected": True}}, [], True),
        ({}, {"identity": {**IDENTITY, "protected": None}}, [], False),
        ({}, {"identity": {**IDENTITY, "secrets": ["tags"]}}, [], False),
        ({}, {"adopt_session_id": "s"}, [], False),
        ({"adopt_session_id": "s"}, {}, [], False),
        ({}, {"adopt_session_id": "t"}, ["adopt_session_id"], True),
        ({}, {"aws": {"profile": "p"}}, [], True),
    ],
)
def test_diff_reports_exactly_what_changed(
    olds: dict[str, Any], news: dict[str, Any], replaces: list[str], *, changes: bool
) -> None:
    """What StartSession takes replaces; what delete and read need later is stored in place."""
    new = {**outs(), "restart_when_dead": False, **news}
    result = configured().diff("s", outs(**olds), new)
    assert (sorted(result.replaces or []), result.changes) == (replaces, changes)
    assert result.delete_before_replace is True


def create(provider: AthenaSessionProvider, **news: Any) -> tuple[str, dict[str, Any]]:
    inputs, failures = check(provider, **news)
    assert failures == {}
    result = provider.create(inputs)
    assert result.outs is not None
    return result.id, result.outs


def test_create_stores_what_delete_needs(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """And no credential."""
    session_id, stored = create(provider)
    assert stored["session_id"] == session_id == emulator.live_sessions()[0].session_id
    assert stored["region"] == "eu-west-1"
    assert "AK" not in str(stored)
    assert "SK" not in str(stored)
    provider.delete(session_id, stored)
    assert emulator.live_sessions() == []


def test_the_session_is_marked(provider: AthenaSessionProvider, emulator: Emulator) -> None:
    """By its description, or by a tag where the description is the user's."""
    create(provider)
    create(provider, description="mine", tags={"team": "a"})
    first, second = emulator.sessions()
    assert first.description == f"Started by Pulumi for {IDENTITY['urn']}"
    assert first.tags == {}
    assert second.description == "mine"
    assert second.tags == {"athena-session-provider:urn": IDENTITY["urn"], "team": "a"}


def test_read_keeps_the_arguments_and_refreshes_the_outputs(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """So that a refresh is never a change of what the user wrote."""
    session_id, stored = create(provider)
    emulator.set_state(session_id, "BUSY")
    read = provider.read(session_id, dict(stored))
    assert read.id == session_id
    assert read.outs == {**stored, "state": "BUSY"}
    assert provider.diff(session_id, read.outs, check(provider)[0]).changes is False


@pytest.mark.parametrize("state", ["TERMINATED", "FAILED", "DEGRADED", "TERMINATING"])
def test_read_says_that_a_dead_session_is_gone(
    provider: AthenaSessionProvider, emulator: Emulator, state: str
) -> None:
    """An empty id, and a map that the host may write to."""
    session_id, stored = create(provider)
    emulator.set_state(session_id, state)
    read = provider.read(session_id, stored)
    assert (read.id, read.outs) == ("", {})


def test_read_raises_what_is_not_an_absence(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """Missing permission does not delete anything from the state."""
    session_id, stored = create(provider)
    emulator.inject("GetSession", "access-denied", times=None)
    with pytest.raises(errors.AccessDeniedError, match="athena:GetSession"):
        provider.read(session_id, stored)


def test_unknown_in_another_account_is_not_gone(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """Wrong credentials neither forget a session nor start a second one."""
    session_id, stored = create(provider)
    stored["account_id"] = "999999999999"
    missing: dict[str, Any] = {"kind": "error", "code": "ResourceNotFoundException", "status": 400}
    for operation in ("GetSession", "TerminateSession", "GetSessionStatus"):
        emulator.inject(operation, times=None, message="Session not found", **missing)
    emulator.inject("ListSessions", "access-denied", times=None)
    for call in (provider.read, provider.delete):
        with pytest.raises(errors.WrongAccountError, match="999999999999"):
            call(session_id, dict(stored))
    assert provider.diff(session_id, stored, check(provider)[0]).changes is False


def test_update_without_an_account_says_why(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """Tags need an ARN; everything else works without one."""
    emulator.inject("GetCallerIdentity", "access-denied", times=None)
    session_id, stored = create(provider)
    assert stored["arn"] is None
    assert stored["account_id"] is None
    with pytest.raises(errors.ConfigurationError, match="GetCallerIdentity"):
        provider.update(session_id, stored, check(provider, tags={"a": "1"})[0])


def test_no_change_up_of_many_makes_one_call(
    provider: AthenaSessionProvider, emulator: Emulator
) -> None:
    """Liveness checks share a listing."""
    stored = [
        create(provider, identity={"urn": f"urn-{number}", "owner": "acme"}) for number in range(16)
    ]
    emulator.clear_calls()
    for session_id, olds in stored:
        assert provider.diff(session_id, olds, check(provider)[0]).changes is False
    assert len(emulator.calls()) == 1
