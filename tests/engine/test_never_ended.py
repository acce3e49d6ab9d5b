"""Sessions that the search for leftovers must not end, while a leftover beside them is ended."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import boto3
import pytest
from leftover_stack import (
    CUT,
    HEAD,
    INTERRUPTIONS,
    KEPT,
    START_SECONDS,
    YES,
    LeftoverStack,
)
from pulumi_stack import PulumiStack, wait_until

from athena_session_provider.operations.run import Run
from athena_session_provider.service.ownership import (
    CREATE_TAG,
    STARTED,
    Mark,
    hash_of,
    parse_mark,
)

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine


@pytest.fixture
def cut(stack: PulumiStack, emulator: Emulator) -> LeftoverStack:
    """A stack whose next up is to be cut off."""
    return LeftoverStack(stack, emulator)


def start(emulator: Emulator, description: str = "", tag: str = "") -> str:
    """Start a session without Pulumi."""
    athena = boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    session_id: str = athena.start_session(
        WorkGroup="spark",
        EngineConfiguration={"MaxConcurrentDpus": 4},
        Description=description or "not of Pulumi",
        Tags=[{"Key": CREATE_TAG, "Value": tag}] if tag else [],
    )["SessionId"]
    return session_id


def leftover_of(emulator: Emulator, identity: str, urn: str) -> str:
    """Start a session as the create of a resource does that is then killed."""
    mark = Mark(identity, hash_of(urn), hash_of("other arguments"), urn)
    return start(emulator, f"Started by Pulumi for {urn} {mark.text()}", STARTED)


AUTOMATION = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import pulumi
from pulumi import automation as auto
from athena_session_provider import Session

def program():
    session = Session("session", work_group="spark",
                      engine_configuration={"max_concurrent_dpus": 4})
    pulumi.export("id", session.session_id)

def stack(backend, how):
    env = {"PULUMI_CONFIG_PASSPHRASE": "passphrase"}
    project = auto.ProjectSettings("test", "python")
    if how == "environment":
        env["PULUMI_BACKEND_URL"] = backend
    else:
        project.backend = auto.ProjectBackend(backend)
    made = auto.create_or_select_stack(
        "dev", "test", program,
        opts=auto.LocalWorkspaceOptions(env_vars=env, project_settings=project))
    made.set_all_config({key: auto.ConfigValue(value) for key, value in CONFIG.items()})
    made.set_config("aws:endpoints[0].athena", auto.ConfigValue(URL), path=True)
    made.set_config("aws:endpoints[0].sts", auto.ConfigValue(URL), path=True)
    return made

how, URL, CONFIG, *backends = json.loads(sys.argv[1])
first, second = (stack(backend, how) for backend in backends)
ids = [each.up().outputs["id"].value for each in (first, second)]
second.destroy()
print(json.dumps(ids), flush=True)
sys.stdin.readline()
ids.append(first.up().outputs["id"].value)
first.destroy()
print(json.dumps(ids), flush=True)
"""


