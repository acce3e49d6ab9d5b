"""Fixtures for the tests with the real Pulumi CLI."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PulumiStack

if TYPE_CHECKING:
    from pathlib import Path

    from athena_session_provider.emulator import Emulator


@pytest.fixture(scope="session", autouse=True)
def pulumi_cli() -> None:
    """The CLI is part of the set-up; a test without it fails, and is not skipped."""
    assert shutil.which("pulumi"), "no `pulumi` on PATH: run the tests by `make test`"


@pytest.fixture
def stack(tmp_path: Path, emulator: Emulator) -> PulumiStack:
    """A new stack with the program of one session."""
    return PulumiStack(tmp_path, emulator).init()
