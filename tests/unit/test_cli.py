"""The parts of athena-sessions that decide and print, without Pulumi."""

from __future__ import annotations

import ast
import inspect
import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pulumi.automation import CommandError, CommandResult, EngineEvent
from pulumi.automation.errors import create_command_error
from pulumi.automation.events import DiagnosticEvent
from rich.console import Console

import athena_session_provider
from athena_session_provider import connect_url
from athena_session_provider.cli import app, failures, preview, project, show, stacks, times
from athena_session_provider.cli.failures import Exit
from athena_session_provider.cli.orphans import Orphan
from athena_session_provider.cli.preview import Preview
from athena_session_provider.cli.progress import Reporter
from athena_session_provider.cli.sessions import NamedSession, named_sessions, unfinished_starts
from athena_session_provider.cli.snippets import client_lines
from athena_session_provider.service.errors import MissingRegionError

if TYPE_CHECKING:
    from pathlib import Path

    from athena_session_provider.emulator import Emulator

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
SESSION = NamedSession(
    urn="urn:pulumi:pr-1::p::pulumi-python:dynamic/athena:Session::session",
    session_id="11111111-2222-3333-4444-555555555555",
    work_group="spark",
    region="eu-west-1",
    engine_version="PySpark engine version 3",
)


def failed(stderr: str, stdout: str = "") -> CommandError:
    """A pulumi that failed with this output."""
    return create_command_error(CommandResult(stdout=stdout, stderr=stderr, code=255))


@pytest.mark.parametrize(
    ("stderr", "exit_code", "words"),
    [
        pytest.param(
            "error: the stack is currently locked by 1 lock(s). Either wait for the other "
            "process(es) to end or delete the lock file with `pulumi cancel`.\n"
            "  s3://b/.pulumi/locks/a.json: created by ci@host-7 (pid 42) at 2026-11-23T11:00:00Z",
            3,
            ["ci@host-7 (pid 42), since 2026-11-23T11:00:00Z"],
            id="locked in a bucket",
        ),
        pytest.param(
            "error: [409] Conflict: Another update is currently in progress.",
            3,
            ["Another update is currently in progress"],
            id="locked in the cloud",
        ),
        pytest.param("error: no stack named 'x' found", 4, ["no stack s"], id="no such stack"),
        pytest.param(
            "error: constructing secrets manager: passphrase must be set with ...",
            4,
            ["PULUMI_CONFIG_PASSPHRASE"],
            id="no passphrase",
        ),
        pytest.param(
            "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
            4,
            ["pulumi login"],
            id="not logged in",
        ),
        pytest.param("error: something else\nwith two lines", 1, ["something else with two"]),
    ],
)
def test_errors_of_pulumi(stderr: str, exit_code: int, words: list[str]) -> None:
    """Each is one paragraph with the exit code of its kind."""
    error = failures.from_pulumi(failed(stderr), "s")
    assert failures.exit_code_of(error) == exit_code
    assert all(word in str(error) for word in words), error
    assert "\n" not in str(error)


def test_the_engine_says_more_than_the_output() -> None:
    """Diagnostics are told, each once, and the word that the update failed is not."""
    diagnostics = ["no room", "no room", "update failed", "<{%fg 1%}>red<{%reset%}>"]
    error = failures.from_pulumi(failed("error: update failed"), "s", diagnostics)
    assert str(error) == "Stack s: no room red"


def test_of_a_traceback_only_what_it_says_is_shown() -> None:
    """The exception and where it was raised; a message of several lines in one."""
    text = """error: Program failed with an unhandled exception:
    Traceback (most recent call last):
      File "/a/__main__.py", line 7, in <module>
        main()
    my.own.ConfigError: no such key
      named x
    """
    assert (
        failures.paragraph(text)
        == "my.own.ConfigError: no such key named x (/a/__main__.py, line 7)"
    )


def test_errors_of_this_package_keep_their_text() -> None:
    """A missing region is a set-up that is not complete."""
    assert failures.exit_code_of(MissingRegionError()) == 4
    assert failures.exit_code_of(failures.InterruptedRunError(15)) == 143


