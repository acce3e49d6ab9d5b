"""Which sessions are orphans, and whose: sessions of the emulator, and states made up here."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.automation import CommandResult, LocalWorkspace
from rich.console import Console

from athena_session_provider.cli.orphans import Orphan, find_orphans, terminate
from athena_session_provider.cli.progress import Reporter
from athena_session_provider.service.boto import shared_athena
from athena_session_provider.service.ownership import (
    CREATE_TAG,
    DESCRIPTION,
    FINISHED,
    STARTED,
    Mark,
    hash_of,
    marked,
)
from athena_session_provider.service.settings import aws_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from athena_session_provider.emulator import Emulator
    from athena_session_provider.service.api import Athena

OWN, OTHER = "a" * 32, "b" * 32
"""Identities of the stack whose state is read, and of one elsewhere."""

TYPE = "pulumi-python:dynamic/athena:Session"
URN = f"urn:pulumi:dev::p::{TYPE}::etl"
LONG_URN = f"urn:pulumi:dev::p::{'acme:index:Team$' * 30}{TYPE}::nightly, eu"
"""Longer than a tag's value, and with characters that a tag cannot have."""


class Service:
    """The emulator, a file of states, and the command in between."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.states: dict[str, dict[str, Any]] = {"dev": {}}
        self.errors = io.StringIO()
        config = {
            "aws:region": "eu-west-1",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:endpoints": json.dumps([{"athena": emulator.url, "sts": emulator.url}]),
        }
        self.athena: Athena = shared_athena(aws_settings(config))
        self.reporter = Reporter(Console(file=self.errors))
        self.workspace = LocalWorkspace(
            work_dir=str(folder),
            pulumi_command=self,  # type: ignore[arg-type]
        )

    version = None

    def run(self, args: list[str], *_rest: Any) -> CommandResult:
        """Answer as the Pulumi CLI: the stacks, or one stack's state."""
        if args[:2] == ["stack", "ls"]:
            answer: Any = [{"name": f"organization/p/{name}"} for name in self.states]
        else:
            assert args[:2] == ["stack", "export"]
            name = args[args.index("--stack") + 1].rsplit("/", 1)[-1]
            answer = {"version": 3, "deployment": self.states[name]}
        return CommandResult(stdout=json.dumps(answer), stderr="", code=0)

    def start(
        self,
        identity: str = OWN,
        urn: str = URN,
        description: str = "",
        create: str = FINISHED,
    ) -> str:
        """Start a session as the provider does; return its id."""
        request: Mapping[str, Any] = {
            "WorkGroup": "spark",
            "EngineConfiguration": {"MaxConcurrentDpus": 2},
            **({"Description": description} if description else {}),
        }
        request = marked(request, Mark(identity, hash_of(urn), "c" * 16, urn))
        tags = [*request.get("Tags", []), {"Key": CREATE_TAG, "Value": create}]
        started = self.athena.start_session(
            {**request, "Tags": tags}, hash_of([identity, urn, description]) * 2
        )
        return started.session_id

    def find(self, minutes: int = 0, older_than: timedelta = timedelta(0)) -> list[Orphan]:
        """Look for orphans, so many minutes from now."""
        now = datetime.fromtimestamp(self.emulator.now(), timezone.utc)
        return find_orphans(
            self.athena,
            ["spark"],
            [self.workspace],
            self.reporter,
            now=now + timedelta(minutes=minutes),
            older_than=older_than,
        )


def state(
    *session_ids: str, identity: str | None = OWN, starting: str | None = None
) -> dict[str, Any]:
    """A state with sessions, the stack's identity, and a create under way."""
    resources: list[dict[str, Any]] = [
        {"type": TYPE, "urn": f"{URN}-{number}", "id": session_id}
        for number, session_id in enumerate(session_ids)
    ]
    if identity:
        resources.append(
            {
                "type": "pulumi-python:dynamic/athena:StackSessions",
                "urn": "urn:pulumi:dev::p::pulumi-python:dynamic/athena:StackSessions::x",
                "id": identity,
                "outputs": {"identity": identity},
            }
        )
    pending = [{"type": "creating", "resource": {"type": TYPE, "urn": starting}}]
    return {"resources": resources, "pending_operations": pending if starting else []}


@pytest.fixture
def service(emulator: Emulator, tmp_path: Path) -> Service:
    return Service(emulator, tmp_path)


def test_a_session_in_a_state_is_no_orphan(service: Service) -> None:
    """In that of any stack: another one may have adopted it."""
    session_id = service.start()
    service.states = {"dev": state(), "prod": state(session_id, identity=OTHER)}
    assert service.find() == []


