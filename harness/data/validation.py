"""Validation of digits. Every refusal is one line: the thing, the value, the rule, the way out.

Forms (dtype and shape) are checked before an array is read, so that nothing is allocated for a lie; values after.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import MAX_BYTES
from harness.errors import UsageError
from harness.records import CLASSES, SIDE, DataFacts, Dataset, Images, Labels, Origin

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """Images and labels as a reader returns them, of the right form and not yet of the right values."""

    images: NDArray[np.uint8]  # (n, 28, 28) or (n, 28, 28, 1)
    labels: NDArray[Any]  # (n,), integers
    names: tuple[str, str]  # what messages call them


_FLOATS = ".astype('uint8') of 0..255, (x * 255).round().astype('uint8') of 0..1"


def check_images_form(what: str, dtype: np.dtype[Any], shape: Shape) -> None:
    """Raise UsageError unless images are uint8 of shape (n, 28, 28) or (n, 28, 28, 1)."""
    if dtype.kind == "f":
        raise UsageError(f"{what} holds {dtype}; images are uint8, 0..255. Give the raw pixels: {_FLOATS}")
    if dtype != np.uint8:
        raise UsageError(f"{what} holds {dtype}; images are uint8, 0..255. Convert them with .astype('uint8')")
    if shape[1:] not in ((SIDE, SIDE), (SIDE, SIDE, 1)):
        raise UsageError(f"{what} has shape {shape}; images have shape (n, {SIDE}, {SIDE}). {_images_way_out(shape)}")
    _check_size(what, dtype, shape)


def check_labels_form(what: str, dtype: np.dtype[Any], shape: Shape) -> None:
    """Raise UsageError unless labels are integers of shape (n,)."""
    if len(shape) == 2 and shape[1] == CLASSES:
        raise UsageError(f"{what} has shape {shape} and looks one-hot; labels have shape (n,). Give .argmax(axis=1)")
    if len(shape) != 1:
        raise UsageError(f"{what} has shape {shape}; labels have shape (n,). Give .reshape(-1)")
    if dtype.kind not in "iu":
        raise UsageError(f"{what} holds {dtype}; labels are integers 0..9. Convert them with .astype('uint8')")
    _check_size(what, dtype, shape)


def admit(name: str, origin: Origin, test: Pair, train: Pair | None) -> Dataset:
    """Check every value and count what must be known of the data; UsageError at the first rule broken."""
    images, labels = _checked(test)
    _check_judgeable(test, images, labels)
    test_bytes = {image.tobytes() for image in images}
    duplicates = len(images) - len(test_bytes)
    if 2 * duplicates > len(images):
        raise UsageError(
            f"{test.names[0]}: {duplicates:,} of {len(images):,} images repeat an earlier one; "
            "at most half may, or the numbers would rest on too few digits. Remove the copies"
        )
    train_images, train_labels = _checked(train) if train else (None, None)
    facts = DataFacts(
        name=name,
        origin=origin,
        sha256=content_hash(images, labels),
        n=len(images),
        train_n=0 if train_images is None else len(train_images),
        counts=tuple(np.bincount(labels, minlength=CLASSES).tolist()),
        duplicates=duplicates,
        overlap=0 if train_images is None else _overlap(images, test_bytes, train_images),
    )
    return Dataset(name, origin, images, labels, train_images, train_labels, facts)


def trained_on(dataset: Dataset, other: Dataset) -> Dataset:
    """Put what the candidate was trained on, the training part of ``other`` or all of it, for the training part."""
    if other.train_images is not None and other.train_labels is not None:
        images, labels, name = other.train_images, other.train_labels, f"the training part of {other.name}"
    else:
        images, labels, name = other.images, other.labels, other.name
    facts = replace(
        dataset.facts,
        train_n=len(images),
        overlap=_overlap(dataset.images, {image.tobytes() for image in dataset.images}, images),
        trained_on=name,
        trained_on_sha256=content_hash(images, labels),
    )
    return replace(dataset, train_images=images, train_labels=labels, facts=facts)


def _checked(pair: Pair) -> tuple[Images, Labels]:
    of_images, of_labels = pair.names
    if len(pair.images) == 0:
        raise UsageError(f"{of_images} is empty; at least one image is needed")
    if len(pair.images) != len(pair.labels):
        raise UsageError(
            f"{of_images} has {len(pair.images):,} images but {of_labels} {len(pair.labels):,} labels; "
            "each image needs its label. Are they from the same set?"
        )
    outside = np.flatnonzero((pair.labels < 0) | (pair.labels >= CLASSES))
    if outside.size:
        first = int(outside[0])
        raise UsageError(f"{of_labels}[{first}] is {pair.labels[first]}; labels are 0..9. Is it a set of digits?")
    images = np.ascontiguousarray(pair.images).reshape(-1, SIDE, SIDE)
    if images.max() <= 1:
        raise UsageError(
            f"{of_images}: the largest value is {images.max()}; ink is 0..255, this looks binarised, "
            "normalised to 0..1 or blank. Give the raw pixels"
        )
    if (images.min(axis=(1, 2)) == images.max(axis=(1, 2))).all():
        raise UsageError(f"{of_images}: every image is a single grey; there is no digit in it. Give the raw pixels")
    labels = np.ascontiguousarray(pair.labels, dtype=np.uint8)
    images.setflags(write=False)
    labels.setflags(write=False)
    return images, labels


def _check_judgeable(pair: Pair, images: Images, labels: Labels) -> None:
    missing = sorted(set(range(CLASSES)) - set(labels.tolist()))
    if missing:
        digits = ", ".join(map(str, missing))
        raise UsageError(
            f"{pair.names[1]} has no image of {digits}; a digit that is never shown cannot be judged. Add some"
        )


def _overlap(images: Images, test_bytes: set[bytes], train_images: Images) -> int:
    shared = {row for image in train_images if (row := image.tobytes()) in test_bytes}
    return sum(image.tobytes() in shared for image in images)


def content_hash(images: Images, labels: Labels) -> str:
    """Compute the SHA-256 of the digits themselves, whatever file they came in."""
    content = hashlib.sha256()
    for array in (images, labels):
        content.update(f"{array.dtype.str} {array.shape}\n".encode())
        content.update(array.data)
    return content.hexdigest()


def _check_size(what: str, dtype: np.dtype[Any], shape: Shape) -> None:
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise UsageError(f"{what} declares {size:,} bytes; at most {MAX_BYTES:,} are read. Give fewer images")


def _images_way_out(shape: Shape) -> str:
    if math.prod(shape[1:]) == SIDE * SIDE and len(shape) > 1:
        return f"Give .reshape(-1, {SIDE}, {SIDE})"
    if shape == (SIDE, SIDE):
        return "Is it one image? Give a set of them"
    return "Are they MNIST-like digits?"
