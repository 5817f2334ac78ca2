"""The documentation site: ``tox -e docs`` builds it, and treats every warning as an error."""

from __future__ import annotations

import json
from typing import Any

import click

from harness.cli import COMMANDS, root

project = "digit-release-harness"
copyright = "Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
myst_heading_anchors = 4
nitpick_ignore_regex = [("py:.*", r"(?!harness\.).*"), ("py:class", r"harness\.(records|run|corruptions|metrics)\..*")]
autodoc_member_order = "bysource"
html_theme = "pydata_sphinx_theme"
html_title = "harness"
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}


def as_markdown(app: Any, docname: str, source: list[str]) -> None:
    """Give the notebook to the parser as Markdown: its texts, and its code as blocks."""
    if docname.endswith("notebook"):
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(source[0])["cells"]]
        source[0] = "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)
        source[0] += "\n\n[The notebook itself](path:notebook.ipynb)."


def setup(app: Any) -> None:
    """Connect the notebook, and load every command: sphinx-click reads the group's own table of them."""
    for name in COMMANDS:
        if (command := root.get_command(click.Context(root), name)) is not None:
            root.commands[name] = command
    app.connect("source-read", as_markdown)