@pytest.mark.parametrize("how", ["environment", "project settings"])
def test_stacks_of_two_backends_in_one_process(
    stack: PulumiStack, emulator: Emulator, how: str
) -> None:
    """Inline programs of one project and stack name: each has its session, and ends no other."""
    backends = []
    for name in ("a", "b"):
        (stack.folder / name).mkdir()
        backends.append((stack.folder / name).as_uri())
    config = {key: value for key, value in stack.config.items() if isinstance(value, str)}
    environment = stack.env()
    del environment["PULUMI_BACKEND_URL"]
    process = subprocess.Popen(
        [sys.executable, "-c", AUTOMATION, json.dumps([how, emulator.url, config, *backends])],
        cwd=stack.program_folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        first, second = json.loads(process.stdout.readline())
        assert first != second
        assert [session.session_id for session in emulator.live_sessions()] == [first]
        process.stdin.write("\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == [first, second, first]
    assert emulator.live_sessions() == []


def test_leftover_of_another_stack_with_equal_urn(stack: PulumiStack, emulator: Emulator) -> None:
    """Only the stack whose identity a leftover carries ends it."""
    other = PulumiStack(stack.folder / "other", emulator).init()
    stack.up()
    other.up()
    (identity,) = stack.identities()
    assert [identity] != other.identities()
    (resource,) = stack.sessions()
    left = leftover_of(emulator, identity, resource["urn"])
    other.write(other.program().replace("20", "40"))
    other.up()
    other.destroy()
    live = {session.session_id for session in emulator.live_sessions()}
    assert live == {resource["id"], left}
    stack.destroy()
    assert emulator.live_sessions() == []


def test_create_that_another_process_runs(cut: LeftoverStack) -> None:
    """A create that another process of the machine is in is not taken for interrupted."""
    cut.cut_off(base="")
    mark = parse_mark(cut.emulator.session(cut.left).description or "")
    assert mark is not None
    cut.stack.write(HEAD + "session('cut', 16)\n")
    with Run().starting(mark):  # what that process does
        cut.stack.up()
        assert cut.live() == sorted([cut.left, *cut.stack.session_ids()])
    cut.stack.write(HEAD + "session('cut', 4)\n")
    cut.stack.up()
    assert cut.live() == cut.stack.session_ids()


def test_create_of_another_resource_in_the_same_process(cut: LeftoverStack) -> None:
    """The create and the delete that end first look for leftovers while another create runs."""
    cut.stack.write(HEAD + KEPT)
    cut.stack.up()
    (identity,) = cut.stack.identities()
    left = leftover_of(cut.emulator, identity, cut.urn("gone"))
    cut.emulator.update_settings(start_seconds=30.0)
    cut.stack.write(HEAD + "session('kept', 16)\n" + CUT + "session('third', 4)\n")
    command = cut.stack.start("up", *YES, "--parallel", "16")
    wait_until(
        lambda: (
            len([call for call in cut.emulator.calls("StartSession") if call.created_session]) == 5
        )
    )
    cut.emulator.advance(31)
    result = cut.stack.finish(command)
    assert result.exit_code == 0, result
    assert cut.live() == sorted(cut.stack.session_ids())
    assert left not in cut.live()
    assert len(cut.live()) == 3
    assert "interrupted create of " + cut.urn("gone") in result.output


def test_session_that_was_adopted(cut: LeftoverStack) -> None:
    """A leftover that another stack adopts is that stack's from then on."""
    cut.cut_off()
    left = cut.left
    other = PulumiStack(cut.stack.folder / "other", cut.emulator, project="other").init(
        HEAD + f"Session('adopted', work_group='spark', adopt_session_id='{left}')\n"
    )
    other.up()
    assert other.session_ids() == [left]
    cut.stack.write(HEAD + KEPT)
    cut.stack.up()
    cut.stack.destroy()
    assert cut.live() == [left]
    other.up("--expect-no-changes")
    other.destroy()
    assert cut.live() == []


def test_session_that_is_read(cut: LeftoverStack) -> None:
    """Session.get of a session that is not the stack's, and of its own leftover."""
    foreign = start(cut.emulator)
    cut.cut_off()
    reads = f"Session.get('foreign', '{foreign}')\nSession.get('left', '{cut.left}')\n"
    cut.stack.write(HEAD + KEPT + reads)
    cut.stack.up()
    assert sorted([foreign, cut.left, *cut.kept]) == cut.live()
    cut.stack.write(HEAD + "session('kept', 16)\n" + reads)
    cut.stack.up()
    assert {foreign, cut.left} < set(cut.live())
    assert sorted(cut.stack.session_ids()) == cut.live()
    cut.stack.destroy()
    assert cut.live() == [foreign]


def test_retained_session(cut: LeftoverStack) -> None:
    """One kept by retain_on_delete, whose resource comes back with other arguments."""
    cut.stack.write(HEAD + "session('kept', 4, retain_on_delete=True)\n")
    cut.stack.up()
    (retained,) = cut.live()
    cut.stack.write(HEAD)
    cut.stack.up()
    assert cut.live() == [retained]
    cut.cut_off("session('kept', 16)\n")
    cut.stack.write(HEAD + "session('kept', 16)\n")
    cut.stack.up()
    assert cut.live() == sorted([retained, *cut.kept])
    cut.stack.destroy()
    assert cut.live() == [retained]


def test_old_session_of_a_replacement_that_creates_first(cut: LeftoverStack) -> None:
    """It runs until the new one is ready, also when the first attempt was cut off."""
    program = HEAD + "session('kept', DPUS, delete_before_replace=False)\n"
    cut.stack.write(program.replace("DPUS", "4"))
    cut.stack.up()
    (old,) = cut.live()
    cut.emulator.update_settings(start_seconds=START_SECONDS)
    cut.stack.write(program.replace("DPUS", "16"))
    INTERRUPTIONS["kill"](cut)
    (left,) = set(cut.live()) - {old}
    cut.stack.write(program.replace("DPUS", "8"))
    command = cut.stack.start("up", *YES)
    wait_until(lambda: left not in cut.live() and len(cut.live()) == 2)
    assert old in cut.live()
    cut.emulator.advance(START_SECONDS)
    result = cut.stack.finish(command)
    assert result.exit_code == 0, result
    assert cut.live() == cut.stack.session_ids() != [old]


def test_role_without_permissions_for_leftovers(cut: LeftoverStack) -> None:
    """Without ListSessions and the calls for tags, nothing fails; a warning names the action."""
    cut.cut_off()
    for call in ("ListSessions", "ListTagsForResource", "TagResource"):
        cut.emulator.inject(call, "access-denied", times=None)
    cut.stack.write(HEAD + KEPT)
    output = cut.stack.up().output
    assert "warning: Could not look for sessions of interrupted creates." in output
    assert "athena:ListSessions" in output
    assert set(cut.kept) <= set(cut.live())
    cut.stack.destroy()
    assert cut.live() == [cut.left]
