"""Draw what a command printed as a terminal picture: an SVG.

    make demo | python tools/record_demo.py docs/images/demo.svg

Left out are Pulumi's previews, which say the same as the updates that follow, and the dots that it
draws in place on a terminal. Added are colors, which it has on a terminal, too. The fonts are those
of whoever looks at the picture.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

STYLES = (
    (r"^# .*", "bold cyan"),
    (r"^\$ .*", "bold"),
    (r"^ \+ .*", "green"),
    (r"^ - .*", "red"),
    (r"^(Outputs|Resources|Duration):?.*", "bold"),
)
PREVIEWS = re.compile(r"^Previewing .*?\n(?=Updating|Destroying)", re.MULTILINE | re.DOTALL)
DOTS = re.compile(r"^@ .*\n\n?", re.MULTILINE)
EMPTY_LINES = re.compile(r"\n{3,}")
FONTS = re.compile(r"@font-face\s*{[^}]*}\s*")


def draw(printed: str, title: str, columns: int) -> str:
    """Give the SVG of a text."""
    console = Console(record=True, width=columns, file=io.StringIO(), highlight=False)
    kept = DOTS.sub("", PREVIEWS.sub("", printed))
    for line in EMPTY_LINES.sub("\n\n", kept).strip().splitlines():
        text = Text(line)
        for pattern, style in STYLES:
            text.highlight_regex(pattern, style)
        console.print(text)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="demo")
    # No picture fetches something from elsewhere.
    return FONTS.sub("", svg)


def main() -> None:
    """Read standard input, show it, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--title", default="make demo")
    parser.add_argument("--columns", type=int, default=120)
    options = parser.parse_args()
    printed = sys.stdin.read()
    print(printed, end="")
    if "\nerror:" in printed or not printed.strip():
        sys.exit("There is no picture of a command that failed.")
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(printed, options.title, options.columns))


if __name__ == "__main__":
    main()
