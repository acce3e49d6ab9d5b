"""The project is written in plain technical English: standard terms, and no private phrases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

INSTEAD = {
    r'"""Give ': "Return",
    r"all the same": "nevertheless, anyway",
    r"as the one who": "as",
    r"(?:cannot|can|could|to|is|are|be) (?:not )?be had|is had": "be determined, is available",
    r"(?:is|are|was|were|be) told": "a warning is logged, is reported",
    r"do(?:es)? not do[.:;]|will not do": "is invalid",
    r"for ever\b": "always, permanently",
    r"for nobody": "say who",
    r"ha(?:s|ve) to be": "must be",
    r"half of a surrogate pair": "an unpaired surrogate",
    r"in good order": "cleanly",
    r"is no duration": "invalid duration",
    r"ma(?:k|d)e of pulumi-aws": "built on pulumi-aws",
    r"no (?:error|way out|character) of its own": "say what it is",
    r"(?:one|some)body else": "another user, another process",
    r"somebody|whoever|whosoever": "a user, the caller: say who",
    r"takes? (?:no )?calculations": "is ready to run calculations",
    r"takes? (?:it|them|that|this|these) up\b|taken up\b": "take over, adopt, continue with",
    r"tells? nobody": "discard",
    r"that there (?:is|are)\b(?! no\b)": "existing, available",
    r"what (?:has come|came|comes|becomes|became) of": "the result of",
    r"which there are": "the available",
}
"""Regular expressions that must not occur in code, pages and examples, and what to write."""

FILES = [
    file
    for pattern in (
        "*.md",
        "*.py",
        "*.yaml",
        "athena_session_provider/**/*.py",
        "benchmarks/*.py",
        "docs/**/*.md",
        "examples/**/*.py",
        "examples/**/*.md",
        "examples/**/*.y*ml",
        "tools/*.py",
        "tests/*.py",
    )
    for file in sorted(REPOSITORY.glob(pattern))
]
"""Not the tests themselves: their sentences are for contributors, and quote errors."""


def found(text: str) -> list[str]:
    """Return the phrases in a text, each with the number of its line; lines may be wrapped."""
    return [
        f"{text[: match.start()].count(chr(10)) + 1}: {' '.join(match[0].split())!r} ({better})"
        for phrase, better in INSTEAD.items()
        for match in re.finditer(phrase.replace(" ", r"[\s#]+"), text, re.IGNORECASE)
    ]


def test_phrases_are_found_across_lines() -> None:
    """Also in a comment."""
    assert found("a\n# which all\n# the same is") == ["2: 'all # the same' (nevertheless, anyway)"]
    assert not found("Return the same.")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_a_file_has_no_private_phrases(file: Path) -> None:
    """The message says what to write instead."""
    assert not found(file.read_text())
