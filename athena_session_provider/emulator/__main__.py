"""Run the emulator as a process: `python -m athena_session_provider.emulator`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
from threading import Event
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from .server import Emulator
from .settings import options
from .spark import find_spark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Option

_HELP_COLUMNS = 74


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    given = vars(_parser().parse_args(arguments))
    # botocore, which knows the regions, refuses to start with the name of a
    # profile that this machine does not have. The emulator needs no credentials.
    os.environ.pop("AWS_PROFILE", None)
    os.environ.pop("AWS_DEFAULT_PROFILE", None)
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        spark_python = given.pop("spark_python")
        spark = None if spark_python == "none" else find_spark(spark_python)
        emulator = Emulator(**given, spark=spark)
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
        usage="%(prog)s [--NAME VALUE]...",
        formatter_class=argparse.RawTextHelpFormatter,
        description=(
            "A local Amazon Athena with Spark sessions, and the rest of AWS as moto has it.\n"
            "It listens on loopback only, checks no credentials, and runs the code of\n"
            "calculations on this machine."
        ),
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one")
    parser.add_argument("--account-id", default=DEFAULT_ACCOUNT_ID, help="default: %(default)s")
    parser.add_argument(
        "--spark-python",
        metavar="PATH",
        help="a Python with PySpark 3.5, the jar of the Spark Connect server and Java, which\n"
        "runs sessions; `none` for no Spark\n"
        "default: that of .venv-spark beside this Python's environment, else this one",
    )
    plain = parser.add_argument_group("settings", "Times are in seconds; `none` is no limit.")
    variants = parser.add_argument_group(
        "variants",
        "What public sources leave open. The first value is the most likely one, and the default.",
    )
    for option in options():
        (variants if option.values else plain).add_argument(
            f"--{option.name.replace('_', '-')}", **_argument(option)
        )
    return parser


def _argument(option: Option) -> dict[str, Any]:
    """Return the keywords of `add_argument` for a setting."""
    text = textwrap.fill(option.about, _HELP_COLUMNS).replace("%", "%%")
    if option.values:
        values = {_spelt(value): meaning for value, meaning in option.values.items()}
        text += "".join(
            f"\n  {value}: {meaning}" if meaning else f"\n  {value}"
            for value, meaning in values.items()
        )
        metavar = "{" + ",".join(values) + "}"
    else:
        text += f"\n  default: {_spelt(option.default)}"
        metavar = "NUMBER"
    if option.source:
        text += "\n" + textwrap.indent(
            textwrap.fill(f"Source: {option.source}.", _HELP_COLUMNS - 2), "  "
        )
    shared = {"help": text, "default": option.default}
    if option.kind == "bool":
        return {**shared, "action": "store_true"}
    if "str" in option.kind:
        return {**shared, "metavar": metavar, "choices": list(option.values)}
    return {**shared, "metavar": metavar, "type": _int if "int" in option.kind else _float}


def _spelt(value: Any) -> str:
    """Spell a value as the command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _int(text: str) -> int | None:
    return None if text == "none" else int(text)


def _float(text: str) -> float | None:
    return None if text == "none" else float(text)


if __name__ == "__main__":
    sys.exit(main())
