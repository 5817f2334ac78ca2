"""A run as one HTML page that needs nothing else: no network, no script, no font.

Everything shown is prepared here; the templates in reports/ only place it. A section is one file in reports/sections/,
shown in the order of its number and left out where its body is empty.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import words
from harness.records import Evidence, Run, Session
from harness.report import classes, facts, gates, mistakes
from harness.report.robustness import Robustness, robustness
from harness.report.safe import inert, lines, sentence
from harness.report.shown import Shown
from harness.resources import folder

HARD_CAP = 1_000_000  # bytes


@dataclass(frozen=True)
class Amount:
    """How much is shown of what could be endless."""

    pictures: int
    each: int
    rows: int
    text: int


_LADDER = (Amount(600, 24, 300, 40_000), Amount(300, 12, 150, 20_000), Amount(100, 4, 60, 5_000), Amount(0, 0, 30, 500))


def render(run: Run, evidence: Evidence, session: Session | None) -> str:
    """The page. The same run gives the same bytes; shows less of what is too long to stay under ``HARD_CAP``."""
    page = ""
    for amount in _LADDER:
        page = _page(View(run, evidence, session, amount))
        if len(page.encode()) <= HARD_CAP:
            break
    return page


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    html: Markup


class View:
    """What the templates may show, each part made when a section first asks for it."""

    def __init__(self, run: Run, evidence: Evidence, session: Session | None, amount: Amount) -> None:
        self.run, self.evidence, self.session, self.amount = run, evidence, session, amount
        self.shown = Shown(run)

    @cached_property
    def banner(self) -> facts.Banner:
        return facts.banner(self.run)

    @cached_property
    def identity(self) -> tuple[facts.Item, ...]:
        return facts.identity(self.run, self.session)

    @cached_property
    def tiles(self) -> tuple[classes.Tile, ...]:
        return classes.tiles(self.run, self.evidence, self.shown)

    @cached_property
    def resolution(self) -> str:
        return classes.resolution(self.shown)

    @property
    def fault(self) -> Markup:
        return sentence(self.evidence.fault)

    @cached_property
    def gates(self) -> gates.Table:
        return gates.table(self.run, "gate", self.shown, self.amount.rows)

    @cached_property
    def checks(self) -> gates.Table:
        return gates.table(self.run, "check", self.shown, self.amount.rows)

    @cached_property
    def confusion(self) -> classes.Confusion:
        return classes.confusion(self.run, self.shown)

    @cached_property
    def digits(self) -> tuple[classes.Digit, ...]:
        return classes.digits(self.run, self.shown)

    @cached_property
    def overall(self) -> tuple[classes.Tile, ...]:
        return classes.overall(self.shown)

    @cached_property
    def robustness(self) -> Robustness:
        return robustness(self.run, self.evidence, self.shown)

    @cached_property
    def galleries(self) -> mistakes.Galleries | None:
        return mistakes.galleries(self.run, self.evidence, self.amount.each, self.amount.pictures)

    @cached_property
    def data(self) -> facts.Data:
        return facts.data(self.run.data)

    @cached_property
    def model(self) -> facts.Model:
        return facts.model(self.run.model, self.session, min(self.amount.rows, 100))

    @cached_property
    def provenance(self) -> facts.Provenance:
        return facts.provenance(self.run, self.session, self.amount.text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "lines": lines, "count": words.count}
    return environment


def _page(view: View) -> str:
    names = _environment().list_templates(filter_func=lambda name: name.startswith("sections/"))
    sections = [section for name in sorted(names) if (section := _section(name, view))]
    style = Markup((folder("reports") / "report.css").read_text("utf-8"))  # noqa: S704 - our own file
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _environment().get_template("page.html").render(view=view, sections=sections, style=style, digest=digest)


def _section(name: str, view: View) -> Section | None:
    """``sections/30-gates.html`` -> the section ``gates``; None where it has nothing to show."""
    module = _environment().get_template(name).make_module({"view": view})
    body = str(module)
    if not body.strip():
        return None
    return Section(name.partition("-")[2].removesuffix(".html"), module.title, Markup(body))
