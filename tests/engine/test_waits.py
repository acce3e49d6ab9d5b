"""Deadlines and capacity by the real engine: what a user reads, and what is left running."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import PROGRAM, PulumiStack, wait_until

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

WITH_DEADLINES = PROGRAM.replace(
    'work_group="spark"',
    'work_group="spark", opts=pulumi.ResourceOptions('
    'custom_timeouts=pulumi.CustomTimeouts(create="3s", delete="3s"))',
)


def test_create_gives_up_at_its_deadline_and_ends_what_it_started(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """Both facts are in the message, and nothing is left: neither in the state nor running."""
    emulator.update_settings(start_seconds=600.0, terminate_seconds=1.0)
    stack.write(WITH_DEADLINES)
    output = stack.up_fails().output
    (session,) = emulator.sessions()
    assert (
        f"Session {session.session_id} in region eu-west-1 was still CREATING after 3 seconds, "
        "waiting for IDLE" in output
    )
    assert f"Session {session.session_id} was terminated." in output
    assert "Traceback" not in output
    assert emulator.session(session.session_id).state == "TERMINATED"
    assert stack.session_ids() == []
    emulator.update_settings(start_seconds=0.0)
    stack.up()
    (second,) = emulator.live_sessions()
    assert stack.session_ids() == [second.session_id] != [session.session_id]


def test_termination_that_fails_is_told_with_the_command_that_does_it(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """The session's id and the whole `aws` line are named; the next up takes the session up."""
    emulator.update_settings(start_seconds=10.0)
    stack.write(WITH_DEADLINES)
    emulator.inject("TerminateSession", "access-denied", times=None)
    output = stack.up_fails().output
    (session,) = emulator.live_sessions()
    assert "was still CREAT" in output
    assert f"Session {session.session_id} could not be terminated" in output
    assert "Allow the IAM action athena:TerminateSession" in output
    line = f"aws athena terminate-session --session-id {session.session_id} --region eu-west-1"
    assert f"`{line}`" in output
    assert stack.session_ids() == []
    emulator.clear_faults()
    emulator.advance(20)
    stack.up()
    assert stack.session_ids() == [session.session_id]
    assert sum(call.created_session for call in emulator.calls("StartSession")) == 1


def test_delete_gives_up_at_its_deadline_and_can_be_repeated(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """The resource stays in the state until its session has ended."""
    stack.write(WITH_DEADLINES)
    stack.up()
    (session,) = stack.session_ids()
    emulator.update_settings(terminate_seconds=600.0)
    output = stack.fail("destroy", "--yes", "--skip-preview").output
    assert "was still TERMINATING after 3 seconds, waiting for TERMINATED" in output
    assert stack.session_ids() == [session]
    emulator.advance(601)
    stack.destroy()
    assert stack.session_ids() == []


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        ("TooManyRequestsException", "Maximum allowed sessions reached", "Maximum allowed"),
        ("TooManyRequestsException", "Rate exceeded", "Rate exceeded"),
        ("TooManyRequestsException", "Come back later, please", "Come back later"),
        (
            "InvalidRequestException",
            "Failed to Provision session due to required capacity not being available",
            "required capacity not being available",
        ),
    ],
    ids=["quota", "rate", "other wording", "capacity"],
)
def test_missing_capacity_is_waited_out_and_shown(
    stack: PulumiStack, emulator: Emulator, code: str, message: str, shown: str
) -> None:
    """The status column says what is waited for, and the session starts as soon as it may."""
    emulator.inject("StartSession", "error", code=code, message=message, status=400, times=None)
    command = stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(emulator.calls("StartSession")) > 4)
    time.sleep(1.0)
    emulator.clear_faults()
    result = stack.finish(command)
    assert result.exit_code == 0, result
    assert re.search(f"waiting to start: .*{shown}", result.output), result
    (session,) = emulator.live_sessions()
    assert stack.session_ids() == [session.session_id]


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("TooManyRequestsException", "Maximum allowed sessions reached", "Service Quotas"),
        ("TooManyRequestsException", "Come back later, please", "run the command again later"),
        (
            "InvalidRequestException",
            "Failed to Provision session due to required capacity not being available",
            "fewer DPUs",
        ),
    ],
    ids=["quota", "other wording", "capacity"],
)
def test_missing_capacity_is_an_error_at_the_deadline(
    stack: PulumiStack, emulator: Emulator, code: str, message: str, advice: str
) -> None:
    """The service's own words, what to do, and no session."""
    stack.write(WITH_DEADLINES)
    emulator.inject("StartSession", "error", code=code, message=message, status=400, times=None)
    output = stack.up_fails().output
    assert message in output
    assert advice in output
    assert "Traceback" not in output
    assert emulator.sessions() == []


def test_missing_capacity_can_be_cancelled(stack: PulumiStack, emulator: Emulator) -> None:
    """Ctrl-C ends the wait for capacity too; no session starts afterwards."""
    emulator.inject("StartSession", "error", code="TooManyRequestsException", times=None)
    command = stack.start("up", "--yes", "--skip-preview")
    wait_until(lambda: len(emulator.calls("StartSession")) > 4)
    command.send_signal(2)
    result = stack.finish(command, 10.0)
    assert "Stopped waiting" in result.output
    assert emulator.sessions() == []
