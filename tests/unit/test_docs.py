"""The docs build to a site without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from athena_session_provider.cli.failures import Exit
from athena_session_provider.service.states import SessionState

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))


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
    # Arguments are documented in the constructor, which mkdocstrings leaves out by itself.
    assert (
        "Take over this running session" in (tmp_path / "reference/session/index.html").read_text()
    )
    # A typing error in the name of a fence shows as text.
    assert 'class="mermaid"' in (tmp_path / "explanation/how-it-works/index.html").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_python_on_a_page_is_python(page: Path) -> None:
    """What is to be copied has no typing error."""
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if "--8<--" not in code:
            compile(code, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_imports_on_a_page_work(page: Path) -> None:
    """Names of this package that a page imports are there."""
    pattern = r"^from (athena_session_provider[\w.]*) import (.+)$"
    for module, names in re.findall(pattern, page.read_text(), re.MULTILINE):
        exec(f"from {module} import {names}")  # noqa: S102 - our own pages


def test_the_states_that_are_drawn_are_the_services() -> None:
    """None is missing in the picture and in the table below it."""
    page = (REPOSITORY / "docs/explanation/how-it-works.md").read_text()
    picture, _, rest = page.partition("stateDiagram")[2].partition("```")
    table = rest.partition("## ")[0]
    for part in (picture, table):
        assert set(re.findall(r"\b[A-Z]{4,}\b", part)) - {"API"} == {
            str(state) for state in SessionState
        }


def test_the_page_has_the_commands_exit_codes() -> None:
    """All of them, with the meanings that `--help` shows."""
    page = (REPOSITORY / "docs/reference/command.md").read_text()
    codes = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert codes == [(f"{code:d}", code.meaning) for code in Exit]


def test_the_figures_of_the_readme_are_measured() -> None:
    """Those of its table are those that `make bench` wrote last."""
    results = (REPOSITORY / "benchmarks/results/scale.md").read_text()
    measured: dict[str, list[str]] = {}
    for count, seconds in re.findall(
        r"^\| (\d+) \| 10 \| [a-z ]+ \| (\d+\.\d) \|", results, re.MULTILINE
    ):
        measured.setdefault(count, []).append(seconds)
    row = r"^\| (\d+) \| (\d+\.\d) s \| (\d+\.\d) s \| (\d+\.\d) s \|$"
    shown = re.findall(row, (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert len(shown) == 4
    assert {count: seconds for count, *seconds in shown} == measured
