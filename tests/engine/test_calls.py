"""How many API calls the commands of the real engine make."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

COUNT = 8

PROGRAM = f"""
from athena_session_provider import Session

for number in range({COUNT}):
    Session(f"session-{{number}}", work_group="spark",
            engine_configuration={{"max_concurrent_dpus": 4}})
"""

POLLING = ("ListSessions", "GetSessionStatus")
"""Calls whose number depends on how long the sessions and the machine take."""


def test_calls_of_up_and_of_redeployments(stack: PulumiStack, emulator: Emulator) -> None:
    """One call if nothing changes; two for each session that starts, the hundredth time, too."""
    stack.write(PROGRAM)
    for _ in range(2):
        emulator.clear_calls()
        stack.up("--parallel", "16")
        calls = Counter(call.operation for call in emulator.calls())
        for operation in POLLING:
            del calls[operation]
        assert calls == {"GetCallerIdentity": 1, "StartSession": COUNT, "TagResource": COUNT}

        emulator.clear_calls()
        stack.up("--parallel", "16", "--expect-no-changes")
        assert [call.operation for call in emulator.calls()] == ["ListSessions"]
        stack.destroy("--parallel", "16")
