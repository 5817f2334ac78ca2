"""The smallest change that turns a right answer wrong, per image and direction, from answers that are already held.

Axes: m images that are read right when clean; s sizes of a change, ascending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import CORRUPTIONS, SPACES
from harness.corruptions.spaces import exhausted
from harness.records import CLEAN, Evidence, Labels, Mask, Severity, Trial
from harness.statistics.intervals import p_below

DIRECTIONS = ("gaussian_noise", "contrast", "rotation", "shift", "brightness_offset")

_AMONG = 200  # images from which the few to show are chosen

Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Size:
    """A step along a direction: all trials that change an image by exactly so much."""

    at: int  # severity, or the largest step along any axis of a space
    label: str  # in the direction's own unit
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Flips:
    """``first[i]``: at which of the sizes image ``images[i]`` is first read wrong; ``len(sizes)`` where at none tried.

    Such an image is censored: that it never flips is not known, only that it survives the range.
    """

    direction: str
    unit: str
    sizes: tuple[Size, ...]
    images: Indices  # (m,), places in the data set
    first: Indices  # (m,)
    witness: Indices  # (m,), which of that size's trials; 0 where censored

    @property
    def censored(self) -> int:
        """Return the number of images that no size tried has turned."""
        return int((self.first == len(self.sizes)).sum())

    def flipped(self, at: int, n: int) -> Mask:
        """Mark, of all ``n`` images, those that are flipped by at most ``sizes[at]``."""
        marked = np.zeros(n, np.bool_)
        marked[self.images[self.first <= at]] = True
        return marked

    def trial(self, place: int) -> Trial | None:
        """Return the smallest change that flips ``images[place]``; None where none was found."""
        at = int(self.first[place])
        return self.sizes[at].trials[int(self.witness[place])] if at < len(self.sizes) else None

    def median(self, confidence: float = 0.95) -> tuple[Size | None, Size | None, Size | None]:
        """Compute the median size and its two-sided interval; None stands for any size beyond the range.

        Order statistics whose ranks are exact binomial bounds: no law is assumed, and censoring only hides those
        that lie beyond the range. With fewer than six images the interval is the whole range and what lies beyond.
        """
        ordered, m = np.sort(self.first), len(self.first)
        low = _rank(m, (1 - confidence) / 2)
        ends = (ordered[(m - 1) // 2], ordered[low - 1] if low else 0, ordered[m - low] if low else len(self.sizes))
        value, lower, upper = (self.sizes[at] if at < len(self.sizes) else None for at in ends)
        return value, lower, upper

    def most_fragile(self, labels: Labels, most: int) -> list[int]:
        """Rank the places of the images that flip soonest, other digits before more of the same."""
        soonest = np.argsort(self.first, kind="stable")
        soonest = soonest[self.first[soonest] < len(self.sizes)][:_AMONG]
        seen: Counter[tuple[int, int]] = Counter()
        ranked = []
        for place in map(int, soonest):
            kind = int(self.first[place]), int(labels[self.images[place]])
            ranked.append((kind[0], seen[kind], place))
            seen[kind] += 1
        return [place for _, _, place in sorted(ranked)[:most]]


def flips(evidence: Evidence, direction: str) -> Flips | None:
    """Find each image's smallest flip; None where the direction was not tried, or nothing is read right when clean."""
    sizes = _sizes(evidence, direction)
    if not sizes or CLEAN not in evidence.answers:
        return None
    images = np.flatnonzero(evidence.answers[CLEAN] == evidence.labels)
    if not len(images):
        return None
    labels, first = evidence.labels[images], np.full(len(images), len(sizes))
    witness = np.zeros(len(images), dtype=np.intp)
    for at, size in reversed(list(enumerate(sizes))):
        wrong = np.array([evidence.answers[trial][images] != labels for trial in size.trials])
        hit = wrong.any(axis=0)
        first[hit], witness[hit] = at, wrong.argmax(axis=0)[hit]
    return Flips(direction, _unit(direction), sizes, images, first, witness)


def _sizes(evidence: Evidence, direction: str) -> tuple[Size, ...]:
    tried: dict[int, list[Trial]] = {}
    for point in exhausted(evidence.answers, direction):
        tried.setdefault(point.radius, []).append(point)
    for trial in evidence.answers:
        if isinstance(trial, Severity) and trial.name == direction:
            tried.setdefault(trial.level, []).append(trial)
    return tuple(Size(at, _label(direction, at), tuple(trials)) for at, trials in sorted(tried.items()))


def _label(direction: str, at: int) -> str:
    if direction in SPACES:
        return f"±{at}"
    return f"{CORRUPTIONS[direction].parameters[0].at(at):g}"


def _unit(direction: str) -> str:
    if direction in SPACES:
        return SPACES[direction].unit
    parameter = CORRUPTIONS[direction].parameters[0]
    return f"{parameter.name}, {parameter.unit}"


def _rank(m: int, tail: float) -> int:
    """Find the largest rank r whose r - 1 is at most ``tail`` likely to be reached by Binomial(m, 1/2); 0 if none."""
    ranks: Sequence[int] = range(m // 2 + 1)
    low, high = 0, len(ranks)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if p_below(middle - 1, m, 0.5) <= tail else (low, middle)
    return low
