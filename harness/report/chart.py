"""Coordinates of a small SVG chart: x to the right, 0 to 100 % upwards. No text but what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

LEFT, RIGHT, TOP, FLOOR = 30.0, 276.0, 8.0, 104.0
PICTURE = 34.0
_INSET = 22.0  # room for half a picture at either end


@dataclass(frozen=True)
class Point:
    """A value on the curve; ``low`` and ``high`` where it has an interval."""

    at: float
    value: float
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Limit:
    """A threshold drawn into a chart."""

    at: float
    value: float
    met: bool


@dataclass(frozen=True)
class Thumb:
    """A small picture under a point of a chart."""

    at: float
    source: Markup
    said: str
    wrong: bool


_At = TypeVar("_At", Point, Thumb)


@dataclass(frozen=True)
class Placed:
    """A mark with its place in the drawing."""

    x: str
    y: str
    text: str = ""
    source: Markup | None = None
    good: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart as the template draws it."""

    line: Markup
    band: Markup
    dots: tuple[Placed, ...]
    labels: tuple[Placed, ...]
    limits: tuple[Placed, ...]
    thumbs: tuple[Placed, ...]
    beside: tuple[Markup, ...]  # other curves, without a band
    text: str  # the chart in words


def draw(
    points: Sequence[Point],
    limits: Sequence[Limit],
    thumbs: Sequence[Thumb],
    text: str,
    *,
    beside: Sequence[Sequence[Point]] = (),
) -> Chart:
    """Lay out a chart of points with their intervals."""
    points = [point for point in points if math.isfinite(point.value)]
    ends = [point.at for point in points] or [0.0, 1.0]
    first, last = min(ends), max(ends)

    def x(at: float) -> float:
        share = (at - first) / (last - first) if last > first else 0.5
        return LEFT + _INSET + share * (RIGHT - LEFT - 2 * _INSET)

    known = [(p.at, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    edge = [_pair(x(at), y(high)) for at, _, high in known] + [_pair(x(at), y(low)) for at, low, _ in reversed(known)]

    def line(points: Sequence[Point]) -> Markup:
        return Markup(" ".join(_pair(x(point.at), y(point.value)) for point in points))

    return Chart(
        line=line(points),
        band=Markup(" ".join(edge)),
        dots=tuple(_placed(x(point.at), y(point.value)) for point in points),
        labels=tuple(_placed(x(point.at), 0, point.label) for point in _apart(points, x, 24)),
        limits=tuple(_placed(x(limit.at), y(limit.value), good=limit.met) for limit in limits),
        thumbs=tuple(
            Placed(short(x(t.at)), "0", t.said, t.source, not t.wrong) for t in _apart(list(thumbs), x, PICTURE + 2)
        ),
        beside=tuple(line(other) for other in beside),
        text=text,
    )


def y(share: float) -> float:
    """Return the height of a share, held inside the chart."""
    return FLOOR - max(0.0, min(1.0, share)) * (FLOOR - TOP)


def _apart(many: Sequence[_At], x: Callable[[float], float], gap: float) -> list[_At]:
    """Select as many of them, first to last, as stand without touching."""
    kept: list[_At] = []
    for one in many:
        if not kept or x(one.at) - x(kept[-1].at) >= gap:
            kept.append(one)
    return kept


def _pair(across: float, up: float) -> str:
    return f"{short(across)},{short(up)}"


def _placed(across: float, up: float, text: str = "", good: bool = True) -> Placed:
    return Placed(short(across), short(up), text, good=good)


def short(value: float) -> str:
    """Write a coordinate with one digit after the point, or none."""
    return f"{value:.1f}".removesuffix(".0")
