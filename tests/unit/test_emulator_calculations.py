"""Calculations run in the interpreter of their session, as a client sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from athena_session_provider.emulator import VARIANTS, Emulator, EmulatorClient

if TYPE_CHECKING:
    from collections.abc import Callable

FINAL_STATES = ("COMPLETED", "FAILED", "CANCELED")
SPARK = {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 4}}
TOKEN = "t" * 32


def client(emulator: EmulatorClient, service: str = "athena", region: str = "eu-west-1") -> Any:
    """Return a client that tries once."""
    connect: Any = boto3.client  # its overloads take literal names only
    return connect(
        service,
        endpoint_url=emulator.url,
        region_name=region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def athena(emulator: Emulator) -> Any:
    """Return a client of it."""
    return client(emulator)


@pytest.fixture
def session_id(athena: Any) -> str:
    """Start a session."""
    return str(athena.start_session(**SPARK)["SessionId"])


def submit(athena: Any, session_id: str, code: str, **more: Any) -> str:
    """Start a calculation."""
    answer = athena.start_calculation_execution(
        SessionId=session_id, CodeBlock=textwrap.dedent(code), **more
    )
    return str(answer["CalculationExecutionId"])


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail("it did not come to pass")


def ended(athena: Any, calculation_id: str) -> dict[str, Any]:
    """Wait for a calculation, and return it."""

    def final() -> dict[str, Any] | None:
        answer = athena.get_calculation_execution(CalculationExecutionId=calculation_id)
        return answer if answer["Status"]["State"] in FINAL_STATES else None

    return dict(until(final))


def run(athena: Any, session_id: str, code: str, **more: Any) -> dict[str, Any]:
    """Run a calculation to its end."""
    return ended(athena, submit(athena, session_id, code, **more))


def state(emulator: Emulator, session_id: str) -> str:
    """Return the state of a session."""
    return emulator.session(session_id).state


def read(emulator: EmulatorClient, uri: str) -> str:
    """Read an object by its URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = client(emulator, "s3").get_object(Bucket=bucket, Key=key)["Body"]
    return str(body.read().decode())


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        # Gone in between, or a system that has no such files.
        return not Path("/proc").exists()
    return status.rpartition(")")[2].split()[0] != "Z"


def pid_of(emulator: EmulatorClient, athena: Any, session_id: str) -> int:
    """Return the number of the interpreter's process."""
    done = run(athena, session_id, "import os; print(os.getpid())")
    return int(read(emulator, done["Result"]["StdOutS3Uri"]))


def test_a_calculation_has_output_and_a_result(
    emulator: Emulator, athena: Any, session_id: str
) -> None:
    """What it printed, what its last line is worth, both in S3."""
    done = run(
        athena,
        session_id,
        """
        import sys
        print("höllo")
        print("careful", file=sys.stderr)
        6 * 7
        """,
        Description="d",
    )
    assert done["Status"]["State"] == "COMPLETED"
    assert done["Status"]["CompletionDateTime"] >= done["Status"]["SubmissionDateTime"]
    assert (done["SessionId"], done["Description"]) == (session_id, "d")
    session = athena.get_session(SessionId=session_id)
    location = session["SessionConfiguration"]["WorkingDirectory"]
    assert done["WorkingDirectory"] == location
    result = done["Result"]
    assert all(
        result[name].startswith(f"{location}/{done['CalculationExecutionId']}/")
        for name in ("StdOutS3Uri", "StdErrorS3Uri", "ResultS3Uri")
    )
    assert read(emulator, result["StdOutS3Uri"]) == "höllo\n"
    assert read(emulator, result["StdErrorS3Uri"]) == "careful\n"
    assert json.loads(read(emulator, result["ResultS3Uri"])) == {"text/plain": "42"}
    assert result["ResultType"] == "application/vnd.aws.athena.v1+json"


def test_state_is_kept_in_the_session_and_nowhere_else(athena: Any, session_id: str) -> None:
    """One interpreter for each session."""
    other = athena.start_session(**SPARK)["SessionId"]
    run(athena, session_id, "def double(x): return 2 * x")
    assert run(athena, session_id, "assert double(2) == 4")["Status"]["State"] == "COMPLETED"
    failed = run(athena, other, "double(2)")
    assert failed["Status"]["StateChangeReason"] == "NameError: name 'double' is not defined"


