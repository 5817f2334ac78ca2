"""Differences of a metric between models on the same images; used as ``change=`` of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.metrics.counting import answers_to, cells_of, trial_of
from harness.metrics.registry import Change
from harness.records import CLASSES, NO_ANSWER, Codes, Evidence, Mask, Scope
from harness.statistics import paired
from harness.statistics.estimates import Counts, Estimate, Resampled, Scores

_SAID = CLASSES + 1


@dataclass(frozen=True)
class MeanOverImages:
    """The change of a metric that is the mean of one number an image.

    ``numbers``: (m,) of a model; ``difference``: of the candidate's and, one row a model, the baselines' numbers, and
    the images' units. ``among``: which images the numbers are of, where not of all.
    """

    numbers: Callable[[Evidence, Scope], NDArray[Any]]
    difference: Callable[[NDArray[Any], Sequence[NDArray[Any]], Codes | None], Estimate]
    loss: bool = False  # lower is better
    by_image: bool = False  # the numbers say which images are in a share
    among: Callable[[Evidence, Scope], Mask | NDArray[np.intp]] | None = None

    def __call__(self, candidate: Evidence, baselines: Sequence[Evidence], scope: Scope) -> Estimate:
        """Estimate the candidate's mean minus the mean of all baselines'."""
        codes = candidate.codes if self.among is None else candidate.codes_of(self.among(candidate, scope))
        return self.difference(self.numbers(candidate, scope), [self.numbers(each, scope) for each in baselines], codes)

    def losses(self, models: Sequence[Evidence], scope: Scope) -> tuple[list[float], int]:
        """Compute the mean loss of each model, larger is worse, and the number of images."""
        means = [self.numbers(each, scope) for each in models]
        return [float((each if self.loss else 1.0 - each).mean()) for each in means], len(means[0])


def by_image(
    right: Callable[[Evidence, Scope], NDArray[np.bool_]],
    among: Callable[[Evidence, Scope], Mask | NDArray[np.intp]] | None = None,
) -> Change:
    """Compare a share of images that are the same ones for all models; ``right`` says (m,) which of these are in it."""
    return MeanOverImages(right, paired.beside_several, by_image=True, among=among)


def by_score(scores: Callable[[Evidence, Scope], Scores]) -> Change:
    """Compare the mean of one score an image (n,), 0..1, higher is better."""
    return MeanOverImages(scores, lambda ours, theirs, codes: paired.from_scores(ours, np.mean(theirs, axis=0), codes))


def by_loss(losses: Callable[[Evidence, Scope], Scores], worst: float | None = None) -> Change:
    """Compare the mean of one loss an image (n,), lower is better, none above ``worst``; None where their tail is long.

    Resampled, where a worst loss is known; one image more of it would hide every difference where it is a rare one.
    """
    if worst is None:
        return MeanOverImages(
            losses, lambda ours, theirs, codes: paired.paired_mean(ours - np.mean(theirs, axis=0), codes), loss=True
        )
    return MeanOverImages(
        losses,
        lambda ours, theirs, codes: paired.from_losses(ours, np.mean(theirs, axis=0), worst, codes),
        loss=True,
    )


def by_excess(amounts: Callable[[Evidence, Scope], Scores]) -> Change:
    """Compare the mean of one amount an image (n,), of which only what is above 0 is bad, with such of the baselines:
    to come nearer to 0 from below is no loss.
    """

    def difference(ours: Scores, theirs: Sequence[Scores], codes: Codes | None) -> Estimate:
        return paired.paired_mean(ours - np.mean([each * (each.mean() > 0) for each in theirs], axis=0), codes)

    return MeanOverImages(amounts, difference, loss=True)


def by_matrix(statistic: Callable[[Counts, Scope], Scores]) -> Change:
    """Compare what follows from the confusion matrix; ``statistic`` maps (draws, k, k + 1) to (draws,), NaN: no value.

    Of several baselines the first is compared, the release: such a number is no mean over images.
    """

    def change(candidate: Evidence, baselines: Sequence[Evidence], scope: Scope) -> Resampled:
        cells = _cells(candidate, baselines[0], scope)
        if not np.isfinite(statistic(np.stack([cells.sum(axis=1), cells.sum(axis=2)]), scope)).all():
            raise NotMeasurable("one of the two models has no such value on these images")
        places = cells_of(candidate, scope), cells_of(baselines[0], scope)
        return paired.from_cells(cells, lambda counts: statistic(counts, scope), places, candidate.codes)

    return change


def _cells(candidate: Evidence, baseline: Evidence, scope: Scope) -> Counts:
    """Images by (true, said by the baseline, said by the candidate); the last place is no answer."""
    trial = trial_of(scope)
    said = [np.where(s == NO_ANSWER, CLASSES, s) for s in (answers_to(baseline, trial), answers_to(candidate, trial))]
    at = np.ravel_multi_index((candidate.labels.astype(np.intp), *said), (CLASSES, _SAID, _SAID))
    return np.bincount(at, minlength=CLASSES * _SAID * _SAID).reshape(CLASSES, _SAID, _SAID).astype(np.int64)
