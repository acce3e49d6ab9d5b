"""Run the emulator as a process: `python -m athena_session_provider.emulator`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING

from moto.core.models import DEFAULT_ACCOUNT_ID

from .server import Emulator
from .spark import find_spark

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    options = vars(_parser().parse_args(arguments))
    # botocore, which knows the regions, refuses to start with the name of a
    # profile that this machine does not have. The emulator needs no credentials.
    os.environ.pop("AWS_PROFILE", None)
    os.environ.pop("AWS_DEFAULT_PROFILE", None)
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        spark_python = options.pop("spark_python")
        spark = None if spark_python == "none" else find_spark(spark_python)
        emulator = Emulator(**options, spark=spark)
        emulator.start()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: cannot start the emulator: {error}\n")
        return 1
    sys.stdout.write(f"Athena emulator ready at {emulator.url}\n")
    sys.stdout.write(f"Spark Connect's certificate is {emulator.certificate}\n")
    if spark and spark.missing:
        sys.stdout.write(f"{spark.advice}\n")
    sys.stdout.flush()
    stopped.wait()
    emulator.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m athena_session_provider.emulator",
        description=(
            "A local Amazon Athena with Spark sessions, and the rest of AWS as moto "
            "has it. It listens on loopback only, checks no credentials, and runs the code "
            "of calculations on this machine."
        ),
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one")
    parser.add_argument("--account-id", default=DEFAULT_ACCOUNT_ID, help="default: %(default)s")
    parser.add_argument(
        "--spark-python",
        metavar="PATH",
        help="a Python with PySpark 3.5, the jar of the Spark Connect server and Java, which runs "
        "sessions; `none` for no Spark (default: that of .venv-spark beside this Python's virtual "
        "environment, else this one)",
    )
    parser.add_argument(
        "--start-seconds",
        type=float,
        default=5.0,
        help="from StartSession to IDLE (default: %(default)s)",
    )
    parser.add_argument(
        "--terminate-seconds",
        type=float,
        default=0.0,
        help="from TerminateSession to TERMINATED (default: %(default)s)",
    )
    parser.add_argument(
        "--start-rate",
        type=float,
        help="StartSession calls a second that are not throttled (default: all)",
    )
    parser.add_argument(
        "--start-burst",
        type=int,
        default=1,
        help="how many of them may come at once (default: %(default)s)",
    )
    parser.add_argument(
        "--max-sessions",
        type=int,
        help="live sessions per account and region (default: no limit)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
