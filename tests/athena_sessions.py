"""Run the command athena-sessions in a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import EmulatorClient

TIMEOUT_SECONDS = 180


@dataclass
class Ran:
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"exit code {self.exit_code}\n{self.stdout}\nstandard error:\n{self.stderr}"

    def json(self) -> Any:
        """Parse standard output as JSON."""
        return json.loads(self.stdout)


class Command:
    """The command, run in the folder of a stack's program."""

    def __init__(self, stack: PulumiStack) -> None:
        self.stack = stack

    @property
    def backend(self) -> str:
        """The address of the stack's backend."""
        return self.stack.env()["PULUMI_BACKEND_URL"]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "athena_session_provider", *arguments],
            cwd=self.stack.program_folder,
            env={**self.stack.env(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(
        self, *arguments: str, exit_code: int = 0, stdin: str = "", **environment: str
    ) -> Ran:
        """Run the command, and assert its exit code and that it printed no traceback."""
        process = self.start(*arguments, **environment)
        ran = finish(process, stdin)
        assert ran.exit_code == exit_code, ran
        assert "Traceback" not in ran.stderr, ran
        return ran


def finish(process: subprocess.Popen[str], stdin: str = "") -> Ran:
    """Wait for a started command, and return its result."""
    stdout, stderr = process.communicate(stdin, timeout=TIMEOUT_SECONDS)
    return Ran(process.returncode, stdout, stderr)


def live_ids(emulator: EmulatorClient) -> list[str]:
    """Return the ids of the sessions that are running."""
    return [session.session_id for session in emulator.live_sessions()]


def kill_all_of(process: subprocess.Popen[str]) -> None:
    """Kill the command and all its descendants, as the timeout of a CI system does."""
    session = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, session.splitlines())}
    doomed = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    # Stop all of them first, so that none can clean up after another one is killed.
    for kill in (signal.SIGSTOP, signal.SIGKILL):
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, kill)
    process.communicate()
