"""API calls of the k-th create after destroy: does a long history of dead sessions cost anything?

    python benchmarks/redeploys.py

Runs the layer below Pulumi against the emulator. Writes ``results/redeploys.md``.
"""

from __future__ import annotations

import platform
import threading
from pathlib import Path

from athena_session_provider.emulator import Emulator
from athena_session_provider.service import lifecycle
from athena_session_provider.service.boto import BotoAthena
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


def calls_of_creates(*, may_tag: bool) -> list[list[str]]:
    """Create and end a session again and again; give the operations of each create."""
    with Emulator(start_seconds=8.0, terminate_seconds=0.0) as emulator:
        if not may_tag:
            for operation in ("TagResource", "ListTagsForResource"):
                emulator.inject(operation, "access-denied", times=None)
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
        creates = []
        for _ in range(max(SHOWN)):
            emulator.clear_calls()
            # A new process, which knows nothing.
            token, _details = lifecycle.create(
                athena,
                identity,
                REQUEST,
                pollers=PollerPool(clock.monotonic),
                deadline=Deadline.after(600.0, clock),
                cleanup=lambda: Deadline.after(60.0, clock),
            )
            creates.append([call.operation for call in emulator.calls()])
            lifecycle.terminate_session(
                athena,
                token.session_id,
                "spark",
                pollers=PollerPool(clock.monotonic),
                deadline=Deadline.after(600.0, clock),
            )
            clock.sleep(SECONDS_BETWEEN)
        return creates


def main() -> None:
    """Measure both, and write the table."""
    lines = [
        "# The cost of a redeploy",
        "",
        (
            "API calls of the k-th create, each after the destroy of the one before, by the "
            f"emulator's records. Python {platform.python_version()}; made by "
            "`benchmarks/redeploys.py`. A session takes 8 emulated seconds to start, so most "
            "calls are GetSessionStatus."
        ),
        "",
        "| k | with permission for tags | without |",
        "|---:|---:|---:|",
    ]
    tagged, untagged = calls_of_creates(may_tag=True), calls_of_creates(may_tag=False)
    lines += [f"| {k} | {len(tagged[k - 1])} | {len(untagged[k - 1])} |" for k in SHOWN]
    more = len(tagged[-1]) - len(tagged[0])
    lines += ["", f"With tags, the 100th create makes {more} calls more than the first one."]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT.read_text())
    if more > MOST_MORE_CALLS:
        message = f"{more} more calls; the target is {MOST_MORE_CALLS}"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
