"""A stack's whole life by the real engine, where the service's states and tokens may differ."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from contract.account import SPARK_3, SPARK_35
from contract.behaviours import WORK_GROUPS, combinations
from pulumi_stack import PROGRAM, PulumiStack

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

STATES_AND_TOKENS = (
    "start_session_state",
    "ready_state_3_5",
    "replay_of_dead",
    "engine_3_tags",
    "unknown_session_error",
    "unknown_session_text",
    "session_retention_seconds",
    "session_of_deleted_work_group",
    "get_session_members",
    "idle_since_of_ended",
    "endpoint_without_token",
)
"""The variants that the life of a stack touches."""
DRAWN = [
    {name: value for name, value in drawn.items() if name in STATES_AND_TOKENS}
    for drawn in combinations(4)
]
CASES: list[tuple[str, dict[str, Any]]] = [
    (SPARK_3, {}),
    (SPARK_35, {}),
    (SPARK_35, {"ready_state_3_5": "IDLE", "replay_of_dead": "SessionAlreadyExistsException"}),
    (SPARK_3, {"replay_of_dead": "SessionAlreadyExistsException", "engine_3_tags": "refused"}),
    (SPARK_3, {"replay_of_dead": "new-session", "session_retention_seconds": 0.0}),
    (SPARK_3, {"session_retention_seconds": 0.0, "unknown_session_text": "other"}),
    *((engine, drawn) for engine, drawn in zip([SPARK_3, SPARK_35] * 2, DRAWN, strict=True)),
]


@pytest.fixture(scope="session", autouse=True)
def pulumi_cli() -> None:
    """The CLI is part of the set-up; a test without it fails, and is not skipped."""
    assert shutil.which("pulumi"), "no `pulumi` on PATH: run the tests by `make test`"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator with the quotas and the states of a new account."""
    with Emulator(start_seconds=1.0, terminate_seconds=0.5) as running:
        yield running


@pytest.mark.parametrize(
    ("engine", "changes"),
    CASES,
    ids=[f"{WORK_GROUPS[engine]}-{number}" for number, (engine, _) in enumerate(CASES)],
)
def test_the_life_of_a_stack(
    tmp_path: Path, emulator: Emulator, engine: str, changes: dict[str, Any]
) -> None:
    """Up, up again, refresh, the session ends by itself, up, destroy, up, destroy.

    At each step one session runs and the state names it, or none does.
    """
    emulator.update_settings(**changes)
    program = PROGRAM.replace('work_group="spark"', f'work_group="{WORK_GROUPS[engine]}"')
    stack = PulumiStack(tmp_path, emulator).init(program)

    def live() -> list[str]:
        return [session.session_id for session in emulator.live_sessions()]

    stack.up()
    (first,) = stack.session_ids()
    assert live() == [first]
    stack.up()
    stack.refresh()
    assert stack.session_ids() == live() == [first]

    emulator.advance(3600.0)
    assert live() == []
    stack.up()
    (second,) = stack.session_ids()
    assert live() == [second] != [first]

    stack.destroy()
    assert stack.session_ids() == live() == []
    stack.up()
    (third,) = stack.session_ids()
    assert live() == [third]
    assert third not in (first, second)

    stack.destroy()
    assert stack.session_ids() == live() == []
