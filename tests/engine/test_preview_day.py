"""A day of a service that gives each of twenty pull requests a session.

Sessions idle away, pushes come, webhooks come twice or not at all, jobs are killed. In the end,
nothing lives that no open pull request owns, and the emulator's books add up. Its clock is set
forward; the stacks are real ones, worked on by the real Pulumi CLI.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from athena_sessions import Command, kill_all_of, live_ids
from pulumi_stack import PulumiStack, wait_until
from rich.console import Console

from athena_session_provider.cli import preview, previews
from athena_session_provider.cli.command import Interrupts, Pulumi
from athena_session_provider.cli.progress import Reporter
from athena_session_provider.cli.project import temporary_project
from athena_session_provider.cli.sessions import named_sessions
from athena_session_provider.cli.stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pulumi.automation import LocalWorkspace

    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

JOBS = 3
"""Jobs that the CI system runs at once."""

PROGRAM = """
import pulumi
from athena_session_provider import Session

config = pulumi.Config()
Session(
    "session",
    work_group="spark",
    engine_configuration={"max_concurrent_dpus": config.get_int("dpus") or 20},
    session_idle_timeout_in_minutes=config.require_int("idle"),
)
"""

PATIENT, HASTY = 480, 20
"""Idle timeouts in minutes: beyond the day's end, and before the first push."""


class Service:
    """The CI system: runs the commands, some of them at once, on the emulated clock."""

    def __init__(self, workspace: LocalWorkspace, stack: PulumiStack, emulator: Emulator) -> None:
        self.workspace = workspace
        self.emulator = emulator
        self.command = Command(stack)
        self.reporter = Reporter(Console(file=io.StringIO()))

    def now(self) -> datetime:
        """The emulated time."""
        return datetime.fromtimestamp(self.emulator.now(), timezone.utc)

    def up(self, number: int, ttl_hours: float = 24, dpus: int = 20) -> str:
        """Run the job of an opened pull request, or of a push; give its session."""
        idle = HASTY if number in HASTY_ONES else PATIENT
        options = preview.Up(
            name=f"pr-{number}",
            base="dev",
            ttl=timedelta(hours=ttl_hours),
            config={"idle": str(idle), "dpus": str(dpus)},
            lock_patience=timedelta(minutes=2),
            break_lock_older_than=timedelta(minutes=0) if number in KILLED else None,
        )
        (session,) = previews.up(self.workspace, options, self.reporter, self.now).sessions
        return session.session_id

    def down(self, number: int) -> preview.DownResult:
        """Run the job of a closed pull request."""
        options = preview.Down(break_lock_older_than=timedelta(0) if number in KILLED else None)
        return previews.down(self.workspace, f"pr-{number}", options, self.reporter)

    def sweep(self, open_numbers: Iterable[int]) -> list[str]:
        """Run the nightly job; give the names that it took down."""
        swept = previews.sweep(
            self.workspace,
            self.reporter,
            open_names=[f"pr-{number}" for number in open_numbers],
            dry_run=False,
            options=preview.Down(),
            now=self.now(),
        )
        assert not [item.error for item in swept if item.error]
        return sorted(item.preview.name for item in swept)

    def killed(self, numbers: Iterable[int]) -> None:
        """Run the jobs of opened pull requests, and kill them as soon as their sessions start."""
        self.emulator.update_settings(start_seconds=600.0)
        before = len(self.emulator.sessions())
        running = [
            self.command.start(
                *("preview-env", "up", f"pr-{number}", "--from-stack", "dev", "--ttl", "24h"),
                *("--config", f"idle={PATIENT}", "--config", "dpus=20"),
            )
            for number in numbers
        ]
        wait_until(lambda: len(self.emulator.sessions()) == before + len(running), timeout=120)
        for process in running:
            kill_all_of(process)
        self.emulator.update_settings(start_seconds=0.0)

    def named(self) -> dict[str, list[str]]:
        """The sessions that the stacks name."""
        return {
            item.name: [
                session.session_id
                for session in named_sessions(
                    Stack(item.name, self.workspace, self.reporter).deployment()
                )
            ]
            for item in previews.previews(self.workspace, self.reporter)
        }


