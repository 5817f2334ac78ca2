"""Metrics of accuracy under corruptions and over finite spaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import trial_named
from harness.errors import NotMeasurable
from harness.metrics.comparable import by_image, by_score
from harness.metrics.counting import MNIST_C, answers_to, at_every_severity, one_column, share, space_of, wrong_of
from harness.metrics.registry import Columns, Exact, metric
from harness.records import CLEAN, SEVERITIES, AttackAt, Evidence, Scope
from harness.references import results
from harness.statistics.estimates import Estimate, Scores, from_losses, from_scores
from harness.statistics.retraining import Assumed

REFERENCE = "logistic_regression"  # of the panel: what relative_corruption_error divides by


def _right_everywhere(evidence: Evidence, scope: Scope) -> NDArray[np.bool_]:
    right = [answers_to(evidence, trial) == evidence.labels for trial in space_of(evidence, scope)]
    everywhere: NDArray[np.bool_] = np.logical_and.reduce(right)
    return everywhere


def _share_right(evidence: Evidence, scope: Scope) -> Scores:
    """Compute of each image the share of the trials under which it is answered right, by default of all of MNIST-C."""
    if scope.corruptions:
        trials = map(trial_named, scope.corruptions)
        right: Scores = np.mean([answers_to(evidence, trial) == evidence.labels for trial in trials], axis=0)
        return right
    wrong = wrong_of(evidence, [scope.corruption] if scope.corruption else MNIST_C)
    share: Scores = 1 - wrong.mean(axis=0) / len(SEVERITIES)
    return share


def _columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns]:
    right = _right_everywhere(evidence, scope)
    return one_column(right, np.ones_like(right))


@metric(
    "at_least",
    of="space",
    exact=Exact(lambda data, digit: data.n, equal=True),
    columns=_columns,
    change=by_image(_right_everywhere),
)
def worst_case_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of images answered right at every point of a finite space, the clean one included."""
    return share(evidence, _right_everywhere(evidence, scope))


@metric("at_most", of="attack")
def masked_gradients(evidence: Evidence, scope: Scope) -> Estimate:
    """Share of the images answered right that one step turns wrong and twenty within the same ball do not.

    More steps never help a model, unless its gradients lead nowhere: then its accuracy under attack means little.
    After Athalye, Carlini & Wagner 2018.
    """
    assert scope.severity is not None  # Metric.why_not_applicable has seen to it
    one, many = (answers_to(evidence, AttackAt(name, scope.severity)) for name in ("fgsm", "pgd_linf"))
    right = answers_to(evidence, CLEAN) == evidence.labels
    if not right.any():
        raise NotMeasurable("no image is answered right, so that no attack can turn it")
    return share(evidence, (one != evidence.labels) & (many == evidence.labels), right)


@metric("at_least", of="corruption", change=by_score(_share_right))
def corruption_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under one corruption, the mean over its five severities; resampled by image, which is seen at all."""
    return from_scores(_share_right(evidence, scope), evidence.codes)


@metric(
    "at_least",
    of="family",
    section="robustness",
    change=by_score(_share_right),
    retraining=Assumed(0.10, 0.005, by_image=False),
)
def mean_corruption_accuracy(evidence: Evidence, scope: Scope) -> Estimate:
    """Accuracy under the 15 corruptions of MNIST-C, the mean over corruptions of the mean over severities.

    With ``corruptions``, each at a severity, the mean over these. Each image is seen in all trials and is resampled
    with all its answers: n is images, not images x trials.
    """
    return from_scores(_share_right(evidence, scope), evidence.codes)


@metric("at_most", of="family", unit="number", section="robustness", legal=(0.0, 1e6))
def relative_corruption_error(evidence: Evidence, scope: Scope) -> Estimate:
    """The candidate's error over the panel's logistic regression's, the mean over the 15 corruptions of MNIST-C.

    Of each corruption the error is summed over its severities before dividing, so that hard corruptions do not weigh
    more than easy ones: mCE of Hendrycks & Dietterich 2019, where AlexNet divides. The logistic regression divides here
    because it has one solution, whatever seed, machine or version fits it, and because it errs everywhere: the cnn
    hardly errs under shot noise or dotted lines, which would then outweigh the rest. Its errors are constants: the
    interval is the candidate's.
    """
    beside = results.measured_on(evidence.data)
    if beside is None:
        raise NotMeasurable(f"the baseline panel was measured on other images ({results.load().data})")
    wrong = wrong_of(evidence, MNIST_C)
    errors = [beside.error(REFERENCE, trial) for trial in at_every_severity(MNIST_C)]
    theirs = np.array(errors, dtype=np.float64).reshape(-1, len(SEVERITIES)).sum(axis=1)
    losses, worst = (wrong / theirs[:, None]).mean(axis=0), float((len(SEVERITIES) / theirs).mean())
    return from_losses(losses, worst, evidence.codes)
