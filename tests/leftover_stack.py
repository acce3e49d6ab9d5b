"""A stack whose `pulumi up` is cut off in the create of one session, and the commands after it.

`kept` is a session that the state names when the interruption comes; `cut` is the one that is being
created then. Each row of COMMANDS is a command that a user may run next.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from pulumi_stack import processes_of, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection

    from pulumi_stack import PulumiStack

    from athena_session_provider.emulator import Emulator

START_SECONDS = 60.0
"""How long the interrupted create would have taken."""
KILLS = 3
"""How often a kill is tried that is to leave a session."""

YES = ("--yes", "--skip-preview")

HEAD = """
import pulumi
from athena_session_provider import AwsConfig, Session

class Team(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Team", name, {}, opts)

def session(name, dpus, work_group="spark", region=None, **options):
    Session(name, work_group=work_group, engine_configuration={"max_concurrent_dpus": dpus},
            aws=AwsConfig(region=region) if region else None,
            opts=pulumi.ResourceOptions(**options))

"""

KEPT = "session('kept', 4)\n"
CUT = "session('cut', 8)\n"


@dataclass
class LeftoverStack:
    """The stack, and what the service's records say of it."""

    stack: PulumiStack
    emulator: Emulator
    kept: list[str] = field(default_factory=list)
    """The ids of the sessions that the state names after the interruption."""
    left: str = ""
    """The id of the session that the interrupted create started."""

    def cut_off(self, base: str = KEPT, how: str = "kill") -> None:
        """Interrupt an up in the create of ``cut``, while it waits.

        Args:
            base: The rest of the program, which is deployed before. Empty: nothing is.
            how: One of INTERRUPTIONS.
        """
        if base:
            self.stack.write(HEAD + base)
            self.stack.up()
            self.kept = sorted(self.stack.session_ids())
        before = set(self.live())
        self.emulator.update_settings(start_seconds=START_SECONDS)
        self.stack.write(HEAD + base + CUT)
        INTERRUPTIONS[how](self)
        (self.left,) = set(self.live()) - before
        assert sorted(self.stack.session_ids()) == self.kept
        self.emulator.update_settings(start_seconds=0.0)
        self.emulator.clear_faults()
        self.emulator.advance(START_SECONDS)

    def live(self) -> list[str]:
        """Return the ids of the sessions that cost money."""
        return sorted(session.session_id for session in self.emulator.live_sessions())

    def urn(self, name: str) -> str:
        """Return the URN of a session outside of components."""
        kind = "pulumi-python:dynamic/athena:Session"
        return f"urn:pulumi:{self.stack.name}::{self.stack.project}::{kind}::{name}"

    def starting(self, before: Collection[str]) -> bool:
        """Whether the create of ``cut`` waits for its session, which is none of those before."""
        creating = {
            session.session_id
            for session in self.emulator.live_sessions()
            if session.state == "CREATING" and session.session_id not in before
        }
        return any(
            call.parameters["SessionId"] in creating
            for call in self.emulator.calls("GetSessionStatus")
        )


def _start(cut: LeftoverStack) -> subprocess.Popen[str]:
    cut.emulator.clear_calls()
    before = cut.live()
    command = cut.stack.start("up", *YES)
    wait_until(lambda: cut.starting(before))
    return command


def _kill_everything(cut: LeftoverStack) -> None:
    """Kill the engine and the provider at once, as the end of a CI runner does."""
    before = set(cut.live())
    for _ in range(KILLS):
        command = _start(cut)
        kill_session(command)
        cut.stack.finish(command)
        cut.stack.unlock()
        # A provider that sees its engine die first ends its session: nothing is left to test then.
        if set(cut.live()) - before:
            return
    message = f"none of {KILLS} kills left a session"
    raise AssertionError(message)


def _kill_provider(cut: LeftoverStack) -> None:
    command = _start(cut)
    for provider in processes_of(command.pid, "pulumi.dynamic"):
        os.kill(provider, signal.SIGKILL)
    cut.stack.finish(command)


def _credentials_expire(cut: LeftoverStack) -> None:
    command = _start(cut)
    cut.emulator.inject("*", "expired-token", times=None)
    result = cut.stack.finish(command)
    assert result.exit_code != 0, result


def _service_stops(cut: LeftoverStack) -> None:
    """The calls of the wait and of the clean-up fail; the create gives up."""
    timeout = "custom_timeouts=pulumi.CustomTimeouts(create='3s')"
    cut.stack.write(
        cut.stack.program().replace("session('cut', 8)", f"session('cut', 8, {timeout})")
    )
    command = _start(cut)
    for call in ("GetSessionStatus", "ListSessions", "TerminateSession", "GetSession"):
        cut.emulator.inject(call, "reset", times=None)
    result = cut.stack.finish(command, 400)
    assert result.exit_code != 0, result


INTERRUPTIONS: dict[str, Callable[[LeftoverStack], None]] = {
    "kill": _kill_everything,
    "kill of the provider": _kill_provider,
    "expired credentials": _credentials_expire,
    "service stops": _service_stops,
}


@dataclass(frozen=True)
class Command:
    """A command after the interruption."""

    arguments: tuple[str, ...]
    program: str = KEPT + CUT
    before: Callable[[LeftoverStack], Any] | None = None
    keeps: bool = True
    """Whether the session that the state named is to live on."""
    forgets: bool = False
    """Whether ``before`` takes the sessions out of the state that it named. They live on then."""


def _other_region(cut: LeftoverStack) -> None:
    cut.stack.configure({"aws:region": "us-east-1"})


def _new_work_group(cut: LeftoverStack) -> None:
    boto3.client(
        "athena",
        region_name="eu-west-1",
        endpoint_url=cut.emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    ).create_work_group(
        Name="other",
        Configuration={
            "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
            "ExecutionRole": "arn:aws:iam::123456789012:role/spark",
        },
    )


def _rename(cut: LeftoverStack) -> None:
    cut.stack.succeed("stack", "rename", "renamed")
    cut.stack.name = "renamed"


def _forget(cut: LeftoverStack) -> None:
    if cut.kept:
        cut.stack.succeed("state", "delete", cut.urn("kept"), "--yes")


UP = ("up", *YES)
ALIAS = "aliases=[pulumi.Alias(name='cut')]"

COMMANDS: dict[str, Command] = {
    "up, same": Command(UP),
    "up, other size": Command(UP, KEPT + "session('cut', 16)\n"),
    "up, removed": Command(UP, KEPT),
    "up, both removed": Command(UP, "", keeps=False),
    "up, renamed": Command(UP, KEPT + "session('renamed', 8)\n"),
    "up, renamed with alias": Command(UP, KEPT + f"session('renamed', 8, {ALIAS})\n"),
    "up, in a component": Command(UP, KEPT + "session('cut', 8, parent=Team('team'))\n"),
    "up, other region": Command(UP, before=_other_region, keeps=False),
    "up, other region of one": Command(UP, KEPT + "session('cut', 8, region='us-east-1')\n"),
    "up, other work group": Command(
        UP,
        "session('kept', 4, 'other')\nsession('cut', 8, 'other')\n",
        _new_work_group,
        keeps=False,
    ),
    "up, other work group of one": Command(
        UP, KEPT + "session('cut', 8, 'other')\n", _new_work_group
    ),
    "up --target, same": Command((*UP, "--target", "**cut")),
    "up --target, other size": Command((*UP, "--target", "**cut"), KEPT + "session('cut', 16)\n"),
    "up --target, of another": Command(
        (*UP, "--target", "**kept"), "session('kept', 16)\n" + CUT, keeps=False
    ),
    "refresh, then up": Command(UP, before=lambda cut: cut.stack.refresh()),
    "destroy": Command(("destroy", *YES), keeps=False),
    "destroy --target, of another": Command(("destroy", *YES, "--target", "**kept"), keeps=False),
    "up after stack rename": Command(UP, before=_rename),
    "destroy after stack rename": Command(("destroy", *YES), before=_rename, keeps=False),
    "up after state delete": Command(UP, before=_forget),
    "destroy after state delete": Command(("destroy", *YES), before=_forget, forgets=True),
}
"""The commands of which each leaves no live session that the state does not name."""


def run_next(cut: LeftoverStack, name: str) -> set[str]:
    """Run a command of COMMANDS after the interruption; return the sessions that may live on.

    Asserts that the live sessions are those that the state names.
    """
    command = COMMANDS[name]
    cut.stack.write(HEAD + command.program)
    if command.before:
        command.before(cut)
    result = cut.stack.run(*command.arguments)
    assert result.exit_code == 0, result
    assert "Traceback" not in result.output, result
    named = {*cut.stack.session_ids(), *(cut.kept if command.forgets else [])}
    assert cut.live() == sorted(named), result
    assert not command.keeps or set(cut.kept) <= named, result
    return named


def kill_session(command: subprocess.Popen[str]) -> None:
    """Kill a command and all that it has started, at once."""
    doomed = processes_of(command.pid)
    # All stand still first, so that none sees another one die and cleans up after it.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
