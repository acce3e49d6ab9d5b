"""Print the changelog's section of a release, for `python tools/release_notes.py v1.2.3`.

Fails, before anything is uploaded, if the tag is not the version of the package, or if CHANGELOG.md
has no section with that version and a date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


class NotReadyError(Exception):
    """The release cannot be made from this commit; the message says what is missing."""


def package_version(source: str) -> str:
    """Return ``__version__`` from the source text of the package's ``__init__.py``."""
    match = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if not match:
        raise NotReadyError("athena_session_provider/__init__.py has no __version__.")
    return match[1]


def section(changelog: str, version: str) -> str:
    """Return the text below the heading ``## [version] - YYYY-MM-DD`` of a changelog."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}\n"
    match = re.search(heading + r"(.*?)(?=^## \[|^\[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not match or not match[1].strip():
        raise NotReadyError(
            f"CHANGELOG.md has no text below a heading `## [{version}] - YYYY-MM-DD`."
        )
    return match[1].strip()


def release_notes(tag: str, source: str, changelog: str) -> str:
    """Return the notes of the release with this tag.

    Args:
        tag: The tag of git, such as ``v1.2.3``.
        source: The text of ``athena_session_provider/__init__.py``.
        changelog: The text of ``CHANGELOG.md``.

    Raises:
        NotReadyError: The tag, the version and the changelog do not agree.
    """
    version = package_version(source)
    if tag != f"v{version}":
        raise NotReadyError(f"The tag is {tag}, but the version of the package is {version}.")
    return section(changelog, version)


def main() -> int:
    """Print the notes, or why there are none."""
    try:
        notes = release_notes(
            sys.argv[1],
            (REPOSITORY / "athena_session_provider" / "__init__.py").read_text(),
            (REPOSITORY / "CHANGELOG.md").read_text(),
        )
    except NotReadyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
