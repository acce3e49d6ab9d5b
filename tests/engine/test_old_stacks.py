"""A state that version 0.1 wrote, taken over by this version.

tests/data/state-0.1.json has what `pulumi stack export` printed after a `pulumi up` of PROGRAM with
version 0.1 on the emulator, and the StartSession calls that it made; placeholders stand for the
sessions' ids and the emulator's address.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from pulumi_stack import PROGRAM as ONE_SESSION

if TYPE_CHECKING:
    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

OLD = Path(__file__).parent.parent / "data" / "state-0.1.json"

PROGRAM = (
    ONE_SESSION
    + """
described = Session("described", work_group="spark", description="mine", tags={"team": "a"},
                    engine_configuration={"max_concurrent_dpus": 4})
"""
)


@pytest.fixture
def ids(stack: PulumiStack, emulator: Emulator) -> dict[str, str]:
    """Sessions and a state as version 0.1 left them; the ids by resource name."""
    recorded = json.loads(OLD.read_text())
    athena = boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    ids = {
        name: athena.start_session(**parameters)["SessionId"]
        for name, parameters in recorded["starts"].items()
    }
    text = json.dumps(recorded["export"]).replace("EMULATOR_URL", emulator.url)
    for name, session_id in ids.items():
        text = text.replace(f"ID_OF_{name}", session_id)
    file = stack.folder / "export.json"
    file.write_text(text)
    stack.succeed("stack", "import", "--file", str(file))
    stack.write(PROGRAM)
    emulator.clear_calls()
    return ids


def live(emulator: Emulator) -> list[str]:
    return sorted(session.session_id for session in emulator.live_sessions())


def test_up_creates_one_resource_and_keeps_the_sessions(
    stack: PulumiStack, emulator: Emulator, ids: dict[str, str]
) -> None:
    """The identity is created, nothing else changes; the next up changes nothing."""
    steps = json.loads(stack.stdout("preview", "--json"))["steps"]
    changes = {step["urn"].rpartition("::")[2]: step["op"] for step in steps}
    assert {name: op for name, op in changes.items() if op != "same"} == {
        "athena-sessions-spark": "create"
    }
    assert "1 created" in stack.up().output
    assert sorted(stack.session_ids()) == live(emulator) == sorted(ids.values())
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    assert emulator.calls("StartSession", "TerminateSession", "TagResource") == []


def test_changes_and_destroy_after_the_upgrade(
    stack: PulumiStack, emulator: Emulator, ids: dict[str, str]
) -> None:
    """A session of version 0.1 is replaced like any other, and not ended before that."""
    stack.up()
    stack.write(PROGRAM.replace("20", "40"))
    stack.up()
    replaced = ids.pop("session")
    assert replaced not in live(emulator)
    assert ids["described"] in live(emulator)
    assert sorted(stack.session_ids()) == live(emulator)
    stack.write(ONE_SESSION.replace("20", "40"))
    stack.up()
    assert sorted(stack.session_ids()) == live(emulator)
    assert ids["described"] not in live(emulator)
    stack.destroy()
    assert live(emulator) == []
    assert stack.state().get("resources", []) == []


def test_destroy_at_once(stack: PulumiStack, emulator: Emulator, ids: dict[str, str]) -> None:
    """The sessions that the state names are ended, without an up before."""
    assert live(emulator) == sorted(ids.values())
    stack.destroy()
    assert live(emulator) == []
    assert stack.state().get("resources", []) == []


def test_replacement_together_with_the_upgrade(
    stack: PulumiStack, emulator: Emulator, ids: dict[str, str]
) -> None:
    """The first command of this version may change arguments, too."""
    stack.write(PROGRAM.replace("20", "40"))
    stack.up()
    assert ids["session"] not in live(emulator)
    assert sorted(stack.session_ids()) == live(emulator)
    assert len(live(emulator)) == len(ids)
    stack.destroy()
    assert live(emulator) == []
