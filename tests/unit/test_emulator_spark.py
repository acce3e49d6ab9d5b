"""What the emulator makes of a Python with Spark, without starting it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from athena_session_provider.emulator import Spark, find_spark
from athena_session_provider.emulator.__main__ import main
from athena_session_provider.emulator.spark_connect import (
    JAVA_OPTIONS,
    Certificate,
    spark_properties,
)
from athena_session_provider.emulator.spark_server import FORCED_PROPERTIES


def test_the_classification_spark_defaults_is_a_sessions_properties() -> None:
    """Over the emulator's own; other classifications are no properties of Spark."""
    configuration = {
        "Classifications": [
            {"Name": "spark-defaults", "Properties": {"spark.driver.memory": "2g", "a": "b"}},
            {"Name": "spark-env", "Properties": {"c": "d"}},
            {"Name": "spark-defaults", "Properties": {"spark.driver.extraJavaOptions": "-Dx=y"}},
        ]
    }
    properties = spark_properties({"EngineConfiguration": configuration})
    assert (properties["spark.driver.memory"], properties["a"]) == ("2g", "b")
    assert "c" not in properties
    assert properties["spark.driver.extraJavaOptions"] == f"{JAVA_OPTIONS} -Dx=y"


def test_a_session_without_classifications_has_a_gigabyte() -> None:
    """Spark's floor of 450 MB is too small for some megabytes of local data."""
    assert spark_properties({"EngineConfiguration": {}})["spark.driver.memory"] == "1g"


def test_the_plugin_that_listens_on_every_interface_cannot_be_asked_for() -> None:
    """Neither can another address, nor the web interface."""
    assert FORCED_PROPERTIES["spark.plugins"] == ""
    assert FORCED_PROPERTIES["spark.driver.bindAddress"] == "127.0.0.1"
    assert FORCED_PROPERTIES["spark.ui.enabled"] == "false"


@pytest.mark.parametrize("python", ["/no/such/python", sys.executable, "true"])
def test_a_python_without_spark_that_is_asked_for_is_an_error(
    python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The emulator does not start; the message names it."""
    assert main(["--spark-python", python]) == 1
    assert f"--spark-python {python}: " in capsys.readouterr().err


def test_without_spark_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No virtual environment with Spark is beside this one, and this one has no PySpark."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    spark = find_spark()
    assert spark.missing == "PySpark is not installed"
    assert "make spark" in spark.advice


def test_the_environment_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its AWS is the emulator; with Spark, its Java and Spark are those that were found."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("JAVA_HOME", "/another")
    monkeypatch.setenv("SPARK_HOME", "/another")
    found = Spark("python", "/java", "").environment("http://127.0.0.1:1", "eu-west-1")
    assert (found["JAVA_HOME"], found["PYSPARK_PYTHON"]) == ("/java", "python")
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert not {"AWS_PROFILE", "SPARK_HOME"} & set(found)
    on_path = Spark("python", "", "").environment("", "")
    assert "JAVA_HOME" not in on_path
    assert Spark().environment("", "")["SPARK_HOME"] == "/another"


def test_the_certificate_of_a_killed_emulator_is_removed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That of one that runs stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = tmp_path / "athena-emulator-999999999-x"
    killed.mkdir()
    running = tmp_path / f"athena-emulator-{os.getppid()}-x"
    running.mkdir()
    certificate = Certificate()
    assert not killed.exists()
    assert running.exists()
    assert b"BEGIN CERTIFICATE" in Path(certificate.path).read_bytes()
    assert b"PRIVATE KEY" not in Path(certificate.path).read_bytes()
    certificate.remove()
    assert [folder.name for folder in tmp_path.iterdir()] == [running.name]
    shutil.rmtree(running)
