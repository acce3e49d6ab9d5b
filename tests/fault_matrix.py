"""The fault matrix: which cells it has, and the page that shows how each of them went.

The tests of test_faults.py run the cells. With FAULT_MATRIX_DIR set, each of them also leaves its
rows there, and `python tests/fault_matrix.py FOLDER` makes the page of them (see the target
`fault-matrix` of the Makefile).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from leftover_stack import COMMANDS
from leftover_stack import INTERRUPTIONS as CUTS

PAGE = Path(__file__).parent.parent / "docs" / "fault-matrix.md"

FAULTS: dict[str, dict[str, Any]] = {
    "closed before it acts": {"kind": "drop-before"},
    "response lost": {"kind": "drop-after"},
    "throttled once": {"kind": "throttle"},
    "throttled 20 times": {"kind": "throttle", "times": 20},
    "500": {"kind": "error"},
    "500 though it acted": {"kind": "error-after"},
    "connection reset": {"kind": "reset"},
    "slow beyond the read timeout": {"kind": "slow", "seconds": 12.0},
    "slow though it acted": {"kind": "slow-after", "seconds": 12.0},
    "500 every time": {"kind": "error", "times": None},
    "response lost every time": {"kind": "drop-after", "times": None},
    "refused": {"kind": "access-denied", "times": None},
}
"""What happens to a call, by its name on the page; the arguments are those of `inject`."""

LASTING = frozenset(name for name, fault in FAULTS.items() if fault.get("times", 1) is None)
"""The faults that last as long as the first command runs."""

CALLS = {
    "create": (
        "StartSession",
        "GetSessionStatus",
        "ListSessions",
        "GetSession",
        "GetCallerIdentity",
        "TagResource",
    ),
    "update": ("TagResource", "UntagResource"),
    "read": ("GetSession",),
    "diff": ("ListSessions", "GetSessionStatus"),
    "delete": ("TerminateSession", "GetSessionStatus"),
}
"""The API calls that each of the provider's operations makes."""

INTERRUPTIONS = (
    "kill -9 of the provider",
    "kill -9 of the engine",
    "SIGINT once, to the terminal's processes",
    "SIGINT once, to the CLI alone",
    "SIGINT twice, to the terminal's processes",
    "SIGINT twice, to the CLI alone",
)

MOMENTS = {
    "create": ("StartSession sent, not acted on", "StartSession acted on, not answered", "waiting"),
    "replace": ("ending the old session", "waiting for the new one"),
    "delete": ("TerminateSession sent, not acted on", "waiting"),
}
"""Where an interruption finds each operation."""


class Cell(NamedTuple):
    """One cell: during which operation, at which call or moment, what goes wrong."""

    operation: str
    place: str
    fault: str


@dataclass(frozen=True)
class Row:
    """How a cell went, by the emulator's records."""

    cell: Cell
    first: str
    """What the first command, with the fault, made of it."""
    live_between: int
    """Live sessions of this resource after the first command."""
    starts: int
    """StartSession calls that created something, in both commands."""
    live: int
    """Live sessions after the second command, without the fault."""
    equal: bool
    """Whether the state then names exactly the live sessions."""


@dataclass(frozen=True)
class NextRow:
    """How a command went that followed an interrupted create, by the emulator's records."""

    interruption: str
    command: str
    left_over: int
    """Live sessions that no state named after the interruption."""
    live: int
    """Live sessions after the command."""
    unnamed: int
    """Those of them that the state does not name."""


def next_cells() -> list[tuple[str, str]]:
    """Return every interruption with every next command, in the order of the page."""
    return [(interruption, command) for interruption in CUTS for command in COMMANDS]


REPRESENTATIVE = [
    ("kill", "up, other size"),
    ("kill", "up, renamed with alias"),
    ("kill", "up, other work group of one"),
    ("kill", "destroy"),
    ("kill", "destroy --target, of another"),
    ("expired credentials", "up, removed"),
]
"""Those that `make test` runs; `make fault-matrix` runs all."""


def fault_cells(operation: str) -> list[Cell]:
    """Return the cells of an operation's calls."""
    return [Cell(operation, call, fault) for call in CALLS[operation] for fault in FAULTS]


def interruption_cells(interruption: str) -> list[Cell]:
    """Return the cells of a kill or signal."""
    return [
        Cell(operation, moment, interruption)
        for operation, moments in MOMENTS.items()
        for moment in moments
    ]


