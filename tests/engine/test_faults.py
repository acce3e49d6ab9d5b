"""Faults at every API call: the second command repairs whatever the first one left.

Each operation's cells (see fault_matrix.py) share one stack: one session for each cell, in a work
group of its own, by which the emulator tells the cells apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fault_matrix
import pytest
from cell_stack import CELLS_PROGRAM, PARALLEL, TOGETHER, CellStack, declare, repaired
from fault_matrix import LASTING, fault_cells

from athena_session_provider.emulator import Emulator
from athena_session_provider.service.ownership import CREATE_TAG, FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulumi_stack import PulumiStack

pytestmark = pytest.mark.engine


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator whose sessions take a while, so that there is something to wait for."""
    with Emulator(
        start_seconds=2.0,
        terminate_seconds=1.0,
        start_session_state="CREATING",
        engine_3_account_dpus=None,
    ) as running:
        yield running


@pytest.fixture
def cells(stack: PulumiStack, emulator: Emulator) -> CellStack:
    """A stack without sessions yet."""
    stack.write(CELLS_PROGRAM)
    return CellStack(stack, emulator)


def every_fault_fired(emulator: Emulator) -> None:
    """Assert that no cell was passed by: each fault that was ordered has happened."""
    idle = [fault for fault in emulator.faults() if not fault["fired"]]
    assert idle == []


def test_faults_while_creating(cells: CellStack, emulator: Emulator) -> None:
    """After the next up one live session runs for each resource, and the state names it."""
    wanted = fault_cells("create")
    declare(cells, wanted)
    # So long that the two sessions of a cell are waited for at the same time.
    emulator.update_settings(start_seconds=6.0)
    for session in cells.sessions:
        if session.name.endswith("-0"):
            cells.inject(session.cell.place, session, session.cell.fault)
    first = cells.stack.run("up", "--yes", "--skip-preview", *TOGETHER)
    assert "Traceback" not in first.output, first
    every_fault_fired(emulator)
    between = {cell: cells.live_of(cell) for cell in wanted}
    known = {cell: cells.state_of(cell) for cell in wanted}
    emulator.clear_faults()
    cells.stack.up(*TOGETHER)
    rows = []
    for cell in wanted:
        count = len(cells.of(cell))
        succeeded = len(known[cell]) == count
        row = repaired(
            cells, cell, "succeeded" if succeeded else "failed", len(between[cell]), count
        )
        # The state never names a session that does not run, and a start that succeeded is the
        # only one.
        assert set(known[cell]) <= set(between[cell]), row
        again = cell[1:] == ("TagResource", "refused")  # without tags
        assert row.starts == count + again if succeeded else row.starts <= 2 * count, row
        # What is left over by a first command that failed is what the second one takes up.
        assert set(between[cell]) <= set(cells.live_of(cell)), row
        rows.append(row)
    passing = [row for row in rows if row.cell.fault not in LASTING]
    assert [row for row in passing if row.first != "succeeded"] == []
    # A session whose id is known is ended by the create that gives up.
    leftover = [cell for cell in wanted if set(between[cell]) - set(known[cell])]
    assert {cell.place for cell in leftover} <= {"StartSession"}, leftover
    cells.stack.destroy(*TOGETHER)
    assert emulator.live_sessions() == []
    fault_matrix.keep("create", rows)


def test_faults_while_updating(cells: CellStack, emulator: Emulator) -> None:
    """After the next up the session, still the same, has the tags that the program gives it."""
    wanted = fault_cells("update")
    declare(cells, wanted)
    for session in cells.sessions:
        session.tags = {"keep": "1", "old": "1"}
    cells.write()
    cells.stack.up(*TOGETHER)
    before = cells.in_state()
    for session in cells.sessions:
        tagging = session.cell.place == "TagResource"
        session.tags = {"keep": "2", "old": "1"} if tagging else {"keep": "1"}
        cells.inject(session.cell.place, session, session.cell.fault)
    cells.write()
    first = cells.stack.run("up", "--yes", "--skip-preview", *TOGETHER)
    assert "Traceback" not in first.output, first
    every_fault_fired(emulator)
    changed = {
        item["urn"].rpartition("::")[2]: item["outputs"].get("tags")
        for item in cells.stack.sessions()
    }
    emulator.clear_faults()
    cells.stack.up(*TOGETHER)
    assert cells.in_state() == before
    rows = []
    for cell in wanted:
        (session,) = cells.of(cell)
        (record,) = cells.records(session)
        assert record.tags == {**session.tags, CREATE_TAG: FINISHED}
        succeeded = changed[session.name] == session.tags
        rows.append(repaired(cells, cell, "succeeded" if succeeded else "failed", 1, 1))
        assert rows[-1].starts == 1
        assert succeeded or cell.fault in LASTING
    fault_matrix.keep("update", rows)


