"""Every error of the command as one readable paragraph, with the exit code it gives."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

from pulumi.automation import CommandError, ConcurrentUpdateError, StackNotFoundError

from athena_session_provider.service.errors import AthenaSessionError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exit(IntEnum):
    """What the exit codes mean; the package's text has them as a table."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    NOT_SET_UP = 4
    PARTLY = 5
    NOT_A_PREVIEW = 6
    ORPHANS_FOUND = 10


class CommandFailedError(Exception):
    """An error whose text is meant to be shown as it is."""

    exit_code = Exit.FAILED


class NotSetUpError(CommandFailedError):
    """Something that the command needs is not there."""

    exit_code = Exit.NOT_SET_UP


class NotAPreviewError(CommandFailedError):
    """The stack was not made by `preview-env up`, so it is left alone."""

    exit_code = Exit.NOT_A_PREVIEW


class LockedError(CommandFailedError):
    """Another run holds the lock of the stack."""

    exit_code = Exit.LOCKED

    def __init__(self, stack: str, holder: str) -> None:
        self.stack = stack
        self.holder = holder
        super().__init__(
            f"Stack {stack} is locked, because another run works on it: {holder}. Wait until it "
            "has ended and run the command again. If that run was killed, its lock stays: "
            f"`pulumi cancel --stack {stack}` removes it, and so does "
            "--break-lock-older-than here."
        )


class InterruptedRunError(CommandFailedError):
    """A signal stopped the command."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(
            "Interrupted. Nothing that was started is lost: run the command again, and it takes up "
            "where this one stopped; or `preview-env down`, and it ends what was started."
        )


MISSING_CLI = (
    "The Pulumi CLI is not installed, or not on PATH: athena-sessions runs `pulumi`. Install it "
    "(https://www.pulumi.com/docs/install/) and run the command again."
)

# "<file>: created by root@ci-7 (pid 1234) at 2026-01-31T12:00:00Z", from the backends in files
# and buckets.
_LOCK = re.compile(r"created by (?P<holder>.+? \(pid \d+\)) at (?P<time>\S+)")
_COLOR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_LOCATION = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_MAXIMUM_CHARACTERS = 2000

_SET_UP = (
    (
        re.compile(r"passphrase must be set|incorrect passphrase|get passphrase", re.IGNORECASE),
        (
            "Set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to the passphrase "
            "that the project's stacks are encrypted with."
        ),
    ),
    (
        re.compile(r"PULUMI_ACCESS_TOKEN|not logged in|pulumi login", re.IGNORECASE),
        "Log in with `pulumi login`, or set PULUMI_ACCESS_TOKEN or PULUMI_BACKEND_URL.",
    ),
)


def holder_of_lock(text: str) -> str:
    """Say who holds a lock, from what Pulumi printed."""
    locks = [f"{match['holder']}, since {match['time']}" for match in _LOCK.finditer(text)]
    if locks:
        return "; ".join(locks)
    conflict = re.search(r"\[409\] Conflict: (.+)", text)
    return conflict.group(1).strip().rstrip(".") if conflict else "Pulumi does not tell whom"


def times_of_lock(text: str) -> list[str]:
    """Give when each lock was made, as Pulumi printed it."""
    return [match["time"] for match in _LOCK.finditer(text)]


def without_color(text: str) -> str:
    """Take terminal colors and the engine's own color marks out."""
    return _COLOR.sub("", text)


def paragraph(text: str) -> str:
    """Make one paragraph of what Pulumi or a program printed; of a traceback, what it says."""
    text = without_color(text)
    if "Traceback (most recent call last)" in text:
        text = _last_words(text)
    joined = " ".join(text.split())
    if len(joined) > _MAXIMUM_CHARACTERS:
        joined = joined[:_MAXIMUM_CHARACTERS] + " ..."
    return joined


def _last_words(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    # The exception is the last line that is not indented; its message may go on below it.
    start = max(
        (number for number, line in enumerate(lines) if re.match(r"\s*[\w.]+(Error|Exception|Exit"
         r"|Interrupt|Warning)\b", line)),
        default=len(lines) - 1,
    )  # fmt: skip
    places = _LOCATION.findall(text)
    where = f" ({places[-1][0]}, line {places[-1][1]})" if places else ""
    return f"{' '.join(lines[start:])}{where}"


def from_pulumi(exc: CommandError, stack: str, diagnostics: Iterable[str] = ()) -> Exception:
    """Give the error of this package for a `pulumi` that failed.

    ``diagnostics`` are the errors that the engine reported; they say more than what it prints.
    """
    text = str(exc)
    if isinstance(exc, ConcurrentUpdateError):
        return LockedError(stack, holder_of_lock(text))
    if isinstance(exc, StackNotFoundError):
        return NotSetUpError(f"There is no stack {stack} in this project and backend.")
    for pattern, remedy in _SET_UP:
        if pattern.search(text):
            return NotSetUpError(f"{paragraph(_errors_in(text))} {remedy}")
    told = [paragraph(message) for message in diagnostics]
    # One cause is often reported twice: by its resource, and as the end of the update.
    told = list(dict.fromkeys(message for message in told if message != "update failed"))
    return CommandFailedError(f"Stack {stack}: {' '.join(told) or paragraph(_errors_in(text))}")


def _errors_in(text: str) -> str:
    """Pick the errors out of the output of a `pulumi` that failed."""
    stderr = text.split("\n stderr: ", 1)[-1].strip()
    errors = re.findall(r"^error: (.+(?:\n(?!warning:|error:).+)*)", stderr, re.MULTILINE)
    return "\n".join(errors) or stderr or text.strip()


def exit_code_of(error: Exception) -> int:
    """Give the exit code for an error of this package."""
    if isinstance(error, InterruptedRunError):
        return 128 + error.signal_number
    if isinstance(error, CommandFailedError):
        return int(error.exit_code)
    if isinstance(error, ConfigurationError):
        return int(Exit.NOT_SET_UP)
    assert isinstance(error, AthenaSessionError)  # noqa: S101 - the only other kind that is caught
    return int(Exit.FAILED)
