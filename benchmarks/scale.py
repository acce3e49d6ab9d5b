"""Many sessions at once: this provider, a minimal one, and resources that do nothing.

    make bench

Everything runs on one machine in one run, against the emulator in a process of its own. Compare the
figures as ratios. Writes ``results/scale.md`` and ``results/scale.png``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from athena_session_provider.emulator import Call, EmulatorClient

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RESULTS = HERE / "results"

TERMINATE_SECONDS = 1
MANY = 64
PAIRS = 5
"""Repetitions of each command where small differences are compared; variants alternate."""
START_RATE = 5
START_BURST = 10
"""StartSession calls per second, and burst, that the throttled scenario allows."""

PROGRAMS = {
    "this provider": """
from athena_session_provider import Session
for number in range({count}):
    Session(f"session-{{number}}", work_group="spark",
            engine_configuration={{"max_concurrent_dpus": 4}})
""",
    "plain provider": """
from plain_provider import PlainSession
for number in range({count}):
    PlainSession(f"session-{{number}}", "spark")
""",
    "does nothing": """
from plain_provider import Nothing
for number in range({count}):
    Nothing(f"session-{{number}}")
""",
}


@dataclass
class Run:
    """The measurements of one command."""

    seconds: float
    calls: list[Call] = field(default_factory=list)
    provider_mebibytes: float = 0.0

    def by_operation(self) -> Counter[str]:
        """Return the number of calls of each operation."""
        return Counter(call.operation for call in self.calls)

    def peak_rate(self) -> int:
        """Return the highest number of calls within one second."""
        times = sorted(call.received_at for call in self.calls)
        return max(
            (sum(start <= other < start + 1 for other in times[i : i + 2000])
             for i, start in enumerate(times)),
            default=0,
        )  # fmt: skip


@contextmanager
def emulator(start_seconds: float, *options: str) -> Iterator[EmulatorClient]:
    """Run the emulator in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "athena_session_provider.emulator", "--port", "0",
         "--start-seconds", str(start_seconds), "--terminate-seconds", str(TERMINATE_SECONDS),
         "--engine-3-account-dpus", "none", "--on-demand-dpus", "none",
         *options],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield EmulatorClient(line.split()[-1])
    finally:
        process.terminate()
        process.wait()


class Stack:
    """A stack in a temporary folder."""

    def __init__(self, folder: Path, program: str, url: str) -> None:
        self.folder = folder
        for name in ("home", "state"):
            (folder / name).mkdir(parents=True)
        (folder / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
        (folder / "__main__.py").write_text(program)
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "BENCH_ENDPOINT": url,
        }
        self.run("stack", "init", "bench")
        file = folder / "Pulumi.bench.yaml"
        content = yaml.safe_load(file.read_text())
        content["config"] = {
            "aws:region": "eu-west-1",
            "aws:accessKey": "AK",
            "aws:secretKey": "SK",
            "aws:endpoints": [{"athena": url, "sts": url}],
        }
        file.write_text(yaml.safe_dump(content))

    def run(self, *arguments: str) -> None:
        """Run a command; exit if it fails."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"pulumi {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")


def provider_mebibytes() -> float:
    """Return the peak memory, in MiB, of the largest process that hosts a dynamic provider."""
    largest = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if b"pulumi.dynamic" in (status.parent / "cmdline").read_bytes():
                match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                largest = max(largest, int(match.group(1)) / 1024 if match else 0)
        except OSError:
            continue
    return largest


def measure(stack: Stack, emulator: EmulatorClient, *arguments: str) -> Run:
    """Run a command, and read its calls from the emulator's log."""
    emulator.clear_calls()
    run = Run(0.0)
    done = threading.Event()

    def watch_memory() -> None:
        while not done.wait(0.5):
            run.provider_mebibytes = max(run.provider_mebibytes, provider_mebibytes())

    watcher = threading.Thread(target=watch_memory)
    watcher.start()
    began = time.monotonic()
    stack.run(*arguments)
    run.seconds = time.monotonic() - began
    done.set()
    watcher.join()
    run.calls = emulator.calls()
    return run


def latencies(emulator: EmulatorClient, up: Run, start_seconds: float) -> list[float]:
    """Return the seconds from IDLE to the last call of create, for each session, sorted."""
    started = {session.session_id: session.started_at for session in emulator.sessions()}
    ended: dict[str, float] = {}
    for call in up.calls:
        if call.operation == "GetSession" and call.session_id in started:
            ended[call.session_id] = call.received_at
    return sorted(ended[name] - started[name] - start_seconds for name in ended)


