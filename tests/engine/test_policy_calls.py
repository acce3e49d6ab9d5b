"""The policy of the role that runs Pulumi, against the calls that a life of a stack makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from athena_session_provider.resources.iam import session_policy

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

PROGRAM = """
from athena_session_provider import Session

for number in range({count}):
    Session(f"session-{{number}}", work_group="spark", description="ours", tags={tags})
"""


def test_every_permission_is_used_and_none_is_missing(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """Several sessions, changed tags, a refresh, an end, one alone, a work group of the wrong kind.

    That no other operation is called anywhere, a unit test tells from the code.
    """
    emulator.update_settings(start_seconds=1.0)
    first = PROGRAM.format(count=3, tags={"team": "data", "stage": "dev"})
    stack.write(first)
    stack.up()
    stack.write(PROGRAM.format(count=3, tags={"team": "web"}))
    stack.up()
    stack.refresh()
    stack.destroy()
    # One that waits alone asks for itself.
    stack.write(PROGRAM.format(count=1, tags={"team": "web"}))
    stack.up()
    stack.destroy()
    stack.write(f'{first}\nSession("sql", work_group="primary")\n')
    assert "is not Spark" in stack.up_fails().output
    stack.destroy()

    allowed = {
        action
        for statement in session_policy("arn:aws:athena:*:*:workgroup/*")["Statement"]
        for action in statement["Action"]
    }
    called = {(call.service, call.operation) for call in emulator.calls()}
    # Asking STS for the account takes no permission.
    assert called - {("sts", "GetCallerIdentity")} == {
        tuple(action.split(":")) for action in allowed
    }
