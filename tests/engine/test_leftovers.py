"""What an interrupted create has started, the next command ends, whichever it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import fault_matrix
import pytest
from leftover_stack import LeftoverStack, run_next

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

REPRESENTATIVE = {
    ("kill", "up, other size"),
    ("kill", "up, renamed with alias"),
    ("kill", "up, other work group of one"),
    ("kill", "destroy"),
    ("kill", "destroy --target, of another"),
    ("expired credentials", "up, removed"),
}
"""The cells of the second table that `make test` runs; `make fault-matrix` runs all."""


@pytest.fixture
def cut(stack: PulumiStack, emulator: Emulator) -> LeftoverStack:
    """A stack whose next up is to be cut off."""
    return LeftoverStack(stack, emulator)


@pytest.mark.parametrize(
    ("how", "command"),
    [
        pytest.param(*cell, marks=[] if cell in REPRESENTATIVE else [pytest.mark.matrix])
        for cell in fault_matrix.next_cells()
    ],
)
def test_next_command_leaves_nothing(cut: LeftoverStack, how: str, command: str) -> None:
    """Neither after the next command, nor after a destroy at last."""
    cut.cut_off(how=how)
    left_over = len(cut.live()) - len(cut.kept)
    named = run_next(cut, command)
    row = fault_matrix.NextRow(
        how, command, left_over, len(cut.live()), len(set(cut.live()) - named)
    )
    assert left_over == 1
    assert row.unnamed == 0
    fault_matrix.keep(re.sub(r"\W+", "-", f"next {how} {command}"), [row])
    cut.stack.destroy()
    assert set(cut.live()) <= named
    assert cut.stack.session_ids() == []


@pytest.mark.parametrize(
    "command",
    [
        "up, other size",
        pytest.param("up, same", marks=pytest.mark.matrix),
        pytest.param("up, both removed", marks=pytest.mark.matrix),
        pytest.param("destroy", marks=pytest.mark.matrix),
    ],
)
def test_next_command_after_the_first_up_leaves_nothing(cut: LeftoverStack, command: str) -> None:
    """The identity is in the state already when the stack's first session starts."""
    cut.cut_off(base="")
    run_next(cut, command)
    cut.stack.destroy()
    assert cut.live() == []