COMMANDS = {
    "up": ("up", "--yes", "--skip-preview"),
    "no-change up": ("up", "--yes", "--skip-preview"),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}


def scenario(count: int, start_seconds: float, variant: str) -> tuple[dict[str, Run], list[float]]:
    """Run every command once on a new stack; return the runs and the latencies of up."""
    parallel = ("--parallel", str(max(count, 16)))
    with tempfile.TemporaryDirectory() as folder, emulator(start_seconds) as service:
        stack = Stack(Path(folder), PROGRAMS[variant].format(count=count), service.url)
        runs: dict[str, Run] = {}
        waits: list[float] = []
        for name, command in COMMANDS.items():
            runs[name] = measure(stack, service, *command, *parallel)
            print(f"  {variant:15} N={count:<4} {name:13} {runs[name].seconds:6.1f} s", flush=True)
            if name == "up":
                waits = latencies(service, runs[name], start_seconds)
        return runs, waits


def throttled(count: int) -> str:
    """Measure the start of many sessions with a limited rate of StartSession."""
    options = ("--start-rate", str(START_RATE), "--start-burst", str(START_BURST))
    with tempfile.TemporaryDirectory() as folder, emulator(0.0, *options) as service:
        stack = Stack(Path(folder), PROGRAMS["this provider"].format(count=count), service.url)
        stack.run("preview")
        run = measure(stack, service, *COMMANDS["up"], "--parallel", str(count))
    starts = [call.received_at for call in run.calls if call.operation == "StartSession"]
    dictated = (count - START_BURST) / START_RATE
    took = max(starts) - min(starts)
    return (
        f"N = {count} with {START_RATE} StartSession calls a second and a burst of {START_BURST}: "
        f"{took:.1f} s from the first to the last call, {took / dictated:.2f} times the "
        f"{dictated:.1f} s that the rate dictates, with {len(starts)} calls and no error."
    )


def one_session() -> str:
    """Compare one session that starts at once with one resource that does nothing."""
    commands = [name for name in COMMANDS if name != "refresh"]
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in commands}
    variants = ("this provider", "does nothing")
    with tempfile.TemporaryDirectory() as folder, emulator(0.0) as service:
        stacks = {
            variant: Stack(Path(folder) / variant, PROGRAMS[variant].format(count=1), service.url)
            for variant in variants
        }
        for _ in range(PAIRS):
            for name in commands:
                for variant, stack in stacks.items():
                    run = measure(stack, service, *COMMANDS[name])
                    seconds[name].setdefault(variant, []).append(run.seconds)
    texts = []
    for name in commands:
        ours, floor = (statistics.median(seconds[name][variant]) for variant in variants)
        texts.append(f"{name} {ours:.2f} s ({ours - floor:+.2f} s)")
    return (
        f"One session with S = 0, and over a resource that does nothing: {', '.join(texts)} "
        f"(medians of {PAIRS}, in turn)."
    )


def imports() -> str:
    """Compare importing the package with importing Pulumi alone."""
    modules = ("import athena_session_provider", "import pulumi.dynamic")
    seconds: list[list[float]] = [[], []]
    for _ in range(2 * PAIRS):
        for values, code in zip(seconds, modules, strict=True):
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent)
            values.append(time.monotonic() - began)
    ours, pulumi = (statistics.median(values) for values in seconds)
    return (
        f"Importing the package: {ours:.2f} s, {ours - pulumi:+.2f} s over importing Pulumi alone "
        f"(whole processes, medians of {2 * PAIRS}, in turn)."
    )


def limit(service_seconds: float, floor: Run) -> str:
    """Return the longest time, in seconds, that a command of this provider may take."""
    return f"{service_seconds + 1.2 * floor.seconds + 1:.1f}"


Results = dict[tuple[int, float, str], tuple[dict[str, Run], list[float]]]
"""The runs of each command, and the latencies, by number of sessions, start time and provider."""


def summary(results: Results) -> str:
    """Return the table that the documentation includes: seconds of up by number of sessions."""
    lines = [
        "<!-- --8<-- [start:summary] -->",
        f"| sessions | {' | '.join(PROGRAMS)} |",
        f"|---:|{'---:|' * len(PROGRAMS)}",
    ]
    for count in sorted({count for count, start, _ in results if start}):
        rows = [runs for (n, start, _), (runs, _) in results.items() if n == count and start]
        seconds = " | ".join(f"{runs['up'].seconds:.1f} s" for runs in rows)
        lines.append(f"| {count} | {seconds} |")
    return "\n".join([*lines, "<!-- --8<-- [end:summary] -->"])


