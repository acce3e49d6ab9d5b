"""Control a running emulator over HTTP, in this process or in another one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, cast

from .records import Call, SessionRecord

_LIVE_STATES = frozenset({"CREATING", "CREATED", "IDLE", "BUSY"})
# A proxy from the environment cannot reach this machine's loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_SECONDS = 30.0


class EmulatorError(Exception):
    """The emulator refused a command."""


class EmulatorClient:
    """Controls an emulator from a test, and reads its records."""

    def __init__(self, url: str) -> None:
        self.url = url

    def calls(self, *operations: str) -> list[Call]:
        """Return the requests of Athena and STS in the order in which they arrived.

        operations: only those of these operations.
        """
        calls = [Call(**entry) for entry in self._post("calls")]
        return [call for call in calls if not operations or call.operation in operations]

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self._post("clear-calls")

    @property
    def certificate(self) -> str:
        """The file that a Spark Connect client trusts, as GRPC_DEFAULT_SSL_ROOTS_FILE_PATH."""
        return str(self._post("certificate"))

    def sessions(self) -> list[SessionRecord]:
        """Return every session there ever was, oldest first."""
        return [SessionRecord(**entry) for entry in self._post("sessions")]

    def session(self, session_id: str) -> SessionRecord:
        """Return one session."""
        return next(s for s in self.sessions() if s.session_id == session_id)

    def live_sessions(self) -> list[SessionRecord]:
        """Return the sessions that cost money: CREATING, CREATED, IDLE and BUSY."""
        return [session for session in self.sessions() if session.state in _LIVE_STATES]

    def set_state(self, session_id: str, state: str, reason: str | None = None) -> None:
        """Put a session into a state at once: kill it, make it BUSY or DEGRADED."""
        self._post("set-state", session_id=session_id, state=state, reason=reason)

    def advance(self, seconds: float) -> None:
        """Set the emulator's clock forward; everything that is due happens."""
        self._post("advance", seconds=seconds)

    def now(self) -> float:
        """Return the emulator's time, in seconds since the epoch."""
        return float(self._post("now"))

    def update_settings(self, **changes: float | str | None) -> None:
        """Change some of `Settings`; start_seconds is for sessions to come."""
        self._post("settings", **changes)

    def inject(self, operation: str, kind: str, **options: Any) -> int:
        """Order a fault.

        Args:
            operation: Of Athena or STS; "*" is any.
            kind: What happens, one of `KINDS`.
            options: The other members of `faults.Fault`: `times` (how many calls, None for all),
                `after` (how many matching calls pass first), `seconds` to wait, `code`, `message`
                and `status` of an error, and which calls: `session_id`, `work_group`, `region`.

        Returns:
            The fault's id in `faults()`.

        Raises:
            EmulatorError: It would never happen.
        """
        return int(self._post("inject", operation=operation, kind=kind, **options))

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults on order, with how often each of them `fired`."""
        return cast("list[dict[str, Any]]", self._post("faults"))

    def clear_faults(self) -> None:
        """Forget the faults on order."""
        self._post("clear-faults")

    def reset(self) -> None:
        """Forget everything, the resources of moto included."""
        self._post("reset")

    def _post(self, verb: str, **arguments: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own URL
            f"{self.url}/emulator/{verb}",
            data=json.dumps(arguments).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            with error:
                text = json.load(error)["error"]
            raise EmulatorError(text) from None
