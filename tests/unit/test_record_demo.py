"""The picture of the demo has what was printed, and fetches nothing."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree as ET

FILE = Path(__file__).parents[2] / "tools" / "record_demo.py"

PRINTED = """
# Pulumi starts the session
$ pulumi up
Previewing update (demo):
 +  Session create
Updating (demo):
@ updating....

 +  Session creating (1s) CREATING for <1s>
"""


def test_a_picture_has_the_lines_without_previews_and_dots() -> None:
    """It is XML, and links to no font."""
    specification = importlib.util.spec_from_file_location("record_demo", FILE)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    svg = module.draw(PRINTED, "a title", 80)
    ET.fromstring(svg)  # noqa: S314 - our own
    shown = [
        html.unescape(text).replace("\xa0", " ") for text in re.findall(r"<text[^>]*>([^<]*)", svg)
    ]
    assert "".join(shown).split("\n") == [
        "a title# Pulumi starts the session",
        "$ pulumi up",
        "Updating (demo):",
        " +  Session creating (1s) CREATING for <1s>",
        "",
    ]
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace(
        "https://www.textualize.io", ""
    )


def test_the_documented_picture_shows_a_session_from_start_to_end() -> None:
    """It is what a real run printed."""
    svg = (FILE.parents[1] / "docs" / "images" / "demo.svg").read_text().replace("&#160;", " ")
    for line in ("CREATING for", "is IDLE", "is TERMINATED", "Nothing is left running"):
        assert line in svg
