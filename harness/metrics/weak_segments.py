"""Weak segments: those quintiles, and quintiles of one digit, in which a model is worse than elsewhere.

A search among hundreds finds something in any model. So each is tested against the images outside it (Fisher's exact
test, one-sided), the p-values are adjusted for how many were looked at (Holm), and the bounds hold for all together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.image_properties import PROPERTIES
from harness.image_properties.slices import MIN_N, Slice, slices
from harness.metrics.counting import share
from harness.records import CLASSES, CLEAN, Evidence
from harness.statistics.intervals import holm, p_drawn

CONFIDENCE = 0.95


@dataclass(frozen=True)
class WeakSegment:
    """A quintile, or its images of one digit, with bounds at 95 % for all that were searched together."""

    slice: Slice
    digit: int | None
    hits: int
    n: int
    low: float
    high: float
    adjusted_p: float
    wrong: tuple[int, ...]  # indexes of the mistakes


@dataclass(frozen=True)
class Search:
    """The number of segments searched, and those reported."""

    worst: tuple[WeakSegment, ...]  # the least likely to be chance first
    looked_at: int
    too_few: int  # slices of under MIN_N images, of which nothing is said


def search(evidence: Evidence, most: int) -> Search | None:
    """Find the ``most`` striking segments; None where there are no predictions."""
    if CLEAN not in evidence.answers or not len(evidence.labels):
        return None
    right = evidence.answers[CLEAN] == evidence.labels
    segments = list(_candidates(evidence))
    enough = [one for one in segments if len(one[2]) >= MIN_N]
    wrong = np.array([int((~right[members]).sum()) for _, _, members in enough])
    sizes = np.array([len(members) for _, _, members in enough])
    adjusted = holm([p_drawn(*one, int((~right).sum()), len(right)) for one in zip(wrong, sizes, strict=True)])
    order = sorted(range(len(enough)), key=lambda at: (adjusted[at], -wrong[at] / sizes[at]))
    alone = 1 - (1 - CONFIDENCE) / 2 / max(1, len(enough))
    worst = tuple(_hidden(evidence, *enough[at], right, adjusted[at], alone) for at in order[:most])
    return Search(worst, len(enough), len(segments) - len(enough))


def _candidates(evidence: Evidence) -> Iterator[tuple[Slice, int | None, NDArray[np.intp]]]:
    for name in PROPERTIES:
        for one in slices(evidence.images, name):
            yield one, None, one.members
            labels = evidence.labels[one.members]
            yield from ((one, digit, one.members[labels == digit]) for digit in range(CLASSES))


def _hidden(
    evidence: Evidence,
    quintile: Slice,
    digit: int | None,
    members: NDArray[np.intp],
    right: NDArray[np.bool_],
    p: float,
    alone: float,
) -> WeakSegment:
    accuracy = share(evidence, right, members)
    wrong = tuple(map(int, members[~right[members]]))
    return WeakSegment(quintile, digit, accuracy.hits, accuracy.n, *accuracy.bounds(alone)[0], p, wrong)
