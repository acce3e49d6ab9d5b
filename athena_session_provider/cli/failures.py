"""Every error of the command as one paragraph, with its exit code."""

from __future__ import annotations

import re
import signal
from enum import IntEnum
from typing import TYPE_CHECKING

from pulumi.automation import CommandError, ConcurrentUpdateError, StackNotFoundError

from athena_session_provider.cli.times import parse_time
from athena_session_provider.service.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from typing_extensions import Self


class Exit(IntEnum):
    """The exit codes and their meanings. The help text is built from these members."""

    DONE = 0, "done, or nothing to do"
    FAILED = 1, "Pulumi or AWS refused, or failed"
    USAGE = 2, "wrong usage"
    LOCKED = 3, "the stack is locked"
    NOT_SET_UP = 4, "not set up: no Pulumi CLI, program, credentials, passphrase or base stack"
    PARTLY = 5, "only some of several done"
    NOT_A_PREVIEW = 6, "refused: the stack is not a preview environment"
    ORPHANS_FOUND = 10, "orphans found, and not terminated"
    INTERRUPTED = 130, "interrupted by SIGINT"
    TERMINATED = 143, "interrupted by SIGTERM"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Store the meaning beside the code."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class CommandFailedError(Exception):
    """An error whose text is shown as it is."""

    exit_code = Exit.FAILED


class NotSetUpError(CommandFailedError):
    """A prerequisite of the command is missing."""

    exit_code = Exit.NOT_SET_UP


class NotAPreviewError(CommandFailedError):
    """The stack was not created by `preview-env up`, so it is not changed."""

    exit_code = Exit.NOT_A_PREVIEW


class LockedError(CommandFailedError):
    """Another run holds the lock of the stack."""

    exit_code = Exit.LOCKED

    def __init__(self, stack: str, holder: str, since: Sequence[datetime | None] = ()) -> None:
        """Describe the lock; ``since`` has the time of each lock, None if it cannot be read."""
        self.holder = holder
        self.since = since
        super().__init__(
            f"Stack {stack} is locked by another run: {holder}. Wait until it has ended and run "
            "the command again. If that run was killed, its lock stays: remove it with "
            f"`pulumi cancel --stack {stack}`, or use --break-lock-older-than."
        )

    def older_than(self, age: timedelta, now: datetime) -> bool:
        """Return whether all locks are known to be at least this old."""
        return bool(self.since) and all(
            time is not None and time <= now - age for time in self.since
        )


class InterruptedRunError(CommandFailedError):
    """A signal stopped the command."""

    def __init__(self, signal_number: int) -> None:
        """Take the number of the signal."""
        is_sigint = signal_number == signal.SIGINT
        self.exit_code = Exit.INTERRUPTED if is_sigint else Exit.TERMINATED
        super().__init__(
            "Interrupted. Run the command again to continue, or `preview-env down` to end what "
            "was started."
        )


MISSING_CLI = (
    "The Pulumi CLI is not installed, or not on PATH: athena-sessions runs `pulumi`. Install it "
    "(https://www.pulumi.com/docs/install/) and run the command again."
)

# Backends in files and buckets print "<file>: created by root@ci-7 (pid 1234) at
# 2026-01-31T12:00:00Z".
_LOCK = re.compile(r"created by (?P<holder>.+? \(pid \d+\)) at (?P<time>\S+)")
_COLOR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_LOCATION = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_MAXIMUM_CHARACTERS = 2000

_SET_UP = (
    (
        re.compile(r"passphrase must be set|incorrect passphrase|get passphrase", re.IGNORECASE),
        (
            "Set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to the passphrase "
            "of the project's stacks."
        ),
    ),
    (
        re.compile(r"PULUMI_ACCESS_TOKEN|not logged in|pulumi login", re.IGNORECASE),
        "Log in with `pulumi login`, or set PULUMI_ACCESS_TOKEN or PULUMI_BACKEND_URL.",
    ),
)


def _locked(stack: str, text: str) -> LockedError:
    """Return the error for a lock, from Pulumi's output."""
    return LockedError(
        stack,
        _holder_of_lock(text),
        [parse_time(match["time"]) for match in _LOCK.finditer(text)],
    )


def _holder_of_lock(text: str) -> str:
    locks = [f"{match['holder']}, since {match['time']}" for match in _LOCK.finditer(text)]
    if locks:
        return "; ".join(locks)
    conflict = re.search(r"\[409\] Conflict: (.+)", text)
    return conflict.group(1).strip().rstrip(".") if conflict else "Pulumi does not report which"


def without_color(text: str) -> str:
    """Remove terminal colors and the engine's color marks."""
    return _COLOR.sub("", text)


def paragraph(text: str) -> str:
    """Return output of Pulumi or a program as one paragraph; of a traceback, the exception."""
    text = without_color(text)
    if "Traceback (most recent call last)" in text:
        text = _exception_of(text)
    joined = " ".join(text.split())
    if len(joined) > _MAXIMUM_CHARACTERS:
        joined = joined[:_MAXIMUM_CHARACTERS] + " ..."
    return joined


def _exception_of(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    # The last line that starts with an exception's name; its message may have more lines.
    start = max(
        (number for number, line in enumerate(lines) if re.match(r"\s*[\w.]+(Error|Exception|Exit"
         r"|Interrupt|Warning)\b", line)),
        default=len(lines) - 1,
    )  # fmt: skip
    places = _LOCATION.findall(text)
    where = f" ({places[-1][0]}, line {places[-1][1]})" if places else ""
    return f"{' '.join(lines[start:])}{where}"


def from_pulumi(exc: CommandError, stack: str, diagnostics: Iterable[str] = ()) -> Exception:
    """Return this package's error for a `pulumi` command that failed.

    ``diagnostics`` are the errors that the engine reported, which are more precise than its output.
    """
    text = str(exc)
    if isinstance(exc, ConcurrentUpdateError):
        return _locked(stack, text)
    if isinstance(exc, StackNotFoundError):
        return NotSetUpError(f"There is no stack {stack} in this project and backend.")
    for pattern, remedy in _SET_UP:
        if pattern.search(text):
            return NotSetUpError(f"{paragraph(_errors_in(text))} {remedy}")
    messages = [paragraph(message) for message in diagnostics]
    # The engine reports an error of a resource again at the end of the update.
    messages = list(dict.fromkeys(item for item in messages if item != "update failed"))
    return CommandFailedError(f"Stack {stack}: {' '.join(messages) or paragraph(_errors_in(text))}")


def _errors_in(text: str) -> str:
    """Return the errors in the output of a `pulumi` command that failed."""
    stderr = text.split("\n stderr: ", 1)[-1].strip()
    errors = re.findall(r"^error: (.+(?:\n(?!warning:|error:).+)*)", stderr, re.MULTILINE)
    return "\n".join(errors) or stderr or text.strip()


def exit_code_of(error: Exception) -> Exit:
    """Return the exit code for an error of this package."""
    if isinstance(error, CommandFailedError):
        return error.exit_code
    return Exit.NOT_SET_UP if isinstance(error, ConfigurationError) else Exit.FAILED
