"""Pulumi in unattended runs: the statements of docs/unattended.md."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from athena_sessions import kill_all_of, live_ids
from pulumi_stack import PulumiStack, wait_until

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

UP = ("up", "--yes", "--skip-preview")


@pytest.fixture
def slow() -> Iterator[Emulator]:
    """An emulator whose sessions take four seconds to start."""
    with Emulator(start_seconds=4.0) as running:
        yield running


@pytest.fixture
def slow_stack(tmp_path: Path, slow: Emulator) -> PulumiStack:
    """A stack whose session takes four seconds to start."""
    return PulumiStack(tmp_path, slow).init()


def test_a_read_only_checkout_is_enough(stack: PulumiStack, emulator: Emulator) -> None:
    """`pulumi` itself writes nothing beside the program: not a byte, not a date."""

    def files() -> dict[str, tuple[int, bytes]]:
        return {
            entry.name: (entry.stat().st_mtime_ns, entry.read_bytes())
            for entry in stack.program_folder.iterdir()
        }

    before = files()
    for entry in (*stack.program_folder.iterdir(), stack.program_folder):
        entry.chmod(0o555 if entry.is_dir() else 0o444)  # which root does not mind
    try:
        stack.up()
        stack.refresh()
        stack.destroy()
        assert files() == before
    finally:
        stack.program_folder.chmod(0o755)
    assert live_ids(emulator) == []


def test_of_two_runs_at_once_one_says_who_holds_the_lock(
    slow_stack: PulumiStack, slow: Emulator
) -> None:
    """It ends at once, and the other one is not disturbed."""
    slow.update_settings(start_seconds=600.0)
    first = slow_stack.start(*UP)
    wait_until(lambda: live_ids(slow))
    second = slow_stack.fail(*UP)
    slow.advance(600.0)
    assert "the stack is currently locked by 1 lock" in second.output
    assert re.search(rf"created by \w+@{os.uname().nodename} \(pid \d+\) at ", second.output)
    assert slow_stack.finish(first).exit_code == 0
    assert live_ids(slow) == slow_stack.session_ids()


MOMENTS: dict[str, Callable[[Emulator], bool]] = {
    "before the first call": lambda _service: True,
    "after StartSession": lambda service: bool(live_ids(service)),
    "while the session starts": lambda service: len(service.calls("GetSessionStatus")) > 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_a_killed_job_the_next_one_has_the_session(
    slow_stack: PulumiStack, slow: Emulator, moment: str
) -> None:
    """Remove the lock and run the same command again: one session was started, and it is named."""
    running = slow_stack.start(*UP)
    wait_until(lambda: MOMENTS[moment](slow) or running.poll() is not None)
    assert running.poll() is None, "the job ended before it could be killed"
    kill_all_of(running)
    started = live_ids(slow)
    slow_stack.unlock()
    slow_stack.up()
    assert len(live_ids(slow)) == 1
    assert live_ids(slow) == slow_stack.session_ids()
    created = [call for call in slow.calls("StartSession") if call.created_session]
    assert len(created) == 1, "the session of the killed job is adopted, not started again"
    if started:
        # Pulumi warns in each run until the pending operation is cleared.
        assert "pending operations" in slow_stack.up("--expect-no-changes").output
        slow_stack.refresh("--clear-pending-creates")
    assert "pending" not in slow_stack.up("--expect-no-changes").output
    slow_stack.destroy()
    assert live_ids(slow) == []


def without_keys(stack: PulumiStack) -> None:
    """Leave the credentials to the environment."""
    stack.configure({"aws:accessKey": None, "aws:secretKey": None})


def test_credentials_that_expire_during_a_wait_are_renewed(
    slow_stack: PulumiStack, slow: Emulator
) -> None:
    """Whatever boto3 can renew is renewed; here a process that tells short-lived keys."""
    without_keys(slow_stack)
    process = slow_stack.folder / "credentials.py"
    # Keys that expire within ten minutes are renewed before the next call.
    process.write_text(
        "import datetime, json, time\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=602)\n"
        "key = 'ASIA' + str(time.time_ns())[:16]\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': key, 'SecretAccessKey': 's',"
        " 'SessionToken': 't', 'Expiration': end.isoformat()}))\n"
    )
    config = slow_stack.folder / "aws-config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {process}\n")
    slow_stack.environment["AWS_CONFIG_FILE"] = str(config)
    slow_stack.up()
    keys = {call.access_key_id for call in slow.calls("GetSessionStatus")}
    assert len(keys) > 1, "the keys were changed while the session was waited for"
    assert live_ids(slow) == slow_stack.session_ids()


def test_the_token_of_a_ci_job_is_exchanged_for_credentials(
    stack: PulumiStack, emulator: Emulator
) -> None:
    """OIDC: a role, and a file with a token, are all that the environment has."""
    without_keys(stack)
    token = stack.folder / "token"
    token.write_text("header.payload.signature")
    stack.environment.update(
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/ci",
        AWS_WEB_IDENTITY_TOKEN_FILE=str(token),
        AWS_ENDPOINT_URL_STS=emulator.url,
    )
    stack.up()
    (start,) = emulator.calls("StartSession")
    assert start.access_key_id.startswith("ASIA"), "temporary credentials"
    assert live_ids(emulator) == stack.session_ids()


def test_a_token_that_expires_for_good_loses_nothing(
    slow_stack: PulumiStack, slow: Emulator
) -> None:
    """The job says to renew the credentials; the next one takes up the session that was started."""
    slow.inject("GetSessionStatus", "expired-token", times=None)
    slow.inject("TerminateSession", "expired-token", times=None)
    failed = slow_stack.up_fails()
    assert "Renew the credentials" in failed.output
    assert "Traceback" not in failed.output
    (started,) = live_ids(slow)
    assert started in failed.output
    assert f"aws athena terminate-session --session-id {started}" in failed.output
    slow.clear_faults()
    slow_stack.up()
    assert live_ids(slow) == slow_stack.session_ids() == [started]


def test_no_terminal_is_needed(stack: PulumiStack) -> None:
    """Without --yes nothing is asked and nothing done; a preview needs no answer."""
    asked = stack.fail("up")
    assert "--yes" in asked.output
    stack.succeed("preview")
    plan = json.loads(stack.stdout("preview", "--json"))
    assert plan["changeSummary"] == {"create": 3}
