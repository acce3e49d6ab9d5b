"""One session by the real Pulumi CLI, from the first up to destroy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PROGRAM, PulumiStack

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

FINISHED = {"athena-session-provider:create": "finished"}
"""The tag of a session whose create has finished."""

WRITES = ("StartSession", "TerminateSession", "TagResource", "UntagResource")

PROGRAM_WITH = """
import pulumi
from athena_session_provider import AwsConfig, EngineConfigurationArgs, Session

{code}
"""


def live_ids(emulator: Emulator) -> list[str]:
    return [session.session_id for session in emulator.live_sessions()]


def test_up_starts_a_session_and_destroy_ends_it(stack: PulumiStack, emulator: Emulator) -> None:
    """The state names the one live session; after destroy there is none."""
    stack.write(
        PROGRAM + "for name in ('state', 'arn', 'region', 'account_id', 'started_at',\n"
        "    'engine_version', 'client_request_token', 'work_group'):\n"
        "    pulumi.export(name, getattr(session, name))\n"
    )
    stack.up()
    (session,) = emulator.live_sessions()
    outputs = stack.outputs()
    assert outputs == {
        "session_id": session.session_id,
        "state": "IDLE",
        "arn": f"arn:aws:athena:eu-west-1:{outputs['account_id']}:workgroup/spark/session/"
        f"{session.session_id}",
        "region": "eu-west-1",
        "account_id": "123456789012",
        "started_at": outputs["started_at"],
        "engine_version": "PySpark engine version 3",
        "client_request_token": session.client_request_token,
        "work_group": "spark",
    }
    assert re.fullmatch("[0-9a-f]{64}", outputs["client_request_token"])
    assert stack.session_ids() == [session.session_id]
    stack.destroy()
    assert live_ids(emulator) == []
    assert stack.session_ids() == []


def test_up_without_a_change_writes_nothing(stack: PulumiStack, emulator: Emulator) -> None:
    """A second up makes no API call that changes anything, and shows no change."""
    stack.up()
    emulator.clear_calls()
    result = stack.succeed("up", "--yes", "--expect-no-changes")
    assert "3 unchanged" in result.output
    assert emulator.calls(*WRITES) == []


def test_preview_refuses_invalid_values_by_property(stack: PulumiStack, emulator: Emulator) -> None:
    """Each wrong value is named with what is allowed, and nothing is sent."""
    stack.write(
        PROGRAM_WITH.format(
            code="""
Session("session", work_group="bad!", engine_configuration={"max_concurrent_dpus": 1, "dpus": 2},
        session_idle_timeout_in_minutes=481, description="x" * 1025)
