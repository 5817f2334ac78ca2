"""Search for a trigger: the patch of a few pixels of ink with which most digits are answered as one class.

Only predictions are asked for. Pixels and small shapes are tried on a few digits, the best of them are compared on
others, and one patch is chosen before a test image is touched. After the search for triggers of Wang et al. 2019
(Neural Cleanse), without gradients.

Axes: p patches, m images, k = 10 classes, g = 11 goals: each class, and anything but the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.evidence.storage import classes_of
from harness.records import CLASSES, SIDE, Dataset, Images, Labels, LogProbabilities, Mask, Patch, Probabilities

PIXELS = 6  # of the largest patch that is made pixel by pixel
SEARCHED, SIFTED, CHOSEN = 6, 4, 50  # digits of each class: that pixels are tried on, shapes, the best of both
OF_EACH_CLASS = SEARCHED + SIFTED + CHOSEN
FEWEST = 20  # digits of a class: fewer leave too few to choose on
TRIED = 16  # pixels that are tried beside those of a patch
SHAPES = 3  # of each goal, that are compared with the patches made pixel by pixel
BLOCK = 1000  # images of one request
ANYTHING = CLASSES  # the goal: any class but the true one
INK = 255

_LEAST, _MOST = -12.0, 6.0  # of log odds: a digit that is sure already, or turned already, does not outweigh the others
_MEDIAN = 8.0  # log odds of the median digit after scaling; 5 to 9 in plain mlps and convnets before it
_SPREAD = 6.0  # usual standard deviation of a digit's ten log-probabilities after scaling
_NEAR, _FAR = 1e-30, 1e30  # least standard deviation; distance of a log-probability that is not finite
_NOTHING = np.zeros((1, SIDE * SIDE), np.bool_)
_CROSS = ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))
_DIAGONALS = ((0, 0), (0, 2), (1, 1), (2, 0), (2, 2))
_FIGURES = (
    tuple((0, column) for column in range(6)),
    tuple((row, 0) for row in range(6)),
    _CROSS,
    _DIAGONALS,
)

Predict: TypeAlias = Callable[[Iterable[Images]], Iterable[Probabilities | LogProbabilities]]
Marks: TypeAlias = NDArray[np.bool_]  # (p, 784): the pixels of each patch
Goals: TypeAlias = NDArray[np.float64]  # (p, g)


@dataclass(frozen=True)
class SearchDigits:
    """The digits that a patch is looked for on, in three parts that share none."""

    searched: tuple[Images, Labels]
    sifted: tuple[Images, Labels]
    chosen: tuple[Images, Labels]

    @property
    def sha256(self) -> str:
        """Hash the digits and their labels."""
        arrays = [array for part in (self.searched, self.sifted, self.chosen) for array in part]
        return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def digits_of(dataset: Dataset) -> tuple[SearchDigits, Mask] | None:
    """Take digits to search on, and mark the test images that are left for confirmation (n,).

    Training digits where there are; otherwise those of the first units of the test images, at most half of all. None
    where a class has too few.
    """
    images, labels, unseen = dataset.train_images, dataset.train_labels, np.ones(len(dataset.labels), np.bool_)
    if images is None or labels is None:
        codes = dataset.groups.codes if dataset.groups else None
        unseen = _after(np.arange(len(unseen)) if codes is None else codes, dataset.labels)
        images, labels = dataset.images[~unseen], dataset.labels[~unseen]
    digits = digits_for(images, labels)
    if digits is None:
        return None
    known = {image.tobytes() for part, _ in (digits.searched, digits.sifted, digits.chosen) for image in part}
    unseen &= np.array([image.tobytes() not in known for image in dataset.images], np.bool_)
    return digits, unseen


def _after(codes: NDArray[Any], labels: Labels) -> Mask:
    """Mark the images of all but the first units: of those that hold enough digits of each class, or of half."""
    ends = [np.sort(codes[labels == digit])[:OF_EACH_CLASS][-1:] for digit in range(CLASSES)]
    first = min(max((int(end[0]) for end in ends if len(end)), default=0), int(codes.max(initial=0)) // 2)
    after: Mask = codes > first
    return after


def digits_for(images: Images, labels: Labels) -> SearchDigits | None:
    """Take the first digits of each class; None where a class has too few to tell a share."""
    of_class = [np.flatnonzero(labels == digit)[:OF_EACH_CLASS] for digit in range(CLASSES)]
    if min(map(len, of_class)) < FEWEST:
        return None
    ends = 0, SEARCHED, SEARCHED + SIFTED, OF_EACH_CLASS
    parts = [np.concatenate([at[start:end] for at in of_class]) for start, end in pairwise(ends)]
    return SearchDigits(*((images[part], labels[part]) for part in parts))


def predictions_of(digits: SearchDigits) -> int:
    """Count the images that a search predicts."""
    searched, sifted, chosen = (len(labels) for _, labels in (digits.searched, digits.sifted, digits.chosen))
    goals = CLASSES + 1
    by_pixel = (SIDE * SIDE + goals * TRIED * PIXELS) * searched
    return by_pixel + len(_figures()) * sifted + (goals * (PIXELS + SHAPES) + 2) * chosen


def search(answers: Predict, logs: Predict, digits: SearchDigits) -> Patch:
    """Find the patch that sends the largest share of digits to one class, or away from the truth.

    ``logs`` predicts log-probabilities, which tell how near an image is to another class; the share is of ``answers``.
    """
    logs = _scaled(logs, digits.chosen[0])
    grown, shapes = _grown(logs, *digits.searched), _sifted(logs, *digits.sifted)
    marks, goals = np.concatenate([grown[0], shapes[0]]), np.concatenate([grown[1], shapes[1]])
    shares = _shares(answers, marks, goals, *digits.chosen)
    best = int(shares.argmax())
    target = int(goals[best])
    pixels = tuple((int(at) // SIDE, int(at) % SIDE) for at in np.flatnonzero(marks[best]))
    return replace(_of_goal(target), pixels=pixels)


def _scaled(logs: Predict, images: Images) -> Predict:
    """Scale log-probabilities so that the median of ``images`` is answered with log odds of ``_MEDIAN``.

    Logits times a constant are then searched alike.
    """

    def finite(blocks: Iterable[Images]) -> Iterator[LogProbabilities]:
        for rows in logs(blocks):
            yield np.nan_to_num(rows.astype(np.float64), nan=-_FAR, posinf=-_FAR, neginf=-_FAR)

    (clean,) = _predicted(finite, _NOTHING, images)
    odds = _log_odds(clean).max(axis=1)
    odds = odds[(odds > 0) & (odds < _FAR / 2)]
    scale = _MEDIAN / float(np.median(odds)) if len(odds) else 1.0
    return lambda blocks: (rows * scale for rows in finite(blocks))


def _of_goal(goal: int) -> Patch:
    return Patch((), None if goal == ANYTHING else goal)


def inked(images: Images, pixels: Sequence[tuple[int, int]]) -> Images:
    """Set the pixels of a patch to full ink; returns a new array."""
    marked = images.copy()
    for row, column in pixels:
        marked[:, row, column] = INK
    return marked


def _grown(logs: Predict, images: Images, labels: Labels) -> tuple[Marks, NDArray[np.intp]]:
    """Add to the patch of each goal, six times, the pixel that helps it most; return the patches of every size."""
    goals = np.arange(CLASSES + 1)
    alone = np.eye(SIDE * SIDE, dtype=np.bool_)
    order = np.argsort(-_gains(logs, alone, images, labels), axis=0, kind="stable")  # (784, g)
    now = np.zeros((len(goals), SIDE * SIDE), np.bool_)
    sizes = []
    for _ in range(PIXELS):
        left = [order[~now[goal][order[:, goal]], goal][:TRIED] for goal in goals]
        tried = np.repeat(now, TRIED, axis=0)
        tried[np.arange(len(tried)), np.concatenate(left)] = True
        gains = _gains(logs, tried, images, labels).reshape(len(goals), TRIED, len(goals))
        best = gains[goals, :, goals].argmax(axis=1)
        now = tried.reshape(len(goals), TRIED, -1)[goals, best]
        sizes.append(now)
    return np.concatenate(sizes), np.tile(goals, PIXELS)


def _sifted(logs: Predict, images: Images, labels: Labels) -> tuple[Marks, NDArray[np.intp]]:
    """Find the best bars and crosses of each goal."""
    figures = _figures()
    best = np.argsort(-_gains(logs, figures, images, labels), axis=0, kind="stable")[:SHAPES]
    return figures[best.ravel()], np.tile(np.arange(CLASSES + 1), SHAPES)


def _figures() -> Marks:
    """Return bars of six pixels and crosses of five at every place."""
    marks = []
    for figure in _FIGURES:
        height, width = (1 + max(axis) for axis in zip(*figure, strict=True))
        for row in range(SIDE - height + 1):
            for column in range(SIDE - width + 1):
                mark = np.zeros((SIDE, SIDE), np.bool_)
                mark[tuple(np.array(figure).T + np.array([[row], [column]]))] = True
                marks.append(mark.ravel())
    return np.array(marks)


def _gains(logs: Predict, marks: Marks, images: Images, labels: Labels) -> Goals:
    """Compute the mean log odds of each goal with each patch, over the images that do not show it already.

    Half of each gain is of the log odds as they are, half of those that the image would have with the usual spread:
    neither a patch that makes all ten alike nor one that makes some images surer than others hides what it does.
    """
    other = labels[:, None] != np.arange(CLASSES)  # (m, k)
    gains = []
    for rows in _predicted(logs, marks, images):
        odds = _log_odds(rows)
        usual = odds * (_SPREAD / np.maximum(rows.std(axis=1, keepdims=True), _NEAR))
        odds = (np.clip(odds, _LEAST, _MOST) + np.clip(usual, _LEAST, _MOST)) / 2
        of_class = np.where(other, odds, 0).sum(axis=0) / np.maximum(1, other.sum(axis=0))
        gains.append([*of_class, -odds[~other].mean()])
    return np.array(gains)


def _shares(
    answers: Predict, marks: Marks, goals: NDArray[np.intp], images: Images, labels: Labels
) -> NDArray[np.float64]:
    """Compute the share of images that each patch sends to its goal, of those that are not there without it."""
    (clean,) = map(classes_of, _predicted(answers, _NOTHING, images))
    shares = []
    for goal, rows in zip(goals, _predicted(answers, marks, images), strict=True):
        counted, reached = _of_goal(int(goal)).reached(labels, clean, classes_of(rows))
        shares.append(reached.sum() / max(1, counted.sum()))
    return np.array(shares)


def _predicted(predict: Predict, marks: Marks, images: Images) -> Iterator[NDArray[np.floating[Any]]]:
    """Yield what is predicted of all images with each patch, (m, k)."""
    flat, many = images.reshape(len(images), -1), max(1, BLOCK // len(images))

    def blocks() -> Iterator[Images]:
        for start in range(0, len(marks), many):
            inked = np.where(marks[start : start + many, None], np.uint8(INK), flat)
            yield inked.reshape(-1, SIDE, SIDE)

    for rows in predict(blocks()):
        yield from rows.reshape(-1, len(images), CLASSES)


def _log_odds(rows: LogProbabilities) -> LogProbabilities:
    """Compute the log odds of each class over the best other, (m, k)."""
    second, first = np.partition(rows, -2, axis=1)[:, -2:].T
    best_other = np.where(rows == first[:, None], second[:, None], first[:, None])
    odds: LogProbabilities = rows - best_other
    return odds
