"""The sampling units: how many, what their images are worth, who stands out, and the slices that the data name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import formatting
from harness.formatting import one_line
from harness.metrics.counting import share
from harness.metrics.display import title_of
from harness.records import CLEAN, Codes, Evidence, Run
from harness.report.shown import Shown
from harness.report.slices import by_chance, linked
from harness.statistics import grouping
from harness.statistics.intervals import holm, p_drawn

_MOST_STANDING_OUT = 10
_MOST_COLUMNS = 20
_LOWEST = 90  # percent, of the histogram; what is under it is one bar
_CHANCE = 0.05


@dataclass(frozen=True)
class Bar:
    """Units whose accuracy lies in one range."""

    label: str
    units: str
    middle: str  # its place in the drawing
    height: str


@dataclass(frozen=True)
class Standing:
    """A unit that is read worse than the others."""

    name: str
    right: str
    n: str
    chance: str
    wrong: tuple[int, ...]
    more: int


@dataclass(frozen=True)
class Value:
    """Accuracy on one value of a column."""

    name: str
    value: str
    spread: str
    n: str


@dataclass(frozen=True)
class Worth:
    """Design effect of a gate's images, and the independent images that tell as much."""

    title: str
    n: str
    design: str
    independent: str


@dataclass(frozen=True)
class Units:
    """The section on sampling units."""

    title: str
    unit: str
    lead: tuple[str, ...]
    bars: tuple[Bar, ...]
    text: str  # the histogram in words
    standing: tuple[Standing, ...]
    tested: int
    worths: tuple[Worth, ...]
    columns: tuple[tuple[str, tuple[Value, ...]], ...]


def units(run: Run, evidence: Evidence, shown: Shown, pictured: frozenset[int], most: int) -> Units | None:
    """Build the section; None without answers, or where the data name neither units nor slices."""
    if evidence.groups is None or CLEAN not in evidence.answers or not len(evidence.labels):
        return None
    right = evidence.answers[CLEAN] == evidence.labels
    named = list(evidence.groups.columns)[:_MOST_COLUMNS]
    columns = tuple((one_line(name, 60), _values(evidence, shown, right, name)) for name in named)
    unit, codes = one_line(evidence.groups.unit, 60), evidence.codes
    if codes is None:
        return Units("Slices of the data", "", (), (), "", (), 0, (), columns) if columns else None
    sizes = np.bincount(codes)
    hits = np.bincount(codes, right)[sizes > 0]
    sizes = sizes[sizes > 0]
    bars = _bars(hits.astype(np.int64), sizes)
    return Units(
        f"{unit[:1].upper()}{unit[1:]}s",
        unit,
        _lead(evidence, shown, right, codes, unit),
        bars,
        f"Accuracy by {unit}: " + "; ".join(f"{one.label}: {one.units}" for one in bars),
        _standing(right, codes, unit, pictured),
        len(sizes),
        _worths(run, most),
        columns,
    )


def _lead(evidence: Evidence, shown: Shown, right: NDArray[np.bool_], codes: Codes, unit: str) -> tuple[str, ...]:
    """Say how many there are, what their images are worth, and what another of them may expect."""
    sizes, n = np.bincount(codes), len(codes)
    sizes, hits = sizes[sizes > 0], np.bincount(codes, right)[sizes > 0]
    wrong, many = sizes - hits, formatting.count(len(sizes), unit)
    parts = [f"{n:,} images of {many}, {sizes.min()} to {sizes.max()} each."]
    accuracy = share(evidence, right)
    if accuracy.effect is not None:
        parts.append(
            f"Of accuracy they tell as much as {accuracy.effect.images:,.0f} independent images (design effect "
            f"{accuracy.effect.design:.2f}), and as {accuracy.effect.effective:.0f} {unit}s of equal size."
        )
    again, others = float((wrong * (wrong - 1)).sum()), float((wrong * (sizes - 1)).sum())
    if others and again:
        parts.append(
            f"Where one image of a {unit} is misread, another of the same {unit} is in "
            f"{formatting.percent(again / others)} of cases; any image is in {formatting.percent(wrong.sum() / n)}."
        )
    mean = shown.figure("accuracy", float((hits / sizes).mean()))
    parts.append(f"Each {unit} weighed alike, accuracy is {mean}: what a {unit} not seen may expect.")
    missing = formatting.percent(1 - _CHANCE ** (1 / len(sizes)))
    parts.append(f"A kind of {unit} that is not among these may be up to {missing} of all.")
    return tuple(parts)


