"""Digits from a folder of IDX files, the form in which MNIST was first published; gzipped or not.

An IDX file is: two zero bytes, a type (8: unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit number, then the bytes.
"""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import named, open_regular, read_exactly, why
from harness.data.validation import Pair, Shape, check_images_form, check_labels_form
from harness.errors import UsageError

_UBYTE = 8
_GZIP = b"\x1f\x8b"
_TEST, _TRAIN = "t10k", "train"


def read_idx(folder: Path) -> tuple[Pair, Pair | None]:
    """Read the test part and, if its files are there, the training part; UsageError if a file is missing or damaged."""
    images, labels = _find(folder, f"{_TEST}-images", 3), _find(folder, f"{_TEST}-labels", 1)
    if images is None or labels is None:
        lost = f"{_TEST}-{'images-idx3' if images is None else 'labels-idx1'}-ubyte"
        raise UsageError(
            f"{named(folder)} holds no {lost} (or {lost}.gz); give the folder of the IDX files, or a .npz file"
        )
    train_images, train_labels = _find(folder, f"{_TRAIN}-images", 3), _find(folder, f"{_TRAIN}-labels", 1)
    if (train_images is None) != (train_labels is None):
        given = train_images or train_labels
        raise UsageError(
            f"{named(folder)} holds {given.name if given else ''} only; give training images and labels, or neither"
        )
    train = _pair(train_images, train_labels) if train_images and train_labels else None
    return _pair(images, labels), train


def _find(folder: Path, stem: str, dimensions: int) -> Path | None:
    for spelling in (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte"):
        for suffix in ("", ".gz"):
            if os.path.lexists(path := folder / (spelling + suffix)):  # a broken link is told as one
                return path
    return None


def _pair(images: Path, labels: Path) -> Pair:
    arrays = _array(images, check_images_form), _array(labels, check_labels_form)
    return Pair(*arrays, names=(named(images), named(labels)))


def _array(path: Path, check_form: Any) -> NDArray[np.uint8]:
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


def _read(file: IO[bytes], name: str, check_form: Any) -> NDArray[np.uint8]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        held = f"starts with {start.hex(' ')}" if start else "is empty"
        raise UsageError(f"{name} {held}; an IDX file starts with 00 00. Get the file again")
    if start[2] != _UBYTE:
        raise UsageError(f"{name} has IDX type {start[2]:#04x}; digits are unsigned bytes, type 0x08")
    header = file.read(4 * start[3])
    if len(header) < 4 * start[3]:
        raise UsageError(f"{name} ends within its header; the file is damaged, get it again")
    shape: Shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4))
    check_form(name, np.dtype(np.uint8), shape)
    return np.frombuffer(read_exactly(file, math.prod(shape), name), np.uint8).reshape(shape)