def environment(name: str, hours: float | None) -> Preview:
    """A preview environment that expires in so many hours."""
    return Preview(name, None if hours is None else NOW + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("open_names", "names"),
    [
        pytest.param(None, ["late", "odd"], id="the open ones are not known"),
        pytest.param(["young", "late"], ["late", "odd", "org/mine"], id="some are open"),
        pytest.param(["mine", "odd", "young"], ["late", "odd"], id="without the organization"),
        pytest.param([], ["young", "late", "odd", "org/mine"], id="none is open"),
    ],
)
def test_what_is_due(open_names: list[str] | None, names: list[str]) -> None:
    """Expired, closed, and what has no expiry that can be read."""
    hours = {"young": 1, "late": -1, "odd": None, "org/mine": 1}
    found = [environment(*item) for item in hours.items()]
    assert [item.name for item, _reason in preview.due(found, open_names, NOW)] == names


def test_tags_tell_what_was_stored() -> None:
    """A preview environment is read as it was written; what a person wrote is not fatal."""
    written = Preview("pr-1", NOW, NOW, "ada", "c0ffee", "dev")
    assert Preview.from_tags("pr-1", written.tags()) == written
    assert next(iter(written.tags())) == preview.EXPIRES, "the one that counts comes first"
    assert Preview.from_tags("x", {preview.EXPIRES: "tomorrow"}).expires is None
    assert all(len(value) <= 256 for value in Preview("x", NOW, owner="o" * 300).tags().values())


@pytest.mark.parametrize("name", ["pr-1", "feature_x.2", "org/pr-1", "org/project/pr-1"])
def test_names(name: str) -> None:
    """Stacks are named as Pulumi allows, with the organization where there is one."""
    assert preview.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a;b", "$(x)", "a/b/c/d", "x" * 101])
def test_names_that_are_none(name: str) -> None:
    """Nothing that a branch may be called gets to a command line unseen."""
    with pytest.raises(ValueError, match="invalid stack name"):
        preview.check_name(name)


def test_sessions_of_a_state() -> None:
    """Owned, only read, being started, finished since, and what is no session at all."""
    kind = "pulumi-python:dynamic/athena:Session"
    outputs = {"work_group": "spark", "region": "eu-west-1", "engine_version": "e", "arn": None}
    deployment = {
        "resources": [
            {"type": "pulumi:pulumi:Stack", "urn": "u0"},
            {"type": kind, "urn": "u1", "id": "s1", "outputs": outputs},
            {"type": kind, "urn": "u2", "id": "s2", "external": True, "inputs": {"aws": None}},
        ],
        "pending_operations": [
            {"type": "creating", "resource": {"type": kind, "urn": "u3", "inputs": outputs}},
            {"type": "creating", "resource": {"type": kind, "urn": "u1", "inputs": outputs}},
            {"type": "deleting", "resource": {"type": kind, "urn": "u4", "id": "s4"}},
        ],
    }
    assert [(s.session_id, s.owned) for s in named_sessions(deployment)] == [
        ("s1", True),
        ("s2", False),
    ]
    assert [(s.urn, s.work_group) for s in unfinished_starts(deployment)] == [("u3", "spark")]
    assert named_sessions({}) == unfinished_starts({}) == []


@pytest.mark.parametrize("engine", ["PySpark engine version 3", "Apache Spark version 3.5"])
def test_client_lines_are_python(engine: str) -> None:
    """They parse, and name the session."""
    session = NamedSession(**{**vars(SESSION), "engine_version": engine})
    lines = client_lines(session)
    assert ("Spark Connect" in lines) == (engine == "Apache Spark version 3.5")
    for text in lines.values():
        ast.parse(text)
        assert session.session_id in text


