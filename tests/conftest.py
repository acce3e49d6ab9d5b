"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator whose sessions start and end at once."""
    with Emulator(start_seconds=0.0, terminate_seconds=0.0) as running:
        yield running
