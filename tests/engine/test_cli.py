"""The command athena-sessions with the real Pulumi CLI, against the emulator."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from athena_sessions import Command, finish, kill_all_of, live_ids
from pulumi_stack import PulumiStack, wait_until

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

SECRET = "the-word-that-nobody-may-see"


@pytest.fixture
def command(stack: PulumiStack) -> Command:
    """The command in a project whose stack dev has a configuration with a secret."""
    stack.succeed("config", "set", "--secret", "password", SECRET)
    return Command(stack)


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """An emulator whose sessions take long to start."""
    with Emulator(start_seconds=600.0, start_session_state="CREATING") as running:
        yield running


@pytest.fixture
def slow_command(tmp_path: Path, slow: Emulator) -> Command:
    """The command with sessions that take long to start."""
    return Command(PulumiStack(tmp_path, slow).init())


def test_a_preview_environment_comes_and_goes(command: Command, emulator: Emulator) -> None:
    """`up` starts the sessions, `list` tells what they cost, `down` leaves nothing, twice."""
    files = sorted(entry.name for entry in command.stack.program_folder.iterdir())
    up = command("preview-env", "up", "pr-1", "--from-stack", "dev", "--commit", "c0ffee",
                 "--owner", "ada", "--config", "extra=1", "--json")  # fmt: skip
    raised = up.json()
    assert raised["created"]
    assert [session["session_id"] for session in raised["sessions"]] == live_ids(emulator)
    assert live_ids(emulator)[0] in raised["sessions"][0]["clients"]["PyAthena"]
    assert "session: create" in up.stderr
    again = command("preview-env", "up", "pr-1", "--from-stack", "dev", "--commit", "c0ffee2")
    assert "Preview environment pr-1 updated" in again.stdout
    assert len(emulator.sessions()) == 1, "a second `up` starts nothing"

    # The checkout is as it was; the state has the configuration, with the secret encrypted.
    assert sorted(entry.name for entry in command.stack.program_folder.iterdir()) == files
    history = (command.stack.folder / "state").rglob("*pr-1*.json")
    texts = [file.read_text() for file in history]
    assert texts
    assert any("v1:" in text and "test:password" in text for text in texts)
    assert not any(SECRET in text for text in texts)

    emulator.advance(3600)
    listed = command("preview-env", "list", "--json").json()
    assert [(item["name"], item["owner"], item["commit"]) for item in listed] == [
        ("pr-1", "ada", "c0ffee2")
    ]
    # One DPU by the emulator's books; the session ended after its 20 idle minutes.
    assert listed[0]["sessions"][0]["state"] == "TERMINATED"
    assert listed[0]["dpu_hours"] == pytest.approx(1 / 3, abs=0.05)
    table = command("preview-env", "list", NO_COLOR="1").stdout
    assert live_ids(emulator) == []
    assert raised["sessions"][0]["session_id"] in table
    assert "\x1b" not in table

    gone = command("preview-env", "down", "pr-1", "--json").json()
    assert gone["existed"]
    assert command("preview-env", "down", "pr-1", "--json").json()["existed"] is False
    assert command("preview-env", "list", "--json").json() == []
    assert command.stack.stdout("stack", "ls", "--json").count('"name"') == 1, "dev is left"


def test_down_twice_at_once_is_no_error(command: Command, emulator: Emulator) -> None:
    """A webhook that is delivered twice takes the environment down once."""
    command("preview-env", "up", "pr-1", "--from-stack", "dev")
    both = [command.start("preview-env", "down", "pr-1", "--json") for _ in range(2)]
    ran = [finish(process) for process in both]
    assert [one.exit_code for one in ran] == [0, 0], "\n".join(map(str, ran))
    assert any(one.json()["existed"] for one in ran)
    assert live_ids(emulator) == []
    assert command("preview-env", "list", "--json").json() == []


def test_other_stacks_are_left_alone(command: Command, emulator: Emulator) -> None:
    """What `up` did not make is neither updated nor taken down, be it empty or in use."""
    for action in ("up", "down"):
        refused = command("preview-env", action, "dev", exit_code=6)
        assert "was not created by `preview-env up`" in refused.stderr
    command.stack.up()
    command("preview-env", "down", "dev", exit_code=6)
    assert len(live_ids(emulator)) == 1


def test_sweep_takes_down_what_is_expired_or_closed(command: Command, emulator: Emulator) -> None:
    """The open names come from a file or a pipe; a pipe that brings nothing closes nothing."""
    for name, ttl in (("pr-1", "8h"), ("pr-2", "8h"), ("pr-3", "0s")):
        command("preview-env", "up", name, "--from-stack", "dev", "--ttl", ttl)
    dry = command("preview-env", "sweep", "--dry-run", "--json").json()
    assert [item["name"] for item in dry] == ["pr-3"]
    open_file = command.stack.folder / "open.txt"
    open_file.write_text("# open pull requests\npr-1\npr-3\n")
    dry = command("preview-env", "sweep", "--dry-run", "--json", "--open-file", str(open_file))
    assert [item["name"] for item in dry.json()] == ["pr-2", "pr-3"]
    assert len(live_ids(emulator)) == 3

    swept = command("preview-env", "sweep", "--json", stdin="pr-1\npr-3\n").json()
    assert [(item["name"], item["taken_down"]) for item in swept] == [
        ("pr-2", True),
        ("pr-3", True),
    ]
    left = command("preview-env", "list", "--json").json()
    assert [item["name"] for item in left] == ["pr-1"]
    assert live_ids(emulator) == [left[0]["sessions"][0]["session_id"]]


def test_a_locked_stack_says_who_holds_the_lock(slow_command: Command, slow: Emulator) -> None:
    """The second of two runs ends at once, with a code of its own; Ctrl-C ends the first."""
    first = slow_command.start("preview-env", "up", "pr-1", "--from-stack", "dev")
    wait_until(lambda: live_ids(slow))
    second = slow_command("preview-env", "up", "pr-1", "--from-stack", "dev", exit_code=3)
    assert "Stack pr-1 is locked" in second.stderr
    assert f"@{os.uname().nodename} (pid " in second.stderr
    os.kill(first.pid, signal.SIGINT)
    ran = finish(first)
    assert ran.exit_code == 130, ran
    assert "Interrupted." in ran.stderr
    assert "Traceback" not in ran.stderr
    # The lock is gone, and so is the session once the environment is taken down.
    slow_command("preview-env", "down", "pr-1")
    assert live_ids(slow) == []


def test_down_ends_what_a_killed_run_has_started(slow_command: Command, slow: Emulator) -> None:
    """The state of a killed start names no session; the session is ended all the same."""
    running = slow_command.start("preview-env", "up", "pr-1", "--from-stack", "dev")
    wait_until(lambda: live_ids(slow))
    kill_all_of(running)
    started = live_ids(slow)
    assert len(started) == 1
    locked = slow_command("preview-env", "down", "pr-1", "--lock-timeout", "0s", exit_code=3)
    assert "--break-lock-older-than" in locked.stderr
    down = slow_command("preview-env", "down", "pr-1", "--break-lock-older-than", "0s", "--json")
    assert down.json()["ended_unnamed"] == started
    assert live_ids(slow) == []
    assert slow_command("preview-env", "list", "--json").json() == []


TWO_SESSIONS = """
import pulumi
from athena_session_provider import Session

