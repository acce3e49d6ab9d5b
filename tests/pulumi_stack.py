"""A stack in a folder of its own, worked on by the real Pulumi CLI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from athena_session_provider.emulator import EmulatorClient

REPOSITORY = Path(__file__).parent.parent
TIMEOUT_SECONDS = 180

PROGRAM = """
import pulumi
from athena_session_provider import Session

session = Session("session", work_group="spark", engine_configuration={"max_concurrent_dpus": 20})
pulumi.export("session_id", session.session_id)
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    exit_code: int
    output: str
    """Standard output and standard error together, as a user sees them."""

    def __str__(self) -> str:
        return f"exit code {self.exit_code}\n{self.output}"


@dataclass
class PulumiStack:
    """A project, a file backend and a stack below one folder."""

    folder: Path
    emulator: EmulatorClient
    name: str = "dev"
    project: str = "test"
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def program_folder(self) -> Path:
        """Where the program is."""
        return self.folder / "program"

    def init(self, program: str = PROGRAM) -> PulumiStack:
        """Make the project and the stack."""
        for part in ("program", "home", "state"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        project = {"name": self.project, "runtime": "python"}
        (self.program_folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        self.write(program)
        self.succeed("stack", "init", self.name)
        self.configure(
            {
                "aws:region": "eu-west-1",
                "aws:accessKey": "AKIAIOSFODNN7EXAMPLE",
                "aws:secretKey": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
                "aws:endpoints": [{"athena": self.emulator.url, "sts": self.emulator.url}],
            }
        )
        return self

    def write(self, program: str) -> None:
        """Write the program."""
        (self.program_folder / "__main__.py").write_text(program)

    def program(self) -> str:
        """Read the program."""
        return (self.program_folder / "__main__.py").read_text()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Set configuration; None removes a key."""
        self.config = {
            key: value for key, value in {**self.config, **config}.items() if value is not None
        }
        file = self.program_folder / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**(content or {}), "config": self.config}))

    def env(self) -> dict[str, str]:
        """Return the environment of the CLI."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PULUMI_"))
        }
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.folder),
            **self.environment,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it; it leads a process group of its own."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.program_folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = TIMEOUT_SECONDS) -> Result:
        """Wait for a command that was started."""
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"the command did not end in {timeout} s:\n{output}") from None
        finally:
            if process.returncode is not None and process.returncode < 0:
                end_language_host(process.pid)
        return Result(process.returncode, output)

    def run(self, *arguments: str) -> Result:
        """Run a command to its end, whatever that is."""
        return self.finish(self.start(*arguments))

    def succeed(self, *arguments: str) -> Result:
        """Run a command that has to succeed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result
        return result

    def fail(self, *arguments: str) -> Result:
        """Run a command that has to fail."""
        result = self.run(*arguments)
        assert result.exit_code != 0, result
        return result

    def up(self, *arguments: str) -> Result:
        """Run `pulumi up`, which has to succeed."""
        return self.succeed("up", "--yes", "--skip-preview", *arguments)

    def up_fails(self, *arguments: str) -> Result:
        """Run `pulumi up`, which has to fail."""
        return self.fail("up", "--yes", "--skip-preview", *arguments)

    def destroy(self, *arguments: str) -> Result:
        """Run `pulumi destroy`, which has to succeed."""
        return self.succeed("destroy", "--yes", "--skip-preview", *arguments)

    def refresh(self, *arguments: str) -> Result:
        """Run `pulumi refresh`, which has to succeed."""
        return self.succeed("refresh", "--yes", "--skip-preview", *arguments)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        outputs: dict[str, Any] = json.loads(self.stdout("stack", "output", "--json"))
        return outputs

    def stdout(self, *arguments: str) -> str:
        """Run a command that has to succeed; give what it printed on standard output alone."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.program_folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        ).stdout

    @property
    def state_file(self) -> Path:
        """The backend's file with the state."""
        return self.folder / "state" / ".pulumi" / "stacks" / self.project / f"{self.name}.json"

    def state(self) -> dict[str, Any]:
        """Return the state, read from the backend's file: no CLI is needed for it."""
        content = json.loads(self.state_file.read_text())
        deployment: dict[str, Any] = content["checkpoint"]["latest"] or {}
        return deployment

    def sessions(self) -> list[dict[str, Any]]:
        """Return the session resources that the state has."""
        return [
            resource
            for resource in self.state().get("resources", [])
            if resource["type"] == "pulumi-python:dynamic/athena:Session"
        ]

    def session_ids(self) -> list[str]:
        """Return the ids of the sessions that the state has."""
        return [resource["id"] for resource in self.sessions()]

    def identities(self) -> list[str]:
        """Return the identities that the state has, one for each work group."""
        return [
            resource["id"]
            for resource in self.state().get("resources", [])
            if resource["type"] == "pulumi-python:dynamic/athena:StackSessions"
        ]

    def unlock(self) -> None:
        """Remove the lock that a killed command left, as `pulumi cancel` does."""
        self.succeed("cancel", "--yes")


def wait_until(condition: Any, timeout: float = 120.0) -> None:
    """Wait until something is true that another process brings about."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def end_language_host(session: int) -> None:
    """End the language host of a killed engine, which looks for its engine every five minutes."""
    for pid in processes_of(session):
        with suppress(OSError):
            if Path(f"/proc/{pid}/exe").resolve().name == "pulumi-language-python":
                os.kill(pid, signal.SIGKILL)


def processes_of(session: int, argument: str = "") -> list[int]:
    """Return the processes of a session of processes, which a command leads."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            command = (folder / "cmdline").read_bytes().decode().split("\0")
            # The fourth field after the name is the session id.
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session and (not argument or argument in command):
                found.append(int(folder.name))
    return found
