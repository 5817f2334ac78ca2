"""Whom the average hides: accuracy in the worst slice of a property."""

from __future__ import annotations

import numpy as np

from harness.errors import NotMeasurable
from harness.image_properties.slices import MIN_N, QUINTILES, Slice, slices
from harness.metrics.counting import answers_to
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLEAN, Evidence, Scope
from harness.statistics.estimates import Estimate, Share, WorstOf
from harness.statistics.paired import WorstPairs, pairs


def _change(candidate: Evidence, baseline: Evidence, scope: Scope) -> Estimate:
    """The fifth that lost most."""
    ours, theirs = (answers_to(evidence, CLEAN) == candidate.labels for evidence in (candidate, baseline))
    found = _fifths(candidate, scope)
    return WorstPairs([pairs(ours[one.members], theirs[one.members]) for one in found], [one.name for one in found])


def _fifths(evidence: Evidence, scope: Scope) -> tuple[Slice, ...]:
    assert scope.property is not None  # Metric.misfit has seen to it
    found = slices(evidence.images, scope.property)
    few = [one for one in found if len(one.members) < MIN_N]
    if few:
        raise NotMeasurable(f"the {few[0].name} holds {len(few[0].members)} images, fewer than {MIN_N}")
    return found


def _columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    assert scope.property is not None  # Metric.misfit has seen to it
    members = np.zeros((len(evidence.labels), QUINTILES), np.bool_)
    for at, one in enumerate(slices(evidence.images, scope.property)):
        members[one.members, at] = True
    return members & (answers_to(evidence, CLEAN) == evidence.labels)[:, None], members


@metric(
    "at_least",
    of="slices",
    exact=Exact(lambda data, digit: data.n // QUINTILES, shares=QUINTILES),
    columns=_columns,
    change=_change,
)
def worst_slice_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Lowest accuracy among the fifths of the images by one property; all five must hold at least MIN_N images."""
    right = answers_to(evidence, CLEAN) == evidence.labels
    found = _fifths(evidence, scope)
    shares = [Share(int(right[one.members].sum()), len(one.members)) for one in found]
    return WorstOf(shares, "at_least", [one.name for one in found])
