"""Two stacks whose sessions have the same URN, in one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PulumiStack

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine


def test_stacks_of_two_backends_have_a_session_each(stack: PulumiStack, emulator: Emulator) -> None:
    """Project, stack, resource and arguments are equal, and neither stack takes the other's."""
    other = PulumiStack(stack.folder / "other", emulator).init()
    stack.up()
    other.up()
    (first,), (second,) = stack.session_ids(), other.session_ids()
    assert stack.sessions()[0]["urn"] == other.sessions()[0]["urn"]
    assert first != second
    assert sum(call.created_session for call in emulator.calls("StartSession")) == 2
    other.destroy()
    assert [session.session_id for session in emulator.live_sessions()] == [first]
    stack.up("--expect-no-changes")
    stack.destroy()
    assert emulator.live_sessions() == []


def test_one_stack_from_two_folders_has_one_session(stack: PulumiStack, emulator: Emulator) -> None:
    """The backend is what counts: another checkout of the program works on the same session."""
    stack.up()
    (session,) = stack.session_ids()
    stack.succeed("state", "delete", stack.sessions()[0]["urn"], "--yes")
    elsewhere = PulumiStack(stack.folder / "elsewhere", emulator, config=stack.config)
    elsewhere.environment = {
        "PULUMI_BACKEND_URL": (stack.folder / "state").as_uri() + "/",
        "PULUMI_HOME": str(stack.folder / "home"),
    }
    elsewhere.program_folder.mkdir(parents=True)
    for file in stack.program_folder.iterdir():
        if file.is_file():
            (elsewhere.program_folder / file.name).write_bytes(file.read_bytes())
    elsewhere.succeed("stack", "select", "dev")
    elsewhere.up()
    assert stack.session_ids() == [session]
