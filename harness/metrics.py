"""(labels, answers, probabilities) -> Measurement. To add a metric, add one function under ``@metric``.

A metric is a function of the evidence and a scope that returns an Estimate, or raises NothingToMeasure with a sentence.
Counts are (k, k + 1): true digit, said digit; the last column is "no answer", which is always wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np

from harness import panel
from harness.corruptions import CORRUPTIONS
from harness.estimates import (
    Counts,
    Estimate,
    Extreme,
    Overlap,
    Scores,
    Share,
    from_counts,
    from_losses,
    from_scores,
)
from harness.records import (
    CLASSES,
    CLEAN,
    NO_ANSWER,
    SEVERITIES,
    Classes,
    Evidence,
    Labels,
    Matrix,
    Measurement,
    NothingToMeasure,
    Rule,
    Scope,
    Trial,
)

Estimator: TypeAlias = Callable[[Evidence, Scope], Estimate]
Of: TypeAlias = Literal["trial", "clean", "space", "corruption", "family"]

MNIST_C = tuple(sorted(name for name, made in CORRUPTIONS.items() if made.mnist_c))
REFERENCE = "logistic_regression"  # of the panel: what relative_corruption_error divides by

_SUM_TOLERANCE = 1e-3  # by how much the probabilities of one image may miss 1


@dataclass(frozen=True)
class Metric:
    """What a policy may ask of a metric.

    ``of``: one trial, the clean one only, a finite space, a corruption at all severities, or all of MNIST-C.
    ``binomial``: a share of images, so n of n has a known lower bound.
    """

    name: str
    estimate: Estimator
    rule: Rule
    of: Of = "trial"
    each_digit: bool = False
    binomial: bool = False
    legal: tuple[float, float] = (0.0, 1.0)  # thresholds lie strictly between

    def misfit(self, scope: Scope) -> str | None:
        """Why this metric has no value in that scope, in a sentence; None if it has."""
        if self.each_digit != (scope.digit is not None):
            return f"{self.name} needs a digit" if self.each_digit else f"{self.name} is not of one digit"
        if self.of == "space":
            of_space = scope.corruption is not None and scope.within is not None and scope.severity is None
            return None if of_space else f"{self.name} needs a corruption and within, and no severity"
        if scope.within is not None:
            return f"{self.name} has no value over a whole space; use worst_case_accuracy"
        if self.of == "corruption":
            whole = scope.corruption is not None and scope.severity is None
            return None if whole else f"{self.name} needs a corruption, and no severity: it is the mean over all five"
        if self.of in ("clean", "family") and scope != Scope():
            whole_of = "the clean images only" if self.of == "clean" else "all of MNIST-C"
            return f"{self.name} is of {whole_of}"
        if (scope.corruption is None) != (scope.severity is None):
            return f"{self.name} needs a corruption and a severity together, or neither"
        return None


_registry: dict[str, Metric] = {}
METRICS: Mapping[str, Metric] = _registry


def measure(evidence: Evidence, metric: str, scope: Scope, confidence: float) -> Measurement:
    """The value with its deciding bounds, each one-sided at ``confidence``; raises NothingToMeasure."""
    estimate = _estimate(evidence, metric, scope)
    (low, high), how = estimate.bounds(confidence)
    return Measurement(metric, estimate.value, low, high, estimate.n, scope, estimate.hits, how)


def show(evidence: Evidence, metric: str, scope: Scope) -> Measurement:
    """The value with a two-sided 95 % interval, for tables and pictures; raises NothingToMeasure."""
    estimate = _estimate(evidence, metric, scope)
    (low, high), how = estimate.display()
    return Measurement(metric, estimate.value, low, high, estimate.n, scope, estimate.hits, how)


def p_value(evidence: Evidence, measurement: Measurement, rule: Rule, threshold: float) -> float:
    """How likely a result this bad would be if the threshold were met; to be adjusted over all gates (Holm)."""
    return _estimate(evidence, measurement.metric, measurement.scope).p_value(rule, threshold)


def table(evidence: Evidence) -> tuple[Measurement, ...]:
    """Every measurement the report shows; what cannot be measured is left out, never 0."""
    shown = []
    for metric, scope in _rows(evidence):
        try:
            shown.append(show(evidence, metric, scope))
        except NothingToMeasure:
            continue
    return tuple(shown)


def confusion_matrix(labels: Labels, answers: Classes) -> Matrix:
    """Images by (true, said); the last column counts those without an answer."""
    said = np.where(answers == NO_ANSWER, CLASSES, answers).astype(np.int64)
    cells = np.bincount(labels.astype(np.int64) * (CLASSES + 1) + said, minlength=CLASSES * (CLASSES + 1))
    return tuple(tuple(map(int, row)) for row in cells.reshape(CLASSES, CLASSES + 1))


def at_every_severity(corruptions: Iterable[str]) -> tuple[Trial, ...]:
    return tuple(Trial(name, (severity,)) for name in corruptions for severity in SEVERITIES)


def metric(
    rule: Rule,
    *,
    of: Of = "trial",
    each_digit: bool = False,
    binomial: bool = False,
    legal: tuple[float, float] = (0.0, 1.0),
) -> Callable[[Estimator], Estimator]:
    """Enter a function into METRICS under its own name."""

    def enter(estimator: Estimator) -> Estimator:
        name = estimator.__name__
        _registry[name] = Metric(name, estimator, rule, of, each_digit, binomial, legal)
        return estimator

    return enter


@metric("at_least", binomial=True)
def accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    counts = _counts(evidence, scope)
    return Share(int(np.trace(counts)), int(counts.sum()))


@metric("at_least", each_digit=True, binomial=True)
def recall(evidence: Evidence, scope: Scope) -> Estimate:
    return _recall(_counts(evidence, scope), _digit(scope))


@metric("at_least", each_digit=True, binomial=True)
def precision(evidence: Evidence, scope: Scope) -> Estimate:
    counts, digit = _counts(evidence, scope), _digit(scope)
    return Share(int(counts[digit, digit]), _said(counts, digit))


@metric("at_least", each_digit=True)
def f1(evidence: Evidence, scope: Scope) -> Estimate:
    counts, digit = _counts(evidence, scope), _digit(scope)
    both = int(counts[digit, digit])
    return Overlap(Share(both, _true(counts, digit) + int(counts[:, digit].sum()) - both))


@metric("at_least")
def macro_precision(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(_counts(evidence, scope), lambda counts: _precisions(counts).mean(axis=-1), of_said=True)


@metric("at_least")
def macro_recall(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(_counts(evidence, scope), lambda counts: _recalls(counts).mean(axis=-1))


@metric("at_least")
def macro_f1(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(_counts(evidence, scope), lambda counts: _f1s(counts).mean(axis=-1))


@metric("at_least")
def weighted_precision(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(_counts(evidence, scope), lambda counts: _weighted(_precisions(counts), counts), of_said=True)


@metric("at_least", binomial=True)
def weighted_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under another name: each recall weighs as many images as it is of."""
    return accuracy(evidence, scope)


