"""Kills and signals at every moment: the next command leaves what it should."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import fault_matrix
import pytest
from cell_stack import CELLS_PROGRAM, PARALLEL, CellSession, CellStack, declare, repaired
from fault_matrix import INTERRUPTIONS, Row, interruption_cells
from pulumi_stack import PulumiStack, Result, processes_of, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

SLOW_SECONDS = 9.0
"""How long a call is held, so that the interruption finds it on its way. Under the read timeout."""


@pytest.fixture
def cells(stack: PulumiStack, emulator: Emulator) -> CellStack:
    """A stack without sessions yet."""
    stack.write(CELLS_PROGRAM)
    return CellStack(stack, emulator)


def interrupt(cells: CellStack, how: str, process: subprocess.Popen[str]) -> Result:
    """Interrupt a command that runs, in one of the ways of INTERRUPTIONS; wait for its end."""
    send: Callable[[int, int], None] = os.killpg if "terminal" in how else os.kill
    if how == "kill -9 of the provider":
        for provider in processes_of(process.pid, "pulumi.dynamic"):
            os.kill(provider, signal.SIGKILL)
    elif how == "kill -9 of the engine":
        process.kill()
    else:
        send(process.pid, signal.SIGINT)
        if "twice" in how:
            time.sleep(0.5)
            with suppress(ProcessLookupError):
                send(process.pid, signal.SIGINT)
    result = cells.stack.finish(process)
    if how == "kill -9 of the engine":
        cells.stack.unlock()
    return result


def clear_way(emulator: Emulator) -> None:
    """Let the held calls pass, and take the faults and waits away."""
    emulator.clear_faults()
    emulator.update_settings(start_seconds=1.0, terminate_seconds=0.0)


NAMES = {
    ("create", "StartSession sent, not acted on"): "unsent",
    ("create", "StartSession acted on, not answered"): "unanswered",
    ("create", "waiting"): "waiting",
    ("replace", "ending the old session"): "ending",
    ("replace", "waiting for the new one"): "replaced",
    ("delete", "TerminateSession sent, not acted on"): "delete-unsent",
    ("delete", "waiting"): "delete-waiting",
}
"""Short names of the sessions, by the place of their cells."""


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_interruptions(cells: CellStack, emulator: Emulator, how: str) -> None:
    """Whatever is killed or cancelled wherever: the next command leaves what it should."""
    declare(cells, interruption_cells(how))
    at = {NAMES[session.cell[:2]]: session for session in cells.sessions}
    rows = interrupted_up(cells, at, how) + interrupted_destroy(cells, at, how)
    time.sleep(SLOW_SECONDS if "provider" in how else 0)  # what the dead one sent may act yet
    assert emulator.live_sessions() == []
    assert cells.in_state() == {}
    fault_matrix.keep(re.sub(r"\W+", "-", how), rows)


def interrupted_up(cells: CellStack, at: dict[str, CellSession], how: str) -> list[Row]:
    """Interrupt an up that creates and replaces; run it again."""
    emulator = cells.emulator
    # The sessions to be replaced exist before.
    emulator.update_settings(start_seconds=0.0, terminate_seconds=0.0)
    cells.sessions = [at["ending"], at["replaced"]]
    cells.write()
    cells.stack.up(*PARALLEL)
    for session in cells.sessions:
        session.dpus = 8
    emulator.update_settings(start_seconds=30.0)
    for name, call, kind in (
        ("unsent", "StartSession", "slow"),
        ("unanswered", "StartSession", "slow-after"),
        ("ending", "TerminateSession", "slow"),
    ):
        hold(cells, at[name], call, kind)
    cells.sessions += [at["unsent"], at["unanswered"], at["waiting"]]
    cells.write()
    emulator.clear_calls()
    command = cells.stack.start("up", "--yes", "--skip-preview", *PARALLEL)
    wait_until(lambda: has_come_to(cells, at), 60)
    first = interrupt(cells, how, command)
    assert "Traceback" not in first.output, first
    between = {session.name: len(cells.live(session)) for session in cells.sessions}
    clear_way(emulator)
    second = cells.stack.up(*PARALLEL)
    rows = [
        repaired(cells, session.cell, "interrupted", between[session.name], 1)
        for session in cells.sessions
    ]
    # One for the session itself, and one more if the interrupted command ended the first.
    assert all(row.starts <= 2 for row in rows), (rows, first, second)
    return rows


def interrupted_destroy(cells: CellStack, at: dict[str, CellSession], how: str) -> list[Row]:
    """Interrupt a destroy; run it again."""
    emulator = cells.emulator
    ending = [at["delete-unsent"], at["delete-waiting"]]
    cells.sessions += ending
    cells.write()
    cells.stack.up(*PARALLEL)
    emulator.update_settings(terminate_seconds=30.0)
    hold(cells, at["delete-unsent"], "TerminateSession", "slow")
    emulator.clear_calls()
    command = cells.stack.start("destroy", "--yes", "--skip-preview", *PARALLEL)
    wait_until(lambda: is_ending(cells, *ending), 60)
    first = interrupt(cells, how, command)
    assert "Traceback" not in first.output, first
    known = cells.in_state()
    between = {session.name: len(cells.live(session)) for session in ending}
    assert all(session.name in known or not between[session.name] for session in ending), first
    clear_way(emulator)
    emulator.advance(60)
    cells.stack.destroy(*PARALLEL)
    return [
        repaired(cells, session.cell, "interrupted", between[session.name], 0) for session in ending
    ]


def hold(cells: CellStack, session: CellSession, call: str, kind: str) -> None:
    """Hold a call about a session, so that the interruption finds it on its way."""
    cells.emulator.inject(
        call, kind, seconds=SLOW_SECONDS, times=None, work_group=session.work_group
    )


def has_come_to(cells: CellStack, at: dict[str, CellSession]) -> bool:
    """Whether each session of an interrupted up is where its cell wants it."""
    calls = cells.emulator.calls()
    work_groups = {record.session_id: record.work_group for record in cells.emulator.sessions()}
    creating = [
        record.work_group for record in cells.emulator.live_sessions() if record.state == "CREATING"
    ]
    asked = {
        work_groups.get(call.parameters["SessionId"])
        for call in calls
        if call.operation == "GetSessionStatus"
    }
    # A call without a status is on its way yet.
    held = {
        call.parameters.get("WorkGroup") or work_groups.get(call.parameters["SessionId"])
        for call in calls
        if call.operation in {"StartSession", "TerminateSession"} and call.status is None
    }
    return (
        {at[name].work_group for name in ("unsent", "unanswered", "ending")} <= held
        and {at["waiting"].work_group, at["replaced"].work_group} <= {*creating} & asked
        and at["unanswered"].work_group in creating
    )


def is_ending(cells: CellStack, unsent: CellSession, waiting: CellSession) -> bool:
    """Whether the sessions of an interrupted destroy are where their cells want them."""
    work_groups = {record.session_id: record for record in cells.emulator.sessions()}
    calls = cells.emulator.calls("TerminateSession", "GetSessionStatus")
    called = Counter(
        (call.operation, work_groups[call.parameters["SessionId"]].work_group, call.status)
        for call in calls
    )
    return bool(
        called["TerminateSession", unsent.work_group, None]
        and any(
            record.work_group == waiting.work_group and record.state == "TERMINATING"
            for record in work_groups.values()
        )
        and called["GetSessionStatus", waiting.work_group, 200] > 1
    )


PROMPT_SECONDS = 2.0


@pytest.mark.parametrize("target", ["CLI", "terminal"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelling_ends_the_wait_promptly(
    stack: PulumiStack, emulator: Emulator, number: signal.Signals, target: str
) -> None:
    """The engine's Cancel reaches the provider: what it was starting is ended within 2 seconds."""
    emulator.update_settings(start_seconds=60.0)
    command = stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(emulator.calls("GetSessionStatus")) > 1)
    sent_at = emulator.now()
    (os.killpg if target == "terminal" else os.kill)(command.pid, number)
    result = stack.finish(command)
    (terminated,) = emulator.calls("TerminateSession")
    assert terminated.received_at - sent_at < PROMPT_SECONDS
    assert "Stopped waiting, because the command was cancelled" in result.output
    assert re.search(r"Session [0-9a-f-]+ (was|is being) terminated", result.output)
    assert "Traceback" not in result.output
    assert emulator.live_sessions() == []
    assert stack.session_ids() == []


