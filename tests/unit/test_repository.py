"""The files of the repository's platform: workflows, dependency updates, issue forms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
EXAMPLES = sorted((REPOSITORY / "examples" / "github-actions").glob("*.yml"))
FORMS = sorted(
    set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"}
)

SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.github-issue-forms": FORMS,
}

PIN = re.compile(r"uses: (\S+?)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema: str) -> None:
    """By the schemas that check-jsonschema ships."""
    files = SCHEMAS[schema]
    assert files
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_are_pinned_and_may_do_little(file: Path) -> None:
    """Actions by commit, no default permission, and no expression in a script (injection)."""
    text = file.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert len(PIN.findall(text)) == len(re.findall(r"uses: (?!\./)", text))
    for job in workflow["jobs"].values():
        assert job["permissions"]
        steps = job.get("steps", [])
        assert job.get("timeout-minutes") or "uses" in job
        assert not any("${{" in step.get("run", "") for step in steps)
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_an_action_has_one_pin() -> None:
    """The workflows of the repository and those of the examples use the same commit."""
    pins: dict[str, set[tuple[str, str]]] = {}
    for file in (*WORKFLOWS, *EXAMPLES):
        for action, commit, version in PIN.findall(file.read_text()):
            pins.setdefault(action, set()).add((commit, version))
    assert {action: versions for action, versions in pins.items() if len(versions) > 1} == {}


def test_workflows_call_make() -> None:
    """Each target that a workflow calls is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = set()
    for file in WORKFLOWS:
        text = file.read_text()
        called |= set(re.findall(r"run: make ([a-z-]+)", text))
        for names in re.findall(r"target: \[(.*)\]", text):
            called |= set(names.split(", "))
    assert {"test", "docs", "dist", "fault-matrix"} <= called <= targets


def test_the_matrix_has_every_supported_python() -> None:
    """It is the list of the package's classifiers."""
    project = (REPOSITORY / "pyproject.toml").read_text()
    supported = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    workflow = yaml.safe_load((GITHUB / "workflows" / "test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
