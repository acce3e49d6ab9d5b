"""Many sessions at once through the plugin, from YAML; beside the same ones from Python.

    make bench-plugin

Everything runs on one machine in one run, against the emulator in a process of its own. Compare the
figures as ratios. Writes ``results/plugin.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import scale
import yaml

START_SECONDS = 10.0
FLOOR = "YAML, no resource"
VARIANTS = ("plugin, YAML", "dynamic provider, Python", FLOOR)


def language_host() -> str:
    """Return the folder of the language host for YAML, built where it is missing."""
    tool = scale.HERE.parent / "tools" / "language_tools.py"
    printed = subprocess.run([sys.executable, str(tool)], check=True, stdout=subprocess.PIPE).stdout
    return str(json.loads(printed)["bin"])


def make_stack(folder: Path, variant: str, count: int, url: str) -> scale.Stack:
    """Create the stack of a variant."""
    program = scale.PROGRAMS["this provider"].format(count=count)
    stack = scale.Stack(folder, program if "Python" in variant else "", url)
    if "YAML" not in variant:
        return stack
    stack.env["PATH"] = f"{language_host()}{os.pathsep}{stack.env['PATH']}"
    session = {
        "type": "athena-session:Session",
        "properties": {"workGroup": "spark", "engineConfiguration": {"maxConcurrentDpus": 4}},
    }
    numbers = range(0 if variant == FLOOR else count)
    project = {
        "name": "bench",
        "runtime": "yaml",
        "resources": {f"session-{number}": session for number in numbers},
    }
    # Through JSON: the YAML host refuses aliases.
    (folder / "Pulumi.yaml").write_text(json.dumps(project))
    file = folder / "Pulumi.bench.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"] = {
        key.replace("aws:", "athena-session:"): value for key, value in content["config"].items()
    }
    file.write_text(yaml.safe_dump(content))
    return stack


def measure(count: int, variant: str) -> dict[str, float]:
    """Return the seconds of each command on a new stack."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder, scale.emulator(START_SECONDS) as service:
        stack = make_stack(Path(folder), variant, count, service.url)
        for name, command in scale.COMMANDS.items():
            began = time.monotonic()
            stack.run(*command, "--parallel", str(max(count, 16)))
            seconds[name] = time.monotonic() - began
            print(f"  {variant:25} N={count:<4} {name:13} {seconds[name]:6.1f} s", flush=True)
    return seconds


def report(results: dict[tuple[int, str], dict[str, float]]) -> str:
    """Return the report in Markdown."""
    conditions = (
        f"By `make bench-plugin` on {os.cpu_count()} cores; pulumi {version('pulumi')}. Sessions "
        f"take {START_SECONDS:g} s to start and {scale.TERMINATE_SECONDS} s to end. `--parallel` "
        "is N. Wall times in seconds, of one run each; the machine is shared, so read them as "
        "ratios."
    )
    lines = [
        "# Many sessions at once through the plugin",
        "",
        conditions,
        "",
        f"| N | program | {' | '.join(scale.COMMANDS)} |",
        f"|---:|---|{'---:|' * len(scale.COMMANDS)}",
    ]
    for (count, variant), seconds in results.items():
        figures = " | ".join(f"{seconds[name]:.1f}" for name in scale.COMMANDS)
        lines.append(f"| {count} | {variant} | {figures} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256])
    counts = parser.parse_args().counts
    results = {
        (count, variant): measure(count, variant) for count in counts for variant in VARIANTS
    }
    (scale.RESULTS / "plugin.md").write_text(report(results))


if __name__ == "__main__":
    main()
