"""API calls of the k-th create of one resource: does a long history of dead sessions cost anything?

    python benchmarks/redeploys.py

Runs the layer below Pulumi against the emulator. Writes ``results/redeploys.md``.
"""

from __future__ import annotations

import platform
import threading
from pathlib import Path

from athena_session_provider.emulator import Emulator
from athena_session_provider.service.boto import BotoAthena
from athena_session_provider.service.lifecycle import SessionLifecycle
from athena_session_provider.service.poller import PollerPool
from athena_session_provider.service.settings import AwsSettings
from athena_session_provider.service.token import Identity
from athena_session_provider.service.waiting import Deadline

RESULT = Path(__file__).parent / "results" / "redeploys.md"
SHOWN = (1, 2, 10, 100)
MOST_MORE_CALLS = 5
SECONDS_BETWEEN = 60.0
REQUEST = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}


class EmulatedTime:
    """Sleeping sets the emulator's clock forward, so that nobody waits."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._slept = 0.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self._slept

    def sleep(self, seconds: float) -> None:
        """Let time pass for the service too."""
        with self._lock:
            self._slept += seconds
        self._emulator.advance(seconds)


def calls_of_creates(*, token_known: bool) -> list[list[str]]:
    """Create and end a session again and again; give the operations of each create."""
    with Emulator(start_seconds=8.0, terminate_seconds=0.0) as emulator:
        athena = BotoAthena(
            AwsSettings(
                region="eu-west-1",
                access_key="AKIAIOSFODNN7EXAMPLE",
                secret_key="wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",  # noqa: S106 - AWS's own example
                endpoints=(("athena", emulator.url),),
            )
        )
        clock = EmulatedTime(emulator)
        identity = Identity(urn="urn:pulumi:dev::bench::pulumi-python:dynamic/athena:Session::s")
        _ = athena.account_id  # asked once for each process, whatever k is
        creates, token = [], ""

        def lifecycle() -> SessionLifecycle:
            # A new process, which knows nothing.
            pollers = PollerPool(clock.monotonic)
            return SessionLifecycle(athena, "spark", pollers, Deadline.after(600.0, clock))

        for _ in range(max(SHOWN)):
            emulator.clear_calls()
            created = lifecycle().create(
                identity,
                REQUEST,
                previous_token=token if token_known else "",
                cleanup=lambda: Deadline.after(60.0, clock),
            )
            token = created.client_request_token
            creates.append([call.operation for call in emulator.calls()])
            lifecycle().terminate(created.status.session_id)
            clock.sleep(SECONDS_BETWEEN)
        return creates


def main() -> None:
    """Measure both, and write the table."""
    lines = [
        "# The cost of a redeploy",
        "",
        (
            "API calls of the k-th create of a resource, each after the end of the session "
            "before it, by the "
            f"emulator's records. Python {platform.python_version()}; made by "
            "`benchmarks/redeploys.py`. A session takes 8 emulated seconds to start, so most "
            "calls are GetSessionStatus."
        ),
        "",
        "| k | the state has the token of the session before it | it does not |",
        "|---:|---:|---:|",
    ]
    known, lost = calls_of_creates(token_known=True), calls_of_creates(token_known=False)
    lines += [f"| {k} | {len(known[k - 1])} | {len(lost[k - 1])} |" for k in SHOWN]
    more = len(known[-1]) - len(known[0])
    lines += [
        "",
        (
            f"With the token, the 100th create makes {more} calls more than the first one. The "
            "state lacks it after a create that failed; a destroy of the stack ends the history."
        ),
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT.read_text())
    if more > MOST_MORE_CALLS:
        message = f"{more} more calls; the target is {MOST_MORE_CALLS}"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