def test_output_of_other_processes_is_caught(
    emulator: Emulator, athena: Any, session_id: str
) -> None:
    """And belongs to the calculation that made it."""
    first = run(athena, session_id, "import os; _ = os.system('echo one; echo two >&2')")
    second = run(athena, session_id, "_ = os.write(1, b'three')")
    assert read(emulator, first["Result"]["StdOutS3Uri"]) == "one\n"
    assert read(emulator, first["Result"]["StdErrorS3Uri"]) == "two\n"
    assert read(emulator, second["Result"]["StdOutS3Uri"]) == "three"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('so far')\n1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax"),
        ("input()", "EOFError: EOF when reading a line"),
        ("raise ValueError('x' * 5000)", "ValueError: xxx"),
    ],
)
def test_code_that_fails(
    emulator: Emulator, athena: Any, session_id: str, code: str, reason: str
) -> None:
    """FAILED with the error as the reason, and the trace of the code alone in stderr."""
    failed = run(athena, session_id, code)
    assert failed["Status"]["State"] == "FAILED"
    assert reason in failed["Status"]["StateChangeReason"]
    assert len(failed["Status"]["StateChangeReason"]) <= 1024
    assert "ResultS3Uri" not in failed["Result"]
    trace = read(emulator, failed["Result"]["StdErrorS3Uri"])
    assert reason in trace
    assert "worker.py" not in trace
    assert state(emulator, session_id) == "IDLE"
    assert run(athena, session_id, "1")["Status"]["State"] == "COMPLETED"


def test_a_session_is_busy_meanwhile(emulator: Emulator, athena: Any, session_id: str) -> None:
    """It accepts no other calculation, and its idle time begins anew afterwards."""
    calculation_id = submit(athena, session_id, "import time; time.sleep(60)")
    until(
        lambda: (
            athena.get_calculation_execution_status(CalculationExecutionId=calculation_id)[
                "Status"
            ]["State"]
            == "RUNNING"
        )
    )
    assert state(emulator, session_id) == "BUSY"
    with pytest.raises(ClientError) as caught:
        submit(athena, session_id, "1")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert caught.value.response["Error"]["Message"] == (
        "Session is in the BUSY state; needs to be IDLE to accept Calculations."
    )
    emulator.advance(3600)
    assert state(emulator, session_id) == "BUSY"
    athena.stop_calculation_execution(CalculationExecutionId=calculation_id)
    ended(athena, calculation_id)
    assert state(emulator, session_id) == "IDLE"
    emulator.advance(1199)
    assert state(emulator, session_id) == "IDLE"
    emulator.advance(2)
    assert state(emulator, session_id) == "TERMINATED"


def test_statistics_are_in_every_answer(athena: Any, session_id: str) -> None:
    """Clients fail without them, from the first answer on."""
    calculation_id = submit(athena, session_id, "import time; time.sleep(0.2)")
    for call in (athena.get_calculation_execution, athena.get_calculation_execution_status):
        statistics = call(CalculationExecutionId=calculation_id)["Statistics"]
        assert set(statistics) == {"DpuExecutionInMillis", "Progress"}
    done = ended(athena, calculation_id)
    assert done["Statistics"]["DpuExecutionInMillis"] >= 200
    status = athena.get_calculation_execution_status(CalculationExecutionId=calculation_id)
    assert status["Statistics"] == done["Statistics"]


def test_results_are_there_when_it_has_ended(athena: Any, session_id: str) -> None:
    """And not before."""
    calculation_id = submit(athena, session_id, "import time; time.sleep(0.2)")
    answer = athena.get_calculation_execution(CalculationExecutionId=calculation_id)
    assert "Result" not in answer
    assert "CompletionDateTime" not in answer["Status"]
    assert "Result" in ended(athena, calculation_id)


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "while True:\n  try: time.sleep(60)\n  except KeyboardInterrupt: pass",
    ],
)
def test_a_calculation_is_cancelled(
    emulator: Emulator, athena: Any, session_id: str, code: str
) -> None:
    """Even one that does not want to be; the session lives on."""
    run(athena, session_id, "import time; kept = 1")
    calculation_id = submit(athena, session_id, code)
    answer = athena.stop_calculation_execution(CalculationExecutionId=calculation_id)
    assert answer["State"] == "CANCELING"
    done = ended(athena, calculation_id)
    assert done["Status"]["State"] == "CANCELED"
    assert state(emulator, session_id) == "IDLE"
    assert run(athena, session_id, "1")["Status"]["State"] == "COMPLETED"
    again = athena.stop_calculation_execution(CalculationExecutionId=calculation_id)
    assert again["State"] == "CANCELED"


def test_cancelling_keeps_the_state(athena: Any, session_id: str) -> None:
    """As interrupting a notebook does."""
    run(athena, session_id, "import time; kept = 1")
    calculation_id = submit(athena, session_id, "time.sleep(60)")
    athena.stop_calculation_execution(CalculationExecutionId=calculation_id)
    ended(athena, calculation_id)
    assert run(athena, session_id, "kept")["Status"]["State"] == "COMPLETED"


