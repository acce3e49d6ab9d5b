"""Fixtures for all tests."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator whose sessions start and end at once, by way of every state; no quota."""
    with Emulator(
        start_seconds=0.0,
        terminate_seconds=0.0,
        start_session_state="CREATING",
        engine_3_account_dpus=None,
        on_demand_dpus=None,
    ) as running:
        yield running


RUN = "ATHENA_SESSION_PROVIDER_TEST_RUN"
"""Environment variable that all processes of a test run inherit."""

ENDING_SECONDS = 20.0
"""How long the processes of the last test may take to end."""


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """No engine, provider or emulator that a test started outlives the test run."""
    os.environ[RUN] = str(os.getpid())
    yield
    give_up_at = time.monotonic() + ENDING_SECONDS
    while (left := processes_with(RUN, str(os.getpid()))) and time.monotonic() < give_up_at:
        time.sleep(0.2)
    assert left == [], "processes of this test run are left"


def processes_with(variable: str, value: str) -> list[str]:
    """Return the command lines of the processes that were started with a variable."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if "multiprocessing.resource_tracker" not in command:  # ends with the test run
                    found.append(f"{folder.name}: {command}")
    return found
