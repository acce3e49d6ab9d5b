"""Calculations: code that runs in a session, on this machine.

Each session has a Python interpreter of its own, which is a process: it starts with
the first calculation, keeps its state from one to the next, and is killed with the
session. `spark` is a local SparkSession where the interpreter has PySpark (see spark.py).

It runs the code that it is given, with the rights of the user who started the emulator.
That is why the emulator listens on loopback only. The credentials and endpoints of
AWS in the code's environment are those of the emulator, so that code which opens a
client of its own reaches the emulator and not an account.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, cast

from moto.s3.models import s3_backends

from . import messages
from .errors import InvalidRequestError, access_denied
from .models import SPARK_3
from .paging import page
from .tokens import TokenTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .models import Session, SessionStore
    from .scope import Scope
    from .spark import Spark

FINAL_STATES = ("COMPLETED", "FAILED", "CANCELED")
RESULT_TYPE = "application/vnd.aws.athena.v1+json"
CANCEL_INTERVAL_SECONDS = 0.2
CANCEL_SECONDS = 2.0
"""How long cancelled code may take to end before its interpreter is killed."""
_MAX_REASON = 1024
_WORKER = Path(__file__).with_name("worker.py")


@dataclass
class Calculation:
    """One calculation. Times are emulated, in seconds since the epoch."""

    calculation_id: str
    number: int
    session: Session
    code: str
    description: str | None
    submitted_at: float
    state: str = "CREATING"
    reason: str | None = None
    completed_at: float | None = None
    result: dict[str, str] = field(default_factory=dict)

    def milliseconds(self, now: float) -> int:
        """Return what one DPU adds up to."""
        return max(0, int(((self.completed_at or now) - self.submitted_at) * 1000))


class Interpreter:
    """The process of one session."""

    def __init__(self, session: Session, endpoint_url: str, spark: Spark) -> None:
        self._folder = tempfile.mkdtemp(prefix="athena-session-")
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [spark.python, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._folder,
            env=spark.environment(endpoint_url, session.scope.region),
            encoding="utf-8",
            # A group of its own, so that Spark's processes end with it.
            start_new_session=True,
        )
        self._killed = False
        # They are there, because both are pipes.
        self._requests = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)
        configuration = session.parameters["EngineConfiguration"]
        self._send(
            session_id=session.session_id,
            folder=self._folder,
            spark_properties=configuration.get("SparkProperties") or {},
        )

    def run(self, name: str, code: str) -> dict[str, Any] | None:
        """Run a code block; return the worker's answer, or None if the process died."""
        self._send(name=name, code=code)
        try:
            return dict(json.loads(self._answers.readline()))
        except ValueError:
            return None

    def cancel(self) -> None:
        """Interrupt what runs; the state of the interpreter stays."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process and all that it has started."""
        if self._killed:
            # The number may be another group's by now.
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Kill the process and remove its files."""
        self.kill()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, **message: Any) -> None:
        # A process that is dead already is noticed where its answer is read.
        with contextlib.suppress(OSError):
            self._requests.write(json.dumps(message) + "\n")
            self._requests.flush()


class CalculationStore:
    """All calculations. Guard every use with the lock of the sessions."""

    def __init__(
        self, sessions: SessionStore, endpoint_url: Callable[[], str], spark: Spark
    ) -> None:
        self.tokens = TokenTable()
        self._sessions = sessions
        self._endpoint_url = endpoint_url
        self._spark = spark
        self._calculations: dict[str, Calculation] = {}
        self._interpreters: dict[str, Interpreter] = {}
        self._numbers = itertools.count(1)

    def start(self, session: Session, parameters: Mapping[str, Any]) -> Calculation:
        """Start a calculation in an IDLE session, which is BUSY from then on."""
        engine = session.work_group.engine_version
        if engine != SPARK_3:
            settings, group = self._sessions.settings, session.work_group.name
            if settings.calculation_on_3_5 == "AccessDeniedException":
                action = "athena:StartCalculationExecution"
                raise access_denied(session.scope, action, group, settings.access_denied_text)
            raise InvalidRequestError(
                messages.NOT_FOR_ENGINE.format(what="Calculations", engine=engine)
            )
        code = _code_block(parameters)
        if session.state != "IDLE":
            raise InvalidRequestError(
                messages.NOT_READY_FOR_CALCULATIONS.format(state=session.state)
            )
        now = self._sessions.clock.now()
        calculation = Calculation(
            calculation_id=str(uuid.uuid4()),
            number=next(self._numbers),
            session=session,
            code=code,
            description=parameters.get("Description"),
            submitted_at=now,
        )
        self._calculations[calculation.calculation_id] = calculation
        interpreter = self._interpreters.get(session.session_id)
        if interpreter is None:
            interpreter = Interpreter(session, self._endpoint_url(), self._spark)
            self._interpreters[session.session_id] = interpreter
            session.on_end = lambda: self._end(session)
        session.enter(now, "BUSY", None)
        Thread(
            target=self._run,
            args=(calculation, interpreter),
            name=f"calculation {calculation.calculation_id}",
            daemon=True,
        ).start()
        return calculation

    def get(self, scope: Scope, calculation_id: str) -> Calculation:
        """Return a calculation of this account and region."""
        calculation = self._calculations.get(calculation_id)
        if calculation is None or calculation.session.scope != scope:
            raise self._sessions.unknown("CalculationExecution", calculation_id)
        return calculation

    def page(
        self, session: Session, parameters: Mapping[str, Any]
    ) -> tuple[list[Calculation], str | None]:
        """Return one page of ListCalculationExecutions, newest first."""
        state = parameters.get("StateFilter")
        found = (
            item
            for item in reversed(self._calculations.values())
            if item.session is session and state in {None, item.state}
        )
        return page(found, [session.session_id, state], parameters)

    def stop(self, calculation: Calculation) -> None:
        """Cancel a calculation, unless it has ended."""
        if calculation.state in FINAL_STATES or calculation.state == "CANCELING":
            return
        calculation.state = "CANCELING"
        session_id = calculation.session.session_id
        Thread(
            target=self._cancel,
            args=(calculation, self._interpreters[session_id]),
            name=f"cancel {calculation.calculation_id}",
            daemon=True,
        ).start()

    def close(self) -> None:
        """End all interpreters."""
        with self._sessions.lock:
            for interpreter in self._interpreters.values():
                interpreter.kill()
            idle = [
                interpreter
                for session_id, interpreter in self._interpreters.items()
                if not self._running(session_id)
            ]
            self._interpreters.clear()
        for interpreter in idle:
            interpreter.close()

    def _run(self, calculation: Calculation, interpreter: Interpreter) -> None:
        """Run a calculation to its end, in a thread of its own."""
        with self._sessions.lock:
            if calculation.state == "CREATING":
                calculation.state = "RUNNING"
        answer = interpreter.run(calculation.calculation_id, calculation.code)
        with self._sessions.lock:
            if answer is None:
                self._died(calculation, interpreter)
            else:
                self._answered(calculation, answer)

    def _answered(self, calculation: Calculation, answer: Mapping[str, Any]) -> None:
        session, now = calculation.session, self._sessions.clock.now()
        session.refresh(now)
        failure = answer["error"]
        if not answer["cancelled"]:
            failure = self._store(calculation, answer) or failure
        state = "FAILED" if failure else "COMPLETED"
        if answer["cancelled"]:
            state = "CANCELED"
        self._finish(calculation, state, failure)
        if session.state == "BUSY":
            session.enter(now, "IDLE", None)

    def _died(self, calculation: Calculation, interpreter: Interpreter) -> None:
        session, now = calculation.session, self._sessions.clock.now()
        session.refresh(now)
        if self._interpreters.get(session.session_id) is interpreter:
            del self._interpreters[session.session_id]
        interpreter.close()
        if session.state != "BUSY":
            self._finish(calculation, "FAILED", f"Session is in the {session.state} state")
        elif calculation.state == "CANCELING":
            self._finish(calculation, "CANCELED", "Calculation was cancelled")
            session.enter(now, "IDLE", None)
        else:
            reason = "The interpreter of the session ended"
            self._finish(calculation, "FAILED", reason)
            session.enter(now, "DEGRADED", reason)

    def _finish(self, calculation: Calculation, state: str, reason: str | None) -> None:
        calculation.state = state
        calculation.reason = reason[:_MAX_REASON] if reason else None
        calculation.completed_at = self._sessions.clock.now()

    def _end(self, session: Session) -> None:
        """End the interpreter of a session that ends."""
        interpreter = self._interpreters.pop(session.session_id, None)
        if interpreter is None:
            return
        if self._running(session.session_id):
            # The thread that waits for its answer closes it.
            interpreter.kill()
        else:
            interpreter.close()

    def _running(self, session_id: str) -> bool:
        return any(
            item.session.session_id == session_id and item.state not in FINAL_STATES
            for item in self._calculations.values()
        )

    def _cancel(self, calculation: Calculation, interpreter: Interpreter) -> None:
        """Interrupt a calculation until it ends, at last by killing its interpreter.

        Once is not enough: an interpreter that is still starting ignores it.
        """
        deadline = time.monotonic() + CANCEL_SECONDS
        while True:
            with self._sessions.lock:
                if calculation.state != "CANCELING":
                    return
                if time.monotonic() > deadline:
                    interpreter.kill()
                    return
                interpreter.cancel()
            time.sleep(CANCEL_INTERVAL_SECONDS)

    def _store(self, calculation: Calculation, answer: Mapping[str, Any]) -> str | None:
        """Write the output to S3; return why that cannot be done, or None."""
        session = calculation.session
        scope = session.scope
        s3 = s3_backends[scope.account_id][scope.partition]
        location = session.working_directory
        bucket, _, folder = location.removeprefix("s3://").partition("/")
        if bucket == scope.default_bucket and bucket not in s3.buckets:
            s3.create_bucket(bucket, scope.region)
        if bucket not in s3.buckets:
            return f"The bucket of the result location {location} does not exist"
        files = {"stdout": answer["stdout"], "stderr": answer["stderr"]}
        if answer["error"] is None:
            files["result"] = json.dumps({"text/plain": answer["result"]})
        for name, text in files.items():
            key = f"{folder}/{calculation.calculation_id}/{name}"
            s3.put_object(bucket, key, text.encode())
        names = {"stdout": "StdOutS3Uri", "stderr": "StdErrorS3Uri", "result": "ResultS3Uri"}
        calculation.result = {
            names[name]: f"{location}/{calculation.calculation_id}/{name}" for name in files
        }
        if answer["error"] is None:
            calculation.result["ResultType"] = RESULT_TYPE
        return None


def _code_block(parameters: Mapping[str, Any]) -> str:
    old = (parameters.get("CalculationConfiguration") or {}).get("CodeBlock")
    new = parameters.get("CodeBlock")
    if (old is None) == (new is None):
        raise InvalidRequestError(
            "Either CodeBlock or CalculationConfiguration.CodeBlock is required, but not both"
        )
    return str(old if new is None else new)
