"""Whom the average hides: accuracy in the worst slice of a property."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.image_properties.slices import MIN_N, QUINTILES, Slice, slices
from harness.metrics.comparable import by_image
from harness.metrics.counting import answers_to, share
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLEAN, Evidence, Scope
from harness.statistics.estimates import Estimate, WorstOf
from harness.statistics.paired import WorstPairs, beside_several
from harness.statistics.retraining import Assumed


def _change(candidate: Evidence, baselines: Sequence[Evidence], scope: Scope) -> Estimate:
    """The fifth that lost most."""
    ours, *theirs = (answers_to(each, CLEAN) == candidate.labels for each in (candidate, *baselines))
    fifths = _fifths(candidate, scope)
    codes = candidate.codes
    each = [
        beside_several(
            ours[one.members],
            [right[one.members] for right in theirs],
            None if codes is None else codes[one.members],
        )
        for one in fifths
    ]
    return WorstPairs(each, [one.name for one in fifths])


def _fifths(evidence: Evidence, scope: Scope) -> tuple[Slice, ...]:
    assert scope.property is not None  # Metric.misfit has seen to it
    fifths = slices(evidence.images, scope.property)
    few = [one for one in fifths if len(one.members) < MIN_N]
    if few:
        raise NotMeasurable(f"the {few[0].name} holds {len(few[0].members)} images, fewer than {MIN_N}")
    return fifths


def _members(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    """(n, fifths): which images are in the fifth of the scope or, where it names none, in each."""
    assert scope.property is not None  # Metric.misfit has seen to it
    fifths = slices(evidence.images, scope.property)
    members = np.zeros((len(evidence.labels), len(fifths)), np.bool_)
    for at, one in enumerate(fifths):
        members[one.members, at] = True
    return members if scope.slice is None else members[:, scope.slice - 1 : scope.slice]


def _columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    members = _members(evidence, scope)
    return members & (answers_to(evidence, CLEAN) == evidence.labels)[:, None], members


def _members_of_slice(evidence: Evidence, scope: Scope) -> NDArray[np.intp]:
    return _fifths(evidence, scope)[(scope.slice or 1) - 1].members


def _right_of_slice(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    answers = answers_to(evidence, CLEAN)
    right: NDArray[np.bool_] = (answers == evidence.labels)[_members_of_slice(evidence, scope)]
    return right


@metric(
    "at_least",
    of="slice",
    exact=Exact(lambda data, digit: data.n // QUINTILES),
    columns=_columns,
    change=by_image(_right_of_slice, _members_of_slice),
    retraining=Assumed(0.10, 0.01),
    section="slices",
)
def slice_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy on one fifth of the images by a property; all five must hold at least MIN_N images."""
    return share(evidence, answers_to(evidence, CLEAN) == evidence.labels, _members_of_slice(evidence, scope))


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
    fifths = _fifths(evidence, scope)
    shares = [share(evidence, right, one.members) for one in fifths]
    return WorstOf(shares, "at_least", [one.name for one in fifths])
