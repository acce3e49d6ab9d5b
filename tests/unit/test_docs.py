"""The documentation: it builds, and what it shows is true of the code."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from athena_session_provider import Session
from athena_session_provider.cli.failures import Exit
from athena_session_provider.service.states import SessionState

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
EXAMPLES = [
    pytest.param(code, id=f"{page.relative_to(REPOSITORY)}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL), 1
    )
    if "--8<--" not in code  # included from a file that other tests run
]


@pytest.mark.docs
def test_the_site_builds_in_strict_mode(tmp_path: Path) -> None:
    """A broken link, a missing file or a name that is not in the code is an error."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    # Arguments are documented in the constructor, which mkdocstrings omits by default.
    reference = (tmp_path / "reference/session/index.html").read_text()
    assert "<code>restart_when_dead</code>" in reference.partition("Parameters:")[2]
    # Diagrams are drawn, and no page loads anything from another host.
    drawn = (tmp_path / "explanation/how-it-works/index.html").read_text()
    assert drawn.count('<img class="diagram" alt="') == 2
    assert "stateDiagram" not in drawn
    foreign = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="(?:https?:)?//')
    for page in tmp_path.rglob("*.html"):
        assert not foreign.search(page.read_text()), page


def test_examples_are_found() -> None:
    """The pattern matches; otherwise the next test would pass without a case."""
    assert len(EXAMPLES) > 12


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_is_python_with_names_that_exist(code: str) -> None:
    """It compiles, and its imports from this package work."""
    compile(code, "example", "exec")
    imports = re.findall(r"^from athena_session_provider.* import .+$", code, re.MULTILINE)
    for line in imports:
        exec(line)  # noqa: S102 - our own pages


def test_the_states_that_are_drawn_are_the_services() -> None:
    """The picture and the table below it have every state of the API."""
    page = (REPOSITORY / "docs/explanation/how-it-works.md").read_text()
    picture, _, rest = page.partition("stateDiagram")[2].partition("```")
    table = rest.partition("## ")[0]
    states = {str(state) for state in SessionState}
    for part in (picture, table):
        assert set(re.findall(r"\b[A-Z]{4,}\b", part)) & states == states


def test_the_page_has_every_argument_of_a_session() -> None:
    """The table has the parameters of the constructor, in their order."""
    page = (REPOSITORY / "docs/reference/session.md").read_text()
    table = page.partition("## Arguments")[2].partition("## ")[0]
    _self, _name, *parameters = inspect.signature(Session.__init__).parameters
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == parameters


def test_the_page_has_the_commands_exit_codes() -> None:
    """All of them, with the meanings that `--help` shows."""
    page = (REPOSITORY / "docs/reference/command.md").read_text()
    codes = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert codes == [(f"{code:d}", code.meaning) for code in Exit]


def test_the_readme_is_short() -> None:
    """It is read in two minutes."""
    assert len((REPOSITORY / "README.md").read_text().splitlines()) < 120