def test_destroy_after_the_engine_was_killed_leaves_nothing(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """The state knows nothing of the session, so the provider ends it when its engine is gone."""
    emulator.update_settings(start_seconds=60.0)
    command = stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(emulator.calls("GetSessionStatus")) > 1)
    providers = processes_of(command.pid, "pulumi.dynamic")
    assert providers
    killed_at = emulator.now()
    command.kill()
    stack.finish(command)
    assert [item["type"] for item in stack.state()["pending_operations"]] == ["creating"]
    wait_until(lambda: emulator.calls("TerminateSession"))
    (terminated,) = emulator.calls("TerminateSession")
    assert terminated.received_at - killed_at < PROMPT_SECONDS
    wait_until(lambda: not any(Path(f"/proc/{provider}").exists() for provider in providers))
    stack.unlock()
    stack.destroy()
    assert emulator.live_sessions() == []


def test_destroy_after_the_provider_was_killed_leaves_nothing(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """No state names the session: the stack's identity finds it by its mark, and ends it."""
    emulator.update_settings(start_seconds=20.0)
    command = stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(emulator.calls("GetSessionStatus")) > 1)
    for provider in processes_of(command.pid, "pulumi.dynamic"):
        os.kill(provider, signal.SIGKILL)
    stack.finish(command)
    assert not stack.state().get("pending_operations")
    (left,) = emulator.live_sessions()
    (identity,) = stack.identities()
    urn = "urn:pulumi:dev::test::pulumi-python:dynamic/athena:Session::session"
    assert left.description is not None
    assert left.description.startswith(
        f"Started by Pulumi for {urn} [athena-session-provider {identity}/"
    )
    output = stack.destroy().output
    assert f"Session {left.session_id} was left over from an interrupted create of {urn}" in output
    assert emulator.live_sessions() == []
