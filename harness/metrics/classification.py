"""Accuracy, and what a confusion matrix says of each digit. No answer is always wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.metrics.comparable import by_image, by_matrix
from harness.metrics.counting import answers_to, cells_of, counts_of, digit_of, one_column, share, trial_of
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLASSES, NO_ANSWER, Classes, DataFacts, Evidence, Labels, Mask, Scope
from harness.statistics.estimates import Counts, Estimate, F1Share, Scores, Share, WorstOf, from_counts
from harness.statistics.paired import WorstPairs, beside_several
from harness.statistics.retraining import Assumed


def _answered_right(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    """Mark the images that are answered right, of all or of one digit's."""
    right: NDArray[np.bool_] = answers_to(evidence, trial_of(scope)) == evidence.labels
    among: NDArray[np.bool_] = right[_of_scope(evidence, scope)]
    if scope.digit is not None and not len(among):
        raise NotMeasurable(f"there are no images of digit {scope.digit}")
    return among


def _of_scope(evidence: Evidence, scope: Scope) -> Mask:
    """Mark the images of the digit of the scope, or all (n,)."""
    if scope.digit is None:
        return np.ones(len(evidence.labels), np.bool_)
    of_digit: Mask = evidence.labels == scope.digit
    return of_digit


def _weighted(scores: Scores, counts: Counts) -> Scores:
    """Scores (draws, k) averaged by how many images each digit has."""
    return np.average(scores, axis=-1, weights=counts.sum(axis=-1))


def _recalls(counts: Counts) -> Scores:
    return _ratio(_right(counts), counts.sum(axis=-1))


def _precisions(counts: Counts) -> Scores:
    return _ratio(_right(counts), counts.sum(axis=-2)[..., :CLASSES])


def _f1s(counts: Counts) -> Scores:
    return _ratio(2 * _right(counts), counts.sum(axis=-1) + counts.sum(axis=-2)[..., :CLASSES])


def _precision(counts: Counts, digit: int) -> Scores:
    return _ratio(counts[..., digit, digit], counts[..., digit].sum(axis=-1))


def _f1(counts: Counts, digit: int) -> Scores:
    return _ratio(2 * counts[..., digit, digit], counts[..., digit, :].sum(axis=-1) + counts[..., digit].sum(axis=-1))


