"""The reuse of a test set: what many candidates that were judged on it do to the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.records import CLEAN, Evidence, Uses
from harness.statistics import best_of


def with_luck(counted: Uses, evidence: Evidence, others: Sequence[Evidence]) -> Uses:
    """Estimate by how much the best looks better than it is, and how often one at its threshold passes.

    ``others``: evidence of the other models on the same images; where one is missing, models are taken to be
    independent, which is an upper bound.
    """
    right = np.stack([each.answers[CLEAN] == evidence.labels for each in (evidence, *others)])
    codes, whole = evidence.groups.codes if evidence.groups else None, len(right) == counted.models
    if whole:
        best = best_of.resampled(right, codes)
    else:
        best = best_of.independent(counted.models, best_of.deviation(right[0], codes))
    return replace(counted, best=best.mean, best_most=best.most, luck=best.luck, runs=len(right) if whole else 0)
