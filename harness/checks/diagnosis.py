"""Diagnosis of a wrong number: known faults by name, so that a finding tells the cause and not only the symptom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import Refused
from harness.records import (
    CLASSES,
    MNIST_DEVIATION,
    MNIST_MEAN,
    Dataset,
    Images,
    InputKind,
    Labels,
    Mask,
    ModelFacts,
    Precision,
    Probabilities,
)

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
    "pixels are standardised by MNIST's mean and deviation": lambda x: (x / 255 - MNIST_MEAN) / MNIST_DEVIATION,
    "pixels are divided by the image's own maximum": lambda x: x / np.maximum(x.max(axis=(1, 2), keepdims=True), 1),
    "pixels are divided by the batch's own maximum": lambda x: x / max(x.max(initial=0), 1),
    "the images are in another order": lambda x: x[::-1] / 255,
}

_WAYS_OUT = {
    "pixels are not divided at all": "raw",
    "pixels are scaled to -1..1": "symmetric",
    "ink and paper are inverted": "inverted",
    "pixels are standardised by MNIST's mean and deviation": "standardised",
}

_CONTRACTS: dict[InputKind, str] = {
    "unit": "with pixels 0..1",
    "raw": "with pixels 0..255, so it divides by 255 itself",
    "symmetric": "with pixels -1..1",
    "standardised": "with pixels standardised by MNIST's mean and deviation",
    "inverted": "with ink and paper inverted",
    "l2": "with each column of pixels divided by its length",
}

_MIN_GAIN = 0.10  # by how much another reading must be better to be named
_MIN_FED = 0.01  # the same of another contract; of 48 healthy models of four recipes none gained more than 0.003
_MOST_LEFT = 0.75  # share of its mistakes that another contract may leave
_PER_CLASS = 500  # digits of each class on which that is made sure of
_SURE = 3.0  # standard errors by which more must be gained than lost
_MIN_ACCURACY = 0.75  # and how many digits it must read
TOLERANCES: dict[Precision, float] = {"": 1e-5, "float16": 4e-3, "bfloat16": 3e-2, "int8": 2e-2}  # of a probability
_HALF_PRECISION_TOLERANCE = 0.01  # by how much a row of half-precision probabilities may miss 1


def preprocessing(images: Images, values: Pixels) -> str:
    """Name the first known fault that explains ``values`` as made from ``images``; empty if none does."""
    exact = images.astype(np.float64)
    for name, wrong in _PREPROCESSING.items():
        expected = wrong(exact)
        if expected.shape == values.shape and np.allclose(values, expected, rtol=1e-3, atol=1e-6):
            way_out = f" (if that is how it will be fed: --preprocess {_WAYS_OUT[name]})" if name in _WAYS_OUT else ""
            return name + way_out
    return ""


def reading(
    predict: Callable[..., Probabilities],
    images: Images,
    labels: Labels,
    declared: InputKind = "unit",
    whole: Dataset | None = None,
) -> str:
    """Find another way to feed the model by which it reads clearly more of these digits; empty if there is none.

    ``predict(images, under=kind)`` gives the probabilities of images under another contract than the ``declared`` one;
    where that seems so, it is made sure of on more digits of the ``whole``.
    """
    as_given = _read(lambda: predict(images), labels)
    kinds = [kind for kind in _CONTRACTS if kind != declared]
    reads = {kind: int(_read(partial(predict, images, under=kind), labels).sum()) for kind in kinds}
    better = [kind for kind in kinds if reads[kind] > as_given.sum()]
    others: dict[str, Images] = {
        "with ink and paper inverted": 255 - images,
        "transposed": images.swapaxes(1, 2),
        "mirrored": images[:, :, ::-1],
        "upside down": images[:, ::-1],
        "turned by 180 degrees": images[:, ::-1, ::-1],
    }
    scores = {
        name: _read(partial(predict, np.ascontiguousarray(other)), labels).sum() for name, other in others.items()
    }
    name = max(scores, key=lambda other: int(scores[other]))
    if better and max(reads.values()) >= scores[name]:
        return _fed_otherwise(predict, *(sample(whole, _PER_CLASS) if whole else (images, labels)), better)
    plain, share = float(as_given.mean()), float(scores[name] / len(images))
    if share < max(plain + _MIN_GAIN, _MIN_ACCURACY):
        return ""
    return f"it reads {share:.1%} of {len(images):,} digits {name}, and {plain:.1%} as they are"


def _fed_otherwise(
    predict: Callable[..., Probabilities], images: Images, labels: Labels, kinds: Sequence[InputKind]
) -> str:
    """Describe how much more the model reads under the best of other contracts; empty where that may be chance."""
    given, n = _read(lambda: predict(images), labels), len(images)
    reads = {kind: _read(partial(predict, images, under=kind), labels) for kind in kinds}
    best = max(kinds, key=lambda kind: int(reads[kind].sum()))
    gained, lost = int((reads[best] & ~given).sum()), int((given & ~reads[best]).sum())
    share, plain = float(reads[best].mean()), float(given.mean())
    sure = gained - lost >= max(_MIN_FED * n, _SURE * math.sqrt(gained + lost))
    if not sure or share < _MIN_ACCURACY or 1 - share > _MOST_LEFT * (1 - plain):
        return ""
    rivals = [f", or {kind} ({reads[kind].mean():.1%})" for kind in kinds if 0 < share - reads[kind].mean() <= _MIN_FED]
    return (
        f"it reads {share:.1%} of {n:,} digits {_CONTRACTS[best]}, and {plain:.1%} as they are; if that is how it will "
        f"be fed: --preprocess {best}{''.join(rivals)}"
    )


def exchanged(answers: Probabilities, labels: Labels) -> str:
    """Find the classes that the output has exchanged, if another order of its columns is clearly better; else empty."""
    from scipy.optimize import linear_sum_assignment

    predicted = answers.argmax(axis=1)
    counts = np.bincount(labels.astype(np.int64) * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    _, columns = linear_sum_assignment(counts, maximize=True)
    plain, best = np.trace(counts) / len(labels), counts[np.arange(CLASSES), columns].sum() / len(labels)
    if best < max(plain + _MIN_GAIN, _MIN_ACCURACY):
        return ""
    moved = [f"{true} is said as {column}" for true, column in enumerate(columns) if column != true]
    return f"the output's classes are exchanged: {', '.join(moved)}"


def moved(before: Probabilities, after: Probabilities, model: ModelFacts) -> Mask:
    """Mark answers that differ: by more than the type that the model computes in allows, or in their class."""
    close: Mask = np.isclose(before, after, rtol=0, atol=TOLERANCES[model.precision], equal_nan=True)
    changed: Mask = np.logical_not(close.all(axis=1))
    return changed if model.precision else changed | (before.argmax(axis=1) != after.argmax(axis=1))


def state(model: ModelFacts) -> str:
    """Name the layer that keeps state from one batch to the next; empty if none does."""
    named = next((layer.name for layer in model.layers if layer.kind.endswith("(stateful)")), "")
    return f": its layer {named} keeps state from one batch to the next; build it with stateful=False" if named else ""


def probabilities(answers: Probabilities, precision: Precision = "", labels: Labels | None = None) -> str:
    """Name what stands where probabilities should; empty if rows are probabilities to 1e-5, or to eight bits.

    Of logits with ``labels`` it says what a softmax would make of them.
    """
    within = TOLERANCES[precision if precision == "int8" else ""]
    sums = answers.astype(np.float64).sum(axis=1)
    inside = answers.min(initial=0) >= 0 and answers.max(initial=1) <= 1
    if inside and np.abs(sums - 1).max(initial=0) <= within:
        return ""
    low, high = float(answers.min()), float(answers.max())
    if np.abs(np.exp(answers.astype(np.float64)).sum(axis=1) - 1).max(initial=0) <= 1e-3:
        return f"answers are logarithms of probabilities (from {low:.3g} to {high:.3g}); end with softmax"
    if not inside:
        with_one = "" if labels is None else _with_softmax(answers, labels)
        return f"answers are logits, not probabilities (from {low:.3g} to {high:.3g}); end with softmax{with_one}"
    way_out = "end with softmax, not sigmoid"
    if np.abs(sums - 1).max() <= _HALF_PRECISION_TOLERANCE:
        way_out = "is half precision in use? Let the last layer compute in float32"
    return f"rows do not sum to 1 but to {sums.min():.6g} to {sums.max():.6g}; {way_out}"


def _with_softmax(logits: Probabilities, labels: Labels) -> str:
    """Say what the answers would be worth if a softmax came after them."""
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    right = (exact.argmax(axis=1) == labels).mean()
    return f": with it {right:.1%} of {len(labels)} digits are read, at a log loss of {losses.mean():.3f}"


def _read(predict: Callable[[], Probabilities], labels: Labels) -> Mask:
    """Mark the digits that are read; none where the model refuses."""
    try:
        read: Mask = predict().argmax(axis=1) == labels
    except Refused:
        return np.zeros(len(labels), bool)
    return read


def sample(dataset: Dataset, per_class: int) -> tuple[Images, Labels]:
    """Select the first ``per_class`` digits of each class, in the order of the data."""
    chosen = np.sort(np.concatenate([np.flatnonzero(dataset.labels == c)[:per_class] for c in range(CLASSES)]))
    return dataset.images[chosen], dataset.labels[chosen]
