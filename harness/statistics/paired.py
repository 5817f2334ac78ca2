"""Candidate minus baseline on the same images: four kinds of Estimate, as ``estimates`` has them for one model.

What both models get right or wrong together cancels, so a paired difference is known far better than either value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import CLASSES, Codes, Rule
from harness.statistics.estimates import (
    DISPLAYED,
    KEY,
    Bounds,
    Cells,
    Counts,
    Resampled,
    Scores,
    centred,
    extra_images,
    influence,
)
from harness.statistics.grouping import Effect
from harness.statistics.grouping import effect as design_effect
from harness.statistics.intervals import DRAWS, mcnemar, paired, paired_at, paired_score, resample_cells

_PREDICTED = CLASSES + 1
_TINY = 1e-300  # a level that has a normal quantile
_CELLS = np.eye(CLASSES * _PREDICTED, dtype=np.int64).reshape(
    CLASSES, _PREDICTED, CLASSES, _PREDICTED
)  # a matrix a cell
_KINDS = [(true, said) for true in range(CLASSES) for said in range(_PREDICTED) if said != true]  # of mistakes
_WRONG = np.array([_CELLS[true, said] for true, said in _KINDS])
_RIGHT = np.array([_CELLS[true, true] for true, _ in _KINDS])


@dataclass(frozen=True)
class Pairs:
    """A difference of shares: on ``n`` images, ``negative`` and ``positive`` flips of the baseline's predictions."""

    broken: int
    fixed: int
    n: int
    hits: None = None
    effect: Effect | None = None

    def __post_init__(self) -> None:
        if self.n == 0:
            raise NotMeasurable("no images: a difference on none does not exist")

    @property
    def value(self) -> float:
        """Return the difference (positive - negative) / n."""
        return (self.fixed - self.broken) / self.n

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute Tango's score bounds."""
        return self._interval(confidence), f"{self._how}, one-sided at {confidence:.10g}; {self._mcnemar}"

    def display(self) -> tuple[Bounds, str]:
        """Compute Tango's score interval."""
        return self._interval(0.5 + DISPLAYED / 2), f"{self._how}, two-sided at {DISPLAYED:g}; {self._mcnemar}"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the p-value of Tango's score."""
        return _tail(paired_score(self.broken, self.fixed, self.n, threshold), rule, self.effect)

    @property
    def equality(self) -> float:
        """Compute the two-sided p-value of no difference: McNemar's, exact where images are independent."""
        if self.effect is None:
            return mcnemar(self.broken, self.fixed)
        return min(1.0, 2 * _tail(-abs(paired_score(self.broken, self.fixed, self.n, 0.0)), "at_least", self.effect))

    def _interval(self, confidence: float) -> Bounds:
        if self.effect is None:
            return paired(self.broken, self.fixed, self.n, 2 * confidence - 1)
        return paired_at(self.broken, self.fixed, self.n, _score(self.effect, confidence))

    @property
    def _how(self) -> str:
        return "paired score (Tango)" + _design(self.effect)

    @property
    def _mcnemar(self) -> str:
        return f"{'' if self.effect else 'exact '}McNemar p = {self.equality:.3g}"


