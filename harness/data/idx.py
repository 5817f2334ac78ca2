"""Digits from IDX files, the form in which MNIST, EMNIST and QMNIST are published; gzipped or not.

An IDX file is: two zero bytes, a type (8: unsigned byte, 12: 32-bit integer), the number of dimensions, each dimension
as a big-endian 32-bit number, then the values.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import FORMS, listed, named, open_regular, read_exactly, why
from harness.data.orientation import transposed
from harness.data.validation import Pair, Shape, check_images_form, check_labels_form
from harness.errors import UsageError

_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 12: np.dtype(">i4")}
_GZIP = b"\x1f\x8b"
_IMAGES = re.compile(r"(?P<set>.*?)(?P<part>t10k|test|train)-images[-.]idx3-ubyte(?:\.gz)?")
_LABELS = ("idx1-ubyte", "idx2-int")  # the second has a row of facts for each image, of which the first is the digit
_QMNIST_FACTS = 8


def is_idx_name(path: Path) -> bool:
    """Tell whether a file is called as published IDX files of images are."""
    return _IMAGES.fullmatch(path.name) is not None


def read_idx(place: Path) -> tuple[Pair, Pair | None, bool]:
    """Read the set of IDX files in a folder, or that of which ``place`` holds the test images. UsageError.

    Returns the test part, the training part, if its files are there, and whether the digits lay transposed, as EMNIST's
    do, and were turned.
    """
    folder, stem = (place, _stem(place)) if place.is_dir() else (place.parent, place.name.partition("-images")[0])
    prefix = stem.removesuffix("test").removesuffix("t10k")
    images, labels = _find(folder, stem, "images"), _find(folder, stem, "labels")
    if images is None or labels is None:
        lost = f"{stem}-{'images-idx3' if images is None else 'labels-idx1'}-ubyte"
        raise UsageError(f"{named(folder)} holds no {lost} (or {lost}.gz); give {FORMS}")
    train_images, train_labels = _find(folder, f"{prefix}train", "images"), _find(folder, f"{prefix}train", "labels")
    if (train_images is None) != (train_labels is None):
        given = train_images or train_labels
        raise UsageError(
            f"{named(folder)} holds {given.name if given else ''} only; give training images and labels, or neither"
        )
    test = _pair(images, labels)
    train = _pair(train_images, train_labels) if train_images and train_labels else None
    turned = transposed(test.images, test.labels)
    if turned:
        test, train = _turned(test), train and _turned(train)
    return test, train, turned


def companions(image_file: Path) -> list[Path]:
    """List the files of the set to which a file of images belongs: its labels are among them."""
    prefix = image_file.name.partition("-images")[0].removesuffix("test").removesuffix("t10k")
    parts = [
        path
        for part in ("t10k", "test", "train")
        for kind in ("images", "labels")
        if (path := _find(image_file.parent, f"{prefix}{part}", kind))
    ]
    return [image_file, *parts]


def _stem(folder: Path) -> str:
    """Return what the names of the one test set in a folder begin with; MNIST's own comes before any other."""
    found = [_IMAGES.fullmatch(path.name) for path in listed(folder)]
    stems = sorted({f"{name['set']}{name['part']}" for name in found if name and name["part"] != "train"})
    if "t10k" in stems or not stems:
        return "t10k"
    if len(stems) > 1:
        raise UsageError(
            f"{named(folder)} holds the sets {', '.join(stems)}; give the file of test images of one: "
            f"{named(folder / stems[0])}-images-idx3-ubyte"
        )
    return stems[0]


def _find(folder: Path, stem: str, kind: str) -> Path | None:
    for form in ("idx3-ubyte",) if kind == "images" else _LABELS:
        for separator in "-.":
            for suffix in ("", ".gz"):
                path = folder / f"{stem}-{kind}{separator}{form}{suffix}"
                if os.path.lexists(path):  # a broken link is told as one
                    return path
    return None


def _turned(pair: Pair) -> Pair:
    return replace(pair, images=pair.images.reshape(pair.images.shape[:3]).transpose(0, 2, 1))


def _pair(images: Path, labels: Path) -> Pair:
    values = _array(labels, _check_labels)
    digits = values[:, 0] if values.ndim == 2 else values
    return Pair(_array(images, check_images_form), digits, names=(named(images), named(labels)))


def _check_labels(what: str, dtype: np.dtype[Any], shape: Shape) -> None:
    of_qmnist = len(shape) == 2 and shape[1] == _QMNIST_FACTS and dtype.itemsize > 1
    check_labels_form(what, dtype, (math.prod(shape),) if of_qmnist else shape)


def _array(path: Path, check_form: Any) -> NDArray[Any]:
    name = named(path)
    with open_regular(path) as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        try:
            return _read(cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file, name, check_form)
        except UsageError:
            raise
        except Exception as error:  # gzip and zlib raise several types on damaged bytes
            raise UsageError(f"{name} is damaged: {why(error)}; get the file again") from error


def _read(file: IO[bytes], name: str, check_form: Any) -> NDArray[Any]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        held = f"starts with {start.hex(' ')}" if start else "is empty"
        raise UsageError(f"{name} {held}; an IDX file starts with 00 00. Get the file again")
    dtype = _TYPES.get(start[2])
    if dtype is None:
        raise UsageError(f"{name} has IDX type {start[2]:#04x}; digits are unsigned bytes, type 0x08")
    header = file.read(4 * start[3])
    if len(header) < 4 * start[3]:
        raise UsageError(f"{name} ends within its header; the file is damaged, get it again")
    shape: Shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4))
    check_form(name, dtype, shape)
    return np.frombuffer(read_exactly(file, math.prod(shape) * dtype.itemsize, name), dtype).reshape(shape)