def all_cells() -> list[Cell]:
    """Return every cell, in the order of the page."""
    cells = [cell for operation in CALLS for cell in fault_cells(operation)]
    return cells + [cell for name in INTERRUPTIONS for cell in interruption_cells(name)]


def keep(name: str, rows: list[Row] | list[NextRow]) -> None:
    """Leave the rows of one test for the page, where that is asked for."""
    if folder := os.environ.get("FAULT_MATRIX_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps([asdict(row) for row in rows])
        (Path(folder) / f"{name}.json").write_text(text)


HEAD = """\
# What happens when something goes wrong

Generated by `make fault-matrix` from runs of the real Pulumi engine; do not edit. Each row is one
session of a stack on which a command ran twice: first with the fault, then without. The figures
come from the emulator's log of API calls.

- **first command**: the result of the operation in the command with the fault.
- **live between**: live sessions of the resource after that command.
- **starts**: StartSession calls that started a session, in both commands.
- **live after**: live sessions after the second command. In every row these are exactly the
  sessions in the state; otherwise `test_faults.py` fails.

Rows of create at ListSessions, and of read and diff, have two sessions: a session that waits alone
does not call ListSessions, and read and diff are tested with one live session and one that ended
before the first command.

| operation | at | fault | first command | live between | starts | live after |
|---|---|---|---|---:|---:|---:|
"""


NEXT_HEAD = """
## The next command

`make fault-matrix` runs every interruption with every next command; the table has those of the last
run. Here the first command is an `up` that is cut off while it waits for the session of one
resource, `cut`. The state names another session, `kept`, by then. Then comes one command of another
kind.

- **left over**: live sessions that no state names after the interruption.
- **live after**: live sessions after the next command.
- **unnamed**: those of them that the state does not name. `test_leftovers.py` fails unless it is 0.
  Where `pulumi state delete` took `kept` out of the state on purpose, it does not count.

| interruption | next command | left over | live after | unnamed |
|---|---|---:|---:|---:|
"""


def page(rows: list[Row], next_rows: list[NextRow]) -> str:
    """Return the page; raises ValueError where rows are missing, double or bad."""
    by_cell = {row.cell: row for row in rows}
    if len(by_cell) != len(rows) or set(by_cell) != set(all_cells()):
        message = f"the rows are not those of the matrix: {set(by_cell) ^ set(all_cells())}"
        raise ValueError(message)
    by_next = {(row.interruption, row.command): row for row in next_rows}
    if len(by_next) != len(next_rows) or not set(REPRESENTATIVE) <= set(by_next):
        message = f"rows of next commands are missing: {set(REPRESENTATIVE) - set(by_next)}"
        raise ValueError(message)
    bad = [row for row in rows if not row.equal] + [row for row in next_rows if row.unnamed]
    if bad:
        message = f"the state is wrong in {bad}"
        raise ValueError(message)
    lines = [
        f"| {' | '.join(cell)} | {row.first} | {row.live_between} | {row.starts} | {row.live} |"
        for cell, row in ((cell, by_cell[cell]) for cell in all_cells())
    ]
    next_lines = [
        f"| {row.interruption} | {row.command} | {row.left_over} | {row.live} | {row.unnamed} |"
        for row in (by_next[cell] for cell in next_cells() if cell in by_next)
    ]
    return HEAD + "\n".join(lines) + "\n" + NEXT_HEAD + "\n".join(next_lines) + "\n"


def next_cells_of_page(text: str) -> list[tuple[str, str]]:
    """Read the cells of the second table back from the page."""
    _, _, second = text.partition(NEXT_HEAD)
    cells = [line.split("|")[1:3] for line in second.splitlines() if line.startswith("| ")]
    return [(interruption.strip(), command.strip()) for interruption, command in cells]


def cells_of_page(text: str) -> list[Cell]:
    """Read the cells back from the page."""
    first, *_ = text.split(NEXT_HEAD)
    lines = [line for line in first.splitlines() if line.startswith("| ")][1:]
    return [Cell(*(part.strip() for part in line.split("|")[1:4])) for line in lines]


if __name__ == "__main__":
    found: list[Row] = []
    found_next: list[NextRow] = []
    for file in sorted(Path(sys.argv[1]).glob("*.json")):
        for row in json.loads(file.read_text()):
            if "cell" in row:
                found.append(Row(**{**row, "cell": Cell(*row["cell"])}))
            else:
                found_next.append(NextRow(**row))
    PAGE.write_text(page(found, found_next))