@metric("at_least")
def weighted_f1(evidence: Evidence, scope: Scope) -> Estimate:
    return _average(_counts(evidence, scope), lambda counts: _weighted(_f1s(counts), counts))


@metric("at_least")
def worst_class_recall(evidence: Evidence, scope: Scope) -> Estimate:
    """The lowest recall of any digit."""
    counts = _counts(evidence, scope)
    return Extreme([_recall(counts, digit) for digit in range(CLASSES)], "at_least")


@metric("at_most")
def largest_confusion(evidence: Evidence, scope: Scope) -> Estimate:
    """The highest share of any digit's images that got one and the same wrong answer, or none."""
    counts = _counts(evidence, scope)
    sizes = [_true(counts, digit) for digit in range(CLASSES)]
    wrong = [(true, said) for true in range(CLASSES) for said in range(CLASSES + 1) if true != said]
    return Extreme([Share(int(counts[true, said]), sizes[true]) for true, said in wrong], "at_most")


@metric("at_least", of="space", binomial=True)
def worst_case_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of images answered right at every point of a finite space, the clean one included."""
    right = [_answers(evidence, trial) == evidence.labels for trial in _space(evidence, scope)]
    return Share(int(np.logical_and.reduce(right).sum()), len(evidence.labels))


@metric("at_least", of="corruption")
def corruption_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under one corruption, the mean over its five severities; resampled by image, which is seen at all."""
    assert scope.corruption is not None  # Metric.misfit has seen to it
    return from_scores(1 - _wrong(evidence, [scope.corruption])[0] / len(SEVERITIES))


