"""A stack with a session for each cell of the fault matrix, told apart by the emulator.

Each session has a work group of its own, so that many cells share one run of the engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from fault_matrix import FAULTS, LASTING, Cell, Row

from athena_session_provider.service.ownership import parse_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator, SessionRecord

REGION = "eu-west-1"
SPARK = "PySpark engine version 3"

CELLS_PROGRAM = """
import json, pulumi
from pathlib import Path
from athena_session_provider import AwsConfig, Session

for cell in json.loads(Path("cells.json").read_text()):
    Session(
        cell["name"],
        work_group=cell["work_group"],
        engine_configuration={"max_concurrent_dpus": cell["dpus"]},
        tags=cell["tags"],
        aws=AwsConfig(region=cell["region"]),
        opts=pulumi.ResourceOptions(
            custom_timeouts=pulumi.CustomTimeouts(create=cell["timeout"], delete=cell["timeout"])
        ),
    )
"""

PARALLEL = ("--parallel", "256")
"""All sessions at the same time."""

TOGETHER = (*PARALLEL, "--continue-on-error")
"""The same, and no failure of one ends another. With a killed provider, the engine then hangs."""


@dataclass
class CellSession:
    """One session resource of a cell, and where the emulator keeps it apart from others."""

    name: str
    cell: Cell
    work_group: str
    region: str = REGION
    dpus: int = 4
    tags: dict[str, str] = field(default_factory=dict)
    timeout: str = "10m"


@dataclass
class CellStack:
    """A stack with a session for each cell."""

    stack: PulumiStack
    emulator: Emulator
    sessions: list[CellSession] = field(default_factory=list)

    def write(self) -> None:
        """Tell the program what sessions to declare."""
        cells = [{**vars(session), "cell": None} for session in self.sessions]
        (self.stack.program_folder / "cells.json").write_text(json.dumps(cells))

    def of(self, cell: Cell) -> list[CellSession]:
        """Return the sessions of a cell."""
        return [session for session in self.sessions if session.cell == cell]

    def records(self, session: CellSession) -> list[SessionRecord]:
        """Return the sessions that were ever started for a resource."""
        return [
            record
            for record in self.emulator.sessions()
            if (record.work_group, record.region) == (session.work_group, session.region)
            and name_of(record.description) == session.name
        ]

    def live(self, session: CellSession) -> list[str]:
        """Return the ids of a resource's sessions that run and cost money, by the emulator."""
        alive = {record.session_id for record in self.emulator.live_sessions()}
        return [item.session_id for item in self.records(session) if item.session_id in alive]

    def in_state(self) -> dict[str, str]:
        """Return the ids that the state has, by the resource's name."""
        return {item["urn"].rpartition("::")[2]: item["id"] for item in self.stack.sessions()}

    def live_of(self, cell: Cell) -> list[str]:
        """Return the live sessions of a cell."""
        return sorted(found for session in self.of(cell) for found in self.live(session))

    def state_of(self, cell: Cell) -> list[str]:
        """Return the sessions that the state has of a cell."""
        state = self.in_state()
        return sorted(state[item.name] for item in self.of(cell) if item.name in state)

    def starts_of(self, cell: Cell) -> int:
        """Count the StartSession calls that created something."""
        names = {session.name for session in self.of(cell)}
        return sum(
            call.created_session
            for call in self.emulator.calls("StartSession")
            if name_of(call.parameters["Description"]) in names
        )

    def most_at_once(self, session: CellSession) -> int:
        """Return how many sessions of one resource ever ran at the same time."""
        records = self.records(session)
        return max(
            (
                sum(
                    other.started_at <= record.started_at
                    and (other.ended_at is None or other.ended_at > record.started_at)
                    for other in records
                )
                for record in records
            ),
            default=0,
        )

    def inject(self, operation: str, session: CellSession, fault: str, **changes: Any) -> None:
        """Order a fault for the calls about one session."""
        options = {**FAULTS[fault], **changes}
        place: dict[str, Any] = {"region": session.region}
        if operation != "GetCallerIdentity":
            place["work_group"] = session.work_group
        self.emulator.inject(operation, options.pop("kind"), **options, **place)


def name_of(description: str | None) -> str:
    """Return the name of the resource that a session was started for, by its mark."""
    mark = parse_mark(description or "")
    return mark.urn.rpartition("::")[2] if mark else ""


def declare(cells: CellStack, wanted: Sequence[Cell], per_cell: int = 1) -> None:
    """Return each cell its work group and sessions; those of STS get a region of their own."""
    athena = boto3.client(
        "athena",
        region_name=REGION,
        endpoint_url=cells.emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    regions = iter(
        name for name in boto3.session.Session().get_available_regions("athena") if name != REGION
    )
    for number, cell in enumerate(wanted):
        in_own_region = cell.place == "GetCallerIdentity"
        work_group = "spark" if in_own_region else f"cell-{number}"
        if not in_own_region:
            athena.create_work_group(
                Name=work_group,
                Configuration={
                    "EngineVersion": {"SelectedEngineVersion": SPARK},
                    "ExecutionRole": "arn:aws:iam::123456789012:role/spark",
                },
            )
        count = 2 if cell[:2] == ("create", "ListSessions") else per_cell
        cells.sessions += [
            CellSession(
                f"{cell.operation}-{number}-{index}",
                cell,
                work_group,
                region=next(regions) if in_own_region else REGION,
                timeout=timeout_of(cell),
            )
            for index in range(count)
        ]
    cells.write()


def timeout_of(cell: Cell) -> str:
    """Return how long create and delete of a cell's sessions may take."""
    if cell == ("create", "TagResource", "refused"):
        return "30s"  # the session is started a second time, without tags
    return "8s" if cell.fault in LASTING else "10m"


def repaired(cells: CellStack, cell: Cell, first: str, between: int, live: int) -> Row:
    """Assert what must be true after the second command; return the row of the cell."""
    row = Row(
        cell=cell,
        first=first,
        live_between=between,
        starts=cells.starts_of(cell),
        live=len(cells.live_of(cell)),
        equal=cells.live_of(cell) == cells.state_of(cell),
    )
    assert row.equal, (row, cells.live_of(cell), cells.state_of(cell))
    assert row.live == live, row
    assert all(cells.most_at_once(session) <= 1 for session in cells.of(cell)), row
    return row
