"""The layer below Pulumi, under every behaviour of the service that sources leave open.

Whatever the service does, a resource has exactly one live session from its create to its delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from contract.account import SPARK_3, SPARK_35
from contract.behaviours import CASES, NAMES, WORK_GROUPS

from athena_session_provider.emulator import Emulator
from athena_session_provider.service.boto import BotoAthena
from athena_session_provider.service.errors import AccessDeniedError
from athena_session_provider.service.lifecycle import Created, SessionLifecycle
from athena_session_provider.service.ownership import Mark, hash_of, marked
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.settings import AwsSettings
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

URN = "urn:pulumi:dev::contract::pulumi-python:dynamic/athena:Session::s"
OWNER = "0" * 32


class EmulatedTime:
    """Sleeping sets the emulator's clock forward, so that nothing waits."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._slept = 0.0

    def monotonic(self) -> float:
        """Give the seconds slept so far."""
        return self._slept

    def sleep(self, seconds: float) -> None:
        """Let time pass for the service too."""
        self._slept += seconds
        self._emulator.advance(seconds)


class Resource:
    """A session resource of one work group; each operation is a process of its own."""

    def __init__(self, emulator: Emulator, work_group: str) -> None:
        self.emulator = emulator
        self.work_group = work_group
        self.clock = EmulatedTime(emulator)
        self.athena = BotoAthena(
            AwsSettings(
                region="eu-west-1",
                access_key="testing",
                secret_key="testing",
                endpoints=(("athena", emulator.url), ("sts", emulator.url)),
            )
        )
        request = {"WorkGroup": work_group, "EngineConfiguration": {"MaxConcurrentDpus": 2}}
        self.request = marked(request, Mark(OWNER, hash_of(URN), hash_of(request), URN))

    def lifecycle(self) -> SessionLifecycle:
        return SessionLifecycle(
            self.athena,
            self.work_group,
            PollerPool(self.clock.monotonic),
            Deadline.after(600.0, self.clock),
        )

    def create(self, previous: str = "") -> Created:
        return self.lifecycle().create(
            Identity(urn=URN, owner=OWNER),
            self.request,
            previous_token=previous,
            cleanup=lambda: Deadline.after(60.0, self.clock),
        )

    def live(self) -> list[str]:
        return [session.session_id for session in self.emulator.live_sessions()]


@pytest.fixture(scope="module")
def emulated() -> Iterator[Emulator]:
    with Emulator(start_seconds=2.0, terminate_seconds=1.0) as running:
        yield running


@pytest.mark.parametrize("engine", [SPARK_3, SPARK_35])
@pytest.mark.parametrize("changes", CASES, ids=NAMES)
def test_one_live_session(emulated: Emulator, changes: dict[str, Any], engine: str) -> None:
    """Through creates that were cut off, terminated sessions, the idle timeout and deletes."""
    emulated.reset()
    emulated.update_settings(**changes)
    resource = Resource(emulated, WORK_GROUPS[engine])
    created = resource.create()
    session_id = created.status.session_id
    assert resource.live() == [session_id]
    assert created.status.state in {"CREATED", "IDLE"}

    # A create that was cut off after StartSession is run again.
    assert resource.create().status.session_id == session_id
    assert resource.live() == [session_id]

    # Destroy, twice, and up again.
    if looks_denied(changes):
        # A denied permission is no proof that a session is gone. The session has ended.
        with pytest.raises(AccessDeniedError):
            resource.lifecycle().terminate(session_id)
        assert resource.live() == []
        return
    resource.lifecycle().terminate(session_id)
    resource.lifecycle().terminate(session_id)
    assert resource.live() == []
    second = resource.create()
    assert resource.live() == [second.status.session_id] != [session_id]

    # It ends by itself, and is replaced.
    emulated.advance(3600.0)
    assert resource.live() == []
    third = resource.create(previous=second.client_request_token)
    assert resource.live() == [third.status.session_id]

    # And once more, so that several generations are used up.
    resource.lifecycle().terminate(third.status.session_id)
    fourth = resource.create()
    assert resource.live() == [fourth.status.session_id]
    resource.lifecycle().terminate(fourth.status.session_id)
    assert resource.live() == []


def looks_denied(changes: dict[str, Any]) -> bool:
    """Whether the service forgets a session at once, and IAM denies what is not known."""
    return (
        changes.get("unknown_session_access") == "denied"
        and changes.get("session_retention_seconds") == 0.0
    )
