"""What an interrupted create has started, the next command ends, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from leftover_stack import COMMANDS, LeftoverStack, run_next

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine


@pytest.fixture
def cut(stack: PulumiStack, emulator: Emulator) -> LeftoverStack:
    """A stack whose next up is to be cut off."""
    return LeftoverStack(stack, emulator)


@pytest.mark.parametrize("command", COMMANDS)
def test_next_command_leaves_nothing(cut: LeftoverStack, command: str) -> None:
    """After a kill of the engine and the provider at once."""
    cut.cut_off()
    run_next(cut, command)
    cut.stack.destroy()
    assert cut.live() == []
    assert cut.stack.session_ids() == []


@pytest.mark.parametrize("command", ["up, same", "up, other size", "up, both removed", "destroy"])
def test_next_command_after_the_first_up_leaves_nothing(cut: LeftoverStack, command: str) -> None:
    """The identity is in the state already when the stack's first session starts."""
    cut.cut_off(base="")
    run_next(cut, command)
    cut.stack.destroy()
    assert cut.live() == []
