"""What an interrupted create has started, the next command ends, whichever it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import fault_matrix
import pytest
from leftover_stack import CUT, HEAD, KEPT, YES, LeftoverStack, run_next
from pulumi_stack import PulumiStack, wait_until

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine


@pytest.fixture
def cut(stack: PulumiStack, emulator: Emulator) -> LeftoverStack:
    """A stack whose next up is to be cut off."""
    return LeftoverStack(stack, emulator)


@pytest.mark.parametrize(
    ("how", "command"),
    [
        pytest.param(
            *cell, marks=[] if cell in fault_matrix.REPRESENTATIVE else [pytest.mark.matrix]
        )
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


def test_identity_is_stored_before_a_session_starts(cut: LeftoverStack) -> None:
    """When the first StartSession is sent, the state on the disk has the identity of its mark."""
    cut.emulator.inject("StartSession", "slow", seconds=5.0)
    cut.stack.write(HEAD + CUT)
    command = cut.stack.start("up", *YES)
    wait_until(lambda: cut.emulator.calls("StartSession"))
    (identity,) = cut.stack.identities()
    assert cut.live() == []
    assert cut.stack.finish(command).exit_code == 0
    (call,) = cut.emulator.calls("StartSession")
    assert f"[athena-session-provider {identity}/" in call.parameters["Description"]


def test_state_moves_to_another_backend_and_folder(cut: LeftoverStack) -> None:
    """The stack keeps its sessions, and ends the leftover of the create that was cut off before."""
    cut.cut_off()
    export = cut.stack.folder / "export.json"
    export.write_text(cut.stack.stdout("stack", "export"))
    moved = PulumiStack(cut.stack.folder / "moved", cut.emulator).init(cut.stack.program())
    moved.succeed("stack", "import", "--file", str(export))
    moved.write(HEAD + KEPT + "session('cut', 16)\n")
    moved.up()
    assert set(cut.kept) < set(cut.live())
    assert sorted(moved.session_ids()) == cut.live()
    moved.destroy()
    assert cut.live() == []
