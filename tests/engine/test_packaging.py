"""The wheel is all that a stack needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import REPOSITORY, PulumiStack

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

PROGRAM = """
import pathlib
import athena_session_provider as package
import pulumi

session = package.Session(
    "session", work_group="spark", engine_configuration={"max_concurrent_dpus": 4}
)
pulumi.export("session_id", session.session_id)
pulumi.export("package", str(pathlib.Path(package.__file__).parent))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    # No network: the build backend is one of the tools.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return folder


@pytest.fixture
def environment(built: Path, tmp_path: Path) -> Path:
    """An environment with the wheel; what the wheel depends on is that of the tests."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    (wheel,) = built.glob("*.whl")
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(_site_packages())
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-deps",
         "--no-index", "--ignore-installed", wheel],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    return folder


def _site_packages() -> str:
    import pulumi

    return str(Path(pulumi.__file__).parent.parent)


def test_wheel_and_sdist_have_what_they_should(built: Path) -> None:
    """The package with its types, the license and the changelog; neither tests nor tools."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if ".dist-info/" not in name}
    sources = (REPOSITORY / "athena_session_provider").rglob("*")
    assert package == {
        str(file.relative_to(REPOSITORY))
        for file in sources
        if file.is_file() and file.suffix != ".pyc"
    }
    assert "athena_session_provider/py.typed" in package
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert tops == {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md",
        "athena_session_provider", "pyproject.toml",
    }  # fmt: skip


def test_a_stack_elsewhere_runs_with_the_wheel(
    environment: Path, tmp_path: Path, emulator: Emulator
) -> None:
    """The installed package starts and ends a session; this checkout is not on its path."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    stack = PulumiStack(
        tmp_path / "elsewhere", emulator, environment={"PATH": path, "PYTHONPATH": ""}
    ).init(PROGRAM)
    stack.up()
    (session,) = emulator.live_sessions()
    outputs = stack.outputs()
    assert outputs["session_id"] == session.session_id
    assert Path(outputs["package"]).is_relative_to(environment)
    stack.destroy()
    assert emulator.live_sessions() == []


def test_the_command_is_installed(environment: Path) -> None:
    """`athena-sessions` is on PATH after `pip install`."""
    printed = subprocess.run(
        [environment / "bin" / "athena-sessions", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert "preview-env" in printed.stdout
