"""Sessions of engine 3.5 on real Spark Connect servers, with the unmodified PySpark client."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import grpc
import pytest
from pulumi_stack import REPOSITORY, PulumiStack, wait_until
from spark_client import (
    CONNECT,
    athena_client,
    client_of,
    descendants,
    finished,
    jvm_of,
    listening,
    processes,
    read_line,
    run_client,
    start_session,
    tree_of,
)

from athena_session_provider.emulator import Emulator, EmulatorClient
from athena_session_provider.emulator.spark import find_spark
from athena_session_provider.emulator.spark_connect import TOKEN_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

# The addresses 127.0.0.1, ::1 and ::ffff:127.0.0.1 as Linux writes them.
LOOPBACK = {
    "0100007F",
    "00000000000000000000000001000000",
    "0000000000000000FFFF00000100007F",
}

EXAMPLE = REPOSITORY / "examples" / "spark-connect"

WORK = (
    CONNECT
    + """
import pandas as pd
from pyspark.sql.functions import col, pandas_udf, udf

say(spark.range(10).count())
say(spark.sql("select 1 as a, 'x' as b").toPandas().values.tolist())
frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "y"]})
say(sorted(spark.createDataFrame(frame).groupBy("b").sum("a").toPandas().values.tolist()))
plus = udf(lambda x: x + 1, "long")
say([row[0] for row in spark.range(3).select(plus(col("id"))).collect()])

@pandas_udf("long")
def twice(series: pd.Series) -> pd.Series:
    return series * 2

say([row[0] for row in spark.range(3).select(twice(col("id"))).collect()])
spark.range(5).write.saveAsTable("numbers")
say(spark.table("numbers").count())
try:
    spark.table("nowhere").collect()
except Exception as error:
    say(type(error).__name__)
say(remote_spark(session_id, **arguments) is spark)
say(spark.conf.get("spark.sql.shuffle.partitions"))
token = spark.client._channel._interceptor._tokens.token()
say(token in repr(spark.client._builder.__dict__), len(token) > 32)
spark.stop()
again = remote_spark(session_id, **arguments)
say(again is spark, again.range(2).count())
"""
)
WORKED = [
    "10",
    "[[1, 'x']]",
    "[['x', 1], ['y', 5]]",
    "[1, 2, 3]",
    "[0, 2, 4]",
    "5",
    "AnalysisException",
    "True",
    "4",
    "False True",
    "False 2",
]

NAP = """
from pyspark.sql.functions import udf

