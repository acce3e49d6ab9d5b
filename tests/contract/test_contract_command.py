"""`make contract` as a user runs it, against the emulator over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from contract.__main__ import main
from contract.account import SPARK_3, TAG
from contract.page import DIFFERS, HOLDS, NOT_CHECKED, PAGE, RESULTS, Result, merged, render

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
REPOSITORY = TESTS.parent
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(start_seconds=0.0, terminate_seconds=0.0) as running:
        yield running


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of the emulator, and no others."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def the_projects_page_stays() -> Iterator[None]:
    """What the emulator answers is not written into the project's own page."""
    before = PAGE.read_text(), RESULTS.exists()
    yield
    assert before == (PAGE.read_text(), RESULTS.exists())


def arguments(emulator: Emulator, page: Path, *more: str) -> list[str]:
    return [
        "--work-group", "spark", "--region", "eu-west-1",
        "--endpoint-url", emulator.url, "--page", str(page), *more,
    ]  # fmt: skip


def start(emulator: Emulator, page: Path, *more: str) -> subprocess.Popen[str]:
    """Start the command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "contract", *arguments(emulator, page, *more)],
        cwd=TESTS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def another_session(emulator: Emulator) -> str:
    """Start a session that is not of the run."""
    connect: Any = boto3.client  # its overloads take literal names only
    athena = connect("athena", endpoint_url=emulator.url, region_name="eu-west-1")
    request = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 2}}
    return str(athena.start_session(**request, SessionIdleTimeoutInMinutes=480)["SessionId"])


def test_a_whole_run(
    emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Says the cost, tags what it starts, ends it and nothing else, and writes the page."""
    other, page = another_session(emulator), tmp_path / "folder" / "contract.md"
    assert main(arguments(emulator, page, "--yes"), wait_seconds=emulator.advance) == 0
    printed = capsys.readouterr().out
    assert "costs at most 0." in printed
    assert "differs" not in printed.partition("Everything")[2]
    assert [session.session_id for session in emulator.live_sessions()] == [other]
    ours = [session for session in emulator.sessions() if session.session_id != other]
    assert len(ours) > 10
    for session in ours:
        assert str(session.description).startswith("athena-session-provider contract ")
    assert sum(TAG in session.tags for session in ours) > 5
    terminated = {call.session_id for call in emulator.calls("TerminateSession")}
    assert other not in terminated
    row = next(line for line in page.read_text().splitlines() if "| `replay_of_dead`" in line)
    assert f"eu-west-1, {SPARK_3}, at {emulator.url}: dead-session |" in row
    assert "**verified**" not in page.read_text()


def test_without_a_yes_nothing_starts(emulator: Emulator, tmp_path: Path) -> None:
    """Where there is no terminal to ask on, for one."""
    process = start(emulator, tmp_path / "contract.md")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert "Nothing was started." in output
    assert emulator.sessions() == []
    assert not (tmp_path / "contract.md").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("lost", [False, True])
def test_an_interrupted_run_ends_its_sessions(
    emulator: Emulator,
    tmp_path: Path,
    number: signal.Signals,
    lost: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Also one whose start it has not heard of, and after a second Ctrl-C; no other one."""
    other = another_session(emulator)
    emulator.update_settings(start_seconds=600.0, terminate_seconds=600.0)
    if lost:
        # Such a session is in no list for a while.
        emulator.inject("StartSession", "slow-after", seconds=30.0)
        emulator.inject("ListSessions", "access-denied", times=None)
    process = start(emulator, tmp_path / "contract.md", "--yes", "--only", "replay_of_dead")
    deadline = time.monotonic() + 60
    while len(emulator.live_sessions()) < 2:
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    if not lost:
        while len(emulator.calls("GetSessionStatus")) < 1:
            time.sleep(0.05)
    process.send_signal(number)
    time.sleep(0.2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert [session.session_id for session in emulator.live_sessions()] == [other]
    assert len(emulator.sessions()) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "replay_of_ded"], "no clauses replay_of_ded; there are "),
        (["--work-group", "primary"], "which is no Spark"),
        (["--work-group", "absent"], "InvalidRequestException"),
        (["--profile", "absent"], "absent"),
        (["--region", ""], "WORK_GROUP and REGION are required"),
    ],
)
def test_wrong_use_is_one_line(
    emulator: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    """A typo in a name, for one; nothing is started."""
    assert main([*arguments(emulator, tmp_path / "contract.md", "--yes"), *more]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ")
    assert message in captured
    assert captured.count("\n") == 1
    assert emulator.sessions() == []


def test_a_clause_that_differs(
    emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is told with what was answered; the run goes on and fails at its end."""
    emulator.inject("StartSession", "error", code="InvalidRequestException", message="odd", times=3)
    page = tmp_path / "contract.md"
    names = ("unknown_work_group", "another_token")
    code = main(arguments(emulator, page, "--yes", "--only", *names), emulator.advance)
    assert code == 1
    assert "another_token: " in capsys.readouterr().out
    assert "**differs**" in page.read_text()


def test_the_make_target(emulator: Emulator) -> None:
    """Passes its variables on."""
    run = subprocess.run(
        ["make", "-n", "contract", "WORK_GROUP=spark", "REGION=eu-west-1", "PROFILE=me", "YES=1",
         f"ENDPOINT_URL={emulator.url}", "ONLY=replay_of_live replay_of_dead", "PAGE=p.md"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, env={**os.environ},
    )  # fmt: skip
    assert (
        "-m contract --work-group 'spark' --region 'eu-west-1' --profile 'me' --yes "
        f"--endpoint-url '{emulator.url}' --page 'p.md' --only replay_of_live replay_of_dead"
    ) in " ".join(run.stdout.split())


def result(outcome: str, **changes: Any) -> Result:
    given = {"engine": SPARK_3, "region": "eu-west-1", "date": "2026-11-30", **changes}
    return Result(clause="replay_of_dead", outcome=outcome, **given)


def test_results_of_several_runs_are_kept() -> None:
    """A later run replaces what it has checked again, and nothing else."""
    old, other = result(HOLDS, detail="dead-session"), result(HOLDS, engine="another")
    assert merged([old, other], [result(NOT_CHECKED)]) == [old, other]
    new = result(DIFFERS, detail="odd")
    assert merged([old, other], [new]) == [new, other]
    assert merged([result(NOT_CHECKED)], [old]) == [old]


def test_a_verified_clause_on_the_page() -> None:
    """With day, region, engine and answer."""
    page = render([result(HOLDS, detail="dead-session")])
    assert (
        "assumed<br>**verified** on 2026-11-30 in eu-west-1, PySpark engine version 3: "
        "dead-session |"
    ) in page
    assert "1 of them were tried on AWS" in page
