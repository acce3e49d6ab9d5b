"""A release is made only from a commit whose tag, version and changelog agree."""

from __future__ import annotations

import re

import pytest
from release_notes import REPOSITORY, NotReadyError, package_version, release_notes, section

import athena_session_provider

SOURCE = '"""Text."""\n\n__version__ = "1.2.3"\n'
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-02-01

### Added

- A thing.

## [1.2.2] - 2026-01-01

- An older thing.

[1.2.3]: https://example.com/compare
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    """They end where the next section begins."""
    assert release_notes("v1.2.3", SOURCE, CHANGELOG) == "### Added\n\n- A thing."
    assert section(CHANGELOG, "1.2.2") == "- An older thing."


@pytest.mark.parametrize(
    ("tag", "changelog", "reason"),
    [
        ("v1.2.4", CHANGELOG, "the version of the package is 1.2.3"),
        ("1.2.3", CHANGELOG, "the version of the package is 1.2.3"),
        ("v1.2.3", CHANGELOG.replace(" - 2026-02-01", ""), "no text below"),
        ("v1.2.3", CHANGELOG.replace("### Added\n\n- A thing.\n", ""), "no text below"),
    ],
    ids=["another version", "no v", "no date", "no text"],
)
def test_a_release_that_is_not_ready_is_refused(tag: str, changelog: str, reason: str) -> None:
    """Before anything is uploaded."""
    with pytest.raises(NotReadyError, match=reason):
        release_notes(tag, SOURCE, changelog)


def test_the_version_is_written_once() -> None:
    """In the package; the build reads it from there, and the changelog keeps room for the next."""
    source = (REPOSITORY / "athena_session_provider" / "__init__.py").read_text()
    assert package_version(source) == athena_session_provider.__version__
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert not re.search(r'^version = "', project, re.MULTILINE)
    assert "\n## [Unreleased]\n" in (REPOSITORY / "CHANGELOG.md").read_text()
