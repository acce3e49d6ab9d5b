"""The programs in examples/ do what they say, with the real Pulumi CLI."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pulumi_stack import REPOSITORY, PulumiStack

if TYPE_CHECKING:
    from pathlib import Path

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

EXAMPLES = REPOSITORY / "examples"


def stack_of(example: str, folder: Path, emulator: Emulator, **config: Any) -> PulumiStack:
    """Copy an example, as a user does, and give it a stack."""
    stack = PulumiStack(folder, emulator, project=example).init("")
    shutil.copytree(EXAMPLES / example, stack.program_folder, dirs_exist_ok=True)
    service = {"athena": emulator.url, "sts": emulator.url, "s3": emulator.url}
    mine = {f"{example}:{key}": value for key, value in {"workgroup": "spark", **config}.items()}
    stack.configure({"aws:endpoints": [service], **mine})
    return stack


def test_one_session(tmp_path: Path, emulator: Emulator) -> None:
    """The simplest program: one session, with an idle timeout and a tag."""
    stack = stack_of("one-session", tmp_path, emulator)
    stack.up()
    (session,) = emulator.live_sessions()
    assert stack.outputs() == {"session_id": session.session_id, "state": "IDLE"}
    assert session.tags["team"] == "data"
    stack.destroy()
    assert emulator.live_sessions() == []


def test_a_session_for_each_team(tmp_path: Path, emulator: Emulator) -> None:
    """Each has its own Spark properties, and only the team that leaves loses its session."""
    ingest = {"dpus": 8, "spark": {"spark.sql.shuffle.partitions": 64}}
    stack = stack_of("teams", tmp_path, emulator, teams={"ingest": ingest, "report": {}})
    stack.up()
    ids = stack.outputs()["session_ids"]
    engines = {
        team: emulator.session(session_id).parameters["EngineConfiguration"]
        for team, session_id in ids.items()
    }
    assert engines == {
        "ingest": {
            "MaxConcurrentDpus": 8,
            "SparkProperties": {"spark.app.name": "ingest", "spark.sql.shuffle.partitions": "64"},
        },
        "report": {"MaxConcurrentDpus": 4, "SparkProperties": {"spark.app.name": "report"}},
    }
    stack.configure({"teams:teams": {"ingest": ingest}})
    stack.up()
    assert stack.outputs()["session_ids"] == {"ingest": ids["ingest"]}
    assert [session.session_id for session in emulator.live_sessions()] == [ids["ingest"]]


def test_a_calculation_runs_once_the_session_is_up(tmp_path: Path, emulator: Emulator) -> None:
    """Its output is the stack's; it runs again for other code, and not otherwise."""
    stack = stack_of("calculation", tmp_path, emulator)
    stack.up()
    (session,) = emulator.live_sessions()
    assert stack.outputs() == {"session_id": session.session_id, "printed": "45\n"}
    stack.succeed("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert len(emulator.calls("StartCalculationExecution")) == 1
    stack.configure({"calculation:code": "print(1)"})
    stack.up()
    assert stack.outputs() == {"session_id": session.session_id, "printed": "1\n"}
    stack.configure({"calculation:code": "1 / 0"})
    assert "ZeroDivisionError" in stack.up_fails().output


@pytest.fixture
def policy_pack(tmp_path: Path) -> str:
    """Start the pack as a program.

    A Pulumi of one's own takes the folder. The language host that `make engine` builds is the last
    one that is published as a module, and starts policy packs in the wrong folder.
    """
    pack = tmp_path / "policy"
    shutil.copytree(EXAMPLES / "policy-as-code", pack)
    program = pack / "run"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{pack}" "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_the_policy_pack_lets_cheap_sessions_pass(
    tmp_path: Path, emulator: Emulator, policy_pack: str
) -> None:
    """4 DPUs and 30 idle minutes are within the bounds."""
    stack = stack_of("one-session", tmp_path, emulator)
    stack.up("--policy-pack", policy_pack)
    assert len(emulator.live_sessions()) == 1


def test_the_policy_pack_refuses_expensive_sessions(
    tmp_path: Path, emulator: Emulator, policy_pack: str
) -> None:
    """What is over a bound is told in preview, and nothing is started."""
    stack = stack_of("one-session", tmp_path, emulator)
    program = stack.program_folder / "__main__.py"
    program.write_text(
        program.read_text()
        .replace('"max_concurrent_dpus": 4', '"max_concurrent_dpus": 21')
        .replace("=30", "=61")
    )
    output = stack.fail("up", "--yes", "--policy-pack", policy_pack).output
    assert "max_concurrent_dpus is 21; 20 are allowed." in output
    assert "session_idle_timeout_in_minutes is 61; 60 are allowed." in output
    assert emulator.calls("StartSession") == []