def test_a_session_in_no_state_is_an_orphan(service: Service) -> None:
    """Of a stack that is known, however its create has ended."""
    sessions = {service.start(urn=f"{URN}-a"), service.start(urn=f"{URN}-b", create=STARTED)}
    service.states = {"dev": state("another"), "empty": {}}
    found = service.find()
    assert {orphan.session_id for orphan in found} == sessions
    assert {orphan.known_stack for orphan in found} == {True}
    assert {orphan.urn for orphan in found} == {f"{URN}-a", f"{URN}-b"}


@pytest.mark.parametrize("urn", [URN, LONG_URN])
@pytest.mark.parametrize("description", ["", "nightly job"])
@pytest.mark.parametrize("identity", [OWN, OTHER])
def test_a_session_whose_create_is_under_way_is_no_orphan(
    service: Service, urn: str, description: str, identity: str
) -> None:
    """Whatever its URN looks like in the mark, and long after it was started."""
    service.start(identity, urn, description, create=STARTED)
    service.states["dev"] = state(starting=urn)
    assert service.find(minutes=120) == []
    service.states["dev"] = state(starting=f"{urn}2")
    assert len(service.find(minutes=120)) == 1


@pytest.mark.parametrize(("create", "count"), [(STARTED, 0), (FINISHED, 1)])
def test_a_replacement_that_creates_first_is_under_way(
    service: Service, create: str, count: int
) -> None:
    """The state has the old session under the URN. A pending operation may also be an old one."""
    old = service.start(urn=f"{URN}-0")
    service.start(urn=f"{URN}-0", description="new", create=create)
    service.states["dev"] = state(old, starting=f"{URN}-0")
    assert len(service.find()) == count


def test_a_session_of_an_unknown_stack_is_told_apart(service: Service) -> None:
    """Its URN does not count: a stack of the same name may be in another backend."""
    session_id = service.start(OTHER)
    service.states["dev"] = state("another")
    (orphan,) = service.find()
    assert (orphan.session_id, orphan.known_stack) == (session_id, False)

    results = list(terminate(service.athena, [orphan], service.reporter, unknown_stacks=False))
    assert [result.terminated for result in results] == [False]
    assert len(service.emulator.live_sessions()) == 1
    results = list(terminate(service.athena, [orphan], service.reporter, unknown_stacks=True))
    assert [result.terminated for result in results] == [True]
    assert service.emulator.live_sessions() == []


def test_a_create_of_an_unknown_stack_may_be_under_way(service: Service) -> None:
    """During the first hour; a create that has finished is none."""
    service.start(OTHER, f"{URN}-a", create=STARTED)
    finished = service.start(OTHER, f"{URN}-b")
    assert [orphan.session_id for orphan in service.find(minutes=59)] == [finished]
    assert len(service.find(minutes=61)) == 2


def test_without_permission_to_read_tags_creates_are_left_alone(service: Service) -> None:
    """A warning says why; orphans of known stacks are found by their descriptions."""
    service.start(OTHER, f"{URN}-a")
    own = service.start(OWN, f"{URN}-b")
    service.states["dev"] = state("another")
    service.emulator.inject("ListTagsForResource", "access-denied", times=10)
    assert [orphan.session_id for orphan in service.find()] == [own]
    assert "cannot be read" in service.errors.getvalue()


def test_a_mark_of_version_0_1_has_no_stack(service: Service) -> None:
    """It says nothing about the backend, so it is one of an unknown stack."""
    request = {
        "WorkGroup": "spark",
        "EngineConfiguration": {"MaxConcurrentDpus": 2},
        "Description": f"{DESCRIPTION}{URN}",
    }
    session_id = service.athena.start_session(request, "0" * 64).session_id
    service.states["dev"] = state("another")
    (orphan,) = service.find()
    assert (orphan.session_id, orphan.urn, orphan.known_stack) == (session_id, URN, False)
    service.states["dev"] = state(starting=URN)
    assert service.find() == []


def test_sessions_without_a_mark_are_never_shown(service: Service) -> None:
    """Nor are those that are too young."""
    request = {"WorkGroup": "spark", "EngineConfiguration": {}, "Description": "by hand"}
    service.athena.start_session(request, "0" * 64)
    service.start()
    service.states["dev"] = state("another")
    assert service.find(minutes=59, older_than=timedelta(hours=1)) == []
    assert len(service.find(minutes=61, older_than=timedelta(hours=1))) == 1