def test_the_interpreter_is_killed_with_its_session(
    emulator: Emulator, athena: Any, session_id: str
) -> None:
    """With its children and files, and the calculation that runs in it fails."""
    run(athena, session_id, "import subprocess; child = subprocess.Popen(['sleep', '600'])")
    done = run(athena, session_id, "import os; print(os.getpid(), child.pid, os.getcwd())")
    pid, child, folder = read(emulator, done["Result"]["StdOutS3Uri"]).split()
    assert alive(int(pid))
    assert alive(int(child))
    calculation_id = submit(athena, session_id, "import time; time.sleep(60)")
    athena.terminate_session(SessionId=session_id)
    failed = ended(athena, calculation_id)
    assert failed["Status"]["State"] == "FAILED"
    assert "TERMINAT" in failed["Status"]["StateChangeReason"]
    until(lambda: not alive(int(pid)) and not alive(int(child)))
    until(lambda: not Path(folder).exists())
    assert state(emulator, session_id) == "TERMINATED"
    with pytest.raises(ClientError, match="Session is in the TERMINATED state"):
        submit(athena, session_id, "1")


@pytest.mark.parametrize("how", ["idle", "set_state", "delete", "reset", "stop"])
def test_no_interpreter_outlives_its_session(how: str) -> None:
    """Whatever ends it, when nothing runs in it."""
    with Emulator(start_seconds=0.0) as emulator:
        athena = client(emulator)
        session_id = athena.start_session(**SPARK)["SessionId"]
        pid = pid_of(emulator, athena, session_id)
        assert alive(pid)
        if how == "idle":
            emulator.advance(1200)
            emulator.sessions()
        elif how == "set_state":
            emulator.set_state(session_id, "FAILED")
        elif how == "delete":
            athena.delete_work_group(WorkGroup="spark", RecursiveDeleteOption=True)
        elif how == "reset":
            emulator.reset()
        if how != "stop":
            assert not alive(pid)
    assert not alive(pid)


def test_stopping_the_emulator_ends_what_runs() -> None:
    """Also in the middle of a calculation."""
    with Emulator(start_seconds=0.0) as emulator:
        athena = client(emulator)
        session_id = athena.start_session(**SPARK)["SessionId"]
        pid = pid_of(emulator, athena, session_id)
        submit(athena, session_id, "import time; time.sleep(600)")
    assert not alive(pid)
    until(lambda: not [t for t in threading.enumerate() if "calculation" in t.name])


def test_an_interpreter_that_dies_takes_its_session_along(
    emulator: Emulator, athena: Any, session_id: str
) -> None:
    """DEGRADED: the session has no healthy coordinator."""
    failed = run(athena, session_id, "import os; os._exit(1)")
    assert failed["Status"]["State"] == "FAILED"
    assert "interpreter of the session ended" in failed["Status"]["StateChangeReason"]
    assert state(emulator, session_id) == "DEGRADED"


def test_code_reaches_the_emulator_and_no_account(
    emulator: Emulator, athena: Any, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that the code opens has the emulator's endpoint and made-up keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    done = run(
        athena,
        session_id,
        """
        import boto3
        keys = boto3.Session().get_credentials()
        client = boto3.client("athena")
        print(keys.access_key, keys.token, client.meta.region_name, client.meta.endpoint_url)
        """,
    )
    text = read(emulator, done["Result"]["StdOutS3Uri"])
    assert text == f"emulator None eu-west-1 {emulator.url}\n"


def test_tokens_of_calculations(athena: Any, session_id: str) -> None:
    """A replay gets the first response; a token with other parameters is refused."""
    request = {"SessionId": session_id, "CodeBlock": "1", "ClientRequestToken": TOKEN}
    first = athena.start_calculation_execution(**request)
    ended(athena, first["CalculationExecutionId"])
    second = athena.start_calculation_execution(**request)
    assert second["CalculationExecutionId"] == first["CalculationExecutionId"]
    assert second["State"] == first["State"] == "CREATING"
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        athena.start_calculation_execution(**{**request, "CodeBlock": "2"})


def test_the_code_can_be_read_back(athena: Any, session_id: str) -> None:
    """Also where it came in the deprecated member."""
    one = submit(athena, session_id, "1")
    ended(athena, one)
    two = athena.start_calculation_execution(
        SessionId=session_id, CalculationConfiguration={"CodeBlock": "2"}
    )["CalculationExecutionId"]
    ended(athena, two)
    codes = [
        athena.get_calculation_execution_code(CalculationExecutionId=item)["CodeBlock"]
        for item in (one, two)
    ]
    assert codes == ["1", "2"]


