"""Whom the average hides: accuracy in the worst slice, and how many sampling units are served well."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.formatting import one_line
from harness.image_properties.slices import MIN_N, QUINTILES, Slice, slices
from harness.metrics.comparable import by_image
from harness.metrics.counting import answers_to, share
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLEAN, Evidence, Scope
from harness.statistics.estimates import Estimate, Share, WorstOf
from harness.statistics.paired import WorstPairs, beside_several
from harness.statistics.retraining import Assumed

_ROUNDING = 1e-9  # images


def _change(candidate: Evidence, baselines: Sequence[Evidence], scope: Scope) -> Estimate:
    """Find the slice that lost most."""
    ours, *theirs = (answers_to(each, CLEAN) == candidate.labels for each in (candidate, *baselines))
    parts = _parts(candidate, scope)
    each = [
        beside_several(
            ours[one.members],
            [right[one.members] for right in theirs],
            candidate.codes_of(one.members),
        )
        for one in parts
    ]
    return WorstPairs(each, [one.name for one in parts])


@dataclass(frozen=True)
class Part:
    """The images of one fifth by a property, or of one value of a column."""

    name: str
    members: NDArray[np.intp]  # indexes


def _parts(evidence: Evidence, scope: Scope) -> Sequence[Slice | Part]:
    """List the slices of a scope, each of enough images."""
    if scope.column is None:
        return _fifths(evidence, scope)
    columns = evidence.groups.columns if evidence.groups else {}
    if scope.column not in columns:
        close = difflib.get_close_matches(scope.column, columns, 1)
        known = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(columns)}" if columns else "none is"
        raise NotMeasurable(f"the data have no column {one_line(scope.column, 60)!r}; {known}")
    column = columns[scope.column]
    parts = [
        Part(f"{scope.column} {value}", np.flatnonzero(column.codes == at)) for at, value in enumerate(column.values)
    ]
    parts = [part for part in parts if len(part.members)]
    few = [part for part in parts if len(part.members) < MIN_N]
    if few:
        raise NotMeasurable(f"{few[0].name} holds {len(few[0].members)} images, fewer than {MIN_N}")
    return parts


def _fifths(evidence: Evidence, scope: Scope) -> tuple[Slice, ...]:
    assert scope.property is not None  # Metric.why_not_applicable has seen to it
    quintiles = slices(evidence.images, scope.property)
    few = [one for one in quintiles if len(one.members) < MIN_N]
    if few:
        raise NotMeasurable(f"the {few[0].name} holds {len(few[0].members)} images, fewer than {MIN_N}")
    return quintiles


def _members(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    """Mark, (n, slices), the images of the slice of the scope or, where it names none, of each."""
    parts = _parts(evidence, scope) if scope.property is None else slices(evidence.images, scope.property)
    members = np.zeros((len(evidence.labels), len(parts)), np.bool_)
    for at, one in enumerate(parts):
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
    """Lowest accuracy among the fifths of the images by one property, or among the values of one column of the data.

    Every slice must hold at least MIN_N images.
    """
    right = answers_to(evidence, CLEAN) == evidence.labels
    parts = _parts(evidence, scope)
    shares = [share(evidence, right, one.members) for one in parts]
    return WorstOf(shares, "at_least", [one.name for one in parts])


@metric("at_least", of="units", exact=Exact(lambda data, digit: data.units), section="slices", label="share of units")
def share_of_units(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of the sampling units, such as writers, whose images are answered right at least to ``reaching``.

    Units are drawn independently, so that the bounds are exact: of a unit that gives as many images as these did.
    """
    codes = evidence.codes
    if codes is None:
        raise NotMeasurable("the data name no sampling unit; give --columns FILE.csv --unit NAME")
    if not len(codes):
        raise NotMeasurable("there are no images")
    sizes = np.bincount(codes)
    hits = np.bincount(codes, answers_to(evidence, CLEAN) == evidence.labels)[sizes > 0]
    reached = hits >= (scope.reaching or 0.0) * sizes[sizes > 0] - _ROUNDING
    return Share(int(reached.sum()), len(reached))
