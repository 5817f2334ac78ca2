"""Contamination: the candidate has been trained on the test digits, and loses less on them than on others like them.

A model is surer of digits it was trained on. The same digits slightly changed have not been seen, so its loss on them
grows by a larger part; and so it does on digits of the training part, where that of other models grows little or falls.
Losses are compared at the confidence that suits the test digits (temperature scaling, Guo et al. 2017): labels smoothed
in training, or logits that are multiplied, change them by more than memory does.

Measured on MNIST with 76 models that had not seen the test digits (the reference recipes with many seeds, and others:
linear, recurrent, deep, with and without dropout, batch normalisation, smoothed labels, augmentation, for 1 to 40
epochs) and 22 that were trained on them, alone or too. The lower bound of (loss on changed copies) * (loss on training
digits) / (loss on test digits) ** 2 was at most 1.63 for those and at least 2.05 for 21 of these. The other one was
trained on both parts, a few times each, turned and shifted at random: what it remembers, it remembers changed. From the
evidence alone, without training digits, less can be told: some that have not seen the digits lose much more on turned
copies (at most 1.67 times), so that only gross cases are over the limit. The limits were set after seeing all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import LIGHT, Evidence, Finding, Labels, Probabilities, Severity
from harness.references import results
from harness.statistics import reliability

MOST = 2.0  # lower 95 % bound of (loss on turned copies) / (loss on the digits)
MOST_BESIDE = 1.8  # of (loss on changed copies) * (loss on training digits) / (loss on the digits) ** 2
CHANGES = tuple(Severity(name, 1) for name in ("elastic", "swelling", "translate"))
_Z = 1.645
_SURER = 8.0  # of the logarithm of the power that probabilities are raised to
_FEWEST = 1000  # images: of fewer a model may make no mistake, and then nothing suits
_NONE = 1e-9  # nats
Numbers: TypeAlias = NDArray[np.float64]
Ratio: TypeAlias = tuple[float, float]  # and its lower one-sided 95 % bound

ID = "check/seen_before"
_TITLE = "it loses little more on turned copies of these digits"


def finding(evidence: Evidence) -> Finding | None:
    """Judge the loss on turned copies; None where the light changes were not tried, or digits are few.

    Required on MNIST's own test digits, where the limit was measured; on others a warning.
    """
    if any(trial not in evidence.light for trial in LIGHT) or len(evidence.labels) < _FEWEST:
        return None
    try:
        ratio, low = growth(evidence.labels, evidence.probabilities, [evidence.light[trial] for trial in LIGHT])
    except NotMeasurable as error:
        passed, reason = False, f"cannot be told: {error}"
    else:
        passed = low <= MOST
        reason = (
            f"with its confidence set right, it loses {ratio:.2f} times as much on the same digits turned by 6 degrees"
        )
        if not passed:
            reason += (
                f", at least {low:.2f} times; models that had not seen them stayed under {MOST:.2f}. "
                "Seen before? Judge it on digits that it cannot have been trained on"
            )
    return Finding(
        id=ID,
        kind="check",
        title=_TITLE,
        status="passed" if passed else "inconclusive",
        reason=f"{_TITLE}: {reason}",
        level="required" if results.measured_on(evidence.data) is not None else "warning",
        because="accuracy on digits that a model was trained on says nothing about others",
        where="harness/judging/contamination.py",
    )


def growth(labels: Labels, rows: Probabilities, turned: Sequence[Probabilities]) -> Ratio:
    """Estimate the ratio of the loss on turned copies to that on the digits. NotMeasurable without probabilities."""
    test = _against_truth(labels, rows)
    power = _suited(test)
    return _product([(-1.0, _losses(test, power)), (1.0, _mean(labels, turned, power))])


def beside(
    labels: Labels,
    rows: Probabilities,
    changed: Sequence[Probabilities],
    training_labels: Labels,
    training_rows: Probabilities,
) -> Ratio:
    """Estimate the ratio of the losses on changed copies, times the ratio of the loss on training digits.

    ``changed`` are the copies by each of CHANGES; of their losses the geometric mean counts.
    """
    test = _against_truth(labels, rows)
    power = _suited(test)
    copies = [(1 / len(changed), _mean(labels, [each], power)) for each in changed]
    return _product([(-2.0, _losses(test, power)), *copies], [(1.0, _mean(training_labels, [training_rows], power))])


def _product(*groups: Sequence[tuple[float, Numbers]]) -> Ratio:
    """Multiply mean losses, each to a power, with a bound on a logarithmic scale; a group has the same images."""
    logarithm, variance = 0.0, 0.0
    for group in groups:
        means = [max(float(losses.mean()), _NONE) for _, losses in group]
        influence = sum(power * losses / mean for (power, losses), mean in zip(group, means, strict=True))
        logarithm += sum(power * np.log(mean) for (power, _), mean in zip(group, means, strict=True))
        variance += float(np.var(influence)) / len(group[0][1])
    return float(np.exp(logarithm)), float(np.exp(logarithm - _Z * np.sqrt(variance)))


def _suited(test: Numbers) -> float:
    """Find the power that makes the model as sure as it is right."""
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return float(_losses(test, np.exp(exponent)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-_SURER, _SURER), method="bounded").x))


def _mean(labels: Labels, several: Sequence[Probabilities], power: float) -> Numbers:
    mean: Numbers = np.mean([_losses(_against_truth(labels, rows), power) for rows in several], axis=0)
    return mean


def _against_truth(labels: Labels, rows: Probabilities) -> Numbers:
    """Return (n, 10): the logarithm of each digit's probability over that of the true one."""
    logarithms = np.log(np.maximum(reliability.proper(rows).astype(np.float64), np.finfo(np.float32).tiny))
    against: Numbers = logarithms - logarithms[np.arange(len(labels)), labels, None]
    return against


def _losses(against_truth: Numbers, power: float) -> Numbers:
    """Return (n,): -ln(probability of the true digit) where all probabilities are raised to a power."""
    most = against_truth.max(axis=1, keepdims=True)
    losses: Numbers = power * most[:, 0] + np.log(np.exp(power * (against_truth - most)).sum(axis=1))
    return losses
