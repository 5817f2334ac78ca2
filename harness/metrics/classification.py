"""Accuracy, and what a confusion matrix says of each digit. No answer is always wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.metrics.comparable import by_image, by_matrix
from harness.metrics.counting import answers_to, counts_of, digit_of, trial_of
from harness.metrics.registry import metric
from harness.records import CLASSES, Evidence, Scope
from harness.statistics.estimates import Counts, Estimate, F1Share, Scores, Share, WorstOf, from_counts
from harness.statistics.paired import WorstPairs, pairs


def _answered_right(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    """Of all images, or of one digit's: which are answered right."""
    right: NDArray[np.bool_] = answers_to(evidence, trial_of(scope)) == evidence.labels
    return right if scope.digit is None else right[evidence.labels == scope.digit]


def _weighted(scores: Scores, counts: Counts) -> Scores:
    """Scores (draws, k) averaged by how many images each digit has."""
    return np.average(scores, axis=-1, weights=counts.sum(axis=-1))


def _recalls(counts: Counts) -> Scores:
    return _ratio(_right(counts), counts.sum(axis=-1))


def _precisions(counts: Counts) -> Scores:
    return _ratio(_right(counts), counts.sum(axis=-2)[..., :CLASSES])


def _f1s(counts: Counts) -> Scores:
    return _ratio(2 * _right(counts), counts.sum(axis=-1) + counts.sum(axis=-2)[..., :CLASSES])


def _right(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: Counts, whole: Counts) -> Scores:
    """NaN where there is no whole."""
    ratio: Scores = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


@metric("at_least", binomial=True, change=by_image(_answered_right))
def accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    counts = counts_of(evidence, scope)
    return Share(int(np.trace(counts)), int(counts.sum()))


@metric("at_least", each_digit=True, binomial=True, change=by_image(_answered_right))
def recall(evidence: Evidence, scope: Scope) -> Estimate:
    return _recall(counts_of(evidence, scope), digit_of(scope))


@metric(
    "at_least",
    each_digit=True,
    binomial=True,
    change=by_matrix(lambda counts, scope: _precisions(counts)[..., digit_of(scope)]),
)
def precision(evidence: Evidence, scope: Scope) -> Estimate:
    counts, digit = counts_of(evidence, scope), digit_of(scope)
    return Share(int(counts[digit, digit]), _said(counts, digit))


@metric("at_least", each_digit=True, change=by_matrix(lambda counts, scope: _f1s(counts)[..., digit_of(scope)]))
def f1(evidence: Evidence, scope: Scope) -> Estimate:
    counts, digit = counts_of(evidence, scope), digit_of(scope)
    both = int(counts[digit, digit])
    return F1Share(Share(both, _true(counts, digit) + int(counts[:, digit].sum()) - both))


@metric("at_least", change=by_matrix(lambda counts, scope: _precisions(counts).mean(axis=-1)))
def macro_precision(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(counts_of(evidence, scope), lambda counts: _precisions(counts).mean(axis=-1), of_said=True)


@metric("at_least", change=by_matrix(lambda counts, scope: _recalls(counts).mean(axis=-1)))
def macro_recall(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(counts_of(evidence, scope), lambda counts: _recalls(counts).mean(axis=-1))


@metric("at_least", change=by_matrix(lambda counts, scope: _f1s(counts).mean(axis=-1)))
def macro_f1(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(counts_of(evidence, scope), lambda counts: _f1s(counts).mean(axis=-1))


@metric("at_least", change=by_matrix(lambda counts, scope: _weighted(_precisions(counts), counts)))
def weighted_precision(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(counts_of(evidence, scope), lambda counts: _weighted(_precisions(counts), counts), of_said=True)


@metric("at_least", binomial=True, change=by_image(_answered_right))
def weighted_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under another name: each recall weighs as many images as it is of."""
    return accuracy(evidence, scope)


@metric("at_least", change=by_matrix(lambda counts, scope: _weighted(_f1s(counts), counts)))
def weighted_f1(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(counts_of(evidence, scope), lambda counts: _weighted(_f1s(counts), counts))


def _worst_change(candidate: Evidence, baseline: Evidence, scope: Scope) -> Estimate:
    """The digit whose recall lost most: where none lost more than a margin, neither did the lowest recall."""
    ours, theirs = (answers_to(evidence, trial_of(scope)) == candidate.labels for evidence in (candidate, baseline))
    of_digits = [candidate.labels == digit for digit in range(CLASSES)]
    return WorstPairs([pairs(ours[of], theirs[of]) for of in of_digits], [f"digit {digit}" for digit in range(CLASSES)])


@metric("at_least", change=_worst_change)
def worst_class_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """The lowest recall of any digit."""
    counts = counts_of(evidence, scope)
    return WorstOf([_recall(counts, digit) for digit in range(CLASSES)], "at_least")


@metric("at_most")
def largest_confusion(evidence: Evidence, scope: Scope) -> Estimate:
    """The highest share of any digit's images that got one and the same wrong answer, or none."""
    counts = counts_of(evidence, scope)
    sizes = [_true(counts, digit) for digit in range(CLASSES)]
    wrong = [(true, said) for true in range(CLASSES) for said in range(CLASSES + 1) if true != said]
    return WorstOf([Share(int(counts[true, said]), sizes[true]) for true, said in wrong], "at_most")


def _true(counts: Counts, digit: int) -> int:
    if not counts[digit].any():
        raise NotMeasurable(f"there are no images of digit {digit}")
    return int(counts[digit].sum())


def _said(counts: Counts, digit: int) -> int:
    if not counts[:, digit].any():
        raise NotMeasurable(f"the model never answers {digit}")
    return int(counts[:, digit].sum())


def _recall(counts: Counts, digit: int) -> Share:
    return Share(int(counts[digit, digit]), _true(counts, digit))


def _average(counts: Counts, statistic: Callable[[Counts], Scores], *, of_said: bool = False) -> Estimate:
    """An average over all digits exists where every digit has images and, for precision, answers."""
    for digit in range(CLASSES):
        _true(counts, digit)
        if of_said:
            _said(counts, digit)
    return from_counts(counts, statistic)