@dataclass(frozen=True)
class WorstPairs:
    """The lowest of several differences of shares, with the name of each; as ``estimates.WorstOf`` does it.

    That all of them hold needs no correction (intersection-union); that one of them misses is divided by how many
    there are (Bonferroni).
    """

    each: Sequence[Pairs | PairedMean]
    names: Sequence[str]
    hits: None = None

    @property
    def worst(self) -> Pairs | PairedMean:
        """Return the lowest difference."""
        return min(self.each, key=lambda difference: difference.value)

    @property
    def part(self) -> str:
        """Return the name of the lowest difference."""
        return self.names[self.each.index(self.worst)]

    @property
    def value(self) -> float:
        """Return the lowest difference as a number."""
        return self.worst.value

    @property
    def n(self) -> int:
        """Return the number of images of the lowest difference."""
        return self.worst.n

    @property
    def effect(self) -> Effect | None:
        """Return the design effect of the lowest difference."""
        return self.worst.effect

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute score bounds; the one that a single difference can move is Bonferroni-corrected."""
        alone = [difference.bounds(confidence)[0] for difference in self.each]
        among = [difference.bounds(1 - (1 - confidence) / len(self.each))[0] for difference in self.each]
        how = f"paired score (Tango), one-sided at {confidence:.10g}, over {len(self.each)} differences"
        return (min(low for low, _ in alone), min(high for _, high in among)), how

    def display(self) -> tuple[Bounds, str]:
        """Compute the two-sided interval as ``bounds`` does."""
        interval = self.bounds(0.5 + DISPLAYED / 2)[0]
        return interval, f"paired score (Tango), two-sided at {DISPLAYED:g}, over {len(self.each)} differences"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Combine the p-values: Bonferroni where one miss suffices, otherwise their largest."""
        each = [difference.p_value(rule, threshold) for difference in self.each]
        return min(1.0, len(each) * min(each)) if rule == "at_least" else max(each)


@dataclass(frozen=True)
class PairedMean:
    """A difference of means over the same ``n`` images: the candidate's minus that of one or several models.

    A normal curve with a standard error as if one image more differed, so that equal models are not certainly equal.
    """

    value: float
    n: int
    error: float
    hits: None = None
    effect: Effect | None = None

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute normal bounds."""
        far = self.error * _score(self.effect, confidence)
        how = f"normal, paired{_design(self.effect)}, one-sided at {confidence:.10g}"
        return (self.value - far, self.value + far), how

    def display(self) -> tuple[Bounds, str]:
        """Compute the normal interval."""
        interval, _ = self.bounds(0.5 + DISPLAYED / 2)
        return interval, f"normal, paired{_design(self.effect)}, two-sided at {DISPLAYED:g}"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the p-value of the normal score."""
        return _tail((self.value - threshold) / self.error, rule, self.effect)


def beside_several(
    candidate: NDArray[np.bool_], baselines: Sequence[NDArray[np.bool_]], codes: Codes | None = None
) -> Pairs | PairedMean:
    """Compare who is right (n,) with one model, image by image, or with the mean of several; ``codes``: their units."""
    if len(baselines) == 1:
        return pairs(candidate, baselines[0], codes)
    return paired_mean(candidate - np.mean(baselines, axis=0), codes)


def paired_mean(differences: Scores, codes: Codes | None = None) -> PairedMean:
    """Estimate the mean of a difference an image (n,); one image more differs by the most seen, at least by 1."""
    n = len(differences)
    if n == 0:
        raise NotMeasurable("no images: a difference on none does not exist")
    value, most = float(differences.mean()), max(1.0, float(abs(differences).max()))
    error = math.sqrt(float(((differences - value) ** 2).sum()) + most**2) / n
    return PairedMean(value, n, error, effect=design_effect(differences - value, codes))


def pairs(candidate: NDArray[np.bool_], baseline: NDArray[np.bool_], codes: Codes | None = None) -> Pairs:
    """Count who is right on each of the same images (n,)."""
    broken, fixed = int((baseline & ~candidate).sum()), int((candidate & ~baseline).sum())
    effect = None
    if codes is not None and len(candidate):
        effect = design_effect(centred(candidate.astype(np.float64) - baseline), codes)
    return Pairs(broken, fixed, len(candidate), effect=effect)


