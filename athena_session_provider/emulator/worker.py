"""The Python interpreter of one emulated session, run as a script of its own.

It reads one JSON object a line from its standard input: first the session's
configuration, then calculations. It answers each of them with one line. What the
calculations themselves read is empty, and what they write goes into the answers,
also what C code and child processes write.

It imports nothing but the standard library, so that it starts in milliseconds.
"""

from __future__ import annotations

import ast
import contextlib
import json
import linecache
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import types
from typing import Any

ORPHAN_CHECK_SECONDS = 1.0
_FILENAME = "<calculation {}>"
# What a test's session cannot be allowed to change: it is local, and nobody else's.
_FORCED_SPARK_PROPERTIES = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}


class Interpreter:
    """Runs code blocks in one namespace, as a notebook does."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._configuration = configuration
        self._module = types.ModuleType("__main__")
        # What pickles functions of the code looks for them there.
        sys.modules["__main__"] = self._module

    def run(self, name: str, code: str) -> dict[str, Any]:
        """Run a code block; return its output and its error, or the last value."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            _redirect(out.fileno(), err.fileno())
            answer: dict[str, Any] = {"error": None, "cancelled": False, "result": None}
            try:
                answer["result"] = self._evaluate(name, code)
            except KeyboardInterrupt:
                self._cancel_spark_jobs()
                answer.update(error="Calculation was cancelled", cancelled=True)
            except BaseException as error:  # noqa: BLE001 - SystemExit ends no session
                traceback.print_exception(type(error), error, _trace_of_code(error))
                lines = traceback.format_exception_only(type(error), error)
                answer["error"] = "".join(lines).strip()
            sys.stdout.flush()
            sys.stderr.flush()
            for key, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                answer[key] = file.read().decode("utf-8", "replace")
            return answer

    def _evaluate(self, name: str, code: str) -> str | None:
        filename = _FILENAME.format(name)
        # So that tracebacks show the lines of the code.
        lines = code.splitlines(keepends=True)
        linecache.cache[filename] = (len(code), None, lines, filename)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            tree = ast.parse(code, filename)
            self._provide_spark(tree)
            is_value = tree.body and isinstance(tree.body[-1], ast.Expr)
            last = tree.body.pop() if is_value else None
            namespace = self._module.__dict__
            exec(compile(tree, filename, "exec"), namespace)  # noqa: S102 - its purpose
            if not isinstance(last, ast.Expr):
                return None
            expression = compile(ast.Expression(last.value), filename, "eval")
            value = eval(expression, namespace)  # noqa: S307 - its purpose
            return None if value is None else repr(value)
        finally:
            # A late interruption is not for the next calculation.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _provide_spark(self, tree: ast.AST) -> None:
        """Start Spark for the first code that names it: that takes seconds."""
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if "spark" not in names or "spark" in self._module.__dict__:
            return
        # Where it is installed; no dependency of this package.
        from pyspark.sql import SparkSession  # type: ignore[import-not-found,unused-ignore]

        builder = SparkSession.builder.master("local[1]").appName(self._configuration["session_id"])
        properties = self._configuration["spark_properties"]
        for key, value in {**properties, **_FORCED_SPARK_PROPERTIES}.items():
            builder = builder.config(key, value)
        self._module.__dict__["spark"] = builder.getOrCreate()

    def _cancel_spark_jobs(self) -> None:
        """End what runs in Spark's own process, which an interruption does not reach."""
        spark = self._module.__dict__.get("spark")
        with contextlib.suppress(Exception):
            spark.sparkContext.cancelAllJobs()  # type: ignore[union-attr]


def main() -> None:
    """Serve until the emulator closes our standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    _redirect(nothing, nothing)
    configuration = json.loads(requests.readline())
    orphaned = (os.getppid(), configuration["folder"])
    threading.Thread(target=_end_with, args=orphaned, daemon=True).start()
    interpreter = Interpreter(configuration)
    for line in requests:
        request = json.loads(line)
        answer = interpreter.run(request["name"], request["code"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    shutil.rmtree(configuration["folder"], ignore_errors=True)


def _trace_of_code(error: BaseException) -> types.TracebackType | None:
    """Return the part of a traceback that begins in the code of the calculation."""
    trace = error.__traceback__
    prefix = _FILENAME.partition("{")[0]
    while trace and not trace.tb_frame.f_code.co_filename.startswith(prefix):
        trace = trace.tb_next
    return trace


def _redirect(out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)


def _end_with(emulator: int, folder: str) -> None:
    """End this process and its children with the emulator, even a killed one.

    An emulator that ends in order kills this process first, and removes its folder.
    """
    while os.getppid() == emulator:
        time.sleep(ORPHAN_CHECK_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
