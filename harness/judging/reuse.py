"""The reuse of a test set: what many candidates that were judged on it do to the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.records import CLEAN, Evidence, Uses
from harness.statistics import best_of


def with_luck(counted: Uses, evidence: Evidence, others: Sequence[Evidence]) -> Uses:
    """Estimate by how much the best looks better than it is, and how often one at its threshold passes.

    ``others``: evidence of other models on the same images; without any, models are taken to be independent.
    """
    right = np.stack([each.answers[CLEAN] == evidence.labels for each in (evidence, *others)])
    if others:
        best = best_of.resampled(right, evidence.groups.codes if evidence.groups else None)
    else:
        share = float(right.mean())
        best = best_of.independent(counted.models, float(np.sqrt(share * (1 - share) / right.shape[1])))
    return replace(counted, best=best.mean, best_most=best.most, luck=best.luck, runs=len(others) + 1 if others else 0)
