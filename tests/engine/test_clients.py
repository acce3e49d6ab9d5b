"""Unchanged client libraries use a session that `pulumi up` started, by its id."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pulumi_stack import PulumiStack, wait_until

from athena_session_provider.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.engine

CODE = 'print("6 times 7 is", 6 * 7)'
PRINTED = "6 times 7 is 42\n"
DEADLINE_SECONDS = 30


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulumiStack]:
    """A stack whose session is an hour in starting, unless `up` waits for that."""
    with Emulator(start_seconds=3600.0, terminate_seconds=0.0) as emulator:
        stack = PulumiStack(tmp_path_factory.mktemp("clients"), emulator).init()
        process = stack.start("up", "--yes", "--skip-preview")
        wait_until(lambda: len(emulator.calls("GetSessionStatus", "ListSessions")) > 1)
        emulator.advance(3600)
        result = stack.finish(process)
        assert result.exit_code == 0, result
        yield stack
        stack.destroy()
        assert emulator.live_sessions() == []


@pytest.fixture
def session(stack: PulumiStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """A boto3 session as a user has one, on the emulator."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.emulator.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.Session("testing", "testing", region_name="eu-west-1")


def calculate_with_boto3(session: boto3.Session, session_id: str, code: str = CODE) -> str:
    athena, s3 = session.client("athena"), session.client("s3")
    started = athena.start_calculation_execution(SessionId=session_id, CodeBlock=code)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = athena.get_calculation_execution(
            CalculationExecutionId=started["CalculationExecutionId"]
        )
        if answer["Status"]["State"] == "COMPLETED":
            break
        assert answer["Status"]["State"] in ("CREATING", "CREATED", "QUEUED", "RUNNING")
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return read(s3, answer["Result"]["StdOutS3Uri"])


def calculate_with_pyathena(session: boto3.Session, session_id: str) -> str:
    from pyathena import connect
    from pyathena.spark.cursor import SparkCursor

    connection = connect(
        work_group="spark", cursor_class=SparkCursor, session=session, poll_interval=0.05
    )
    with connection.cursor(session_id=session_id) as cursor:
        return f"{cursor.execute(CODE).get_std_out()}\n"  # it strips what it reads


def calculate_with_awswrangler(session: boto3.Session, session_id: str) -> str:
    import awswrangler

    answer: Any = awswrangler.athena.run_spark_calculation(
        code=CODE, workgroup="spark", session_id=session_id, boto3_session=session
    )
    assert answer["Status"]["State"] == "COMPLETED"
    return read(session.client("s3"), answer["Result"]["StdOutS3Uri"])


def read(s3: Any, uri: str) -> str:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())


CLIENTS = [calculate_with_boto3, calculate_with_awswrangler]
if sys.version_info >= (3, 11):  # what PyAthena 4.2 needs; older ones end a session they are given
    CLIENTS.append(calculate_with_pyathena)


@pytest.mark.parametrize("calculate", CLIENTS)
def test_a_client_calculates_in_the_stacks_session(
    stack: PulumiStack, session: boto3.Session, calculate: Callable[[boto3.Session, str], str]
) -> None:
    """The stack's output is all that a client needs; it starts and ends no session."""
    (session_id,) = stack.session_ids()
    assert stack.state()["resources"][0]["outputs"] == {"session_id": session_id}
    stack.emulator.clear_calls()
    assert calculate(session, session_id) == PRINTED
    assert len(stack.emulator.calls("StartCalculationExecution")) == 1
    assert stack.emulator.calls("StartSession", "TerminateSession") == []
    (live,) = stack.emulator.live_sessions()
    assert (live.session_id, live.state) == (session_id, "IDLE")
    assert [record.session_id for record in stack.emulator.sessions()] == [session_id]


def test_state_is_kept_from_one_client_to_the_next(
    stack: PulumiStack, session: boto3.Session
) -> None:
    """Clients that share a session share its interpreter, as they do on the service."""
    import awswrangler

    (session_id,) = stack.session_ids()
    for code in ("kept = 41", "kept = kept + 1"):
        awswrangler.athena.run_spark_calculation(
            code=code, workgroup="spark", session_id=session_id, boto3_session=session
        )
    assert calculate_with_boto3(session, session_id, "print(kept)") == "42\n"