def test_faults_while_reading(cells: CellStack, emulator: Emulator) -> None:
    """A refresh forgets the sessions that have ended, and never one that runs."""
    wanted = fault_cells("read")
    declare(cells, wanted, per_cell=2)
    cells.stack.up(*TOGETHER)
    alive = end_every_second(cells)
    for session in cells.sessions:
        for name in ("alive", "dead"):
            if session.name.endswith(f"-{('alive', 'dead').index(name)}"):
                (record,) = cells.records(session)
                cells.inject(
                    "GetSession", session, session.cell.fault, session_id=record.session_id
                )
    first = cells.stack.run("refresh", "--yes", "--skip-preview", *PARALLEL)
    assert "Traceback" not in first.output, first
    every_fault_fired(emulator)
    known = {cell: cells.state_of(cell) for cell in wanted}
    between = {cell: cells.live_of(cell) for cell in wanted}
    emulator.clear_faults()
    cells.stack.refresh()
    rows = []
    for cell in wanted:
        succeeded = known[cell] == between[cell]
        assert set(between[cell]) <= set(known[cell]), cell
        first_result = "succeeded" if succeeded else "failed"
        rows.append(repaired(cells, cell, first_result, len(between[cell]), 1))
        assert rows[-1].starts == 2
        assert succeeded or cell.fault in LASTING
    assert {session.session_id for session in emulator.live_sessions()} == alive
    fault_matrix.keep("read", rows)


def end_every_second(cells: CellStack) -> set[str]:
    """Kill the second session of each cell; give the ids of the others."""
    for session in cells.sessions:
        if session.name.endswith("-1"):
            (record,) = cells.records(session)
            cells.emulator.set_state(record.session_id, "TERMINATED", "Session killed")
    return {session.session_id for session in cells.emulator.live_sessions()}


def test_faults_while_comparing(cells: CellStack, emulator: Emulator) -> None:
    """A preview that cannot tell says so; the next up starts the dead again, and no other."""
    wanted = fault_cells("diff")
    declare(cells, wanted, per_cell=2)
    cells.stack.up(*TOGETHER)
    alive = end_every_second(cells)
    for session in cells.sessions:
        if session.name.endswith("-0"):
            cells.inject(session.cell.place, session, session.cell.fault)
    first = json.loads(cells.stack.stdout("preview", "--json", *PARALLEL))
    every_fault_fired(emulator)
    steps = {step["urn"].rpartition("::")[2]: step["op"] for step in first["steps"]}
    between = {cell: cells.live_of(cell) for cell in wanted}
    emulator.clear_faults()
    cells.stack.up(*TOGETHER)
    rows = []
    for cell in wanted:
        living, dead = cells.of(cell)
        # A preview lists the steps that change something.
        assert steps.get(living.name, "same") == "same", cell
        told = steps.get(dead.name, "same") != "same"
        assert told or cell.fault in LASTING or cell.fault == "throttled 20 times", cell
        rows.append(
            repaired(cells, cell, "succeeded" if told else "could not tell", len(between[cell]), 2)
        )
        assert rows[-1].starts == 3
    assert alive <= {session.session_id for session in emulator.live_sessions()}
    fault_matrix.keep("diff", rows)


def test_faults_while_deleting(cells: CellStack, emulator: Emulator) -> None:
    """What destroy has taken out of the state has ended; after the next one nothing runs."""
    wanted = fault_cells("delete")
    declare(cells, wanted)
    cells.stack.up(*TOGETHER)
    for session in cells.sessions:
        cells.inject(session.cell.place, session, session.cell.fault)
    first = cells.stack.run("destroy", "--yes", "--skip-preview", *TOGETHER)
    assert "Traceback" not in first.output, first
    every_fault_fired(emulator)
    known = {cell: cells.state_of(cell) for cell in wanted}
    between = {cell: cells.live_of(cell) for cell in wanted}
    emulator.clear_faults()
    cells.stack.destroy(*TOGETHER)
    rows = []
    for cell in wanted:
        succeeded = not known[cell]
        assert set(between[cell]) <= set(known[cell]), cell
        assert succeeded or cell.fault in LASTING, (cell, first)
        first_result = "succeeded" if succeeded else "failed"
        rows.append(repaired(cells, cell, first_result, len(between[cell]), 0))
        assert rows[-1].starts == 1
    assert emulator.live_sessions() == []
    fault_matrix.keep("delete", rows)


def test_the_page_has_every_cell() -> None:
    """The page in docs has exactly the cells of the matrix, each once."""
    text = fault_matrix.PAGE.read_text()
    assert fault_matrix.cells_of_page(text) == fault_matrix.all_cells()
    shown = fault_matrix.next_cells_of_page(text)
    assert shown == [cell for cell in fault_matrix.next_cells() if cell in shown]
    assert set(fault_matrix.REPRESENTATIVE) <= set(shown)
