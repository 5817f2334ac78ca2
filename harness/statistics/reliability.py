"""Calibration of probabilities: bins of a reliability diagram, the surest images, losses, rank curves.

Axes: n images, k = 10 classes, m bins. Confidence is the probability of the digit that was said, 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import CLASSES, Labels, Probabilities

BINS = 15  # the number that Guo et al. 2017 and Kumar, Liang & Ma 2019 report with
COVERAGE = 0.95  # share of the images that the model answers alone; a person answers the rest

_SUM_TOLERANCE = 0.02  # by how much the probabilities of one image may miss 1: ten that are rounded to eight bits

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Images of like confidence (m,), the least sure first; no bin is empty."""

    at: NDArray[np.int64]  # its number, before empty ones were left out
    n: NDArray[np.int64]
    hits: NDArray[np.int64]  # images answered right
    confidence: Numbers  # the mean
    least: Numbers
    most: Numbers
    scatter: Numbers  # standard deviation of (confidence - right) among the images of a bin

    @property
    def accuracy(self) -> Numbers:
        """Compute the share of right predictions in each bin."""
        share: Numbers = self.hits / self.n
        return share

    @property
    def gaps(self) -> Numbers:
        """Compute mean confidence minus accuracy: above 0 is overconfident."""
        gaps: Numbers = self.confidence - self.accuracy
        return gaps


def proper(probabilities: Probabilities) -> Probabilities:
    """Return the rows if each is ten finite numbers in 0..1 that add up to 1; else raise NotMeasurable."""
    if reason := why_improper(probabilities):
        raise NotMeasurable(reason)
    return probabilities


def why_improper(probabilities: Probabilities) -> str:
    """Name what keeps the rows from being probabilities; empty if they are."""
    if probabilities.shape[1:] != (CLASSES,):
        return f"the model gives {probabilities.shape[1:]} numbers an image, not {CLASSES} probabilities"
    if not len(probabilities):
        return "no images"
    with np.errstate(invalid="ignore"):
        fits = (probabilities >= 0).all(axis=1) & (abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    if fits.all():
        return ""
    return f"{(~fits).sum()} of {len(fits)} images got no probabilities (finite, 0..1, adding up to 1)"


def confidences(probabilities: Probabilities) -> Numbers:
    """Compute the probability of the predicted digit (n,), at most 1."""
    most: Numbers = np.minimum(proper(probabilities).max(axis=1).astype(np.float64), 1.0)
    return most


def right(labels: Labels, probabilities: Probabilities) -> NDArray[np.bool_]:
    """Mark the images that are predicted right (n,)."""
    is_right: NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    return is_right


def places(confidence: Numbers) -> NDArray[np.int64]:
    """Compute the bin of each image (n,), 0..14; bins hold equally many images.

    Images of equal confidence stay together, in the bin of their middle rank: otherwise the order of the images would
    decide, and a model that is "100 % sure" of nearly everything would lose the few it is not sure of.
    """
    _, which, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return (middle / len(confidence) * BINS).astype(np.int64)[which]


def tenths(confidence: Numbers) -> NDArray[np.int64]:
    """Compute the tenth of the scale that each confidence is in (n,), 0..9; for people, who think in round numbers."""
    return np.minimum(confidence * 10, 9).astype(np.int64)


def bins(
    labels: Labels, probabilities: Probabilities, share_out: Callable[[Numbers], NDArray[np.int64]] = places
) -> Bins:
    """Compare confidence and accuracy in bins; ``share_out`` maps confidences to the numbers of their bins."""
    sure, hit = confidences(probabilities), right(labels, probabilities)
    numbers, bin_of = np.unique(share_out(sure), return_inverse=True)
    n, error, order = np.bincount(bin_of), sure - hit, np.argsort(sure, kind="stable")
    first = np.searchsorted(bin_of[order], np.arange(len(numbers)))
    mean = np.bincount(bin_of, error) / n
    return Bins(
        at=numbers,
        n=n,
        hits=np.bincount(bin_of, hit).astype(np.int64),
        confidence=np.bincount(bin_of, sure) / n,
        least=sure[order][first],
        most=sure[order][np.append(first[1:], len(order)) - 1],
        scatter=np.sqrt(np.bincount(bin_of, (error - mean[bin_of]) ** 2) / n),
    )


def kept(confidence: Numbers, coverage: float = COVERAGE) -> NDArray[np.bool_]:
    """Mark the surest images (n,), at least a share ``coverage``; all that are as sure as the last one count."""
    least = np.sort(confidence)[::-1][max(math.ceil(coverage * len(confidence) - 1e-9), 1) - 1]
    surest: NDArray[np.bool_] = confidence >= least
    return surest


def risk_curve(labels: Labels, probabilities: Probabilities) -> tuple[Numbers, NDArray[np.int64]]:
    """Compute (points,) confidences, falling; (points, 2) images at least so sure, and how many of them are wrong."""
    sure, wrong = confidences(probabilities), ~right(labels, probabilities)
    levels, which, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    mistakes = np.bincount(which, wrong).astype(np.int64)
    return -levels, np.stack([np.cumsum(counts), np.cumsum(mistakes)], axis=1)


def log_losses(labels: Labels, probabilities: Probabilities) -> Numbers:
    """Compute -ln(probability of the true digit) (n,), in nats; clipped at the type's epsilon, as scikit-learn does."""
    smallest = np.finfo(probabilities.dtype).eps
    of_true = np.clip(proper(probabilities)[np.arange(len(labels)), labels], smallest, 1 - smallest)
    return -np.log(of_true.astype(np.float64))


def brier_losses(labels: Labels, probabilities: Probabilities) -> Numbers:
    """Compute the squared distance to the true digit's row (n,), summed over the digits, 0..2. After Brier 1950."""
    distance = proper(probabilities).astype(np.float64)
    distance[np.arange(len(labels)), labels] -= 1
    losses: Numbers = (distance**2).sum(axis=1)
    return losses


def overconfidences(labels: Labels, probabilities: Probabilities) -> Numbers:
    """Compute confidence minus right (n,), -1..1."""
    over: Numbers = confidences(probabilities) - right(labels, probabilities)
    return over


def calibration_losses(labels: Labels, probabilities: Probabilities) -> Numbers:
    """Compute each image's part of the expected calibration error, which is their mean (n,); -1..1.

    Confidence minus right, signed so that its bin's sum is not negative.
    """
    at, error = places(confidences(probabilities)), overconfidences(labels, probabilities)
    side = np.sign(np.bincount(at, error, minlength=BINS))
    return side[at] * error


def roc(labels: Labels, probabilities: Probabilities, digit: int) -> tuple[Numbers, Numbers, float]:
    """Compute one digit's rates against the rest: false and true positive rates (points,), (0, 0) to (1, 1), and the
    area.
    """
    positive = labels == digit
    if not 0 < positive.sum() < len(labels):
        raise NotMeasurable(f"there are no images of digit {digit}, or of nothing else")
    _, which = np.unique(-proper(probabilities)[:, digit], return_inverse=True)
    true, false = (np.append(0, np.cumsum(np.bincount(which, part))) for part in (positive, ~positive))
    true, false = true / true[-1], false / false[-1]
    return false, true, float(np.trapezoid(true, false))
