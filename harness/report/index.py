"""Several candidates of one command side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from harness import formatting
from harness.metrics import display
from harness.records import Measurement, Run, Scope
from harness.report.facts import VERDICTS
from harness.report.gates import Badge
from harness.report.safe import sentence
from harness.report.shown import Shown

_UNUSABLE = Badge("✕", "Unusable", "bad")


@dataclass(frozen=True)
class Judged:
    """A candidate: its name, the folder of its run beside the page, and the run or the reason why there is none."""

    name: str
    folder: str
    run: Run | None
    error: str = ""


@dataclass(frozen=True)
class Figure:
    """A number with its interval; ``of`` names the digit or the corruption."""

    value: str = ""
    spread: str = ""
    of: str = ""


@dataclass(frozen=True)
class Line:
    """The row of a candidate."""

    name: str
    href: str
    badge: Badge
    cause: Markup
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Index:
    """The page."""

    rows: tuple[Line, ...]
    note: Markup
    compared: bool


def index(judged: Sequence[Judged]) -> Index:
    """Build the page, in the order in which the candidates were named."""
    runs = [one.run for one in judged if one.run is not None]
    compared = any(run.baseline for run in runs)
    note = ""
    if runs:
        data, policy = runs[0].data, runs[0].policy
        note = f"{data.name}, {formatting.count(data.n, 'image')}; policy {policy.file}."
    return Index(tuple(_line(one, compared) for one in judged), sentence(note), compared)


def verdict_badge(run: Run) -> Badge:
    """Build the badge of a verdict."""
    return Badge(*VERDICTS[run.verdict.word])


def _line(judged: Judged, compared: bool) -> Line:
    if judged.run is None:
        return Line(judged.name, "", _UNUSABLE, sentence(judged.error), (Figure(),) * (3 + compared))
    shown = Shown(judged.run)
    accuracy = shown.find("accuracy")
    digits = [each for each in shown.all("recall") if each.scope.digit is not None]
    corrupted = [each for each in shown.all("accuracy") if each.scope.corruption is not None]
    figures = [_figure(shown, [accuracy] if accuracy else []), _figure(shown, digits), _figure(shown, corrupted)]
    if compared:
        figures.append(_change(shown.change("accuracy")))
    href = f"{quote(judged.folder)}/report.html"
    return Line(judged.name, href, verdict_badge(judged.run), sentence(judged.run.verdict.sentence), tuple(figures))


def _figure(shown: Shown, measured: Sequence[Measurement]) -> Figure:
    if not measured:
        return Figure()
    worst = min(measured, key=lambda one: one.value)
    of = "" if worst.scope == Scope() else display.title("", worst.scope).strip().removeprefix("under ")
    return Figure(shown.value(worst), shown.interval(worst), of)


def _change(change: Measurement | None) -> Figure:
    if change is None:
        return Figure()
    return Figure(display.difference(change.metric, change.value), display.interval(change))
