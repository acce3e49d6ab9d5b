"""A hook of MkDocs that draws Mermaid diagrams when the documentation is built.

Material for MkDocs draws them in the reader's browser, by a script that it loads from another host.
Here, a page contains the finished picture and shows it without a network and without JavaScript.
"""

from __future__ import annotations

import base64
import html
from typing import Any

import mermaidx


def draw(
    source: str, _language: str, _class: str, options: dict[str, Any], *_: Any, **__: Any
) -> str:
    """Return the HTML of a ``mermaid`` block: an image whose data is part of the page.

    An image, not inline SVG, so that the styles and ids of two diagrams cannot affect each other.

    Args:
        source: The text of the block.
        options: The options of the block's first line; ``title`` describes the diagram for those
            who cannot see it.
    """
    svg = mermaidx.render(source).svg()
    data = base64.b64encode(svg.encode()).decode()
    title = html.escape(options["title"], quote=True)
    return f'<p><img class="diagram" alt="{title}" src="data:image/svg+xml;base64,{data}"></p>'


def has_title(_language: str, inputs: dict[str, str], options: dict[str, Any], *_: Any) -> bool:
    """Accept a block only with a ``title`` and nothing else, such as ``mermaid title="..."``."""
    options["title"] = inputs.get("title", "")
    return set(inputs) == {"title"} and bool(inputs["title"])


def on_config(config: Any) -> Any:
    """Register the block at MkDocs' Markdown extension for fenced blocks."""
    fence = {"name": "mermaid", "class": "mermaid", "format": draw, "validator": has_title}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config
