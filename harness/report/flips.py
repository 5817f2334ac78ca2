"""Smallest flips: along each direction, the share of right answers turned wrong, and the images that turn first."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.corruptions import corrupt
from harness.formatting import count, percent
from harness.metrics.counting import share
from harness.metrics.smallest_flip import DIRECTIONS, Flips, Size, flips
from harness.records import CLASSES, NO_ANSWER, Evidence, SpacePoint, Trial
from harness.report import picture
from harness.report.chart import Chart, Point, draw

_WITNESSES = 4


@dataclass(frozen=True)
class Witness:
    """An image under the smallest change that flips it."""

    source: Markup
    alt: str
    turn: str
    change: str


@dataclass(frozen=True)
class Direction:
    """A direction of a space with its smallest flips."""

    name: str
    unit: str
    chart: Chart
    median: str
    rest: str
    soonest: str
    witnesses: tuple[Witness, ...]


def directions(evidence: Evidence) -> tuple[Direction, ...]:
    """Build a card for each direction that was tried at two sizes or more."""
    tried = [flips(evidence, name) for name in DIRECTIONS]
    return tuple(_direction(evidence, one) for one in tried if one is not None and len(one.sizes) > 1)


def _direction(evidence: Evidence, smallest: Flips) -> Direction:
    m = len(smallest.images)
    line = [
        Point(size.at, one.value, size.label, *one.display()[0])
        for at, size in enumerate(smallest.sizes)
        if (one := share(evidence, smallest.flipped(at, len(evidence.labels)), smallest.images))
    ]
    name = smallest.direction.replace("_", " ")
    points = ", ".join(f"{point.label} {percent(point.value, 1.0, 1)}" for point in line)
    return Direction(
        name=name.capitalize(),
        unit=smallest.unit,
        chart=draw(line, (), (), f"Share of right answers flipped by {name} of at most: {points}"[:2000]),
        median=_median(smallest),
        rest=f"{percent(smallest.censored / m, 0.0 if smallest.censored else None, 1)} of {count(m, 'image')} "
        f"do not flip within {smallest.sizes[-1].label}",
        soonest=_soonest(evidence, smallest),
        witnesses=tuple(
            _witness(evidence, int(smallest.images[place]), trial, smallest.sizes[smallest.first[place]].label)
            for place in smallest.most_fragile(evidence.labels, _WITNESSES)
            if (trial := smallest.trial(place))
        ),
    )


def _median(smallest: Flips) -> str:
    """Write ``±7 (±6 to ±8)``; what lies beyond the range is written as more than its end."""
    value, low, high = smallest.median()

    def text(size: Size | None) -> str:
        return size.label if size else f"beyond {smallest.sizes[-1].label}"

    return text(value) if text(low) == text(high) else f"{text(value)} ({text(low)} to {text(high)})"


def _soonest(evidence: Evidence, smallest: Flips) -> str:
    """Find the digit of which the largest share flips within the range."""
    labels, hit = evidence.labels[smallest.images], smallest.first < len(smallest.sizes)
    shares = [(float(hit[labels == digit].mean()), digit) for digit in range(CLASSES) if (labels == digit).any()]
    share, digit = max(shares, key=lambda one: (one[0], -one[1]))
    return f"soonest the {digit}s, {percent(share, 1.0, 1)}" if share else ""


def _witness(evidence: Evidence, index: int, trial: Trial, label: str) -> Witness:
    """Make the image again: a corrupted image depends on seed, trial and place alone."""
    changed = corrupt(evidence.images[index : index + 1], trial, seed=evidence.seed, first=index)
    true, said = int(evidence.labels[index]), int(evidence.answers[trial][index])
    answer = "none" if said == NO_ANSWER else str(said)
    steps = trial.coordinates if isinstance(trial, SpacePoint) else ()
    change = ", ".join(f"{step:+d}" if step else "0" for step in steps) or label
    return Witness(
        picture.address(changed[0]),
        f"image {index}, a {true}, under {trial.name.replace('_', ' ')} {change}: read as {answer}",
        f"{true} → {answer}",
        change,
    )