@pytest.mark.parametrize(
    "parameters", [{}, {"CodeBlock": "1", "CalculationConfiguration": {"CodeBlock": "1"}}]
)
def test_exactly_one_code_block(
    emulator: Emulator, athena: Any, session_id: str, parameters: dict[str, Any]
) -> None:
    """Is documented as required."""
    with pytest.raises(ClientError, match="but not both"):
        athena.start_calculation_execution(SessionId=session_id, **parameters)
    assert state(emulator, session_id) == "IDLE"


def test_calculations_are_listed(athena: Any, session_id: str) -> None:
    """Newest first, in pages, by state; those of one session."""
    other = athena.start_session(**SPARK)["SessionId"]
    run(athena, other, "0")
    ids = [run(athena, session_id, code)["CalculationExecutionId"] for code in ("1", "1 / 0", "3")]
    first = athena.list_calculation_executions(SessionId=session_id, MaxResults=2)
    second = athena.list_calculation_executions(
        SessionId=session_id, MaxResults=2, NextToken=first["NextToken"]
    )
    listed = [item["CalculationExecutionId"] for item in first["Calculations"]]
    listed += [item["CalculationExecutionId"] for item in second["Calculations"]]
    assert listed == ids[::-1]
    assert "NextToken" not in second
    failed = athena.list_calculation_executions(SessionId=session_id, StateFilter="FAILED")
    assert [item["CalculationExecutionId"] for item in failed["Calculations"]] == [ids[1]]
    assert failed["Calculations"][0]["Status"]["State"] == "FAILED"


def test_an_unknown_calculation(emulator: Emulator, athena: Any, session_id: str) -> None:
    """Or one of another region."""
    known = submit(athena, session_id, "1")
    for api, name in ((athena, str(uuid.uuid4())), (client(emulator, region="us-east-1"), known)):
        for call in (
            api.get_calculation_execution,
            api.get_calculation_execution_status,
            api.get_calculation_execution_code,
            api.stop_calculation_execution,
        ):
            with pytest.raises(ClientError, match="not found"):
                call(CalculationExecutionId=name)


@pytest.mark.parametrize("code", VARIANTS["calculation_on_3_5"])
def test_engine_35_has_no_calculations(emulator: Emulator, athena: Any, code: str) -> None:
    """It has Spark Connect instead."""
    emulator.update_settings(calculation_on_3_5=code)
    session_id = athena.start_session(WorkGroup="spark-35", EngineConfiguration={})["SessionId"]
    with pytest.raises(ClientError, match=code):
        submit(athena, session_id, "1")


def test_results_go_to_the_work_groups_location(emulator: Emulator, athena: Any) -> None:
    """Whose bucket must exist, unless it is the emulator's own."""
    athena.create_work_group(
        Name="mine",
        Configuration={
            "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
            "ExecutionRole": "arn:aws:iam::123456789012:role/spark",
            "ResultConfiguration": {"OutputLocation": "s3://mine/some/where"},
        },
    )
    session_id = athena.start_session(**{**SPARK, "WorkGroup": "mine"})["SessionId"]
    failed = run(athena, session_id, "1")
    assert failed["Status"]["State"] == "FAILED"
    assert "bucket" in failed["Status"]["StateChangeReason"]
    client(emulator, "s3", region="us-east-1").create_bucket(Bucket="mine")
    done = run(athena, session_id, "1")
    assert done["Result"]["StdOutS3Uri"].startswith(f"s3://mine/some/where/{session_id}/")
    assert read(emulator, done["Result"]["StdOutS3Uri"]) == ""


def test_calculations_can_go_wrong_on_order(
    emulator: Emulator, athena: Any, session_id: str
) -> None:
    """As every operation can, and they are in the books."""
    emulator.inject("StartCalculationExecution", "throttle", session_id=session_id)
    with pytest.raises(ClientError, match="ThrottlingException"):
        submit(athena, session_id, "1")
    run(athena, session_id, "1")
    calls = emulator.calls("StartCalculationExecution", "GetCalculationExecution")
    assert {call.session_id for call in calls} == {session_id}


@pytest.mark.parametrize("busy", [True, False])
def test_an_orphaned_interpreter_ends(*, busy: bool) -> None:
    """Its emulator may be killed in the middle of a calculation."""
    command = [sys.executable, "-m", "athena_session_provider.emulator", "--start-seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        emulator = EmulatorClient(process.stdout.readline().split()[-1])
        athena = client(emulator)
        session_id = athena.start_session(**SPARK)["SessionId"]
        pid = pid_of(emulator, athena, session_id)
        done = run(athena, session_id, "import os; print(os.getcwd(), end='')")
        folder = Path(read(emulator, done["Result"]["StdOutS3Uri"]))
        if busy:
            submit(athena, session_id, "import time; time.sleep(600)")
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))
    until(lambda: not folder.exists())
