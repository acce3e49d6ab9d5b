"""The Spark that sessions run on: which Python has it, and the environment of its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROBE_SECONDS = 60
SPARK_SERVER = Path(__file__).with_name("spark_server.py")


@dataclass(frozen=True)
class Spark:
    """A Python interpreter and what it has of Spark.

    Without Spark the emulator does all but run Spark: an endpoint leads to a server that answers
    every request with what is missing.
    """

    python: str = sys.executable
    """It runs calculations, too."""
    java_home: str = ""
    """Empty: the Java on PATH."""
    missing: str = "no Python with Spark was given (spark_python)"
    """Why Spark Connect servers cannot be started; empty where they can."""

    @property
    def advice(self) -> str:
        """Return what is missing and what to do about it, for a user."""
        return (
            f"This emulator has no Spark: {self.missing}. Run `make spark`, or start the emulator "
            "with --spark-python PATH, a Python 3.10 or 3.11 with pyspark[connect] 3.5 and the jar "
            "of the Spark Connect server."
        )

    def environment(self, endpoint_url: str, region: str) -> dict[str, str]:
        """Return an environment in which a client of AWS reaches the emulator alone.

        Args:
            endpoint_url: The emulator's URL.
            region: The session's region.
        """
        own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        if not self.missing:
            # Those of another Spark or Java, which PySpark would prefer to its own and to PATH.
            for name in ("SPARK_HOME", "SPARK_CONF_DIR", "JAVA_HOME"):
                own.pop(name, None)
        if self.java_home:
            own["JAVA_HOME"] = self.java_home
        return {
            **own,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": endpoint_url,
            "NO_PROXY": "127.0.0.1",
            "PYTHONIOENCODING": "utf-8",
            "PYSPARK_PYTHON": self.python,
            "SPARK_LOCAL_IP": "127.0.0.1",
        }


def find_spark(python: str | None = None) -> Spark:
    """Find the Spark that sessions run on.

    Args:
        python: A Python interpreter with Spark. None: look for one, first a virtual environment
            `.venv-spark` beside the one of this process, then this process's own interpreter.

    Returns:
        The Spark of the interpreter; one with `missing` where none was found.

    Raises:
        ValueError: There is no Spark in the Python that was given.
    """
    if python is not None:
        spark = _probed(python)
        if spark.missing:
            raise ValueError(f"--spark-python {python}: {spark.missing}")
        return spark
    beside = Path(sys.prefix).with_name(".venv-spark") / "bin" / "python"
    candidates = [str(beside)] if beside.exists() else []
    found = [_probed(candidate) for candidate in (*candidates, sys.executable)]
    usable = [spark for spark in found if not spark.missing]
    return usable[0] if usable else Spark(missing=found[0].missing)


def _probed(python: str) -> Spark:
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [python, str(SPARK_SERVER), "probe"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Spark(python=python, missing=f"{python} cannot be used as a Python ({error})")
    return Spark(python, answer.get("java_home", ""), answer.get("missing", ""))
