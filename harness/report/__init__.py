"""A run as one HTML page that needs nothing else: no network, no script, no font.

Everything shown is prepared here; the templates in reports/ only place it. A section is one file in reports/sections/,
shown in the order of its number and left out where its body is empty.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import formatting
from harness.files import shipped_folder
from harness.records import Evidence, Ledger, Measurement, Qualification, Run, SessionFacts
from harness.report.comparison import Places, comparison
from harness.report.history import history
from harness.report.index import Judged as Judged
from harness.report.index import index
from harness.report.safe import inert, sentence
from harness.report.view import Amount, view

HARD_CAP = 1_000_000  # bytes


_LADDER = (Amount(600, 16, 300, 40_000), Amount(300, 12, 150, 20_000), Amount(100, 4, 60, 5_000), Amount(0, 0, 30, 500))


def render(
    run: Run, evidence: Evidence, session: SessionFacts | None, qualification: Qualification | None = None
) -> str:
    """Render the page to the same bytes for the same run; shows less where it would exceed ``HARD_CAP``."""
    page = ""
    for amount in _LADDER:
        page = _page(view(run, evidence, session, amount, qualification))
        if len(page.encode()) <= HARD_CAP:
            break
    return page


def render_index(judged: Sequence[Judged]) -> str:
    """Render a page with a line for each candidate of one command."""
    return _framed("index.html", page=index(judged))


def render_comparison(
    before: tuple[Run, Evidence],
    after: tuple[Run, Evidence],
    changes: Sequence[Measurement],
    wrong: Places,
    right: Places,
) -> str:
    """Render a page with the images that are newly ``wrong`` and newly ``right`` in the second run."""
    return _framed("compare.html", page=comparison(before, after, changes, wrong, right))


def render_history(ledger: Ledger) -> str:
    """Render a page with every verdict of a ledger."""
    return _framed("history.html", page=history(ledger))


@dataclass(frozen=True)
class Section:
    """A section of the page: its id, title and template."""

    id: str
    title: str
    html: Markup


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped_folder("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "count": formatting.count}
    return environment


def _page(parts: Mapping[str, object]) -> str:
    names = _environment().list_templates(filter_func=lambda name: name.startswith("sections/"))
    sections = [section for name in sorted(names) if (section := _section(name, parts))]
    return _framed("page.html", view=parts, sections=sections)


def _framed(template: str, **parts: object) -> str:
    sheets = ("report.css",) if template == "page.html" else ("report.css", "beside.css")
    rules = "".join((shipped_folder("reports") / sheet).read_text("utf-8") for sheet in sheets)
    style = Markup(re.sub(r"(?<=[;{},:])\s+|\s+(?=[{}])", "", rules))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _environment().get_template(template).render(parts, style=style, digest=digest)


def _section(name: str, parts: Mapping[str, object]) -> Section | None:
    """Render ``sections/30-gates.html`` as the section ``gates``; None where it has nothing to show."""
    module = _environment().get_template(name).make_module({"view": parts})
    body = str(module)
    if not body.strip():
        return None
    title = vars(module)["title"]  # every section sets it
    return Section(name.partition("-")[2].removesuffix(".html"), title, Markup(body))
