"""Metrics of the probabilities: losses, calibration of the confidence, accuracy where the model is sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.metrics.comparable import by_excess, by_loss
from harness.metrics.counting import answers_to, share
from harness.metrics.registry import Change, Exact, metric
from harness.records import CLASSES, CLEAN, NO_ANSWER, Evidence, Labels, Probabilities, Rule, Scope
from harness.statistics import grouping, reliability
from harness.statistics.estimates import (
    KEY,
    Bounds,
    Estimate,
    Resampled,
    Scores,
    Share,
    centred,
    design_based,
    extra_images,
    from_losses,
)
from harness.statistics.grouping import Effect
from harness.statistics.intervals import DRAWS
from harness.statistics.retraining import Assumed

DISPLAYED = 0.95

_CLEAR = 3.0  # standard errors from which on a bin's gap is not taken for chance
_LEAST = float(np.finfo(np.float32).eps)  # a probability that log loss takes for none
_of_confidence = partial(metric, of="clean", section="calibration")


def _by_loss(losses: Callable[[Labels, Probabilities], Scores], worst: float | None = None) -> Change:
    return by_loss(lambda evidence, scope: losses(evidence.labels, _probabilities(evidence)), worst)


def _probabilities(evidence: Evidence) -> Probabilities:
    rows = reliability.proper(evidence.probabilities)
    silent = int((answers_to(evidence, CLEAN) == NO_ANSWER).sum())
    if silent:
        raise NotMeasurable(f"{silent} of {len(rows)} images got no probabilities (finite, 0..1, adding up to 1)")
    return rows


@_of_confidence(
    "at_most",
    unit="nats",
    suggested=True,
    legal=(0.0, -math.log(_LEAST)),
    change=_by_loss(reliability.log_losses),
    retraining=Assumed(0.08, 0.008, by_image=False),
)
def log_loss(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of -ln(probability of the true digit), in nats; clipped at the type's epsilon, as scikit-learn does."""
    rows = _probabilities(evidence)
    return from_losses(reliability.log_losses(evidence.labels, rows), -math.log(_LEAST), evidence.codes)