def table(results: Results) -> str:
    """Return the report in Markdown."""
    conditions = (
        f"By `make bench` on {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"pulumi {version('pulumi')}, boto3 {version('boto3')}. S is how long the emulator takes "
        f"to start a session; it takes {TERMINATE_SECONDS} s to end one. `--parallel` is N, at "
        "least 16. Wall times in seconds, of one run each; the machine is shared, so read them as "
        "ratios. The limit of up is S + 1.2 x floor + 1 s; for destroy, S is the time to end a "
        "session. The floor is the time of resources that do nothing."
    )
    lines = [
        "# Many sessions at once",
        "",
        "Seconds of `pulumi up` for sessions that take 10 s to start:",
        "",
        summary(results),
        "",
        conditions,
        "",
        "| N | S | provider | up | limit | up/(S+floor) | no change | refresh | destroy | limit |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (count, start, variant), (runs, _) in results.items():
        floor = results[count, start, "does nothing"][0]
        seconds = {name: f"{run.seconds:.1f}" for name, run in runs.items()}
        ratio = runs["up"].seconds / (start + floor["up"].seconds)
        lines.append(
            f"| {count} | {start:g} | {variant} | {seconds['up']} | {limit(start, floor['up'])} "
            f"| {ratio:.2f} | {seconds['no-change up']} | {seconds['refresh']} "
            f"| {seconds['destroy']} | {limit(TERMINATE_SECONDS, floor['destroy'])} |"
        )
    lines += [
        "",
        "| N | S | provider | calls of up | status/s | peak/s | no change | IDLE to end | MiB |",
        "|---:|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    lines.insert(
        8,
        "In the second table: API calls of up by operation, status calls per second and the peak "
        "of all calls in one second, API calls of the no-change up, the median and p95 of the "
        "seconds from IDLE to the end of create, and the memory of the provider's process.\n",
    )
    for (count, start, variant), (runs, waits) in results.items():
        if variant == "does nothing":
            continue
        up = runs["up"]
        calls = ", ".join(f"{name} {number}" for name, number in sorted(up.by_operation().items()))
        status = sum(call.operation in ("GetSessionStatus", "ListSessions") for call in up.calls)
        waited = max(up.calls[-1].received_at - up.calls[0].received_at, 1.0)
        median = statistics.median(waits)
        p95 = waits[min(len(waits) - 1, round(0.95 * len(waits)))]
        lines.append(
            f"| {count} | {start:g} | {variant} | {calls} | {status / waited:.1f} "
            f"| {up.peak_rate()} | {len(runs['no-change up'].calls)} "
            f"| {median:.2f} / {p95:.2f} s | {up.provider_mebibytes:.0f} |"
        )
    return "\n".join(lines) + "\n"


def plot(results: Results) -> None:
    """Write the figure of the wall time of up over N."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2))
    for variant in PROGRAMS:
        points = [
            (count, runs["up"].seconds)
            for (count, start, name), (runs, _) in results.items()
            if name == variant and start
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=variant)
    axes.axhline(10, color="grey", linestyle=":", label="one session's start (10 s)")
    axes.set(xscale="log", yscale="log", xlabel="sessions", ylabel="seconds of `pulumi up`")
    axes.set_xticks([1, 8, 64, 256], ["1", "8", "64", "256"])
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "scale.png", dpi=110)


def main() -> None:
    """Run all scenarios and write the results."""
    parser = argparse.ArgumentParser(description="Measure many sessions at once.")
    parser.add_argument("--counts", default="1,8,64,256", help="numbers of sessions")
    parser.add_argument("--only", help="one provider, and nothing is written")
    options = parser.parse_args()
    counts = [int(text) for text in options.counts.split(",")]
    cases = [(1, 0.0), *((count, 10.0) for count in counts)]
    results = {
        (count, start, variant): scenario(count, start, variant)
        for count, start in cases
        for variant in PROGRAMS
        if options.only in (None, variant)
    }
    if options.only:
        for key, (runs, waits) in results.items():
            print(key, {name: dict(run.by_operation()) for name, run in runs.items()})
            if waits:
                print("  median, max:", statistics.median(waits), waits[-1])
                print("  peak", runs["up"].peak_rate(), "MiB", runs["up"].provider_mebibytes)
        return
    RESULTS.mkdir(exist_ok=True)
    details = "\n".join(f"- {line}" for line in (imports(), one_session(), throttled(MANY)))
    picture = "![Seconds of pulumi up over the number of sessions](scale.png)"
    (RESULTS / "scale.md").write_text(f"{table(results)}\n{details}\n\n{picture}\n")
    plot(results)
    print((RESULTS / "scale.md").read_text())


if __name__ == "__main__":
    main()
