"""The SDKs that are made of the schema, and programs in each language, on the real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from language_tools import LANGUAGES, write_sdks
from plugin_stack import KEYS, PluginStack, language_tools
from pulumi_stack import REPOSITORY

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator

pytestmark = pytest.mark.engine

EXAMPLES = REPOSITORY / "examples"
HARNESSES = REPOSITORY / "tests" / "languages"
GO_SDK = "athena-session-provider/sdks/go"


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDKs, as `make sdks` writes them."""
    folder = tmp_path_factory.mktemp("sdks")
    write_sdks(folder)
    return folder


def run(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command that has to succeed; give its standard output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def automation_environment(folder: Path, emulator: Emulator) -> dict[str, str]:
    """The environment of a program of the Automation API."""
    for part in ("home", "state"):
        (folder / part).mkdir(exist_ok=True)
    endpoints = json.dumps([{"athena": emulator.url, "sts": emulator.url}])
    config = {**KEYS, "athena-session:endpoints": endpoints}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PULUMI_"))
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "passphrase",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "STACK_CONFIG": json.dumps({key: {"value": value} for key, value in config.items()}),
    }


def assert_ran(printed: str, emulator: Emulator) -> None:
    """The program had one session, which a second run left alone and destroy ended."""
    result: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    (session,) = emulator.sessions()
    assert result["outputs"] == {"sessionId": session.session_id, "state": "IDLE"}
    assert session.parameters["EngineConfiguration"] == {"MaxConcurrentDpus": 20}
    assert session.tags["team"] == "data"
    assert result["second"] == {"same": 2}
    assert result["destroyed"]["delete"] == 2
    assert emulator.live_sessions() == []


def test_the_typescript_sdk_compiles_and_its_example_runs(
    sdks: Path, tmp_path: Path, emulator: Emulator
) -> None:
    """By tsc, and as an inline program of the Automation API."""
    modules = language_tools()["node_modules"]
    tsc = modules / "typescript" / "bin" / "tsc"
    shutil.copytree(sdks / "nodejs", tmp_path / "sdk")
    (tmp_path / "node_modules").symlink_to(modules)
    run("node", tsc, folder=tmp_path / "sdk")
    # As its script for npm does after the installation.
    shutil.copy(tmp_path / "sdk" / "package.json", tmp_path / "sdk" / "bin")
    program = tmp_path / "program"
    shutil.copytree(EXAMPLES / "typescript", program)
    (program / "node_modules").mkdir()
    (program / "node_modules" / "pulumi-athena-session").symlink_to(tmp_path / "sdk")
    run("node", tsc, folder=program)
    shutil.copy(HARNESSES / "automation.js", tmp_path)
    printed = run(
        *("node", "automation.js", "./program/bin/index.js"),
        folder=tmp_path,
        environment=automation_environment(tmp_path, emulator),
    )
    assert_ran(printed, emulator)


def test_the_go_sdk_compiles_and_its_example_runs(
    sdks: Path, tmp_path: Path, emulator: Emulator
) -> None:
    """By go vet and build, and as an inline program of the Automation API."""
    shutil.copytree(EXAMPLES / "go", tmp_path / "program")
    program = tmp_path / "program"
    shutil.copy(HARNESSES / "automation.go", program)
    # Pins and checksums that hold for all that the Automation API needs.
    shutil.copy(LANGUAGES / "go.sum", program)
    pins = (LANGUAGES / "go.mod").read_text().split("require (", 1)[1]
    with (program / "go.mod").open("a") as file:
        file.write(f"\nrequire ({pins}")
    run("go", "mod", "edit", f"-replace={GO_SDK}={sdks / 'go'}", folder=program)
    flags = ("-trimpath", "-ldflags", "-s -w")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0"}
    run("go", "build", *flags, "-o", "automation", ".", folder=program, environment=environment)
    printed = run(
        program / "automation",
        folder=program,
        environment=automation_environment(tmp_path, emulator),
    )
    assert_ran(printed, emulator)


def test_the_dotnet_sdk_has_the_resource(sdks: Path) -> None:
    """There is no .NET here to compile it with."""
    text = (sdks / "dotnet" / "Session.cs").read_text()
    assert "public partial class Session" in text
    assert "athena-session:index:Session" in text


def test_the_yaml_example_runs(tmp_path: Path, emulator: Emulator) -> None:
    """With the plugin of this checkout."""
    stack = PluginStack(tmp_path, emulator, project="spark-yaml").init()
    project = yaml.safe_load((EXAMPLES / "yaml" / "Pulumi.yaml").read_text())
    # A language host as old as that of the tests cannot run a plugin of a folder in Python.
    del project["packages"]
    project["plugins"] = {"providers": [{"name": "athena-session", "path": "../plugin"}]}
    (stack.program_folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    stack.up()
    (session,) = emulator.live_sessions()
    assert stack.outputs() == {"sessionId": session.session_id, "state": "IDLE"}
    stack.destroy()
    assert emulator.live_sessions() == []