ALL = range(1, 21)
HASTY_ONES = range(11, 19)
"""Their sessions end while nobody works in them."""
KILLED = (19, 20)
"""Their first job is killed."""
SHORT_LIVED = (6, 7, 8)
"""Open for longer than their environments were asked for."""


@pytest.fixture
def service(
    tmp_path_factory: pytest.TempPathFactory,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:
    """The service, with a stack dev to copy the configuration from."""
    stack = PulumiStack(tmp_path_factory.mktemp("day"), emulator).init(PROGRAM)
    for name, value in stack.env().items():
        monkeypatch.setenv(name, value)
    with ExitStack() as exit_stack:
        project = temporary_project(stack.program_folder, Pulumi(Interrupts()))
        yield Service(exit_stack.enter_context(project), stack, emulator)


def test_a_day_of_twenty_pull_requests(service: Service, emulator: Emulator) -> None:
    """Opened, killed, idle, pushed to, closed, forgotten, expired: nothing is left behind."""
    with ThreadPoolExecutor(JOBS) as ci:
        # Morning: all are opened; two jobs are killed in the middle of a start.
        service.killed(KILLED)
        opened = [number for number in ALL if number not in KILLED]
        ttls = [4 if number in SHORT_LIVED else 24 for number in opened]
        first = dict(zip(opened, ci.map(service.up, opened, ttls), strict=True))
        assert sorted(live_ids(emulator)) == sorted([*first.values(), *live_by_killed(emulator)])
        assert len(live_ids(emulator)) == len(ALL)

        # Half an hour later, the hasty ones' sessions have ended by themselves.
        emulator.advance(1800)
        assert len(live_ids(emulator)) == len(ALL) - len(HASTY_ONES)

        # Pushes: without a change, with one, to an environment whose session has ended, and after
        # a job that was killed.
        pushed = {3: 20, 4: 10, 5: 10, 11: 20, 12: 20, 13: 20, 19: 20}
        second = dict(
            zip(
                pushed,
                ci.map(lambda number: service.up(number, dpus=pushed[number]), pushed),
                strict=True,
            )
        )
        assert second[3] == first[3], "nothing has changed"
        assert all(second[number] != first[number] for number in (4, 5, 11, 12, 13))

        # Closed: one webhook comes twice, one environment has only ever been begun.
        closed = [1, 4, 11, 15, 20]
        outcomes = list(ci.map(service.down, [1, *closed]))
        assert sum(outcome.existed for outcome in outcomes[:2]) in (1, 2)
        assert outcomes[-1].ended_unnamed, "the start of pr-20 was killed, its session was not"

        # Night: three were closed and nobody heard of it, three have outlived their time.
        unheard = [2, 12, 16]
        emulator.advance(4.5 * 3600)
        open_ones = [number for number in ALL if number not in closed and number not in unheard]
        swept = service.sweep(open_ones)
    assert swept == sorted(f"pr-{number}" for number in (*unheard, *SHORT_LIVED))

    # What lives is owned by an open pull request.
    named = service.named()
    assert set(named) == {f"pr-{number}" for number in open_ones if number not in SHORT_LIVED}
    owned = {session for sessions in named.values() for session in sessions}
    assert set(live_ids(emulator)) <= owned
    assert set(live_ids(emulator)) == {second[3], second[5], first[9], first[10], second[19]}

    # The books.
    started = [call for call in emulator.calls("StartSession") if call.created_session]
    ended = [session for session in emulator.sessions() if session.ended_at is not None]
    assert len(started) == len(emulator.sessions()) == len(ALL) + 2 + 3, "two changed, three idled"
    assert len(started) == len(ended) + len(live_ids(emulator))
    assert adopted(emulator) == {second[19]}, "the one that a killed job had started"


def live_by_killed(emulator: Emulator) -> list[str]:
    """The sessions whose start was never waited for."""
    return [s.session_id for s in emulator.live_sessions() if s.state != "IDLE"]


def adopted(emulator: Emulator) -> set[str]:
    """The sessions that a StartSession was given again while they lived."""
    ends = {session.session_id: session.ended_at for session in emulator.sessions()}
    return {
        call.session_id
        for call in emulator.calls("StartSession")
        if call.session_id
        and not call.created_session
        and call.error_code is None
        and (ends[call.session_id] or float("inf")) > call.received_at
    }