"""
        )
    )
    output = stack.fail("preview").output
    assert "property work_group value {bad!} has a problem: must match" in output
    assert "engine_configuration.max_concurrent_dpus" in output
    assert "is 1, and must be a whole number from 2 to 5000" in output
    assert "engine_configuration.dpus" in output
    assert "is 481, and must be a whole number from 1 to 480" in output
    assert "has 1025 characters, and may have from 1 to 1024" in output
    assert "Traceback" not in output
    assert emulator.calls("StartSession") == []


def test_preview_leaves_alone_what_is_not_known_yet(stack: PulumiStack, emulator: Emulator) -> None:
    """An output of one session is an input of another; both are started by the up after it."""
    stack.write(
        PROGRAM
        + "Session('b', work_group='spark', description=session.session_id,\n"
        + "        tags={'of': session.session_id}, triggers={'of': session.session_id})\n"
    )
    assert "4 to create" in stack.succeed("preview").output
    stack.up()
    assert len(live_ids(emulator)) == 2
    stack.write(stack.program().replace("20", "40"))
    assert "+-2 to replace" in stack.succeed("preview").output


def test_changed_engine_configuration_replaces_the_session(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """The old session ends before the new one starts."""
    stack.up()
    (old,) = live_ids(emulator)
    emulator.clear_calls()
    stack.write(PROGRAM.replace("20", "40"))
    result = stack.up()
    assert "[diff: ~engine_configuration]" in result.output
    (new,) = live_ids(emulator)
    assert new != old
    assert stack.session_ids() == [new]
    assert [call.operation for call in emulator.calls("StartSession", "TerminateSession")] == [
        "TerminateSession",
        "StartSession",
    ]


def test_changed_tags_are_changed_in_place(stack: PulumiStack, emulator: Emulator) -> None:
    """Tags are set and removed on the session that runs; default tags are among them."""
    program = PROGRAM.replace('work_group="spark"', 'work_group="spark", tags=TAGS')
    stack.configure({"aws:defaultTags": {"tags": {"owner": "data"}}})
    stack.write(program.replace("TAGS", '{"team": "a", "stage": "dev"}'))
    stack.up()
    (session,) = emulator.live_sessions()
    assert session.tags == {"owner": "data", "team": "a", "stage": "dev", **FINISHED}
    emulator.clear_calls()
    stack.write(program.replace("TAGS", '{"team": "b"}'))
    assert "1 updated" in stack.up().output
    (same,) = emulator.live_sessions()
    assert same.session_id == session.session_id
    assert same.tags == {"owner": "data", "team": "b", **FINISHED}
    assert stack.sessions()[0]["outputs"]["session_id"] == session.session_id
    assert emulator.calls("StartSession", "TerminateSession") == []


def test_refresh_forgets_a_dead_session_and_up_starts_another(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """After the idle timeout, refresh says that the session is gone."""
    stack.up()
    (old,) = live_ids(emulator)
    emulator.advance(21 * 60)
    assert "deleted" in stack.refresh().output
    assert stack.session_ids() == []
    stack.up()
    (new,) = live_ids(emulator)
    assert stack.session_ids() == [new] != [old]


def test_up_starts_a_dead_session_again_and_says_why(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """Without a refresh too: diff asks whether the session lives."""
    stack.up()
    (old,) = live_ids(emulator)
    emulator.advance(21 * 60)
    preview = stack.succeed("preview")
    why = "was terminated, on request or after 20 idle minutes; it will be started again."
    assert f"Session {old} {why}" in preview.output
    stack.up()
    (new,) = live_ids(emulator)
    assert stack.session_ids() == [new] != [old]


def test_dead_session_stays_where_restart_is_off(stack: PulumiStack, emulator: Emulator) -> None:
    """restart_when_dead=False: a dead session is no change, and is not even asked for."""
    stack.write(
        PROGRAM.replace('work_group="spark"', 'work_group="spark", restart_when_dead=False')
    )
    stack.up()
    emulator.advance(21 * 60)
    emulator.clear_calls()
    stack.up("--expect-no-changes")
    assert emulator.calls() == []


def test_liveness_check_that_is_not_allowed_is_a_warning(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """A preview does not fail because nobody may ask for the state."""
    stack.up()
    for operation in ("ListSessions", "GetSessionStatus"):
        emulator.inject(operation, "access-denied", times=None)
    output = stack.succeed("preview").output
    assert "warning: Could not check whether session" in output
    assert "athena:GetSessionStatus" in output
    assert "3 unchanged" in output


def test_up_after_destroy_starts_a_new_session(stack: PulumiStack, emulator: Emulator) -> None:
    """The token of the session that was destroyed is used up; the next one is taken."""
    for _ in range(3):
        stack.up()
        (session,) = live_ids(emulator)
        assert stack.session_ids() == [session]
        stack.destroy()
        assert live_ids(emulator) == []
    assert len({session.session_id for session in emulator.sessions()}) == 3


def test_get_reads_a_session_that_is_not_the_stacks(stack: PulumiStack, emulator: Emulator) -> None:
    """Session.get gives the outputs, and destroy leaves the session alone."""
    stack.up()
    (session,) = live_ids(emulator)
    reader = PulumiStack(stack.folder / "reader", emulator, project="reader").init(
        PROGRAM_WITH.format(
            code=f"""
session = Session.get("existing", "{session}")
for name in ("session_id", "work_group", "state", "engine_version", "arn"):
    pulumi.export(name, getattr(session, name))
