"""Progress on standard error."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from athena_session_provider.cli.failures import without_color

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulumi.automation import EngineEvent
    from rich.console import Console
    from rich.status import Status


class Reporter:
    """Shows progress: one line that changes on a terminal, lines of their own in a log.

    Threads may share it.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._status: Status | None = None
        self._shown = ""
        self._lock = threading.Lock()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show a spinner, with ``what`` as its first status."""
        if self._verbose or not self._console.is_terminal:
            self.status(what)
            yield
            return
        with self._console.status(what) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def status(self, text: str) -> None:
        """Show the present step, once if it repeats."""
        with self._lock:
            if text == self._shown:
                return
            self._shown = text
            if self._status is not None:
                self._status.update(text)
            else:
                self._print(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        # Text of AWS or a program may look like markup; a log viewer wraps lines itself.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def output(self, line: str) -> None:
        """Print a line of ``pulumi``'s output if verbose."""
        if self._verbose:
            self.say(line)

    def event(self, event: EngineEvent) -> None:
        """Show an event of the engine. Called from a thread of the Automation API."""
        diagnostic = event.diagnostic_event
        if diagnostic is not None:
            self._diagnostic(diagnostic)
        elif event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            if str(metadata.op) not in ("same", "OpType.SAME") and not self._verbose:
                self.status(f"{_name(metadata.urn)}: {_word(metadata.op)}")

    def _diagnostic(self, diagnostic: Any) -> None:
        message = without_color(diagnostic.message).strip()
        if not message or diagnostic.severity == "error":
            return  # errors are part of the message that the command ends with
        if diagnostic.ephemeral:
            # The provider reports the session's state and the seconds waited.
            self.status(f"{_name(diagnostic.urn)}: {message}")
        elif diagnostic.severity == "warning":
            self.say(f"warning: {message}")


def errors_of(event: EngineEvent) -> list[str]:
    """Return the error message in an event of the engine, if there is one."""
    diagnostic = event.diagnostic_event
    if diagnostic is None or diagnostic.severity != "error":
        return []
    message = without_color(diagnostic.message).strip()
    return [message] if message else []


def _name(urn: str | None) -> str:
    return (urn or "stack").rsplit("::", 1)[-1]


def _word(operation: Any) -> str:
    return str(getattr(operation, "value", operation)).replace("-", " ")