@metric("at_least", of="family")
def mean_corruption_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under the 15 corruptions of MNIST-C, the mean over corruptions of the mean over severities.

    Each image is seen in all 75 trials and is resampled with all its answers: n is images, not images x trials.
    """
    wrong = _wrong(evidence, MNIST_C)
    return from_scores(1 - wrong.sum(axis=0) / (len(wrong) * len(SEVERITIES)))


@metric("at_most", of="family", legal=(0.0, float("inf")))
def relative_corruption_error(evidence: Evidence, scope: Scope) -> Estimate:
    """The candidate's error over the panel's logistic regression's, the mean over the 15 corruptions of MNIST-C.

    Of each corruption the error is summed over its severities before dividing, so that hard corruptions do not weigh
    more than easy ones: mCE of Hendrycks & Dietterich 2019, where AlexNet divides. The logistic regression divides here
    because it has one solution, whatever seed, machine or version fits it, and because it errs everywhere: the cnn
    hardly errs under shot noise or dotted lines, which would then outweigh the rest. Its errors are constants: the
    interval is the candidate's.
    """
    beside = panel.beside(evidence.data)
    if beside is None:
        raise NothingToMeasure(f"the baseline panel was measured on other images ({panel.load().data})")
    wrong = _wrong(evidence, MNIST_C)
    errors = [beside.error(REFERENCE, trial) for trial in at_every_severity(MNIST_C)]
    theirs = np.array(errors, dtype=np.float64).reshape(-1, len(SEVERITIES)).sum(axis=1)
    return from_losses((wrong / theirs[:, None]).mean(axis=0), worst=float((len(SEVERITIES) / theirs).mean()))


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
    improper = int((~proper | (_answers(evidence, CLEAN) == NO_ANSWER)).sum())
    if improper:
        raise NothingToMeasure(f"{improper} of {len(rows)} images got no probabilities (finite, 0..1, adding up to 1)")
    smallest = np.finfo(rows.dtype).eps
    of_true = np.clip(rows[np.arange(len(rows)), evidence.labels], smallest, 1 - smallest)
    return from_losses(-np.log(of_true.astype(np.float64)), worst=-math.log(smallest))


def _estimate(evidence: Evidence, name: str, scope: Scope) -> Estimate:
    misfit = METRICS[name].misfit(scope)
    if misfit:
        raise ValueError(misfit)
    return METRICS[name].estimate(evidence, scope)


def _rows(evidence: Evidence) -> Iterator[tuple[str, Scope]]:
    """What the table shows: every metric on clean images, accuracy under every corruption, every radius of a space."""
    points: dict[str, list[tuple[int, ...]]] = {}
    for trial in sorted(evidence.answers.keys() - {CLEAN}):
        points.setdefault(trial.corruption, []).append(trial.point)
    spaces = {name: max(map(max, of)) for name, of in points.items() if any(len(at) > 1 or min(at) < 0 for at in of)}
    radii = [Scope(corruption=name, within=within) for name, most in spaces.items() for within in range(1, most + 1)]
    corruptions = [name for name in points if name not in spaces]
    for entry in METRICS.values():
        scopes = [Scope(digit=digit) for digit in range(CLASSES)] if entry.each_digit else [Scope()]
        if entry.of == "space":
            scopes = radii
        if entry.of == "corruption":
            scopes = [Scope(corruption=name) for name in corruptions]
        yield from ((entry.name, scope) for scope in scopes)
    for name in corruptions:
        yield from (("accuracy", Scope(corruption=name, severity=severity)) for (severity,) in points[name])


def _answers(evidence: Evidence, trial: Trial) -> Classes:
    if trial not in evidence.answers:
        raise NothingToMeasure(f"the evidence holds no answers under {trial.key}")
    return evidence.answers[trial]


def _counts(evidence: Evidence, scope: Scope) -> Counts:
    """The confusion matrix of the clean images, or of a corruption at a severity."""
    trial = CLEAN if scope.corruption is None or scope.severity is None else Trial(scope.corruption, (scope.severity,))
    counts = np.array(confusion_matrix(evidence.labels, _answers(evidence, trial)), dtype=np.int64)
    if not counts.any():
        raise NothingToMeasure("there are no images")
    return counts


def _wrong(evidence: Evidence, corruptions: Sequence[str]) -> Counts:
    """(corruptions, n): at how many of the five severities each image is not answered right."""
    trials = at_every_severity(corruptions)
    missing = [trial for trial in trials if trial not in evidence.answers]
    if missing:
        raise NothingToMeasure(f"the evidence lacks {len(missing)} of {len(trials)} trials: {_named(missing)}")
    if not len(evidence.labels):
        raise NothingToMeasure("there are no images")
    wrong = np.array([evidence.answers[trial] != evidence.labels for trial in trials])
    counts: Counts = wrong.reshape(len(corruptions), len(SEVERITIES), -1).sum(axis=1)
    return counts


def _named(trials: Sequence[Trial]) -> str:
    """``fog, spatter@4``: a corruption that lacks every severity by its name."""
    lacking = Counter(trial.corruption for trial in trials)
    names = (one.corruption if lacking[one.corruption] == len(SEVERITIES) else one.key for one in trials)
    return ", ".join(dict.fromkeys(names))


def _space(evidence: Evidence, scope: Scope) -> list[Trial]:
    """Every point of a finite space, the clean one in its middle: whole numbers up to ``within`` along each axis."""
    name, within = scope.corruption or "", scope.within or 0
    axes = {len(trial.point) for trial in evidence.answers if trial.corruption == name}
    if len(axes) != 1:
        raise NothingToMeasure(f"the evidence holds no answers under {name}")
    points = product(range(-within, within + 1), repeat=axes.pop())
    trials = [Trial(name, point) if any(point) else CLEAN for point in points]
    missing = [trial.key for trial in trials if trial not in evidence.answers]
    if missing:
        raise NothingToMeasure(f"the evidence lacks {len(missing)} of {len(trials)} points, the first is {missing[0]}")
    return trials


def _digit(scope: Scope) -> int:
    assert scope.digit is not None  # Metric.misfit has seen to it
    return scope.digit


def _true(counts: Counts, digit: int) -> int:
    if not counts[digit].any():
        raise NothingToMeasure(f"there are no images of digit {digit}")
    return int(counts[digit].sum())


def _said(counts: Counts, digit: int) -> int:
    if not counts[:, digit].any():
        raise NothingToMeasure(f"the model never answers {digit}")
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
