"""What `make spark` decides before it downloads anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import spark_setup

if TYPE_CHECKING:
    from pathlib import Path


def executable(folder: Path, name: str, *lines: str) -> Path:
    """Make a command that runs a shell script."""
    file = folder / name
    file.write_text("\n".join(("#!/bin/sh", *lines, "")))
    file.chmod(0o755)
    return file


def test_a_python_that_spark_does_not_know_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which one to give."""
    monkeypatch.setenv("PATH", str(tmp_path))
    new = executable(tmp_path, "python3.14", "echo 3 14")
    for asked_for in ("", str(new), "python3.9"):
        monkeypatch.setattr(sys, "executable", str(new))
        with pytest.raises(spark_setup.SetupError, match=r"SPARK_PYTHON=python3\.11"):
            spark_setup.find_python(asked_for)


def test_an_older_python_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the project's own is too new."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(executable(tmp_path, "new", "echo 3 12")))
    executable(tmp_path, "python3.11", "exit 1")  # such as a version manager's stub
    executable(tmp_path, "python3.10", "echo 3 10")
    assert spark_setup.find_python("") == "python3.10"


@pytest.mark.parametrize(
    ("version", "usable"),
    [("17.0.15", True), ("11.0.2", True), ("1.8.0_402", False), ("21.0.1", False)],
)
def test_the_java_on_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    usable: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Spark 3.5 is tried with 11 and 17."""
    monkeypatch.setenv("PATH", str(tmp_path))
    executable(tmp_path, "java", f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")
    assert spark_setup.has_java() is usable


def test_no_java_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one that only says where to get it, as on macOS."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not spark_setup.has_java()
    executable(tmp_path, "java", "exit 1")
    assert not spark_setup.has_java()


def test_a_jar_that_is_not_the_expected_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one in the cache nor a downloaded one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = spark_setup.cache_folder()
    folder.mkdir()
    (folder / spark_setup.JAR).write_text("something else")

    def downloads(*_: object, what: str) -> str:
        assert "by hand" in what
        (target,) = folder.glob("spark-connect-*/")
        (target / spark_setup.JAR).write_text("another file")
        return ""

    monkeypatch.setattr(spark_setup, "run", downloads)
    monkeypatch.setattr(spark_setup, "java_command", lambda: "java")
    with pytest.raises(spark_setup.SetupError, match="SHA-256"):
        spark_setup.fetch_jar(tmp_path / "ivy.jar")
    assert [file.name for file in folder.iterdir()] == [spark_setup.JAR]
