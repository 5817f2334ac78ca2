"""Accuracy by what a digit looks like: a row per property, a cell per fifth, and the slices that stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from harness import formatting
from harness.image_properties import PROPERTIES, measured
from harness.image_properties.slices import MIN_N, Slice, slices
from harness.metrics.counting import share
from harness.metrics.weak_segments import WeakSegment, search
from harness.records import CLEAN, Evidence
from harness.report import picture
from harness.report.classes import MANY
from harness.report.safe import anchor
from harness.report.shown import Shown
from harness.report.spaces import LOSSES

_MOST_WORST = 5
_MOST_LINKS = 8


@dataclass(frozen=True)
class Cell:
    """The accuracy of one slice."""

    name: str
    holds: str  # from which value to which
    value: str
    spread: str
    n: str
    step: int  # 0 as good as all images, 1..4 more and more below them
    source: Markup | None
    wrong: tuple[int, ...]  # mistakes whose picture is in the page
    more: int


@dataclass(frozen=True)
class Row:
    """The slices of one property."""

    id: str
    name: str
    meaning: str
    cells: tuple[Cell, ...]
    worst: Cell | None


@dataclass(frozen=True)
class Worst:
    """A weak segment with its pictures."""

    name: str
    value: str
    n: str
    spread: str
    chance: str
    wrong: tuple[int, ...]
    more: int


@dataclass(frozen=True)
class Slices:
    """The section on slices."""

    rows: tuple[Row, ...]
    worst: tuple[Worst, ...]
    looked_at: int
    too_few: int
    least: int
    legend: tuple[str, ...]


def table(evidence: Evidence, shown: Shown, pictured: frozenset[int]) -> Slices | None:
    """Build the section on slices, the worst first; None without answers. ``pictured``: images in the galleries."""
    result = search(evidence, _MOST_WORST)
    if result is None:
        return None
    right = evidence.answers[CLEAN] == evidence.labels
    rows = [_row(evidence, right, shown, name, pictured) for name in PROPERTIES]
    rows.sort(key=lambda row: row[0])
    standing_out = [one for one in result.worst if one.adjusted_p <= 1 - 0.95]
    return Slices(
        tuple(row for _, row in rows),
        tuple(_worst(one, shown, pictured) for one in standing_out),
        result.looked_at,
        result.too_few,
        MIN_N,
        ("as good", *(f"{formatting.percent_short(loss)} lower".replace("%", "pp") for loss in LOSSES)),
    )


def _row(
    evidence: Evidence, right: NDArray[np.bool_], shown: Shown, name: str, pictured: frozenset[int]
) -> tuple[float, Row]:
    of, values = PROPERTIES[name], measured(evidence.images).values[name]
    quintiles = slices(evidence.images, name)
    cells = [_cell(evidence, right, shown, one, values, pictured) for one in quintiles]
    shares = [(float(right[one.members].mean()), at) for at, one in enumerate(quintiles) if len(one.members) >= MIN_N]
    lowest, worst = min(shares, default=(1.0, -1))
    named = name.replace("_", " ").capitalize()
    return lowest, Row(
        anchor("slice", name), named, f"{of.meaning}, {of.unit}", tuple(cells), cells[worst] if shares else None
    )


def _cell(
    evidence: Evidence,
    right: NDArray[np.bool_],
    shown: Shown,
    quintile: Slice,
    values: NDArray[np.float64],
    pictured: frozenset[int],
) -> Cell:
    n, hits = len(quintile.members), int(right[quintile.members].sum())
    holds = f"{quintile.low:.1f} to {quintile.high:.1f} {quintile.of.unit}" if n else "no images"
    if n < MIN_N:
        return Cell(quintile.name, holds, "not evaluated", f"fewer than {MIN_N}", f"{n:,}", 0, None, (), 0)
    middle = quintile.members[np.argsort(values[quintile.members], kind="stable")[n // 2]]
    lost = float(right.mean()) - hits / n
    wrong, more = linked(quintile.members[~right[quintile.members]], pictured)
    return Cell(
        quintile.name,
        holds,
        shown.figure("accuracy", hits / n),
        shown.between("accuracy", *share(evidence, right, quintile.members).display()[0]),
        f"{n:,}",
        sum(lost > loss for loss in LOSSES),
        picture.example(evidence.images[middle]),
        wrong,
        more,
    )


def _worst(segment: WeakSegment, shown: Shown, pictured: frozenset[int]) -> Worst:
    whose = "" if segment.digit is None else f", {MANY[segment.digit]} only"
    wrong, more = linked(np.array(segment.wrong, np.intp), pictured)
    spread = shown.between("accuracy", segment.low, segment.high)
    name = segment.slice.name[:1].upper() + segment.slice.name[1:]
    return Worst(
        f"{name}{whose}",
        shown.figure("accuracy", segment.hits / segment.n),
        f"{segment.n:,}",
        spread,
        by_chance(segment.adjusted_p),
        wrong,
        more,
    )


def by_chance(p: float) -> str:
    """Write a p-value."""
    return "p < 0.0001" if p < 0.0001 else f"p = {formatting.number(p)}"


def linked(wrong: NDArray[np.intp], pictured: frozenset[int]) -> tuple[tuple[int, ...], int]:
    """List the mistakes to lead to, and how many more there are."""
    kept = [int(index) for index in wrong if int(index) in pictured][:_MOST_LINKS]
    return tuple(kept), len(wrong) - len(kept)
