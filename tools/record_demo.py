"""Draw the output of a command as a picture of a terminal, in SVG.

    make demo | python tools/record_demo.py docs/images/demo.svg

Pulumi's previews are omitted, because the updates that follow show the same, and so are the dots of
its progress display. Colors are added as on a terminal. The picture refers to no font files; the
reader's fonts are used.
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
    """Return the SVG of a command's output."""
    console = Console(record=True, width=columns, file=io.StringIO(), highlight=False)
    kept = DOTS.sub("", PREVIEWS.sub("", printed))
    for line in EMPTY_LINES.sub("\n\n", kept).strip().splitlines():
        text = Text(line)
        for pattern, style in STYLES:
            text.highlight_regex(pattern, style)
        console.print(text)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="demo")
    # The picture must not load anything from another host.
    return FONTS.sub("", svg)


def main() -> None:
    """Read standard input, print it, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--title", default="make demo")
    parser.add_argument("--columns", type=int, default=120)
    options = parser.parse_args()
    printed = sys.stdin.read()
    print(printed, end="")
    if "\nerror:" in printed or not printed.strip():
        sys.exit("The command failed or printed nothing: no picture was written.")
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(printed, options.title, options.columns))


if __name__ == "__main__":
    main()
