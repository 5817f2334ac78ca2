"""Accuracy at every point of a finite space: every shift, every angle. Shares are counted from the answers."""

from __future__ import annotations

from dataclasses import dataclass

from harness.corruptions.spaces import exhausted
from harness.formatting import percent
from harness.records import CLEAN, Evidence, Measurement, SpacePoint, Trial
from harness.report.chart import Chart, Point, draw

LOSSES = (0.01, 0.03, 0.1, 0.3)  # below the clean accuracy; the next step is more
_CAPTIONS = {
    "shift": "Accuracy at each shift, percent; across: pixels to the right, down: pixels downwards",
    "rotation": "Accuracy at each angle in degrees",
}
_WIDEST = 15  # columns a table of points may have


@dataclass(frozen=True)
class Heat:
    """A heat map of a space."""

    text: str
    step: int  # 0 as good as clean, 1..4 more and more lost


@dataclass(frozen=True)
class Grid:
    """Accuracy at every point of a space with two axes."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Heat, ...]], ...]


@dataclass(frozen=True)
class Curve:
    """Accuracy at every point of a space with one axis."""

    caption: str
    chart: Chart


def step(value: float, clean: Measurement | None) -> int:
    """Grade in five steps how much is lost against the clean images."""
    return sum(clean.value - value > loss for loss in LOSSES) if clean else 0


def accuracy(evidence: Evidence, trial: Trial) -> float:
    """Compute the accuracy at each point of a space."""
    return float((evidence.answers[trial] == evidence.labels).mean())


def points(evidence: Evidence, corruption: str) -> dict[tuple[int, ...], float]:
    """Compute accuracy at every point of the space, as far out as all were tried; its origin is the clean images."""
    shares = {trial.coordinates: accuracy(evidence, trial) for trial in exhausted(evidence.answers, corruption)}
    axes = len(next(iter(shares), ()))
    return {(0,) * axes: accuracy(evidence, CLEAN), **shares} if axes else {}


def hardest(evidence: Evidence, corruption: str, radius: int) -> SpacePoint | None:
    """Find the point at this very radius where most images are lost."""
    points = [trial for trial in evidence.answers if isinstance(trial, SpacePoint) and trial.name == corruption]
    ring = [point for point in points if point.radius == radius]
    return min(ring, key=lambda point: (accuracy(evidence, point), point), default=None)


def grid(evidence: Evidence, corruption: str, clean: Measurement | None) -> Grid | None:
    """Lay out rows from top to bottom, columns from left to right, as the image moves."""
    shares = points(evidence, corruption)
    if not shares or {len(point) for point in shares} != {2}:
        return None
    across, down = (sorted({point[axis] for point in shares}) for axis in (0, 1))
    if len(across) > _WIDEST or len(down) > _WIDEST:
        return None

    def heat(point: tuple[int, int]) -> Heat:
        value = shares.get(point)
        if value is None:
            return Heat("–", 0)
        return Heat(percent(value, 1.0, 1).removesuffix(" %"), step(value, clean))

    return Grid(
        _CAPTIONS.get(corruption, "Accuracy at each point, percent; across the first axis, down the second"),
        tuple(f"{x:+d}" if x else "0" for x in across),
        tuple((f"{y:+d}" if y else "0", tuple(heat((x, y)) for x in across)) for y in down),
    )


def curve(evidence: Evidence, corruption: str) -> Curve | None:
    """Draw accuracy along a space with one axis."""
    shares = points(evidence, corruption)
    if not shares or {len(point) for point in shares} != {1}:
        return None
    line = [Point(point[0], value, f"{point[0]:+d}" if point[0] else "0") for point, value in sorted(shares.items())]
    name = corruption.replace("_", " ")
    text = f"Accuracy along {name}: " + ", ".join(f"{point.label} {percent(point.value, 1.0, 1)}" for point in line)
    caption = _CAPTIONS.get(corruption, "Accuracy at each point")
    return Curve(caption, draw(line, (), (), text[:2000]))
