"""A panel per corruption and per finite space, and the table that sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from harness import formatting
from harness.corruptions import trial_at
from harness.metrics import display
from harness.records import CLEAN, NO_ANSWER, SEVERITIES, Evidence, Finding, Gate, Measurement, Run, Scope, Trial
from harness.references import results
from harness.report import picture
from harness.report.chart import Chart, Limit, Point, Thumb, draw
from harness.report.flips import Direction, directions
from harness.report.gates import Badge, badge, statuses
from harness.report.safe import anchor
from harness.report.shown import Shown
from harness.report.spaces import Curve, Grid, Heat, curve, grid, hardest, step

BASELINES = ("logistic_regression", "cnn")  # of the panel that ships with the project; more would hide the candidate
LAST = "the last release"
LEGEND = ("within 1 pp of clean", "within 3 pp", "within 10 pp", "within 30 pp", "more lost")


@dataclass(frozen=True)
class Stop:
    """A place on a panel's axis."""

    at: int
    label: str
    measured: Measurement
    trial: Trial | None
    note: str = ""


@dataclass(frozen=True)
class Other:
    """The accuracy of a shipped baseline, or of the last release, along the same axis."""

    name: str
    points: tuple[Point, ...]

    @property
    def text(self) -> str:
        """Write ``cnn: clean 99.18 %, 1 98.77 %``."""
        return f"{self.name}: " + ", ".join(f"{one.label} {formatting.percent(one.value, 1.0)}" for one in self.points)


@dataclass(frozen=True)
class Fact:
    """A line of the numbers under a chart."""

    label: str
    value: str
    interval: str
    n: str
    note: str


@dataclass(frozen=True)
class Panel:
    """The chart of one corruption or space."""

    id: str
    name: str
    badge: Badge | None
    chart: Chart
    facts: tuple[Fact, ...]
    lowest: float
    others: tuple[str, ...] = ()  # the dashed curves in words
    heats: tuple[Heat, ...] = ()
    grid: Grid | None = None
    curve: Curve | None = None


@dataclass(frozen=True)
class Robustness:
    """The section on robustness."""

    spaces: tuple[Panel, ...]
    panels: tuple[Panel, ...]
    directions: tuple[Direction, ...]
    severities: tuple[str, ...]
    legend: tuple[str, ...]
    means: tuple[tuple[str, str, str], ...]  # name, value, interval
    baselines: tuple[str, ...]
    specimen: str
    picture: Markup  # the clean specimen, drawn once and used by every panel


def robustness(run: Run, evidence: Evidence, shown: Shown) -> Robustness:
    """Build the section on robustness."""
    specimen = _specimen(evidence)
    spaces = {one.scope.corruption for one in shown.all("worst_case_accuracy") if one.scope.within is not None}
    named = {one.scope.corruption for one in shown.all("accuracy") if one.scope.severity is not None}
    return Robustness(
        spaces=_sorted(_space(run, evidence, shown, name, specimen) for name in spaces if name),
        panels=_sorted(_severities(run, evidence, shown, name, specimen) for name in named if name),
        directions=directions(evidence),
        severities=tuple(str(level) for level in SEVERITIES),
        legend=LEGEND,
        means=tuple(
            (display.title(one.metric, one.scope), shown.value(one), shown.interval(one))
            for metric in ("mean_corruption_accuracy", "relative_corruption_error")
            for one in shown.all(metric)
        ),
        baselines=_beside(run, shown) if named else (),
        picture=picture.example(evidence.specimens[CLEAN][0]) if CLEAN in evidence.specimens else Markup(),
        specimen="" if specimen is None else f"{evidence.labels[specimen]}, image {specimen}",
    )