def _right(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: Counts, whole: Counts) -> Scores:
    """Divide; NaN where there is no whole."""
    ratio: Scores = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _columns_of_all(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    right = answers_to(evidence, trial_of(scope)) == evidence.labels
    return one_column(right, np.ones_like(right))


def _columns_of_digit(among: Callable[[Labels, Classes, int], Columns]) -> Callable[..., tuple[Columns, Columns]]:
    """Columns of a share among the images that ``among`` picks by label, answer and digit."""

    def columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
        answers = answers_to(evidence, trial_of(scope))
        return one_column(answers == evidence.labels, among(evidence.labels, answers, digit_of(scope)))

    return columns


def _columns_of_classes(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    digits = evidence.labels[:, None] == np.arange(CLASSES)
    return digits & (answers_to(evidence, trial_of(scope)) == evidence.labels)[:, None], digits


def _columns_of_pairs(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    answers, labels = answers_to(evidence, trial_of(scope)), evidence.labels
    pairs = [(true, other) for true in range(CLASSES) for other in (NO_ANSWER, *range(CLASSES)) if other != true]
    successes = np.stack([(labels == true) & (answers == other) for true, other in pairs], axis=1)
    return successes, np.stack([labels == true for true, _ in pairs], axis=1)


def _all(data: DataFacts, digit: int | None) -> int:
    return data.n if digit is None else data.counts[digit]


def _rarest(data: DataFacts, digit: int | None) -> int:
    return min(data.counts)


def _share_of_constant(digit: int | None, answer: int, share: float) -> float:
    return share


def _zero_unless_answered(digit: int | None, answer: int, share: float) -> float | None:
    return 0.0 if digit != answer else None


def _zero(digit: int | None, answer: int, share: float) -> float:
    return 0.0


@metric(
    "at_least",
    exact=Exact(_all, equal=True),
    columns=_columns_of_all,
    constant=_share_of_constant,
    change=by_image(_answered_right, _of_scope),
    retraining=Assumed(0.08, 0.003),
    retraining_corrupted=Assumed(0.20, 0.006),
    each_trial=True,
    suggested=True,
    section="confusion",
)
def accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of all images that are answered right: the trace of the confusion matrix over its sum.

    After Sokolova & Lapalme 2009, as are recall, precision, F1 and their averages.
    """
    return share(evidence, _answered_right(evidence, scope))


@metric(
    "at_least",
    each_digit=True,
    exact=Exact(_all, equal=True),
    columns=_columns_of_digit(lambda labels, answers, digit: labels == digit),
    constant=_zero_unless_answered,
    change=by_image(_answered_right, _of_scope),
    retraining=Assumed(0.25, 0.015),
)
def recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of the images of a digit that are answered with it: TP / (TP + FN)."""
    return _recall(evidence, scope, digit_of(scope))


@metric(
    "at_least",
    each_digit=True,
    exact=Exact(_all, equal=True),
    columns=_columns_of_digit(lambda labels, answers, digit: answers == digit),
    change=by_matrix(lambda counts, scope: _precision(counts, digit_of(scope))),
)
def precision(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of the images answered with a digit that are that digit: TP / (TP + FP)."""
    digit, answers = digit_of(scope), answers_to(evidence, trial_of(scope))
    _said(counts_of(evidence, scope), digit)
    return share(evidence, answers == evidence.labels, answers == digit)


@metric(
    "at_least",
    label="F1",
    each_digit=True,
    exact=Exact(_all, jaccard=True),
    columns=_columns_of_digit(lambda labels, answers, digit: (labels == digit) | (answers == digit)),
    constant=_zero_unless_answered,
    change=by_matrix(lambda counts, scope: _f1(counts, digit_of(scope))),
)
def f1(evidence: Evidence, scope: Scope) -> Estimate:
    """Harmonic mean of precision and recall of a digit: 2 TP / (2 TP + FP + FN). After van Rijsbergen 1979."""
    digit, answers = digit_of(scope), answers_to(evidence, trial_of(scope))
    _true(counts_of(evidence, scope), digit)
    return F1Share(share(evidence, answers == evidence.labels, (answers == digit) | (evidence.labels == digit)))


@metric("at_least", average=True, change=by_matrix(lambda counts, scope: _precisions(counts).mean(axis=-1)))
def macro_precision(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the precisions of the ten digits, each of equal weight."""
    return _average(evidence, scope, lambda counts: _precisions(counts).mean(axis=-1), of_said=True)


@metric("at_least", average=True, change=by_matrix(lambda counts, scope: _recalls(counts).mean(axis=-1)))
def macro_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the recalls of the ten digits, each of equal weight; balanced accuracy (Brodersen et al. 2010)."""
    return _average(evidence, scope, lambda counts: _recalls(counts).mean(axis=-1))


@metric(
    "at_least",
    average=True,
    suggested=True,
    label="macro F1",
    change=by_matrix(lambda counts, scope: _f1s(counts).mean(axis=-1)),
)
def macro_f1(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the F1 scores of the ten digits, each of equal weight."""
    return _average(evidence, scope, lambda counts: _f1s(counts).mean(axis=-1))


@metric(
    "at_least",
    average=True,
    change_listed=False,
    change=by_matrix(lambda counts, scope: _weighted(_precisions(counts), counts)),
)
def weighted_precision(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the precisions of the ten digits, each weighted by its number of images."""
    return _average(evidence, scope, lambda counts: _weighted(_precisions(counts), counts), of_said=True)


@metric(
    "at_least",
    exact=Exact(_all, equal=True),
    columns=_columns_of_all,
    constant=_share_of_constant,
    change=by_image(_answered_right, _of_scope),
    change_listed=False,
)
def weighted_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the recalls weighted by images, which is accuracy: each recall weighs as many images as it is of."""
    return accuracy(evidence, scope)


@metric(
    "at_least",
    average=True,
    change_listed=False,
    label="weighted F1",
    change=by_matrix(lambda counts, scope: _weighted(_f1s(counts), counts)),
)
def weighted_f1(evidence: Evidence, scope: Scope) -> Estimate:
    """Mean of the F1 scores of the ten digits, each weighted by its number of images."""
    return _average(evidence, scope, lambda counts: _weighted(_f1s(counts), counts))


def _worst_change(candidate: Evidence, baselines: Sequence[Evidence], scope: Scope) -> Estimate:
    """Find the digit whose recall lost most: where none lost more than a margin, neither did the lowest recall."""
    ours, *theirs = (answers_to(each, trial_of(scope)) == candidate.labels for each in (candidate, *baselines))
    digits = range(CLASSES)
    each = [
        beside_several(ours[of], [right[of] for right in theirs], candidate.codes_of(of))
        for of in (candidate.labels == digit for digit in digits)
    ]
    return WorstPairs(each, [f"digit {digit}" for digit in digits])


@metric(
    "at_least",
    exact=Exact(_rarest, shares=CLASSES, equal=True),
    columns=_columns_of_classes,
    constant=_zero,
    change=_worst_change,
    worst_of="recall",
    suggested=True,
)
def worst_class_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Lowest recall of any digit."""
    return WorstOf([_recall(evidence, scope, digit) for digit in range(CLASSES)], "at_least")


@metric(
    "at_most",
    exact=Exact(_rarest, shares=CLASSES * CLASSES),
    columns=_columns_of_pairs,
    not_compared="the largest of 100 shares may be another one in each model, and resampling does not show how sure "
    "the larger of near equals is; worst_class_recall is compared digit by digit",
    suggested=True,
    section="confusion",
)
def largest_confusion(evidence: Evidence, scope: Scope) -> Estimate:
    """Highest share of any digit's images that got one and the same wrong answer, or none."""
    counts, answers = counts_of(evidence, scope), answers_to(evidence, trial_of(scope))
    predicted = np.where(answers == NO_ANSWER, CLASSES, answers)
    shares = []
    for true in range(CLASSES):
        _true(counts, true)
        among = np.flatnonzero(evidence.labels == true)
        shares += [share(evidence, predicted == other, among) for other in range(CLASSES + 1) if other != true]
    return WorstOf(shares, "at_most")


def _true(counts: Counts, digit: int) -> int:
    if not counts[digit].any():
        raise NotMeasurable(f"there are no images of digit {digit}")
    return int(counts[digit].sum())


def _said(counts: Counts, digit: int) -> int:
    if not counts[:, digit].any():
        raise NotMeasurable(f"the model never answers {digit}")
    return int(counts[:, digit].sum())


def _recall(evidence: Evidence, scope: Scope, digit: int) -> Share:
    _true(counts_of(evidence, scope), digit)
    return share(evidence, answers_to(evidence, trial_of(scope)) == evidence.labels, evidence.labels == digit)


def _average(
    evidence: Evidence, scope: Scope, statistic: Callable[[Counts], Scores], *, of_said: bool = False
) -> Estimate:
    """Estimate an average over all digits; every digit must have images and, for precision, answers."""
    counts = counts_of(evidence, scope)
    for digit in range(CLASSES):
        _true(counts, digit)
        if of_said:
            _said(counts, digit)
    return from_counts(counts, statistic, cells_of(evidence, scope), evidence.codes)
