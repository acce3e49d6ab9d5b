"""For the tests with real Spark: a client in a process of its own, and a look at processes."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from athena_session_provider.emulator import EmulatorClient

REPOSITORY = Path(__file__).parent.parent
SPARK_PYTHON = str(REPOSITORY / ".venv-spark" / "bin" / "python")
REGION = "eu-west-1"
CREDENTIALS = {"region": REGION, "access_key": "testing", "secret_key": "testing"}
TIMEOUT_SECONDS = 180

# A stack of a test runs with credentials of its own; the emulator takes any of its account.
PRELUDE = """
import sys, time, warnings
warnings.simplefilter("ignore")
from athena_session_provider import connect_url, remote_spark
session_id, arguments = sys.argv[1], {arguments!r}
def say(*values):
    print(*values, flush=True)
"""
CONNECT = "spark = remote_spark(session_id, **arguments)\n"


@contextmanager
def client_of(
    emulator: EmulatorClient, session_id: str, code: str
) -> Iterator[subprocess.Popen[str]]:
    """Run code with an unmodified PySpark; it has `session_id`, `arguments` and `say`."""
    prelude = PRELUDE.format(arguments={**CREDENTIALS, "endpoint_url": emulator.url})
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SPARK_", "GRPC_"))
    }
    with subprocess.Popen(
        [SPARK_PYTHON, "-c", prelude + code, session_id],
        env={**environment, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": emulator.certificate},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a client, and give what it printed on standard output and error."""
    try:
        return process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"the client did not end:\n{output}\n{errors}") from None


def run_client(emulator: EmulatorClient, session_id: str, code: str) -> list[str]:
    """Run code that has to succeed, and give the lines that it printed."""
    with client_of(emulator, session_id, code) as process:
        output, errors = finished(process)
    assert process.returncode == 0, f"{output}\n{errors}"
    return output.splitlines()


def read_line(process: subprocess.Popen[str], expected: str) -> None:
    """Wait for a line of a client."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line != expected:
        process.kill()
        raise AssertionError(f"{line!r} instead of {expected!r}: {process.communicate()[1]}")


def athena_client(emulator: EmulatorClient) -> Any:
    """Return a client of the API."""
    return boto3.client(
        "athena",
        region_name=REGION,
        endpoint_url=emulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def start_session(emulator: EmulatorClient, **properties: str) -> str:
    """Start a session of engine 3.5 past Pulumi, and return its id."""
    classification = {"Name": "spark-defaults", "Properties": properties}
    started = athena_client(emulator).start_session(
        WorkGroup="spark-35", EngineConfiguration={"Classifications": [classification]}
    )
    return str(started["SessionId"])


def processes() -> dict[int, tuple[int, str]]:
    """Return parent and command line of every process that runs, by its id."""
    listed = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,stat=,command="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"^\s*(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.*)$", listed, re.MULTILINE)
    return {int(pid): (int(parent), command) for pid, parent, _, command in found}


def descendants(pid: int) -> set[int]:
    """Return the ids of all processes below one."""
    running = processes()
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, (parent, _) in running.items() if parent in new} - found
        found |= new
    return found


def jvm_of(session_id: str) -> int:
    """Return the id of a session's JVM, which has the session's id on its command line."""
    (pid,) = (pid for pid, (_, command) in processes().items() if f"={session_id} " in command)
    return pid


def tree_of(session_id: str) -> set[int]:
    """Return the ids of all processes of a session: the server's helper, the JVM, the workers."""
    helper = processes()[jvm_of(session_id)][0]
    return {helper, *descendants(helper)}


def listening(pids: set[int]) -> set[str]:
    """Return the addresses that processes listen on, by Linux's /proc."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
                inodes.add(match[1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: it listens
                addresses.add(fields[1].rpartition(":")[0])
    return addresses
