"""The shape of the code: who imports whom, what is exported, what is stored in states."""

from __future__ import annotations

import ast
import base64
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.dynamic.dynamic import serialize_provider

import athena_session_provider
from athena_session_provider.provider import AthenaSessionProvider

PACKAGE = Path(athena_session_provider.__file__).parent

# From the bottom up; a module imports only from lines above its own.
LAYERS = [
    {"states", "errors"},
    {"request", "token", "waiting", "aws"},
    {"client", "marker"},
    {"watch", "connect"},
    {"lifecycle", "inputs", "policy"},
    {"host", "owner", "explicit_provider"},
    {"provider", "guard"},
    {"resource"},
    {"workgroup"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]
SERVICE = {"states", "errors", "request", "token", "waiting", "aws", "client", "marker", "watch",
           "lifecycle", "policy", "connect"}  # fmt: skip


def imports_of(file: Path) -> set[str]:
    """The full names that a module imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


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


def test_imports_point_downwards_only() -> None:
    """No cycles, and every module has its place in the layers."""
    level = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    for file in PACKAGE.glob("*.py"):
        for imported in own_imports(file) - {file.stem}:
            assert level[imported] < level[file.stem], f"{file.stem} imports {imported}"


@pytest.mark.parametrize("name", sorted(SERVICE))
def test_the_service_layer_does_not_know_pulumi(name: str) -> None:
    """It is usable from anything."""
    file = PACKAGE / f"{name}.py"
    assert not {module for module in imports_of(file) if module.split(".")[0].startswith("pulumi")}


def test_nothing_imports_the_tools_and_the_emulator_imports_nothing_of_ours() -> None:
    """The tools may go without anybody noticing."""
    for file in PACKAGE.glob("*.py"):
        assert not own_imports(file) & {"emulator"}
        assert file.stem == "__main__" or not own_imports(file) & {"cli"}
    for file in (PACKAGE / "emulator").glob("*.py"):
        assert own_imports(file) <= {"emulator"}


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