def sleeping(seconds, mark=None):
    def sleep(value):
        import pathlib, time
        if mark:
            pathlib.Path(mark).touch()
        time.sleep(seconds)
        return value
    return spark.range(2, numPartitions=1).select(udf(sleep, "long")("id")).collect()
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator with Spark, for all tests of this module: each session has a JVM of its own."""
    spark = find_spark()
    assert not spark.missing, f"run `make spark`, or the tests by `make test`: {spark.missing}"
    with Emulator(
        start_seconds=0.0, terminate_seconds=0.0, on_demand_dpus=None, spark=spark
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(emulator: Emulator) -> Iterator[None]:
    """End the sessions of a test, and with them their processes."""
    yield
    athena = athena_client(emulator)
    for session in emulator.live_sessions():
        athena.terminate_session(SessionId=session.session_id)
    emulator.update_settings(endpoint_token_seconds=1800.0)


def endpoint_of(emulator: Emulator, session_id: str) -> tuple[str, str]:
    """Return the address and a token of a session."""
    answer = athena_client(emulator).get_session_endpoint(SessionId=session_id)
    return answer["EndpointUrl"].removeprefix("https://"), answer["AuthToken"]


def status_with(emulator: EmulatorClient, address: str, token: str | None) -> tuple[str, str]:
    """Send a request with a token, and return the code and text of gRPC's status.

    The request is no message of Spark's: what lets it pass answers with another error.
    """
    with open(emulator.certificate, "rb") as file:  # noqa: PTH123 - one line
        credentials = grpc.ssl_channel_credentials(file.read())
    metadata = [] if token is None else [(TOKEN_HEADER, token)]
    with grpc.secure_channel(address, credentials) as channel:
        call = channel.unary_unary("/spark.connect.SparkConnectService/AnalyzePlan")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=metadata, timeout=60)
    error: Any = caught.value
    return error.code().name, error.details()


@contextmanager
def emulator_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], EmulatorClient]]:
    """Run an emulator in a process of its own."""
    command = [sys.executable, "-m", "athena_session_provider.emulator", "--start-seconds", "0"]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.search(r"http\S+", process.stdout.readline())
            assert match
            yield process, EmulatorClient(match[0])
        finally:
            process.kill()


def check_gone(pids: set[int]) -> None:
    """Check that processes end soon: within a second where a core is free (benchmarks/spark.py)."""
    deadline = time.monotonic() + 10.0
    while left := pids & set(processes()):
        assert time.monotonic() < deadline, f"still there: {left}"


def test_work_in_a_session_of_pulumi_and_its_replacement(
    emulator: Emulator, tmp_path: Path
) -> None:
    """From `up` to `destroy`, connected at once; changed properties make a new session."""
    program = (EXAMPLE / "__main__.py").read_text()
    stack = PulumiStack(tmp_path, emulator).init(program)
    stack.configure({"test:workgroup": "spark-35"})
    stack.up()
    first = stack.outputs()["session_id"]
    assert run_client(emulator, first, WORK) == WORKED
    assert emulator.session(first).state == "IDLE"
    processes_of_first = tree_of(first)

    stack.write(
        program.replace(
            '"spark.sql.shuffle.partitions": "4"', '"spark.sql.shuffle.partitions": "7"'
        )
    )
    stack.up()
    check_gone(processes_of_first)
    second = stack.outputs()["session_id"]
    assert second != first
    conf = CONNECT + "say(spark.conf.get('spark.sql.shuffle.partitions'))"
    assert run_client(emulator, second, conf) == ["7"]

    processes_of_second = tree_of(second)
    stack.destroy()
    check_gone(processes_of_second)
    assert "token" not in str(stack.state()).lower().replace("request_token", "")


def test_a_query_outlives_its_token_and_the_idle_timeout_ends_its_server(
    emulator: Emulator,
) -> None:
    """It reattaches by other tokens than its first; then the clock goes on by 21 minutes."""
    emulator.update_settings(endpoint_token_seconds=3.0)
    # The server ends the stream of a query each second, and the client reattaches.
    session_id = start_session(
        emulator, **{"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s"}
    )
    query = CONNECT + NAP + "say([row[0] for row in sleeping(6)])"
    asked = len(emulator.calls("GetSessionEndpoint"))
    assert run_client(emulator, session_id, query) == ["[0, 1]"]
    assert len(emulator.calls("GetSessionEndpoint")) - asked > 3

    address, token = endpoint_of(emulator, session_id)
    passed = ("INTERNAL", "UNKNOWN")
    assert status_with(emulator, address, token)[0] in passed
    for wrong in (None, "", token[:-1], "x" * 64):
        assert status_with(emulator, address, wrong)[0] == "UNAUTHENTICATED"
    emulator.advance(4)
    assert status_with(emulator, address, token)[0] == "UNAUTHENTICATED"

    emulator.update_settings(endpoint_token_seconds=7200.0)
    address, token = endpoint_of(emulator, session_id)
    pids = tree_of(session_id)
    emulator.advance(21 * 60)
    check_gone(pids)
    code, text = status_with(emulator, address, token)
    assert (code, text) == ("FAILED_PRECONDITION", f"Session {session_id} has ended")


def test_two_sessions_are_apart_and_one_ends_in_the_middle_of_a_query(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Tables and global views are of one session; the client of the ended one is told at once."""
    first, second = (start_session(emulator) for _ in range(2))
    tables = CONNECT + "spark.range(1).createGlobalTempView('v')\n"
    tables += "spark.range(3).write.saveAsTable('only_here')\n"
    look = (
        CONNECT + "say(spark.catalog.listTables())\nsay(spark.catalog.tableExists('only_here'))\n"
    )
    mark = tmp_path / "at work"
    query = tables + NAP + f"say('ready')\nsys.stdin.readline()\nsleeping(60, {str(mark)!r})"
    with client_of(emulator, first, query) as client:
        read_line(client, "ready")
        assert run_client(emulator, second, look) == ["[]", "False"]
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
        wait_until(mark.exists)
        assert emulator.session(first).state == "BUSY"
        workers = tree_of(first)
        assert sum("pyspark.daemon" in processes()[pid][1] for pid in workers) >= 2
        athena_client(emulator).terminate_session(SessionId=first)
        ended = time.monotonic()
        check_gone(workers)
        output, errors = finished(client)
        # PySpark would try for ten minutes where it took the session for unavailable.
        assert time.monotonic() - ended < 20
    assert client.returncode == 1, output
    assert f"SessionEndedError: Session {first} in region eu-west-1 has ended" in errors
    assert "Run `pulumi up`" in errors
    assert TOKEN_HEADER not in output + errors
    assert run_client(emulator, second, CONNECT + "say(spark.range(4).count())") == ["4"]


