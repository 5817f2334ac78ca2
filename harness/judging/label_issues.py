"""Label issues: images whose label the model and the image's nearest neighbours doubt, and the gates they decide.

The model alone would call its own mistakes wrong labels. So its doubt (confident learning: Northcutt, Jiang & Chuang
2021) counts only where the labels of the nearest other test images, which no model has touched, lean the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness import metrics
from harness.errors import NotMeasurable
from harness.judging.gates import judge_all
from harness.records import (
    CLASSES,
    SIDE,
    Classes,
    Evidence,
    Finding,
    Images,
    Labels,
    Probabilities,
    Scope,
    Suspect,
    Suspects,
)
from harness.statistics import reliability

NEIGHBOURS = 10
MAX_REPORTED_LABEL_ISSUES = 60

_MOST_DOUBTED = 0.05  # of the labels; a model that doubts more of them is no judge of labels
_BLOCK = 500  # rows of distances held at a time
_PART = 500  # images
_SMOOTHED = (1, 4, 6, 4, 1)  # whole numbers keep distances exact, whatever the order in which they are added up


def assess(evidence: Evidence, findings: Sequence[Finding]) -> Suspects | None:
    """Find the label issues, accuracy without them and the required gates that they decide.

    None where the model is no judge of labels.
    """
    try:
        images = find(evidence)
        rest = without(evidence, images)
        accuracy = metrics.show(rest, "accuracy", Scope())
    except NotMeasurable:
        return None
    return Suspects(images, accuracy, _turned(rest, findings) if images else ())


def find(evidence: Evidence) -> tuple[Suspect, ...]:
    """Find at most ``MAX_REPORTED_LABEL_ISSUES``, the most doubted first.

    NotMeasurable where the model is no judge of labels.
    """
    labels = evidence.labels
    predicted, doubt = _doubt(labels, evidence.probabilities)
    rows = np.flatnonzero((predicted != labels) & (evidence.probabilities.argmax(axis=1) != labels))
    if len(rows) > _MOST_DOUBTED * len(labels):
        raise NotMeasurable(f"the model doubts {len(rows)} of {len(labels)} labels: too many to believe it")
    near = labels[_nearest(evidence.images, rows)]
    for_answer = (near == predicted[rows, None]).sum(axis=1)
    for_label = (near == labels[rows, None]).sum(axis=1)
    weight = doubt[rows] + (for_answer - for_label) / NEIGHBOURS
    agree = np.flatnonzero(for_answer > for_label)
    strongest = agree[np.argsort(-weight[agree], kind="stable")][:MAX_REPORTED_LABEL_ISSUES]
    return tuple(
        Suspect(int(rows[at]), int(labels[rows[at]]), int(predicted[rows[at]]), int(for_answer[at])) for at in strongest
    )


def without(evidence: Evidence, images: Sequence[Suspect]) -> Evidence:
    """Keep all other images."""
    rest = np.ones(len(evidence.labels), np.bool_)
    rest[[one.index for one in images]] = False
    return evidence.subset(rest)


def _turned(rest: Evidence, findings: Sequence[Finding]) -> tuple[str, ...]:
    """List the titles of the required gates that did not pass, and pass without the suspects.

    Not the other way round: suspects are mistakes, so that without them a model is right more often and as sure as
    before. A gate on its confidence that then fails says what was left out, not what the labels are worth.
    """
    before = [found.gate for found in findings if found.gate and found.level == "required" and found.status != "passed"]
    return tuple(found.title for found in judge_all(metrics.evaluate(rest, before)) if found.status == "passed")


def _doubt(labels: Labels, probabilities: Probabilities) -> tuple[Classes, NDArray[np.float64]]:
    """Find (n,) the digit that each image most likely is, and how much likelier than its label, 0 where that is it.

    Probabilities count beyond what the model gives a digit on average where it is the label, so that a model that is
    rarely sure of nines does not doubt all of them.
    """
    beyond = reliability.proper(probabilities).astype(np.float64)
    for digit in range(CLASSES):
        of_digit = labels == digit
        beyond[:, digit] -= beyond[of_digit, digit].mean() if of_digit.any() else 1.0
    said = beyond.argmax(axis=1)
    every = np.arange(len(labels))
    return said.astype(np.int8), beyond[every, said] - beyond[every, labels]


def _nearest(images: Images, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find the ten nearest others of each image in pixels, (rows, 10), both smoothed (binomial, 5 x 5)."""
    nearest = np.empty((len(rows), NEIGHBOURS), np.intp)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        distances = _apart(_smooth(images[block]), images)
        distances[np.arange(len(block)), block] = np.inf
        reach = np.partition(distances, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
        for at, row in enumerate(distances):
            near = np.flatnonzero(row <= reach[at])  # more than ten where some are as far: then the first of them
            nearest[start + at] = near[np.argsort(row[near], kind="stable")[:NEIGHBOURS]]
    return nearest


def _apart(ours: NDArray[np.float64], images: Images) -> NDArray[np.float64]:
    """Compute squared distances (rows, n) but for each row's own length; a part at a time, for the cache."""
    parts = []
    for start in range(0, len(images), _PART):
        theirs = _smooth(images[start : start + _PART])
        parts.append(np.einsum("np,np->n", theirs, theirs) - 2 * (ours @ theirs.T))
    return np.concatenate(parts, axis=1)


def _smooth(images: Images) -> NDArray[np.float64]:
    """Smooth images to (n, 784) whole numbers, up to 255 x 256."""
    band = sum(np.diag(np.full(SIDE - abs(off), by), off) for off, by in zip(range(-2, 3), _SMOOTHED, strict=True))
    each = np.asarray(band, np.float32)  # whole numbers up to 2^24 are exact
    across = (images.reshape(-1, SIDE).astype(np.float32) @ each).reshape(-1, SIDE, SIDE)
    down = across.transpose(0, 2, 1).reshape(-1, SIDE) @ each
    return down.reshape(len(images), -1).astype(np.float64)  # transposed, all alike