engine = {"max_concurrent_dpus": 2}
Session("plain", work_group="spark", engine_configuration=engine)
Session(
    "nightly, eu", work_group="spark", engine_configuration=engine, description="nightly job"
)
"""


def test_orphans_are_the_sessions_that_no_stack_names(command: Command, emulator: Emulator) -> None:
    """Those of a known stack are found and ended; named ones and those of others are not."""
    command.stack.write(TWO_SESSIONS)
    command("preview-env", "up", "pr-1", "--from-stack", "dev")
    named = live_ids(emulator)
    command("preview-env", "up", "pr-2", "--from-stack", "dev")
    orphaned = sorted(set(live_ids(emulator)) - set(named))
    # What `pulumi state delete` by mistake leaves.
    kind = "urn:pulumi:pr-2::test::pulumi-python:dynamic/athena:Session"
    for name in ("plain", "nightly, eu"):
        command.stack.succeed("state", "delete", f"{kind}::{name}", "--stack", "pr-2", "--yes")
    others = start_by_hand(emulator, "spark")

    orphans = ("orphans", "--work-group", "spark", "--from-stack", "dev")
    found = command(*orphans, "--json", exit_code=10).json()
    assert sorted(orphan["session_id"] for orphan in found) == orphaned
    assert all(orphan["known_stack"] for orphan in found)
    assert {orphan["urn"] for orphan in found} == {f"{kind}::plain", f"{kind}::nightly_ eu"}
    command(*orphans, "--older-than", "2h", "--terminate")
    assert set(orphaned) <= set(live_ids(emulator)), "too young to be ended"
    ended = command(*orphans, "--terminate").stdout
    assert all(session_id in ended for session_id in orphaned)
    assert sorted(live_ids(emulator)) == sorted([*named, others])
    assert "No orphans" in command(*orphans).stdout


def elsewhere(command: Command, emulator: Emulator) -> dict[str, Any]:
    """The environment of a machine that is logged in to another backend."""
    backend = command.stack.folder / "other"
    backend.mkdir(exist_ok=True)
    return {
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "eu-west-1",
    }


def test_sessions_of_unknown_stacks_are_listed_apart(command: Command, emulator: Emulator) -> None:
    """A stack of the same name in another backend keeps its session, unless the user insists."""
    command("preview-env", "up", "pr-1", "--from-stack", "dev")
    (session_id,) = live_ids(emulator)
    orphans = ("orphans", "--work-group", "spark")
    other = elsewhere(command, emulator)

    ran = command(*orphans, "--terminate", "--json", **other)
    assert [(item["session_id"], item["known_stack"]) for item in ran.json()] == [
        (session_id, False)
    ]
    assert "Sessions of unknown stacks" in command(*orphans, **other).stdout
    assert live_ids(emulator) == [session_id]
    # With both backends, a state names it.
    backends = ("--backend", other["PULUMI_BACKEND_URL"], "--backend", command.backend)
    assert command(*orphans, *backends, "--unknown-stacks", "--json", **other).json() == []

    # The stack is removed without its session: nothing tells it from one in another backend.
    command.stack.succeed("stack", "rm", "pr-1", "--yes", "--force")
    command(*orphans, "--terminate", **other)
    assert live_ids(emulator) == [session_id]
    command(*orphans, "--unknown-stacks", exit_code=10, **other)
    command(*orphans, "--unknown-stacks", "--terminate", **other)
    assert live_ids(emulator) == []


def test_a_session_that_is_being_started_is_no_orphan(
    slow_command: Command, slow: Emulator
) -> None:
    """No state names it yet; it is left alone, also by who does not see its stack."""
    slow_command.stack.write(TWO_SESSIONS)
    running = slow_command.start("preview-env", "up", "pr-1", "--from-stack", "dev")
    wait_until(lambda: len(live_ids(slow)) == 2)
    started = live_ids(slow)
    flags = ("--terminate", "--unknown-stacks")
    slow_command("orphans", "-w", "spark", "--from-stack", "dev", *flags)
    slow_command("orphans", "-w", "spark", *flags, **elsewhere(slow_command, slow))
    assert live_ids(slow) == started
    kill_all_of(running)


def start_by_hand(emulator: Emulator, work_group: str) -> str:
    """Start a session that has nothing to do with Pulumi."""
    import boto3

    athena = boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="x",
    )
    started = athena.start_session(
        WorkGroup=work_group,
        Description="by hand",
        EngineConfiguration={"MaxConcurrentDpus": 20},
    )
    return str(started["SessionId"])


@pytest.mark.parametrize(
    ("program", "words"),
    [
        pytest.param(
            "from athena_session_provider import Session\n"
            "Session('s', work_group='nope', engine_configuration={'max_concurrent_dpus': 20})",
            ["work group nope", "eu-west-1", "aws athena list-work-groups"],
            id="refused by the service",
        ),
        pytest.param("{}['missing']", ["KeyError: 'missing'", "line 1"], id="wrong program"),
        pytest.param(
            "from athena_session_provider import Session\nSession('s', work_group='{bad!}')",
            ["work_group", "{bad!}"],
            id="wrong argument",
        ),
    ],
)
def test_an_error_is_one_paragraph(command: Command, program: str, words: list[str]) -> None:
    """It says what is wrong, and shows no traceback."""
    command.stack.write(program)
    failed = command("preview-env", "up", "pr-1", "--from-stack", "dev", "--json", exit_code=1)
    message = failed.json()["error"]["message"]
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert "Traceback" not in message
    # What has failed can be taken down like anything else.
    command("preview-env", "down", "pr-1")


def test_what_is_missing_is_named(command: Command) -> None:
    """Each has the exit code of an environment that is not set up."""
    up = ("preview-env", "up", "pr-1")
    no_base = command(*up, "--from-stack", "nope", exit_code=4)
    assert "There is no stack nope" in no_base.stderr
    no_cli = command(*up, exit_code=4, PATH="/nowhere")
    assert "The Pulumi CLI is not installed" in no_cli.stderr
    no_program = command(*up, "--program", str(command.stack.folder), exit_code=4)
    assert "has no Pulumi.yaml" in no_program.stderr
    wrong = command(*up, "--from-stack", "dev", exit_code=4, PULUMI_CONFIG_PASSPHRASE="wrong")
    assert "PULUMI_CONFIG_PASSPHRASE" in wrong.stderr
