"""Sessions that stay ended, by every command of the real engine that could start them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from leftover_stack import HEAD

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

PROGRAM = (
    HEAD
    + """
engine = {"max_concurrent_dpus": 4}
stays = Session("stays", work_group="spark", engine_configuration=engine, restart_when_dead=False,
                triggers={"run": 1})
protected = Session("protected", work_group="spark", engine_configuration=engine,
                    opts=pulumi.ResourceOptions(protect=True))
pulumi.export("stays", stays.state)
pulumi.export("protected", protected.state)
"""
)

COMMANDS = (
    ("preview",),
    ("up", "--yes", "--skip-preview"),
    ("refresh", "--yes", "--skip-preview"),
    ("up", "--yes", "--skip-preview", "--refresh"),
    ("refresh", "--yes", "--skip-preview", "--run-program"),
)


def test_ended_sessions_stay(stack: PulumiStack, emulator: Emulator) -> None:
    """No command starts a session, replaces a resource or fails; the outputs tell the truth."""
    stack.write(PROGRAM)
    stack.up()
    before = sorted(stack.session_ids())
    emulator.advance(21 * 60)
    assert emulator.live_sessions() == []
    emulator.clear_calls()
    for command in COMMANDS:
        output = stack.succeed(*command).output
        assert sorted(stack.session_ids()) == before, command
        if command[0] != "refresh":
            assert "remove protect from the program and run `pulumi up` twice" in output
    assert emulator.calls("StartSession", "TerminateSession") == []
    assert stack.outputs() == {"stays": "TERMINATED", "protected": "TERMINATED"}

    stack.write(PROGRAM.replace('"run": 1', '"run": 2'))
    stack.up()
    (started,) = emulator.live_sessions()
    assert started.session_id in stack.session_ids()

    stack.write(PROGRAM.replace('"run": 1', '"run": 2').replace("protect=True", ""))
    stack.up()
    assert len(emulator.live_sessions()) == 1
    stack.up()
    assert sorted(stack.session_ids()) == sorted(
        session.session_id for session in emulator.live_sessions()
    )
    stack.destroy()
    assert emulator.live_sessions() == []


def test_tags_changed_outside_are_set_again(stack: PulumiStack, emulator: Emulator) -> None:
    """`up --refresh` finds the difference, and updates the session."""
    stack.write(
        HEAD + "Session('tagged', work_group='spark', tags={'team': 'a'},\n"
        "        engine_configuration={'max_concurrent_dpus': 4})\n"
    )
    stack.up()
    (session,) = emulator.live_sessions()
    boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    ).tag_resource(
        ResourceARN=stack.sessions()[0]["outputs"]["arn"], Tags=[{"Key": "team", "Value": "b"}]
    )
    stack.refresh()
    assert stack.sessions()[0]["outputs"]["tags"] == {"team": "b"}
    assert "1 updated" in stack.up().output
    assert emulator.session(session.session_id).tags["team"] == "a"
    stack.up("--expect-no-changes")
