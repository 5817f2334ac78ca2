"""Diagnosis of a wrong number: known faults by name, so that a finding tells the cause and not only the symptom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from harness.errors import Refused
from harness.records import CLASSES, Dataset, Images, Labels, Probabilities

Pixels = NDArray[Any]

_PREPROCESSING: dict[str, Callable[[Pixels], Pixels]] = {
    "pixels are not divided at all": lambda x: x,
    "pixels are divided by 256": lambda x: x / 256,
    "pixels are divided by 255 twice": lambda x: x / 255 / 255,
    "pixels are divided by 127.5": lambda x: x / 127.5,
    "pixels are scaled to -1..1": lambda x: x / 127.5 - 1,
    "ink and paper are inverted": lambda x: 1 - x / 255,
    "images are transposed": lambda x: x.swapaxes(1, 2) / 255,
    "images are mirrored": lambda x: x[:, :, ::-1] / 255,
    "images are upside down": lambda x: x[:, ::-1] / 255,
    "pixels are rounded to 0 or 1": lambda x: (x > 127) * 1.0,
    "pixels are standardised by MNIST's mean and deviation": lambda x: (x / 255 - 0.1307) / 0.3081,
    "pixels are divided by the image's own maximum": lambda x: x / np.maximum(x.max(axis=(1, 2), keepdims=True), 1),
    "pixels are divided by the batch's own maximum": lambda x: x / max(x.max(initial=0), 1),
    "the images are in another order": lambda x: x[::-1] / 255,
}

_MIN_GAIN = 0.10  # by how much another reading must be better to be named
_MIN_ACCURACY = 0.75  # and how many digits it must read
_HALF_PRECISION_TOLERANCE = 0.01  # by how much a row of half-precision probabilities may miss 1


def preprocessing(images: Images, values: Pixels) -> str:
    """Name the first known fault that explains ``values`` as made from ``images``; empty if none does."""
    exact = images.astype(np.float64)
    for name, wrong in _PREPROCESSING.items():
        expected = wrong(exact)
        if expected.shape == values.shape and np.allclose(values, expected, rtol=1e-3, atol=1e-6):
            return name
    return ""


def reading(predict: Callable[..., Probabilities], images: Images, labels: Labels) -> str:
    """Find another way to feed the model by which it reads clearly more of these digits; empty if there is none.

    ``predict(images, scale=1.0)`` gives the probabilities of images whose pixels, 0..1, are multiplied by ``scale``.
    """
    plain = _accuracy(predict(images), labels)
    others: dict[str, Callable[[], Probabilities]] = {
        "with pixels 0..255, so it divides by 255 itself": lambda: predict(images, scale=255.0),
        "with ink and paper inverted": lambda: predict(255 - images),
        "transposed": lambda: predict(np.ascontiguousarray(images.swapaxes(1, 2))),
        "mirrored": lambda: predict(np.ascontiguousarray(images[:, :, ::-1])),
        "upside down": lambda: predict(np.ascontiguousarray(images[:, ::-1])),
        "turned by 180 degrees": lambda: predict(np.ascontiguousarray(images[:, ::-1, ::-1])),
    }
    scores = {name: _tried(other, labels) for name, other in others.items()}
    name = max(scores, key=lambda other: scores[other])
    if scores[name] < max(plain + _MIN_GAIN, _MIN_ACCURACY):
        return ""
    return f"it reads {scores[name]:.1%} of {len(images)} digits {name}, and {plain:.1%} as they are"


def exchanged(answers: Probabilities, labels: Labels) -> str:
    """Find the classes that the output has exchanged, if another order of its columns is clearly better; else empty."""
    predicted = answers.argmax(axis=1)
    counts = np.bincount(labels.astype(np.int64) * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    _, columns = linear_sum_assignment(counts, maximize=True)
    plain, best = np.trace(counts) / len(labels), counts[np.arange(CLASSES), columns].sum() / len(labels)
    if best < max(plain + _MIN_GAIN, _MIN_ACCURACY):
        return ""
    moved = [f"{true} is said as {column}" for true, column in enumerate(columns) if column != true]
    return f"the output's classes are exchanged: {', '.join(moved)}"


def probabilities(answers: Probabilities) -> str:
    """Name what stands where probabilities should; empty if rows are probabilities to 1e-5."""
    sums = answers.astype(np.float64).sum(axis=1)
    inside = answers.min(initial=0) >= 0 and answers.max(initial=1) <= 1
    if inside and np.abs(sums - 1).max(initial=0) <= 1e-5:
        return ""
    low, high = float(answers.min()), float(answers.max())
    if np.abs(np.exp(answers.astype(np.float64)).sum(axis=1) - 1).max(initial=0) <= 1e-3:
        return f"answers are logarithms of probabilities (from {low:.3g} to {high:.3g}); end with softmax"
    if not inside:
        return f"answers are logits, not probabilities (from {low:.3g} to {high:.3g}); end with softmax"
    way_out = "end with softmax, not sigmoid"
    if np.abs(sums - 1).max() <= _HALF_PRECISION_TOLERANCE:
        way_out = "is half precision in use? Let the last layer compute in float32"
    return f"rows do not sum to 1 but to {sums.min():.6g} to {sums.max():.6g}; {way_out}"


def _accuracy(answers: Probabilities, labels: Labels) -> float:
    return float((answers.argmax(axis=1) == labels).mean())


def _tried(predict: Callable[[], Probabilities], labels: Labels) -> float:
    try:
        return _accuracy(predict(), labels)
    except Refused:
        return 0.0


def sample(dataset: Dataset, per_class: int) -> tuple[Images, Labels]:
    """Select the first ``per_class`` digits of each class, in the order of the data."""
    chosen = np.sort(np.concatenate([np.flatnonzero(dataset.labels == c)[:per_class] for c in range(CLASSES)]))
    return dataset.images[chosen], dataset.labels[chosen]
