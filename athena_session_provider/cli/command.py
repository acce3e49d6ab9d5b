"""The ``pulumi`` process, and passing signals on to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import InvalidVersionError, create_command_error
from semver import VersionInfo

from athena_session_provider.cli.failures import (
    MISSING_CLI,
    InterruptedRunError,
    NotSetUpError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import TextIO

OLDEST_CLI = VersionInfo(3, 211)
"""The first version whose backends in files and buckets keep stack tags."""


class Interrupts:
    """Passes SIGINT and SIGTERM on to the running ``pulumi`` processes.

    Pulumi cancels the update at the first SIGINT and aborts at the second. In a terminal, Ctrl-C
    would reach it twice, from the terminal and from this process; therefore it runs in a process
    group of its own. When a CI system cancels a job, only this process receives the signal.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._processes: set[subprocess.Popen[str]] = set()

    def install(self) -> None:
        """Install the signal handlers; call it in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        running = [process for process in list(self._processes) if process.poll() is None]
        for process in running:
            # Pulumi handles SIGINT only: SIGTERM kills it, and its lock stays.
            process.send_signal(signal.SIGINT)
        if not running:
            raise InterruptedRunError(number)

    def raise_if_received(self) -> None:
        """Raise InterruptedRunError if a signal was received."""
        if self.received is not None:
            raise InterruptedRunError(self.received)

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Start to pass signals on to a process."""
        self._processes.add(process)
        if self.received is not None:
            process.send_signal(signal.SIGINT)

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Stop to pass signals on to a process that has ended."""
        self._processes.discard(process)


class Pulumi(PulumiCommand):
    """The Pulumi CLI as the Automation API runs it, with signals passed on."""

    def __init__(self, interrupts: Interrupts) -> None:
        """Find the CLI. Raises NotSetUpError."""
        if shutil.which("pulumi") is None:
            raise NotSetUpError(MISSING_CLI)
        try:
            super().__init__(version=OLDEST_CLI)
        except InvalidVersionError as exc:
            raise NotSetUpError(str(exc)) from exc
        except (OSError, subprocess.CalledProcessError) as exc:
            raise NotSetUpError(f"{shutil.which('pulumi')} cannot be run: {exc}.") from exc
        self._interrupts = interrupts

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Run a command without a terminal.

        Raises CommandError, or InterruptedRunError after a signal.
        """
        self._interrupts.raise_if_received()
        environment = {
            **os.environ,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **additional_env,
            "PULUMI_AUTOMATION_API": "true",
        }
        out: list[str] = []
        err: list[str] = []
        with subprocess.Popen(  # noqa: S603 - no shell, a fixed program
            [self.command, "--non-interactive", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            self._interrupts.watch(process)
            try:
                assert process.stdout is not None  # noqa: S101 - both are pipes
                assert process.stderr is not None  # noqa: S101
                readers = [
                    threading.Thread(target=_read, args=(process.stdout, out, on_output)),
                    threading.Thread(target=_read, args=(process.stderr, err, on_error)),
                ]
                for reader in readers:
                    reader.start()
                for reader in readers:
                    reader.join()
                process.wait()
            finally:
                self._interrupts.forget(process)
        result = CommandResult(
            stdout="\n".join(out), stderr="\n".join(err), code=process.returncode
        )
        if result.code != 0:
            self._interrupts.raise_if_received()
            raise create_command_error(result)
        return result


def _read(stream: TextIO, lines: list[str], callback: Callable[[str], Any] | None) -> None:
    with stream:
        for line in stream:
            stripped = line.rstrip()
            if callback:
                callback(stripped)
            lines.append(stripped)
