"""How a metric of one model becomes a difference of two on the same images; used as ``change=`` of a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.metrics.counting import answers_to, trial_of
from harness.metrics.registry import Change
from harness.records import CLASSES, NO_ANSWER, Evidence, Scope
from harness.statistics import paired
from harness.statistics.estimates import Counts, Resampled, Scores

_SAID = CLASSES + 1


@dataclass(frozen=True)
class ByImage:
    """A difference of shares of the same images."""

    right: Callable[[Evidence, Scope], NDArray[np.bool_]]

    def __call__(self, candidate: Evidence, baseline: Evidence, scope: Scope) -> paired.Pairs:
        """Count the images that one model answers right and the other wrong."""
        return paired.pairs(self.right(candidate, scope), self.right(baseline, scope))


def by_image(right: Callable[[Evidence, Scope], NDArray[np.bool_]]) -> Change:
    """For a share of images that are the same ones for both models; ``right`` says (n,) which are in it."""
    return ByImage(right)


def by_matrix(statistic: Callable[[Counts, Scope], Scores]) -> Change:
    """For what follows from the confusion matrix; ``statistic`` maps (draws, k, k + 1) to (draws,), NaN: no value."""

    def change(candidate: Evidence, baseline: Evidence, scope: Scope) -> Resampled:
        cells = _cells(candidate, baseline, scope)
        if not np.isfinite(statistic(np.stack([cells.sum(axis=1), cells.sum(axis=2)]), scope)).all():
            raise NotMeasurable("one of the two models has no such value on these images")
        return paired.from_cells(cells, lambda counts: statistic(counts, scope))

    return change


def by_score(scores: Callable[[Evidence, Scope], Scores]) -> Change:
    """For the mean of one score an image (n,), 0..1, higher is better."""
    return lambda candidate, baseline, scope: paired.from_scores(scores(candidate, scope), scores(baseline, scope))


def by_loss(losses: Callable[[Evidence, Scope], Scores], worst: float) -> Change:
    """For the mean of one loss an image (n,), lower is better, none above ``worst``."""
    return lambda candidate, baseline, scope: paired.from_losses(
        losses(candidate, scope), losses(baseline, scope), worst
    )


def _cells(candidate: Evidence, baseline: Evidence, scope: Scope) -> Counts:
    """Images by (true, said by the baseline, said by the candidate); the last place is no answer."""
    trial = trial_of(scope)
    said = [np.where(s == NO_ANSWER, CLASSES, s) for s in (answers_to(baseline, trial), answers_to(candidate, trial))]
    at = np.ravel_multi_index((candidate.labels.astype(np.intp), *said), (CLASSES, _SAID, _SAID))
    return np.bincount(at, minlength=CLASSES * _SAID * _SAID).reshape(CLASSES, _SAID, _SAID).astype(np.int64)
