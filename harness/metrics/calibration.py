"""What the probabilities are worth."""

from __future__ import annotations

import math

import numpy as np

from harness.estimates import Estimate, from_losses
from harness.metrics.counting import answers_to
from harness.metrics.registry import metric
from harness.records import CLASSES, CLEAN, NO_ANSWER, Evidence, NothingToMeasure, Scope

_SUM_TOLERANCE = 1e-3  # by how much the probabilities of one image may miss 1


@metric("at_most", of="clean", legal=(0.0, float("inf")))
def log_loss(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of -ln(probability of the true digit), in nats; clipped at the type's epsilon, as scikit-learn does."""
    rows = evidence.probabilities
    if rows.shape[1:] != (CLASSES,):
        raise NothingToMeasure(f"the model gives {rows.shape[1:]} numbers an image, not {CLASSES} probabilities")
    if not len(rows):
        raise NothingToMeasure("no images")
    with np.errstate(invalid="ignore"):
        proper = (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    improper = int((~proper | (answers_to(evidence, CLEAN) == NO_ANSWER)).sum())
    if improper:
        raise NothingToMeasure(f"{improper} of {len(rows)} images got no probabilities (finite, 0..1, adding up to 1)")
    smallest = np.finfo(rows.dtype).eps
    of_true = np.clip(rows[np.arange(len(rows)), evidence.labels], smallest, 1 - smallest)
    return from_losses(-np.log(of_true.astype(np.float64)), worst=-math.log(smallest))
