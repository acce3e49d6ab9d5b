"""Sessions of engine 3.5 on the emulator: how long they take to answer, and what its port costs.

    make spark && .venv/bin/python benchmarks/spark.py

Direct and through the port are measured in turns, in one run, with the same client and server, so
that they can be compared as ratios. Writes ``results/spark.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3

HERE = Path(__file__).parent
SPARK_PYTHON = HERE.parent / ".venv-spark" / "bin" / "python"
REGION = "eu-west-1"
SESSIONS = 3
"""How many sessions are started, one after the other."""

CLIENT = """
import sys, time, warnings
warnings.simplefilter("ignore")
from pyspark.sql import SparkSession
from athena_session_provider import connect_url, remote_spark
session_id, url, direct = sys.argv[1:4]
began = time.perf_counter()
spark = remote_spark(session_id, region="eu-west-1", access_key="a", secret_key="b",
                     endpoint_url=url)
spark.range(10).count()
print("first", time.perf_counter() - began)
if direct:
    from pyspark.sql.connect.session import SparkSession as Connect
    other = Connect.builder.remote(f"sc://{direct}").create()
    work = {
        "query": lambda s: s.sql("select 1").collect(),
        "download": lambda s: s.range(1_000_000, numPartitions=1).toPandas(),
    }
    for name, what in work.items():
        what(spark), what(other)
        for _ in range(int(sys.argv[4])):
            for way, session in (("port", spark), ("direct", other)):
                began = time.perf_counter()
                what(session)
                print(f"{name}-{way}", time.perf_counter() - began)
"""
DOWNLOAD_MB = 8.0
"""A million 8-byte numbers."""


def listed() -> dict[int, tuple[int, int, str]]:
    """Return parent, resident kilobytes and command of every process that runs."""
    text = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,rss=,stat=,command="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+[^Z\s]\S*\s+(.*)$", text, re.MULTILINE)
    return {int(pid): (int(parent), int(rss), command) for pid, parent, rss, command in found}


def jvm_of(session_id: str) -> int:
    """Return the id of a session's JVM."""
    return next(pid for pid, entry in listed().items() if f"={session_id} " in entry[2])


def direct_address(jvm: int) -> str:
    """Return where a session's server listens, past the emulator's port.

    It is the only listening socket of the JVM that answers HTTP/2 with a settings frame.
    """
    import socket

    inodes = {
        match[1]
        for entry in Path(f"/proc/{jvm}/fd").iterdir()
        if (match := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())))
    }
    for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] != "0A" or fields[9] not in inodes:
            continue
        port = int(fields[1].rpartition(":")[2], 16)
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            )
            try:
                answer = connection.recv(9)
            except OSError:
                continue
        if len(answer) == 9 and answer[3] == 4:  # noqa: PLR2004 - a frame's head, and its type
            return f"127.0.0.1:{port}"
    raise RuntimeError("the server's port was not found")


def run_client(session_id: str, url: str, certificate: str, direct: str, rounds: int) -> Any:
    """Run the client; return the seconds that it printed, by name."""
    done = subprocess.run(
        [SPARK_PYTHON, "-c", CLIENT, session_id, url, direct, str(rounds)],
        env={**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": certificate},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds: dict[str, list[float]] = {}
    for line in done.stdout.splitlines():
        name, value = line.split()
        seconds.setdefault(name, []).append(float(value))
    return seconds


def gone_after(pids: set[int]) -> float:
    """Return the seconds until processes are gone."""
    began = time.perf_counter()
    while pids & set(listed()):
        time.sleep(0.02)
    return time.perf_counter() - began


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each comparison")
    rounds = parser.parse_args().rounds
    from athena_session_provider.emulator import Emulator
    from athena_session_provider.emulator.spark import find_spark

    rows: dict[str, list[float]] = {}
    compared: dict[str, list[float]] = {}
    with Emulator(
        start_seconds=0.0, terminate_seconds=0.0, on_demand_dpus=None, spark=find_spark()
    ) as emulator:
        athena = boto3.client(
            "athena",
            region_name=REGION,
            endpoint_url=emulator.url,
            aws_access_key_id="a",
            aws_secret_access_key="b",  # noqa: S106 - the emulator takes any
        )
        for number in range(SESSIONS):
            session_id = athena.start_session(WorkGroup="spark-35", EngineConfiguration={})[
                "SessionId"
            ]
            began = time.perf_counter()
            athena.get_session_endpoint(SessionId=session_id)
            rows.setdefault("server ready, s", []).append(time.perf_counter() - began)
            jvm = jvm_of(session_id)
            helper = listed()[jvm][0]
            rows.setdefault("memory when ready, MB: JVM", []).append(listed()[jvm][1] / 1024)
            rows.setdefault("memory, MB: Python beside it", []).append(listed()[helper][1] / 1024)
            direct = direct_address(jvm) if number == 0 else ""
            seconds = run_client(session_id, emulator.url, emulator.certificate, direct, rounds)
            rows.setdefault("connect and first count, s", []).append(seconds.pop("first")[0])
            rows.setdefault("memory after that, MB: JVM", []).append(listed()[jvm][1] / 1024)
            compared.update(seconds)
            athena.terminate_session(SessionId=session_id)
            rows.setdefault("processes gone after TerminateSession, s", []).append(
                gone_after({jvm, helper})
            )
    page = [
        "# Sessions of engine 3.5 on the emulator",
        "",
        (
            f"`benchmarks/spark.py`, Spark 3.5.7, Python {platform.python_version()}, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end. "
            "The machine is shared: compare ratios."
        ),
        "",
        f"| of {SESSIONS} sessions, one after the other | least | median | most |",
        "| --- | --- | --- | --- |",
    ]
    page += [
        f"| {name} | {min(values):.1f} | {statistics.median(values):.1f} | {max(values):.1f} |"
        for name, values in rows.items()
    ]
    page += [
        "",
        f"| medians of {rounds} in turns | direct | through the port | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for name, label, digits in (
        ("query", "`select 1`, ms", 0),
        ("download", f"{DOWNLOAD_MB:g} MB to pandas, ms", 0),
    ):
        direct_ms, port_ms = (
            1000 * statistics.median(compared[f"{name}-{way}"]) for way in ("direct", "port")
        )
        page.append(
            f"| {label} | {direct_ms:.{digits}f} | {port_ms:.{digits}f} "
            f"| {port_ms / direct_ms:.2f} |"
        )
    text = "\n".join(page) + "\n"
    (HERE / "results" / "spark.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
