"""The provider's process ends with its engine, however signals are set."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from leftover_stack import YES
from pulumi_stack import PulumiStack, end_language_host, processes_of, wait_until

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

STARTED_BY = {
    "with SIGINT and SIGTERM ignored": "trap '' INT TERM; exec {command}",
    "with nohup": "exec nohup {command}",
    "in the background of a shell": "{command} & wait",
}


@pytest.mark.parametrize("how", STARTED_BY)
def test_provider_ends_with_its_engine(stack: PulumiStack, emulator: Emulator, how: str) -> None:
    """The engine is killed in a create: the provider ends its session, and itself."""
    emulator.update_settings(start_seconds=60.0)
    shell = subprocess.Popen(
        [
            "sh",
            "-c",
            STARTED_BY[how].format(command=f"pulumi up {' '.join(YES)} --non-interactive"),
        ],
        cwd=stack.program_folder,
        env=stack.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(emulator.calls("GetSessionStatus")) > 1)
    providers = processes_of(shell.pid, "pulumi.dynamic")
    assert len(providers) == 1
    for engine in engines_of(shell.pid):
        os.kill(engine, signal.SIGKILL)
    shell.wait()
    wait_until(lambda: not any(Path(f"/proc/{provider}").exists() for provider in providers), 30)
    end_language_host(shell.pid)
    assert emulator.live_sessions() == []


def engines_of(session: int) -> list[int]:
    """Return the pulumi processes of a session of processes."""
    return [
        pid
        for pid in processes_of(session, "up")
        if Path(f"/proc/{pid}/exe").resolve().name == "pulumi"
    ]