def from_cells(
    cells: Counts,
    statistic: Callable[[Counts], Scores],
    places: tuple[Cells, Cells] | None = None,
    codes: Codes | None = None,
) -> Resampled:
    """Estimate a score of the confusion matrix, 0..1; ``cells``: images by (true, baseline's, candidate's class).

    As for one model, the draws of an unfavourable bound see one image more: one that only the baseline has right, of
    the kind that costs most; for the favourable bound the reverse. Two equal models are not "certainly equal".
    ``places``: the cell of each image in the candidate's and the baseline's matrix; ``codes``: its unit.
    """
    n = int(cells.sum())
    if n == 0:
        raise NotMeasurable("no images: a difference on none does not exist")
    candidate, baseline, extra = _draws(cells.tobytes())
    ours, theirs = cells.sum(axis=1), cells.sum(axis=2)
    down, up = (
        int(np.nanargmin(statistic(first + _WRONG) - statistic(second + _RIGHT)))
        for first, second in ((ours, theirs), (theirs, ours))
    )
    lows = statistic(candidate + extra * _WRONG[down]) - statistic(baseline + extra * _RIGHT[down])
    highs = statistic(candidate + extra * _RIGHT[up]) - statistic(baseline + extra * _WRONG[up])
    value = float(statistic(ours[None])[0] - statistic(theirs[None])[0])
    effect = None
    if codes is not None and places is not None:
        moved = influence(ours, statistic)[places[0]] - influence(theirs, statistic)[places[1]]
        effect = design_effect(centred(moved), codes)
    lows, highs = np.nan_to_num(lows, nan=-1.0), np.nan_to_num(highs, nan=1.0)
    return Resampled(value, n, lows, highs, effect=effect, ends=(-1.0, 1.0))


def from_losses(candidate: Scores, baseline: Scores, worst: float, codes: Codes | None = None) -> Resampled:
    """Estimate the difference of two means of one loss an image (n,), lower is better, none above ``worst``."""
    losses = candidate - baseline
    n, extra = len(losses), extra_images(len(losses))
    if n == 0:
        raise NotMeasurable("no images: a difference on none does not exist")
    unequal = np.flatnonzero(losses)  # where both lose alike, an image adds nothing
    means = _means(losses[unequal], n)
    lows, highs = ((n * means + side * extra * worst) / (n + extra) for side in (-1, 1))
    effect = design_effect(centred(losses), codes)
    return Resampled(float(losses.mean()), n, lows, highs, effect=effect, ends=(-worst, worst))


def from_scores(candidate: Scores, baseline: Scores, codes: Codes | None = None) -> Resampled:
    """Estimate the difference of two means of one score an image (n,), 0..1, higher is better."""
    lost = from_losses(1 - candidate, 1 - baseline, 1.0, codes)
    return Resampled(-lost.value, lost.n, -lost.highs, -lost.lows, effect=lost.effect, ends=lost.ends)


def _score(effect: Effect | None, confidence: float) -> float:
    """Compute the normal score of a bound; of images in units it is multiplied by the root of the design effect.

    After Rao & Scott 1992. From the level, since 1 less a level of few units would be 1.
    """
    if effect is None:
        return NormalDist().inv_cdf(confidence)
    return -NormalDist().inv_cdf(max(effect.level(1 - confidence), _TINY)) * effect.width


def _tail(score: float, rule: Rule, effect: Effect | None) -> float:
    """Compute the p-value of a standard normal score; far out, where few units are asked, without rounding to 0."""
    side = score if rule == "at_least" else -score
    return (
        float(effect.raised(math.erfc(-side / effect.width / math.sqrt(2)) / 2)) if effect else NormalDist().cdf(side)
    )


def _design(effect: Effect | None) -> str:
    return f", design effect {effect.design:.2f}" if effect else ""


def _means(losses: Scores, n: int) -> Scores:
    """Resample means over ``n`` images, of which all but ``losses`` are zero."""
    rng = np.random.Generator(np.random.Philox(key=KEY))
    amounts = rng.binomial(n, len(losses) / n, size=DRAWS)
    if not len(losses):
        return np.zeros(DRAWS)
    return np.array([losses[rng.integers(0, len(losses), many)].sum() for many in amounts]) / n


@lru_cache(maxsize=4)
def _draws(cells: bytes) -> tuple[Counts, Counts, Counts]:
    """Resample the matrices of both models together, and count how often each draw sees one image more."""
    joint = np.frombuffer(cells, dtype=np.int64).reshape(CLASSES, _PREDICTED, _PREDICTED)
    drawn = resample_cells(joint, key=KEY)
    return drawn.sum(axis=2), drawn.sum(axis=3), extra_images(int(joint.sum()))[:, None, None]
