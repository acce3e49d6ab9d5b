"""What diff and read make of a session, in every cell of the table in docs/explanation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from athena_session_provider.operations.run import ProviderHost, Run
from athena_session_provider.operations.session import SessionOperations

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

REGION = "eu-west-1"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "ended-sessions.md"

SESSIONS = ("alive", "dead", "unknown")
OWNERS = ("owned", "adopted", "read")


@dataclass
class Cell:
    """One session of a stack, and the operations of the process that works on it."""

    operations: SessionOperations
    session_id: str
    news: dict[str, Any]
    olds: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def cell_of(
    emulator: Emulator, session: str, owner: str, *, restart: bool, protected: bool
) -> Cell:
    """Bring a session into the state of a cell."""
    warnings: list[str] = []
    config = {
        "aws:region": REGION,
        "aws:accessKey": "a",
        "aws:secretKey": "b",
        "aws:endpoints": f'[{{"athena": "{emulator.url}", "sts": "{emulator.url}"}}]',
    }
    host = ProviderHost(lambda _urn, text: warnings.append(text), lambda _urn, _text: None)
    operations = SessionOperations(config, Run(), host, unknown="unknown")
    news: dict[str, Any] = {
        "work_group": "spark",
        "engine_configuration": {"max_concurrent_dpus": 4},
        "restart_when_dead": restart,
        "identity": {
            "urn": "urn:pulumi:dev::test::pulumi-python:dynamic/athena:Session::session",
            "owner": "0" * 32,
            **({"protected": True} if protected else {}),
        },
    }
    news, failures = operations.check(news)
    assert failures == []
    session_id, olds = operations.create(news)
    if owner == "adopted":
        news["adopt_session_id"] = session_id
        olds["adopt_session_id"] = session_id
    if owner == "read":
        # Session.get: Pulumi stores what read returned.
        found = operations.read(session_id, {"restart_when_dead": restart, **_identity(news)})
        assert found is not None
        olds = found[1]
    if session == "dead":
        emulator.set_state(session_id, "TERMINATED")
    if session == "unknown":
        session_id = UNKNOWN_ID
        for props in (news, olds):
            for key in ("session_id", "adopt_session_id"):
                if key in props:
                    props[key] = session_id
    warnings.clear()
    # Another command, that has asked for nothing yet.
    operations = SessionOperations(config, Run(), host, unknown="unknown")
    return Cell(operations, session_id, news, olds, warnings)


def _identity(news: dict[str, Any]) -> dict[str, Any]:
    return {"identity": {key: news["identity"][key] for key in news["identity"] if key != "owner"}}


def stays(session: str, owner: str, *, restart: bool, protected: bool) -> bool:
    """Whether the resource stays as it is."""
    return session == "alive" or not restart or protected or owner == "adopted"


def expected_warning(session: str, owner: str, *, restart: bool, protected: bool) -> str:
    """Return what the warning of an ended session says must be done."""
    if session == "alive" or not restart:
        return ""
    if protected:
        return "remove protect from the program"
    return "Remove that argument" if owner == "adopted" else "it will be started again"


def told(cell: Cell) -> str:
    """Return which of the remedies the warnings name; empty if there is no warning."""
    text = " ".join(cell.warnings)
    remedies = ("remove protect from the program", "Remove that argument", "started again")
    found = [remedy for remedy in remedies if remedy in text]
    assert bool(found) == bool(text), text
    return ", ".join(found).replace("started again", "it will be started again")


CELLS = list(product(SESSIONS, OWNERS, (True, False), (False, True)))


@pytest.mark.parametrize(("session", "owner", "restart", "protected"), CELLS)
def test_up_and_refresh_agree(
    emulator: Emulator, session: str, owner: str, *, restart: bool, protected: bool
) -> None:
    """What refresh drops, up starts again; what refresh keeps, up leaves as it is."""
    cell = cell_of(emulator, session, owner, restart=restart, protected=protected)
    stay = stays(session, owner, restart=restart, protected=protected)
    starts = len(emulator.calls("StartSession"))

    found = cell.operations.read(cell.session_id, cell.olds)
    assert (found is not None) == stay
    if owner != "read":  # Pulumi asks no diff of a resource that it reads.
        diff = cell.operations.diff(cell.session_id, cell.olds, cell.news)
        assert diff.replaces == ([] if stay else ["session_id"])
        assert diff.updates == []
        assert told(cell) == expected_warning(session, owner, restart=restart, protected=protected)
    if found is not None:
        session_id, outs = found
        assert session_id == cell.session_id
        assert outs["state"] == ("IDLE" if session == "alive" else "TERMINATED")
        assert outs["work_group"] == "spark"
        # `up --refresh`: the diff is made with what the refresh stored.
        after = cell.operations.diff(session_id, outs, cell.news if owner != "read" else outs)
        assert not after.changes
        assert cell.operations.read(session_id, outs) == found
    assert len(emulator.calls("StartSession")) == starts


@pytest.mark.parametrize("change", ["triggers", "engine_configuration"])
def test_ended_session_that_stays_starts_on_request(emulator: Emulator, change: str) -> None:
    """Another trigger or argument replaces it, as it would replace one that runs."""
    cell = cell_of(emulator, "dead", "owned", restart=False, protected=False)
    news = {**cell.news, change: {"max_concurrent_dpus": 8}}
    assert cell.operations.diff(cell.session_id, cell.olds, news).replaces == [change]


def test_tags_that_were_changed_outside(emulator: Emulator) -> None:
    """Read returns the values that the resource's tags have; diff then updates them."""
    cell = cell_of(emulator, "alive", "owned", restart=True, protected=False)
    athena = boto3.client(
        "athena",
        region_name=REGION,
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    tags = {"changed": "1", "removed": "1", "same": "1"}
    news = {**cell.news, "tags": tags}
    olds = cell.operations.update(cell.session_id, cell.olds, news)
    arn = cell.olds["arn"]
    athena.tag_resource(
        ResourceARN=arn, Tags=[{"Key": key, "Value": "2"} for key in ("changed", "added")]
    )
    athena.untag_resource(ResourceARN=arn, TagKeys=["removed"])
    found = cell.operations.read(cell.session_id, olds)
    assert found is not None
    assert found[1]["tags"] == {"changed": "2", "same": "1"}
    assert cell.operations.diff(cell.session_id, found[1], news).updates == ["tags"]
    cell.operations.update(cell.session_id, found[1], news)
    record = emulator.session(cell.session_id)
    assert {key: record.tags[key] for key in tags} == tags
    assert record.tags["added"] == "2"


def test_page_has_every_cell() -> None:
    """The table in the documentation says of each cell what the tests above hold."""
    rows = re.findall(
        r"^\| (\w+) \| (\w+) \| (yes|no) \| (yes|no) \| (.+?) \|", PAGE.read_text(), re.MULTILINE
    )
    assert [row[:4] for row in rows] == [
        (session, owner, "yes" if restart else "no", "yes" if protected else "no")
        for session, owner, restart, protected in CELLS
    ]
    for session, owner, restart, protected, effect in rows:
        stay = stays(session, owner, restart=restart == "yes", protected=protected == "yes")
        assert effect.startswith("stays") == stay, (session, owner, restart, protected)
