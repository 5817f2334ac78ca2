"""Confusion matrices and what they are made of: (k, k + 1) counts, true digit, said digit; last column "no answer"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import CORRUPTIONS, trial_at
from harness.errors import NotMeasurable
from harness.metrics.registry import Columns
from harness.records import (
    CLASSES,
    CLEAN,
    NO_ANSWER,
    SEVERITIES,
    AttackAt,
    Classes,
    Evidence,
    Labels,
    Mask,
    Matrix,
    Scope,
    Severity,
    SpacePoint,
    Trial,
)
from harness.statistics import grouping
from harness.statistics.estimates import Cells, Counts, Share

MNIST_C = tuple(sorted(name for name, made in CORRUPTIONS.items() if made.mnist_c))


def confusion_matrix(labels: Labels, answers: Classes) -> Matrix:
    """Count images by (true, said); the last column counts those without an answer."""
    said = np.where(answers == NO_ANSWER, CLASSES, answers).astype(np.int64)
    cells = np.bincount(labels.astype(np.int64) * (CLASSES + 1) + said, minlength=CLASSES * (CLASSES + 1))
    return tuple(tuple(map(int, row)) for row in cells.reshape(CLASSES, CLASSES + 1))


def at_every_severity(corruptions: Iterable[str]) -> tuple[Trial, ...]:
    """Return the trials of corruptions at severities 1 to 5."""
    return tuple(Severity(name, severity) for name in corruptions for severity in SEVERITIES)


def answers_to(evidence: Evidence, trial: Trial) -> Classes:
    """Return the candidate's answers under a trial, (n,). NotMeasurable where it gave none."""
    if trial not in evidence.answers:
        if isinstance(trial, AttackAt):
            why = "own preprocessing and some exports have no gradients"
            raise NotMeasurable(f"the candidate could not be attacked, or was not: {why}")
        raise NotMeasurable(f"the evidence holds no answers under {trial.key}")
    return evidence.answers[trial]


def trial_of(scope: Scope) -> Trial:
    """Return the trial of a scope: the clean images, or a corruption at a severity."""
    return CLEAN if scope.corruption is None or scope.severity is None else trial_at(scope.corruption, scope.severity)


def counts_of(evidence: Evidence, scope: Scope) -> Counts:
    """Count the confusion matrix of the clean images, or of a corruption at a severity."""
    counts = np.array(confusion_matrix(evidence.labels, answers_to(evidence, trial_of(scope))), dtype=np.int64)
    if not counts.any():
        raise NotMeasurable("there are no images")
    return counts


def cells_of(evidence: Evidence, scope: Scope) -> Cells:
    """Return each image's cell in the confusion matrix (n,), flat."""
    answers = answers_to(evidence, trial_of(scope))
    said = np.where(answers == NO_ANSWER, CLASSES, answers)
    return evidence.labels.astype(np.intp) * (CLASSES + 1) + said


def share(evidence: Evidence, successes: Mask, among: Mask | NDArray[np.intp] | None = None) -> Share:
    """Estimate the share of images (n,) that are successes, of all or of those that ``among`` picks.

    The design effect is that of their sampling units. NotMeasurable where none is picked.
    """
    codes = evidence.codes
    if among is not None:
        successes, codes = successes[among], evidence.codes_of(among)
    return Share(int(successes.sum()), len(successes), grouping.of_share(successes, codes))


def wrong_of(evidence: Evidence, corruptions: Sequence[str]) -> Counts:
    """Count, (corruptions, n), at how many of the five severities each image is not answered right."""
    trials = at_every_severity(corruptions)
    missing = [trial for trial in trials if trial not in evidence.answers]
    if missing:
        raise NotMeasurable(f"the evidence lacks {len(missing)} of {len(trials)} trials: {_named(missing)}")
    if not len(evidence.labels):
        raise NotMeasurable("there are no images")
    wrong = np.array([evidence.answers[trial] != evidence.labels for trial in trials])
    counts: Counts = wrong.reshape(len(corruptions), len(SEVERITIES), -1).sum(axis=1)
    return counts


def _named(trials: Sequence[Trial]) -> str:
    """Name trials, ``fog, spatter@4``: a corruption that lacks every severity by its name."""
    lacking = Counter(trial.name for trial in trials)
    names = (one.name if lacking[one.name] == len(SEVERITIES) else one.key for one in trials)
    return ", ".join(dict.fromkeys(names))


def space_of(evidence: Evidence, scope: Scope) -> list[Trial]:
    """List every point of a finite space, the clean one in its middle: up to ``within`` along each axis."""
    name, within = scope.corruption or "", scope.within or 0
    axes = {len(trial.point) for trial in evidence.answers if isinstance(trial, SpacePoint) and trial.name == name}
    if len(axes) != 1:
        raise NotMeasurable(f"the evidence holds no answers under {name}")
    points = product(range(-within, within + 1), repeat=axes.pop())
    trials = [SpacePoint(name, point) if any(point) else CLEAN for point in points]
    missing = [trial.key for trial in trials if trial not in evidence.answers]
    if missing:
        raise NotMeasurable(f"the evidence lacks {len(missing)} of {len(trials)} points, the first is {missing[0]}")
    return trials


def one_column(successes: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[Columns, Columns]:
    """Return the columns of one share: which images are successes, among which images; both (n, 1)."""
    return (successes & among)[:, None], among[:, None]


def digit_of(scope: Scope) -> int:
    """Return the digit of a scope, which a metric of each digit has."""
    assert scope.digit is not None  # Metric.why_not_applicable has seen to it
    return scope.digit
