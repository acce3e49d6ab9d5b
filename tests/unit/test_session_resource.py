"""The resource in a program, with Pulumi's mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi.output import Unknown
from pulumi.runtime import Mocks, set_mocks
from pulumi.runtime import test as pulumi_test

from athena_session_provider import (
    AwsConfig,
    ClassificationArgs,
    EngineConfigurationArgs,
    Session,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = "pulumi-python:dynamic/athena:Session"
STACK_SESSIONS = "pulumi-python:dynamic/athena:StackSessions"


class Recorder(Mocks):
    """Gives every resource an id, and keeps its inputs."""

    def __init__(self) -> None:
        self.resources: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources[args.name] = args
        outputs = {"session_id": f"{args.name}-id", "state": "IDLE"}
        if args.typ == STACK_SESSIONS:
            outputs = {"identity": f"{args.name}-identity"}
        return f"{args.name}-id", {**args.inputs, **outputs}

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(args.token)


@pytest.fixture
def recorder() -> Recorder:
    recorder = Recorder()
    set_mocks(recorder, project="project", stack="dev", organization="acme")
    return recorder


def test_arguments_become_inputs(recorder: Recorder) -> None:
    """Args classes and Outputs included; the type is the one of the contract."""

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        session = Session(
            "s",
            work_group=pulumi.Output.from_input("spark"),
            engine_configuration=EngineConfigurationArgs(
                max_concurrent_dpus=pulumi.Output.from_input(20),
                classifications=[ClassificationArgs(name="spark-defaults", properties={"a": "b"})],
            ),
            aws=AwsConfig(region="eu-west-1"),
            opts=pulumi.ResourceOptions(
                custom_timeouts=pulumi.CustomTimeouts(create="5m", delete="90s")
            ),
        )
        return session.session_id.apply(lambda value: value == "s-id" or pytest.fail(value))

    program()
    args = recorder.resources["s"]
    (identity,) = (other for other in recorder.resources.values() if other.typ == STACK_SESSIONS)
    assert args.typ == SESSION
    inputs = args.inputs
    assert inputs["work_group"] == "spark"
    assert inputs["engine_configuration"] == {
        "max_concurrent_dpus": 20,
        "classifications": [{"name": "spark-defaults", "properties": {"a": "b"}}],
    }
    assert inputs["aws"] == {"region": "eu-west-1"}
    assert inputs["timeouts"] == {"create": "5m", "delete": "90s"}
    assert inputs["identity"] == {
        "urn": "urn:pulumi:dev::project::pulumi-python:dynamic/athena:Session::s",
        "owner": f"{identity.name}-identity",
    }


def test_import_is_refused() -> None:
    """With the argument that works."""
    with pytest.raises(ValueError, match='adopt_session_id="abc"'):
        Session("s", work_group="spark", opts=pulumi.ResourceOptions(import_="abc"))


def identities_of(declare: Callable[[], None], *, preview: bool = False) -> Recorder:
    """Run a program, and return the resources that it registered."""
    recorder = Recorder()
    set_mocks(recorder, project="project", stack="dev", preview=preview)

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> None:
        declare()

    program()
    return recorder


def sessions(names: list[str], work_group: Any = "spark", **options: Any) -> None:
    for name in names:
        Session(name, work_group=work_group, **options)


def stack_sessions_of(recorder: Recorder) -> dict[str, dict[str, Any]]:
    return {
        name: args.inputs for name, args in recorder.resources.items() if args.typ == STACK_SESSIONS
    }


def test_the_sessions_of_a_work_group_share_one_identity() -> None:
    """64 sessions do not become 128 resources."""
    names = [f"s{number}" for number in range(64)]
    recorder = identities_of(lambda: sessions(names))
    assert len(recorder.resources) == 65
    ((name, inputs),) = stack_sessions_of(recorder).items()
    assert name == "athena-sessions-spark"
    assert len(set(inputs["sessions"])) == 64
    owners = {recorder.resources[session].inputs["identity"]["owner"] for session in names}
    assert owners == {f"{name}-identity"}


def test_each_work_group_has_an_identity_of_its_own() -> None:
    """Named by the work group, so that each is found where its sessions are."""

    def declare() -> None:
        sessions(["a"], "spark")
        sessions(["b"], pulumi.Output.from_input("analytics"))

    assert set(stack_sessions_of(identities_of(declare))) == {
        "athena-sessions-spark",
        "athena-sessions-analytics",
    }


def test_the_identity_keeps_its_name_when_sessions_come_and_go() -> None:
    """Only the list of the sessions changes, whatever their order."""
    first = stack_sessions_of(identities_of(lambda: sessions(["a", "b"])))
    same = stack_sessions_of(identities_of(lambda: sessions(["b", "a"])))
    fewer = stack_sessions_of(identities_of(lambda: sessions(["b"])))
    assert first == same
    assert set(first) == set(fewer)
    (before,), (after) = first.values(), next(iter(fewer.values()))
    assert set(after["sessions"]) < set(before["sessions"])


def test_another_region_is_another_identity() -> None:
    """Its sessions are in another listing."""

    def declare() -> None:
        sessions(["a"])
        sessions(["b"], aws=AwsConfig(region="us-east-1"))

    assert len(stack_sessions_of(identities_of(declare))) == 2


def test_an_unknown_work_group_has_no_identity_yet() -> None:
    """A preview of a stack that makes the work group, too."""
    unknown: Any = Unknown()  # type: ignore[no-untyped-call]
    recorder = identities_of(
        lambda: sessions(["a"], pulumi.Output.from_input("x").apply(lambda _: unknown)),
        preview=True,
    )
    assert stack_sessions_of(recorder) == {}
    assert "a" in recorder.resources


@pytest.mark.parametrize("work_group", [None, "", "not a name!", 5])
def test_a_wrong_work_group_has_no_identity(work_group: Any) -> None:
    """The check of the session refuses it, and says why."""
    assert stack_sessions_of(identities_of(lambda: sessions(["a"], work_group))) == {}


def test_a_session_that_is_read_has_no_identity() -> None:
    """It is not the stack's to end."""

    def declare() -> None:
        Session.get("a", "session-1")

    recorder = identities_of(declare)
    assert stack_sessions_of(recorder) == {}