def test_one_server_for_a_session_however_often_it_is_asked_for(emulator: Emulator) -> None:
    """Also at the same time; and an ended session has no endpoint."""
    session_id = start_session(emulator)
    code = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    urls = list(pool.map(lambda _: connect_url(session_id, **arguments), range(4)))
say(len({url.reveal() for url in urls}))
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(urls[0].reveal()).create()
say(spark.range(6).count())
"""
    assert run_client(emulator, session_id, code) == ["4", "6"]
    jvm_of(session_id)  # there is one
    athena_client(emulator).terminate_session(SessionId=session_id)
    code = """
try:
    remote_spark(session_id, **arguments)
except Exception as error:
    say(type(error).__name__)
"""
    assert run_client(emulator, session_id, code) == ["SessionEndedError"]


def test_a_server_that_cannot_start_fails_its_session(emulator: Emulator) -> None:
    """With Spark's own words."""
    session_id = start_session(emulator, **{"spark.driver.memory": "100m"})
    with pytest.raises(Exception, match="must be at least 471859200"):
        endpoint_of(emulator, session_id)
    session = emulator.session(session_id)
    assert session.state == "FAILED"
    assert "must be at least" in (session.state_change_reason or "")


def test_a_calculation_of_engine_3_uses_spark(emulator: Emulator) -> None:
    """The same Spark runs both engines."""
    athena = athena_client(emulator)
    session_id = athena.start_session(
        WorkGroup="spark",
        EngineConfiguration={
            "MaxConcurrentDpus": 2,
            "SparkProperties": {"spark.sql.shuffle.partitions": "3"},
        },
    )["SessionId"]
    code = "[spark.range(10).count(), spark.conf.get('spark.sql.shuffle.partitions')]"
    started = athena.start_calculation_execution(SessionId=session_id, CodeBlock=code)
    calculation_id = started["CalculationExecutionId"]

    def status() -> dict[str, Any]:
        return dict(athena.get_calculation_execution(CalculationExecutionId=calculation_id))

    wait_until(lambda: status()["Status"]["State"] in ("COMPLETED", "FAILED"))
    done = status()
    assert done["Status"]["State"] == "COMPLETED", done["Status"]
    uri = done["Result"]["ResultS3Uri"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = boto3.client(
        "s3",
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    assert "[10, '3']" in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def test_a_killed_emulator_takes_its_servers_along_and_only_loopback_is_listened_on(
    tmp_path: Path,
) -> None:
    """As a user starts it: Spark is found in .venv-spark."""
    with emulator_process() as (process, emulator):
        session_id = start_session(emulator)
        mark = tmp_path / "at work"
        code = CONNECT + NAP + f"sleeping(60, {str(mark)!r})"
        with client_of(emulator, session_id, code):
            wait_until(mark.exists)
            pids = descendants(process.pid)
            addresses = listening({process.pid, *pids})
            assert addresses
            assert addresses <= LOOPBACK
            process.send_signal(signal.SIGKILL)
            process.wait()
            check_gone(pids)


def test_without_spark_a_client_is_told_what_is_missing() -> None:
    """The session starts and has an endpoint, as on AWS; a request to it is answered in words."""
    with emulator_process("--spark-python", "none") as (_, emulator):
        session_id = start_session(emulator)
        code = """
try:
    remote_spark(session_id, **arguments)
except Exception as error:
    say(type(error).__name__, error)
"""
        (line,) = run_client(emulator, session_id, code)
    assert line.startswith("EndpointRefusedError")
    assert "This emulator has no Spark" in line
    assert "make spark" in line
