"""Fixtures for all tests."""

from __future__ import annotations

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
