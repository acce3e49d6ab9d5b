"""Every command in the README and in the tutorial works, from top to bottom."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pulumi_stack import REPOSITORY, PulumiStack

if TYPE_CHECKING:
    from athena_session_provider.emulator import Emulator, EmulatorClient

pytestmark = pytest.mark.engine

TIMEOUT_SECONDS = 600
BLOCK = re.compile(
    r'^```sh(?: title="(?P<title>[^"\n]*)")?\n(?P<code>(?:.*\n)*?)```$', re.MULTILINE
)

# Set-up and the tests themselves are not run again; `make demo` is replaced by what it calls.
INSTEAD = {
    "pip install athena-session-provider": "python -c 'import athena_session_provider'",
    "make demo": "python tools/demo.py",
    "make test": "make --dry-run test",
    "make setup engine": "make --dry-run setup engine",
    "make bench": "make --dry-run bench",
    "make spark": 'make -C "$CLONE" --dry-run spark',
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is in the repository, with its virtual environments."""
    folder = tmp_path / "clone"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "tests", "docs")
    shutil.copytree(REPOSITORY, folder, ignore=ignored)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".venv-spark").symlink_to(REPOSITORY / ".venv-spark")
    return folder


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the command blocks of a page, as pairs of title and code."""
    text = (REPOSITORY / page).read_text()
    found = [(match["title"] or "", match["code"]) for match in BLOCK.finditer(text)]
    assert len(found) == len(re.findall(r"^```(?:sh|bash|shell|console)\b", text, re.MULTILINE))
    return found


def run(script: str, clone: Path, emulator: EmulatorClient) -> str:
    """Run commands in one shell, with yes as the answer to every question."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PULUMI_"))
    }
    home = clone.parent / "home"
    (home / "state").mkdir(parents=True)
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone,
        env={
            **inherited,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PULUMI_BACKEND_URL": (home / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            # Calls for AWS go to the emulator.
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def with_substitutes(code: str) -> str:
    """Replace the commands that a test must not run."""
    return "".join(
        f"{INSTEAD.get(line.partition('#')[0].strip(), line)}\n" for line in code.splitlines()
    )


def test_the_commands_of_the_readme(clone: Path, emulator: Emulator) -> None:
    """The demo runs a Spark query, and the block for AWS starts a session."""
    script = "".join(with_substitutes(code) for _, code in blocks("README.md"))
    output = run(script, clone, emulator)
    assert "Nothing is left running" in output
    assert "|Cottbus|     1| 310.0|" in output
    assert len(emulator.live_sessions()) == 1


def test_the_commands_of_the_tutorial(clone: Path, emulator: Emulator) -> None:
    """A session is started, used, updated, lost, started again and terminated; then once on AWS."""
    found = blocks("docs/tutorial.md")
    titles = [title for title, _ in found]
    (second,) = (code for title, code in found if title == "second terminal")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # The second terminal is a background process that ends with the script.
    beside = (
        f"{second.strip()} &\ntrap 'kill %1' EXIT\n"
        "until curl --silent --fail http://127.0.0.1:5000/ >/dev/null; do sleep 0.2; done\n"
    )
    script = "".join(
        beside if title == "second terminal" else with_substitutes(code) for title, code in found
    )
    output = run(script.replace("5000", port), clone, emulator)
    assert titles == [
        *["", "", "", "second terminal", "", "", "", "", ""],
        *["in the clone", "", "", "on AWS"],
    ]
    assert "COMPLETED s3://" in output
    assert "1 updated" in output
    assert "|   2|     15|" in output
    assert re.search(r"Session \S+ was terminated.*; it will be started again", output)
    # The emulator of this test stands for AWS: one session was started and terminated there.
    assert [session.state for session in emulator.sessions()] == ["TERMINATED"]


def test_the_program_of_the_readme(stack: PulumiStack, emulator: Emulator) -> None:
    """The ten lines start a session, as they are."""
    program = re.search(
        r"^```python\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert program
    stack.write(program[1])
    stack.up()
    (session,) = emulator.live_sessions()
    assert stack.outputs() == {"session_id": session.session_id}