@_of_confidence("at_most", unit="number", legal=(0.0, 2.0), change=_by_loss(reliability.brier_losses, worst=2.0))
def brier_score(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean squared distance of the probabilities to the truth, summed over the digits, 0..2. After Brier 1950."""
    return from_losses(reliability.brier_losses(evidence.labels, _probabilities(evidence)), 2.0, evidence.codes)


@_of_confidence("at_most", change=_by_loss(reliability.calibration_losses, worst=1.0))
def expected_calibration_error(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean distance of confidence from accuracy over 15 bins of equally many images. After Guo et al. 2017.

    Where confidence is right, chance alone makes it look wrong: the value is biased upwards, and resampling adds the
    same bias again, so that a percentile interval of a calibrated model never reaches 0. Hence the lower bound gives
    up the second bias, and for each bin whose gap could be chance the first; the upper keeps both and is not too low.
    """
    drawn = _draw(evidence)
    n, sums, bins = drawn.n, drawn.sums, drawn.bins
    value = float(abs(bins.gaps * bins.n).sum() / n)
    draws = abs(sums).sum(axis=1) / n
    noise = bins.scatter * np.sqrt(bins.n)
    unclear = abs(bins.gaps * bins.n) <= _CLEAR * noise
    chance = float(noise[unclear].sum()) * math.sqrt(2 / math.pi) / n
    lows = np.maximum(draws - draws.mean() + value - chance, 0.0)
    worse, more = drawn.one_more()
    losses = reliability.calibration_losses(evidence.labels, _probabilities(evidence))
    effect = grouping.effect(centred(losses), evidence.codes)
    return Resampled(value, n, lows, abs(worse).sum(axis=1) / more.sum(axis=1), effect=effect, ends=(0.0, 1.0))


@_of_confidence("at_most")
def debiased_calibration_error(evidence: Evidence, scope: Scope) -> Estimate:
    """Root mean square of the distances of confidence from accuracy over 15 bins, less what chance adds.

    After Kumar, Liang & Ma 2019.
    """
    drawn = _draw(evidence)
    bins = drawn.bins
    chance = _chance(bins.n, bins.hits)
    value = float((bins.n * bins.gaps**2).sum() / drawn.n) - chance
    lows = _mean_square(drawn.sums, drawn.counts) - 2 * chance  # once for the images, once for drawing from them
    highs = _mean_square(*drawn.one_more())  # nothing taken: few mistakes make its tail long, and less is too low
    rows = _probabilities(evidence)
    sure, at = reliability.confidences(rows), reliability.places(reliability.confidences(rows))
    gaps = np.zeros(reliability.BINS)
    gaps[bins.at] = bins.gaps
    moved = gaps[at] * (sure - reliability.right(evidence.labels, rows))
    effect = grouping.effect(centred(moved), evidence.codes)
    return Resampled(math.sqrt(max(value, 0.0)), drawn.n, _root(lows), _root(highs), effect=effect, ends=(0.0, 1.0))


@_of_confidence(
    "at_most",
    not_compared="each model has bins of its own, so that the largest gaps are not of the same images; "
    "expected_calibration_error is compared",
)
def maximum_calibration_error(evidence: Evidence, scope: Scope) -> Estimate:
    """Largest distance of confidence from accuracy in any of the 15 bins. After Naeini, Cooper & Hauskrecht 2015."""
    rows = _probabilities(evidence)
    bins, at = reliability.bins(evidence.labels, rows), reliability.places(reliability.confidences(rows))
    right = reliability.right(evidence.labels, rows)
    return LargestGap(bins, [share(evidence, right, at == number) for number in bins.at])


@_of_confidence(
    "at_most",
    change=by_excess(lambda evidence, _: reliability.overconfidences(evidence.labels, _probabilities(evidence))),
    retraining=Assumed(0.0, 0.007, by_image=False, luck=0.0125),
)
def overconfidence(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean confidence minus accuracy; below 0 where answers are right more often than the model is sure."""
    of_each = reliability.overconfidences(evidence.labels, _probabilities(evidence))
    return replace(from_losses(of_each, 1.0, evidence.codes), ends=(-1.0, 1.0))


@_of_confidence("at_most")
def confidence_of_mistakes(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean probability that the model gave to its answer where the answer was wrong; n is mistakes."""
    rows = _probabilities(evidence)
    wrong = ~reliability.right(evidence.labels, rows)
    if not wrong.any():
        raise NotMeasurable("the model made no mistake")
    sure = reliability.confidences(rows)[wrong]
    above = from_losses(sure, 1.0, evidence.codes_of(wrong))
    below = from_losses(1 - sure, worst=1 - 1 / CLASSES)
    return replace(above, lows=1 - below.highs)  # mistakes are few, so either bound sees one more


@_of_confidence("at_least", exact=Exact(lambda data, digit: math.ceil(reliability.COVERAGE * data.n)))
def selective_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy on the 95 % of the images that the model is surest of, the rest being given to a person.

    After El-Yaniv & Wiener 2010. n is the images answered; all that are as sure as the last one are. Given the
    confidence of that one the images above it are a sample of their own, so that the exact bounds of a share hold.
    """
    rows = _probabilities(evidence)
    surest = reliability.kept(reliability.confidences(rows))
    return share(evidence, reliability.right(evidence.labels, rows), surest)


@dataclass(frozen=True)
class LargestGap:
    """The largest gap between confidence and accuracy of any bin, from the bounds of each bin's accuracy.

    As for ``WorstOf``: upwards all bins hold at once, downwards the chance of error is shared out (Bonferroni).
    """

    bins: reliability.Bins
    shares: Sequence[Share]  # right in each bin
    hits: None = None

    @property
    def effect(self) -> Effect | None:
        """Return the design effect in the bin of the largest gap."""
        return self.shares[int(abs(self.bins.gaps).argmax())].effect

    @property
    def value(self) -> float:
        """Return the largest gap of any bin."""
        return float(abs(self.bins.gaps).max())

    @property
    def n(self) -> int:
        """Return how many images the bin of the largest gap holds."""
        return int(self.bins.n[abs(self.bins.gaps).argmax()])

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Return the exact bounds, each one-sided at ``confidence``, and how they were found."""
        among = 1 - (1 - confidence) / (2 * len(self.bins.n))  # every bin has two sides
        low = max(max(over, under, 0.0) for over, under, _ in self._ends(among))
        high = max(most for _, _, most in self._ends(confidence))
        return (low, high), f"{self._how}, one-sided at {confidence:.10g}, over {len(self.bins.n)} bins"

    def display(self) -> tuple[Bounds, str]:
        """Return the exact two-sided 95 % interval, and how it was found."""
        return self.bounds(0.5 + DISPLAYED / 2)[0], f"{self._how}, two-sided at 0.95, over {len(self.bins.n)} bins"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Return the p-value of ``at_most``: the smallest of the bins, times how many there are."""
        assert rule == "at_most"
        each = []
        for right, sure in self._bins():
            over, under = sure - threshold, sure + threshold
            if right.value < over:
                each.append(right.p_value("at_least", over))
            elif right.value > under:
                each.append(right.p_value("at_most", under))
        return min(1.0, 2 * len(self.bins.n) * min(each, default=1.0))

    @property
    def _how(self) -> str:
        return design_based(self.effect) if self.effect else "exact"

    def _bins(self) -> list[tuple[Share, float]]:
        return list(zip(self.shares, self.bins.confidence.tolist(), strict=True))

    def _ends(self, confidence: float) -> list[tuple[float, float, float]]:
        """Bound each bin: by how much it is at least too sure, at least not sure enough, and at most off either way."""
        bounds = [(sure, *right.bounds(confidence)[0]) for right, sure in self._bins()]
        return [(sure - high, low - sure, max(sure - low, high - sure)) for sure, low, high in bounds]


@dataclass(frozen=True)
class _Drawn:
    """A bootstrap over images, seen in the bins: of each draw the images and their sum of (confidence - right)."""

    bins: reliability.Bins
    counts: NDArray[np.int64]  # (draws, m)
    sums: Scores  # (draws, m)

    @property
    def n(self) -> int:
        return int(self.bins.n.sum())

    def one_more(self) -> tuple[Scores, NDArray[np.int64]]:
        """Add to the sums, on average, one image on the wrong side of the surest bin, where few are."""
        extra, sums, counts = extra_images(self.n), self.sums.copy(), self.counts.copy()
        sums[:, -1] += np.where(sums[:, -1] < 0, -extra, extra)
        counts[:, -1] += extra
        return sums, counts


def _draw(evidence: Evidence) -> _Drawn:
    """Draw images bin by bin, right and wrong apart: a sum of k confidences of such a cell is nearly normal."""
    rows = _probabilities(evidence)
    bins = reliability.bins(evidence.labels, rows)
    sure, hit = reliability.confidences(rows), reliability.right(evidence.labels, rows)
    _, at = np.unique(reliability.places(sure), return_inverse=True)
    cell, cells = 2 * at + hit, 2 * len(bins.n)
    size = np.bincount(cell, minlength=cells)
    divisor = np.maximum(size, 1)
    mean = np.bincount(cell, sure - hit, minlength=cells) / divisor
    spread = np.sqrt(np.bincount(cell, (sure - hit - mean[cell]) ** 2, minlength=cells) / divisor)
    rng = np.random.Generator(np.random.Philox(key=KEY))
    drawn = rng.multinomial(len(sure), size / len(sure), size=DRAWS)
    sums = drawn * mean + np.sqrt(drawn) * spread * rng.standard_normal(drawn.shape)
    return _Drawn(bins, drawn.reshape(DRAWS, -1, 2).sum(axis=2), sums.reshape(DRAWS, -1, 2).sum(axis=2))


def _mean_square(sums: Scores, counts: NDArray[np.int64]) -> Scores:
    squares: Scores = (sums**2 / np.maximum(counts, 1)).sum(axis=1) / counts.sum(axis=1)
    return squares


def _root(squares: Scores) -> Scores:
    """Return the root of what is left of a square; 0 where chance took more than there was."""
    roots: Scores = np.sqrt(np.maximum(squares, 0.0))
    return roots


def _chance(n: NDArray[np.int64], hits: NDArray[np.int64]) -> float:
    """Compute what chance adds to the mean square of the gaps: the variance of each bin's accuracy."""
    share = hits / n
    return float((n * share * (1 - share) / np.maximum(n - 1, 1)).sum() / n.sum())
