"""The shape of the code: who imports whom, what is exported, what is stored in states."""

from __future__ import annotations

import ast
import base64
import importlib
import pickle
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from pulumi.dynamic.dynamic import serialize_provider

import athena_session_provider
from athena_session_provider.provider import AthenaSessionProvider

PACKAGE = Path(athena_session_provider.__file__).parent

MAY_IMPORT = {
    "service": set(),
    "inputs": {"service"},
    "operations": {"service", "inputs"},
    "host": {"service"},
    "provider": {"service", "inputs", "operations", "host"},
    "guard": {"service", "host"},
    "plugin": {"service", "inputs", "operations"},
    "resources": {"service", "inputs", "provider", "guard"},
    "cli": {"service", "inputs", "resources"},
    "emulator": set(),
    "__init__": {"service", "resources"},
    "__main__": {"cli"},
}
"""What each folder, or module beside them, may import besides itself."""

WITHOUT_PULUMI = ("service", "inputs", "operations", "emulator")

DEPRECATED_PATHS = {"connect", "policy", "workgroup"}
"""Modules that only warn, and send on to the package itself."""


def imports_of(file: Path) -> set[str]:
    """The full names that a module imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rooms() -> dict[str, list[Path]]:
    """The files of each folder and module of the package."""
    found: dict[str, list[Path]] = {}
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in DEPRECATED_PATHS:
            found.setdefault(room, []).append(file)
    return found


def own_imports(file: Path) -> set[str]:
    prefix = f"{athena_session_provider.__name__}."
    names = {
        name.removeprefix(prefix).split(".")[0]
        for name in imports_of(file)
        if name.startswith(prefix)
    }
    return {
        name for name in names if (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()
    }


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_folder_imports_only_what_the_table_allows(room: str) -> None:
    """The arrows point one way."""
    for file in rooms()[room]:
        assert own_imports(file) <= MAY_IMPORT[room] | {room}, file


def test_modules_of_a_folder_import_each_other_without_a_cycle() -> None:
    """Each file can be read before those that import it."""
    for room, files in rooms().items():
        modules = {f"athena_session_provider.{room}.{file.stem}": file for file in files}
        TopologicalSorter(
            {name: imports_of(file) & set(modules) for name, file in modules.items()}
        ).prepare()


@pytest.mark.parametrize("room", WITHOUT_PULUMI)
def test_the_core_does_not_know_pulumi(room: str) -> None:
    """It is usable from anything."""
    for file in rooms().get(room, []):
        found = {name for name in imports_of(file) if name.split(".")[0].startswith("pulumi")}
        assert not found, file


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("connect", "connect_url"),
        ("policy", "session_policy"),
        ("workgroup", "SparkWorkgroup"),
    ],
)
def test_paths_that_the_docs_have_shown_still_work(path: str, name: str) -> None:
    """They warn, and give the same object."""
    module = importlib.import_module(f"athena_session_provider.{path}")
    with pytest.warns(DeprecationWarning, match=name):
        assert getattr(module, name) is getattr(athena_session_provider, name)


def test_all_is_what_is_imported() -> None:
    """`__init__` exports what it names, sorted."""
    names = athena_session_provider.__all__
    assert sorted(names) == list(names)
    assert all(hasattr(athena_session_provider, name) for name in names)


def test_the_provider_is_stored_by_its_frozen_name() -> None:
    """Every state has these bytes: whoever changes them breaks the delete of old stacks."""
    stored = base64.b64decode(serialize_provider(AthenaSessionProvider()))
    assert len(stored) < 100
    assert b"athena_session_provider.provider" in stored
    assert b"AthenaSessionProvider" in stored
    assert isinstance(pickle.loads(stored), AthenaSessionProvider)  # noqa: S301
    assert AthenaSessionProvider.serialize_as_secret_always is False


def test_importing_the_package_does_not_import_boto3() -> None:
    """Neither the program nor the host pays for it before the first call."""
    code = (
        "import sys, athena_session_provider;"
        "print({'boto3', 'botocore', 'pulumi_aws', 'moto'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "set()"


def test_the_architecture_page_has_the_table() -> None:
    """Each row names a folder or module, and what it may import."""
    page = (PACKAGE.parent / "docs" / "explanation" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (nothing|`[^|]+`) \|$", page, re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", cell)) for room, cell in rows} == MAY_IMPORT