def _sorted(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    def worst_first(panel: Panel) -> tuple[bool, float, str]:
        return not (panel.badge and panel.badge.tone == "bad"), panel.lowest, panel.name

    return tuple(sorted(panels, key=worst_first))


def _specimen(evidence: Evidence) -> int | None:
    """Find which of the images is shown under every trial."""
    if CLEAN not in evidence.specimens:
        return None
    same = np.flatnonzero((evidence.images == evidence.specimens[CLEAN]).all(axis=(1, 2)))
    return int(same[0]) if len(same) else None


def _severities(run: Run, evidence: Evidence, shown: Shown, corruption: str, specimen: int | None) -> Panel:
    clean, stops, heats = shown.find("accuracy"), [], []
    for level in SEVERITIES:
        measured = shown.find("accuracy", Scope(corruption=corruption, severity=level))
        if measured:
            stops.append(Stop(level, str(level), measured, trial_at(corruption, level)))
        heats.append(Heat(shown.bare(measured), step(measured.value, clean)) if measured else Heat("–", 0))
    start = [Stop(0, "clean", clean, CLEAN)] if clean else []
    return _panel(
        run, evidence, shown, start + stops, specimen, corruption,
        heats=tuple(heats), others=(*_last(shown, start + stops), *_others(run, start + stops)),
    )  # fmt: skip


def _beside(run: Run, shown: Shown) -> tuple[str, ...]:
    """Name the dashed curves, in the order in which they are drawn."""
    last = (LAST,) if shown.change("accuracy") else ()
    return (*last, *(_words(name) for name in BASELINES)) if results.measured_on(run.data) else last


def _last(shown: Shown, stops: Sequence[Stop]) -> tuple[Other, ...]:
    """Return the last release at those places where it answered the same images."""
    changes = [(stop, shown.change("accuracy", stop.measured.scope)) for stop in stops]
    points = tuple(Point(at.at, at.measured.value - one.value, at.label) for at, one in changes if one is not None)
    return (Other(LAST, points),) if shown.change("accuracy") else ()


def _others(run: Run, stops: Sequence[Stop]) -> tuple[Other, ...]:
    """Return the shipped baselines at the same places, where they were measured on these very digits."""
    measured = results.measured_on(run.data)
    if measured is None:
        return ()
    errors = {name: [(stop, measured.error(name, stop.trial or CLEAN)) for stop in stops] for name in BASELINES}
    return tuple(
        Other(_words(name), tuple(Point(at.at, 1 - error, at.label) for at, error in of if error is not None))
        for name, of in errors.items()
    )


def _space(run: Run, evidence: Evidence, shown: Shown, corruption: str, specimen: int | None) -> Panel:
    clean = shown.find("accuracy")
    stops = [Stop(0, "0", clean, CLEAN)] if clean else []
    cases = [one for one in shown.all("worst_case_accuracy") if one.scope.corruption == corruption]
    for one in sorted(cases, key=lambda one: one.scope.within or 0):
        trial = hardest(evidence, corruption, one.scope.within or 0)
        note = "hardest: " + ", ".join(f"{part:+d}" for part in trial.coordinates) if trial else ""
        stops.append(Stop(one.scope.within or 0, f"±{one.scope.within}", one, trial, note))
    return _panel(
        run, evidence, shown, stops, specimen, corruption,
        grid=grid(evidence, corruption, clean), curve=curve(evidence, corruption),
    )  # fmt: skip


def _panel(
    run: Run,
    evidence: Evidence,
    shown: Shown,
    stops: Sequence[Stop],
    specimen: int | None,
    corruption: str,
    *,
    heats: tuple[Heat, ...] = (),
    others: Sequence[Other] = (),
    grid: Grid | None = None,
    curve: Curve | None = None,
) -> Panel:
    gates = statuses(run, Scope(corruption=corruption))
    name = _words(corruption).capitalize()[:80]
    points = [Point(s.at, s.measured.value, s.label, s.measured.low, s.measured.high) for s in stops]
    thumbs = [thumb for stop in stops if (thumb := _thumb(evidence, stop, specimen))]
    text = f"Accuracy, {name}: " + ", ".join(f"{stop.label} {shown.value(stop.measured)}" for stop in stops)
    text = "; ".join([text, *(other.text for other in others)])
    return Panel(
        id=anchor("robustness", corruption),
        name=name,
        badge=badge(gates[0]) if gates else None,
        chart=draw(points, limits(gates, shown), thumbs, text, beside=[other.points for other in others]),
        facts=tuple(_fact(shown, stop, gates) for stop in stops),
        others=tuple(other.text for other in others),
        lowest=min((stop.measured.value for stop in stops[1:]), default=1.0),
        heats=heats,
        grid=grid,
        curve=curve,
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _fact(shown: Shown, stop: Stop, gates: Sequence[Finding]) -> Fact:
    asked = [one.gate for one in gates if one.gate and one.gate.scope == stop.measured.scope]
    rules = [
        f"gate {'≥' if gate.rule == 'at_least' else '≤'} {display.limit('accuracy', gate.threshold, gate.against)}"
        for gate in asked
    ]
    notes = [*rules, stop.note] if stop.note else rules
    return Fact(
        stop.label, shown.value(stop.measured), shown.interval(stop.measured), f"{stop.measured.n:,}", "; ".join(notes)
    )


def limits(gates: Sequence[Finding], shown: Shown) -> list[Limit]:
    """Place the threshold of each gate; one against the last release is as far below that as its margin says."""
    limits = []
    for one in gates:
        if one.gate is None or one.gate.metric not in {"accuracy", "worst_case_accuracy"}:
            continue
        at = one.gate.scope.severity if one.gate.scope.severity is not None else one.gate.scope.within
        last = _of_the_last(shown, one.gate) if one.gate.against else 0.0
        if at is not None and last is not None:
            limits.append(Limit(at, last + one.gate.threshold, one.status == "passed"))
    return limits


def _of_the_last(shown: Shown, gate: Gate) -> float | None:
    """Return what the last release reached where this gate looks."""
    measured, change = shown.find(gate.metric, gate.scope), shown.change(gate.metric, gate.scope)
    return None if measured is None or change is None else measured.value - change.value


def _thumb(evidence: Evidence, stop: Stop, specimen: int | None) -> Thumb | None:
    """Draw the example image under this trial, with what the model said of it."""
    images = evidence.specimens.get(stop.trial) if stop.trial else None
    if stop.trial is None or images is None or not len(images):
        return None
    source = Markup() if stop.trial == CLEAN else picture.example(images[0])
    if specimen is None:
        return Thumb(stop.at, source, "", False)
    said, true = int(evidence.answers[stop.trial][specimen]), int(evidence.labels[specimen])
    return Thumb(stop.at, source, "none" if said == NO_ANSWER else str(said), said != true)