"""
        )
    )
    reader.up()
    outputs = reader.outputs()
    assert outputs["session_id"] == session
    assert outputs["work_group"] == "spark"
    assert outputs["state"] == "IDLE"
    assert outputs["arn"].endswith(session)
    reader.destroy()
    assert live_ids(emulator) == [session]


def test_a_running_session_is_taken_over_by_its_id(stack: PulumiStack, emulator: Emulator) -> None:
    """adopt_session_id starts nothing; the session then belongs to the stack."""
    stack.up()
    (session,) = live_ids(emulator)
    stack.succeed("state", "delete", stack.sessions()[0]["urn"], "--yes")
    emulator.clear_calls()
    adopting = PROGRAM.replace(
        'work_group="spark"', f'work_group="spark", adopt_session_id="{session}"'
    )
    stack.write(adopting)
    stack.up()
    assert stack.session_ids() == [session]
    assert emulator.calls("StartSession") == []
    stack.write(PROGRAM)
    stack.up("--expect-no-changes")
    stack.destroy()
    assert live_ids(emulator) == []


def test_a_dead_session_cannot_be_taken_over(stack: PulumiStack, emulator: Emulator) -> None:
    """The error says what the session is and what to do."""
    stack.up()
    (session,) = live_ids(emulator)
    stack.destroy()
    stack.write(
        PROGRAM.replace('work_group="spark"', f'work_group="spark", adopt_session_id="{session}"')
    )
    output = stack.up_fails().output
    assert f"Session {session} cannot be taken over, since it is TERMINATED" in output
    assert "Remove adopt_session_id" in output
    assert "Traceback" not in output


def test_import_is_refused_with_the_argument_that_works(stack: PulumiStack) -> None:
    """import_ cannot work for dynamic resources; the error names adopt_session_id."""
    stack.write(
        PROGRAM.replace(
            'work_group="spark"', 'work_group="spark", opts=pulumi.ResourceOptions(import_="abc")'
        )
    )
    output = stack.up_fails().output
    assert 'write adopt_session_id="abc" instead of import_' in output


def test_changed_region_ends_the_session_where_it_runs(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """The old session is terminated in the old region, the new one starts in the new one."""
    stack.up()
    stack.configure({"aws:region": "us-east-1"})
    stack.up()
    (session,) = emulator.live_sessions()
    assert session.region == "us-east-1"
    assert stack.session_ids() == [session.session_id]
    assert stack.sessions()[0]["outputs"]["region"] == "us-east-1"


def test_renamed_with_an_alias_nothing_changes(stack: PulumiStack, emulator: Emulator) -> None:
    """Another URN is no reason for another session."""
    stack.up()
    (session,) = live_ids(emulator)
    options = 'pulumi.ResourceOptions(aliases=[pulumi.Alias(name="session")])'
    stack.write(PROGRAM.replace('Session("session", ', f'Session("renamed", opts={options}, '))
    stack.up()
    assert live_ids(emulator) == [session] == stack.session_ids()


def test_resources_under_components_have_the_engines_urn(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """Two sessions of one name, under two parents, at two depths: each has a token of its own."""
    stack.write(
        PROGRAM_WITH.format(
            code="""
class Team(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Team", name, {}, opts)

outer = Team("outer")
inner = Team("inner", pulumi.ResourceOptions(parent=outer))
for index, parent in enumerate((outer, inner)):
    Session(f"session-{index}", work_group="spark", engine_configuration={"max_concurrent_dpus": 4},
            opts=pulumi.ResourceOptions(parent=parent))
"""
        )
    )
    stack.up()
    resources = stack.sessions()
    assert len(resources) == 2
    assert sorted(stack.session_ids()) == sorted(live_ids(emulator))
    for resource in resources:
        assert resource["inputs"]["identity"]["urn"] == resource["urn"]


def test_replace_by_target_ends_the_old_session_first(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """A targeted --replace asks no diff: deleting first is the resource's own default."""
    stack.up()
    (old,) = live_ids(emulator)
    emulator.clear_calls()
    stack.up("--target-replace", stack.sessions()[0]["urn"])
    (new,) = live_ids(emulator)
    assert new != old
    first, *_ = emulator.calls("StartSession", "TerminateSession")
    assert first.operation == "TerminateSession"
