"""The resource in a program, with Pulumi's mocks."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi.runtime import Mocks, set_mocks
from pulumi.runtime import test as pulumi_test

from athena_session_provider import (
    AwsConfig,
    ClassificationArgs,
    EngineConfigurationArgs,
    Session,
)

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
    (stack_sessions,) = (
        other for other in recorder.resources.values() if other.typ == STACK_SESSIONS
    )
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
        "owner": f"{stack_sessions.name}-identity",
    }


def test_import_is_refused() -> None:
    """With the argument that works."""
    with pytest.raises(ValueError, match='adopt_session_id="abc"'):
        Session("s", work_group="spark", opts=pulumi.ResourceOptions(import_="abc"))
