"""What happens, while it happens, on standard error."""

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
    """Tells one run's progress: a line that changes on a terminal, lines in a log.

    It keeps the errors that the engine reports, for the message that the command ends with.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.errors: list[str] = []
        self._console = console
        self._verbose = verbose
        self._status: Status | None = None
        self._shown = ""
        self._lock = threading.Lock()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show that something is under way."""
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
        """Show what is being waited for."""
        with self._lock:
            if text == self._shown:
                return
            self._shown = text
            if self._status is not None:
                self._status.update(text)
            else:
                self._print(text)

    def say(self, text: str) -> None:
        """Tell something that stays."""
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        # What AWS or a program says is no markup, and a log wraps its own lines.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def output(self, line: str) -> None:
        """Take a line of what ``pulumi`` prints."""
        if self._verbose:
            self.say(line)

    def forget_errors(self) -> None:
        """Begin a new command."""
        self.errors = []

    def event(self, event: EngineEvent) -> None:
        """Take an event of the engine. Called from a thread of the Automation API's."""
        diagnostic = event.diagnostic_event
        if diagnostic is not None:
            self._diagnostic(diagnostic)
        elif event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            if str(metadata.op) not in ("same", "OpType.SAME") and not self._verbose:
                self.status(f"{_name(metadata.urn)}: {_word(metadata.op)}")

    def _diagnostic(self, diagnostic: Any) -> None:
        message = without_color(diagnostic.message).strip()
        if not message:
            return
        if diagnostic.severity == "error":
            self.errors.append(message)
        elif diagnostic.ephemeral:
            # `create` and `delete` say the state of the session and the seconds.
            self.status(f"{_name(diagnostic.urn)}: {message}")
        elif diagnostic.severity == "warning":
            self.say(f"warning: {message}")


def _name(urn: str | None) -> str:
    return (urn or "stack").rsplit("::", 1)[-1]


def _word(operation: Any) -> str:
    return str(getattr(operation, "value", operation)).replace("-", " ")