def test_spark_connect_lines_use_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one Spark Connect URL, which the library makes: the lines are run against it."""
    asked: list[tuple[str, dict[str, Any]]] = []

    class Spark:
        def sql(self, _query: str) -> Any:
            return type("Frame", (), {"show": lambda _self: None})()

    def remote_spark(session_id: str, **arguments: Any) -> Spark:
        # The arguments have to be those of the real one.
        inspect.signature(connect_url).bind(session_id, **arguments)
        asked.append((session_id, arguments))
        return Spark()

    monkeypatch.setattr(athena_session_provider, "remote_spark", remote_spark)
    session = NamedSession(**{**vars(SESSION), "engine_version": "Apache Spark version 3.5"})
    exec(client_lines(session)["Spark Connect"], {})  # noqa: S102 - our own lines
    assert asked == [(session.session_id, {"region": "eu-west-1"})]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3900, "1h 5m"), (90000, "1d 1h"), (-3600, "-1h")],
)
def test_durations(seconds: int, text: str) -> None:
    """Two units at most."""
    assert times.duration(timedelta(seconds=seconds)) == text


def test_a_table_is_never_cut() -> None:
    """An id with its end cut off is of no use, also where output goes to a file."""
    out = io.StringIO()
    orphan = Orphan(SESSION.session_id, "spark" * 10, "IDLE", NOW, SESSION.urn, known_stack=True)
    show.print_orphans(Console(file=out, width=40), [orphan], NOW)
    assert SESSION.session_id in out.getvalue()
    assert "session" in out.getvalue()


def test_a_project_is_moved(tmp_path: Path) -> None:
    """What is relative to the program's folder stays there."""
    moved = project.moved(
        {
            "name": "p",
            "main": "infra",
            "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
            "backend": {"url": "file://./state"},
            "stackConfigDir": "config",
        },
        tmp_path,
    )
    assert moved == {
        "name": "p",
        "main": str(tmp_path / "infra"),
        "runtime": {"name": "python", "options": {"virtualenv": str(tmp_path / ".venv")}},
        "backend": {"url": f"file://{tmp_path / 'state'}"},
    }
    assert yaml.safe_dump(moved)


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command in a process of its own, since it takes the signals over."""
    done = subprocess.run(
        [sys.executable, "-m", "athena_session_provider", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["preview-env", "up", "a b"], "invalid stack name"),
        (["preview-env", "up", "x", "--ttl", "8x"], "invalid duration"),
        (["preview-env", "up", "x", "--config", "k"], "key=value"),
        (["preview-env", "dwon", "x"], "dwon"),
        (["orphans"], "--work-group"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    """Exit code 2, and a word about what is wrong."""
    code, _out, err = run(*arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_help_names_every_exit_code() -> None:
    """With its meaning, wherever the lines break."""
    code, out, _err = run("--help")
    assert code == 0
    text = " ".join(out.split())
    assert [int(member) for member in Exit if f"{member:d} {member.meaning}" not in text] == []


def diagnostic(message: str) -> EngineEvent:
    """An error of the engine."""
    event = DiagnosticEvent(message=message, color="never", severity="error")
    return EngineEvent(0, 0, diagnostic_event=event)


def test_errors_of_stacks_that_are_worked_on_at_once_are_kept_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two destroys fail in turns, with one reporter: each error has its own stack's cause."""
    turns = threading.Barrier(2, timeout=10)

    class Failing:
        def __init__(self, name: str, _workspace: Any) -> None:
            self.name = name

        def destroy(self, on_event: Any, **_options: Any) -> None:
            turns.wait()
            on_event(diagnostic(f"cause of {self.name}"))
            turns.wait()
            raise failed("error: update failed")

    monkeypatch.setattr(stacks, "_Known", Failing)
    reporter = Reporter(Console(file=io.StringIO()))

    def error_of(name: str) -> str:
        with pytest.raises(failures.CommandFailedError) as caught:
            stacks.Stack(name, None, reporter).destroy(4)  # type: ignore[arg-type]
        return str(caught.value)

    with ThreadPoolExecutor(2) as pool:
        errors = list(pool.map(error_of, ["a", "b"]))
    assert errors == ["Stack a: cause of a", "Stack b: cause of b"]


LOCKED = (
    "error: the stack is currently locked by 1 lock(s).\n  s3://b/.pulumi/locks/a.json: "
    "created by ci@host-7 (pid 42) at 2026-11-23T11:00:00Z"
)


@pytest.mark.parametrize(
    ("text", "minutes", "older"),
    [
        (LOCKED, 60, True),
        (LOCKED, 61, False),
        (LOCKED.replace("2026-11-23T11:00:00Z", "noon"), 0, False),
        ("error: [409] Conflict: Another update is currently in progress.", 0, False),
    ],
)
def test_the_age_of_a_lock(text: str, minutes: int, *, older: bool) -> None:
    """It is broken only if it is known to be old enough."""
    error = failures.from_pulumi(failed(text), "s")
    assert isinstance(error, failures.LockedError)
    assert error.older_than(timedelta(minutes=minutes), NOW) is older


def test_orphans_of_an_account_need_no_program(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a live session of ours, no backend is asked."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    # What is tested is the way to the service and back; the Pulumi CLI has no part in it.
    monkeypatch.setattr(app, "Pulumi", lambda _interrupts: _NoPulumi())
    monkeypatch.setattr(
        "athena_session_provider.cli.command.Interrupts.install", lambda _self: None
    )
    arguments = ["orphans", "-w", "spark", "--region", "eu-west-1", "--json"]
    assert app.run(arguments) == 0
    assert json.loads(capsys.readouterr().out) == []


class _NoPulumi:
    version = None

    def run(self, *_arguments: Any) -> Any:
        raise AssertionError("no stack has to be read")