def _bars(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Bar, ...]:
    """Count units by their accuracy: in steps of a point from 90 % on, all right apart."""
    percents = np.arange(_LOWEST, 100)
    at = np.maximum(100 * hits // sizes - _LOWEST + 1, 0)  # in whole numbers: 19 of 20 are 95 %, not just under
    counts = np.bincount(at, minlength=len(percents) + 2)
    labels = ["under 90 %", *(f"{low} % to {low + 1} %" for low in percents), "100 %"]
    room, step = 246 / len(counts), 96 / max(1, int(counts.max()))
    return tuple(
        Bar(label, f"{many:,}", f"{30 + room * (place + 0.5):.1f}", f"{many * step:.1f}")
        for place, (label, many) in enumerate(zip(labels, counts.tolist(), strict=True))
    )


def _standing(right: NDArray[np.bool_], codes: Codes, unit: str, pictured: frozenset[int]) -> tuple[Standing, ...]:
    """Name the units that are read worse than the rest by more than chance: hypergeometric, adjusted by Holm."""
    sizes, hits = np.bincount(codes), np.bincount(codes, right).astype(np.int64)
    numbers = np.flatnonzero(sizes)
    n, wrong_of_all = len(codes), int((~right).sum())
    p_values = [p_drawn(int(sizes[at] - hits[at]), int(sizes[at]), wrong_of_all, n) for at in numbers.tolist()]
    standing = []
    adjusted = holm(p_values)
    for place in sorted(range(len(numbers)), key=lambda place: adjusted[place])[:_MOST_STANDING_OUT]:
        if adjusted[place] > _CHANCE:
            break
        at = numbers.tolist()[place]
        wrong, more = linked(np.flatnonzero((codes == at) & ~right), pictured)
        share_right = formatting.percent(float(hits[at] / sizes[at]))
        chance = by_chance(adjusted[place])
        standing.append(Standing(f"{unit} {at}", share_right, f"{sizes[at]:,}", chance, wrong, more))
    return tuple(standing)


def _values(evidence: Evidence, shown: Shown, right: NDArray[np.bool_], name: str) -> tuple[Value, ...]:
    """Measure accuracy on each value of a column."""
    assert evidence.groups is not None
    column, values = evidence.groups.columns[name], []
    for at, value in enumerate(column.values):
        members = np.flatnonzero(column.codes == at)
        if not len(members):
            continue
        accuracy = share(evidence, right, members)
        few = accuracy.effect is not None and accuracy.effect.effective < grouping.FEWEST
        spread = "too few to tell" if few else shown.between("accuracy", *accuracy.display()[0])
        values.append(Value(one_line(value, 60), shown.figure("accuracy", accuracy.value), spread, f"{accuracy.n:,}"))
    return tuple(values)


def _worths(run: Run, most: int) -> tuple[Worth, ...]:
    """List the design effects of the gates, the largest first."""
    measured = [
        (one.measurement, title_of(one.gate))
        for one in run.findings
        if one.gate is not None and one.measurement is not None and one.measurement.effect is not None
    ]
    measured.sort(key=lambda pair: -(pair[0].effect or 0.0))
    return tuple(
        Worth(title[:1].upper() + title[1:200], f"{one.n:,}", f"{one.effect:.2f}", f"{one.effective:,.0f}")
        for one, title in measured[:most]
    )
