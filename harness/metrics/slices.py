"""Whom the average hides: accuracy in the worst slice of a property."""

from __future__ import annotations

from harness.estimates import Estimate, Extreme, Share
from harness.metrics.counting import answers_to
from harness.metrics.registry import metric
from harness.records import CLEAN, Evidence, NothingToMeasure, Scope
from harness.slices import MIN_N, slices


@metric("at_least", of="slices")
def worst_slice_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """The lowest accuracy among the fifths of the images by one property; all five must hold at least MIN_N images."""
    assert scope.property is not None  # Metric.misfit has seen to it
    right = answers_to(evidence, CLEAN) == evidence.labels
    found = slices(evidence.images, scope.property)
    few = [one for one in found if len(one.members) < MIN_N]
    if few:
        raise NothingToMeasure(f"the {few[0].name} holds {len(few[0].members)} images, fewer than {MIN_N}")
    shares = [Share(int(right[one.members].sum()), len(one.members)) for one in found]
    return Extreme(shares, "at_least", [one.name for one in found])
