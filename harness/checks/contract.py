"""Expectations of the suites under a contract of the input: pixels, their order, and checks that do not apply."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records import SIDE, Images, InputContract

Pixels = NDArray[Any]

_FLAT = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, SIDE, SIDE))
_STEPS = 27  # levels of a column that are not in the one before
_COLUMNS = np.minimum(np.arange(SIDE)[:, None] + np.minimum(np.arange(SIDE), 9) * _STEPS, 255).astype(np.uint8)[None]

# titles and reasons where the contract is not x / 255, which the names of the checks say
_WORDS = {
    "test_pixels_are_float32": (
        "pixels have the type that the model takes",
        "float32, or whole numbers where the model takes them.",
    ),
    "test_every_pixel_is_its_grey_level_over_255": (
        "every pixel is what the contract makes of it",
        "The exact value of its kind, to within one unit in the last place.",
    ),
    "test_every_pixel_lies_in_0_to_1": (
        "every pixel lies in the range of the contract",
        "The range the model was trained on.",
    ),
    "test_paper_is_0_and_ink_is_1": (
        "paper and ink are where the contract has them",
        "Images of paper alone and of ink alone: nothing was divided by too much or too little.",
    ),
    "test_a_darker_pixel_stays_darker": (
        "grey levels keep their order",
        "Strictly increasing or decreasing over all 256 levels: no two grey levels become one.",
    ),
    "test_it_reads_digits_the_way_they_are_given": (
        "it reads digits the way they are given",
        "Pixels as the contract has them, upright: a model made for others is read wrongly here, and in production.",
    ),
}
_OF_THE_MAP = ("test_every_pixel_is_its_grey_level_over_255", "test_paper_is_0_and_ink_is_1")


def words(contract: InputContract, check: str) -> tuple[str, str] | None:
    """Return title and reason of a check where its name says other than the contract."""
    return None if contract.kind == "unit" else _WORDS.get(check)


def why_not_asked(contract: InputContract, suite: str, check: str) -> str:
    """Say why a check has nothing to ask under this contract; empty where it has."""
    if suite == "test_one_hot.py" and not contract.one_hot:
        return "the preprocessing encodes no labels"
    if contract.kind == "own" and check in _OF_THE_MAP:
        return "the preprocessing promises a range, and no exact map"
    return ""


def expected(contract: InputContract, images: Images) -> Pixels:
    """Compute the pixels that a shipped kind makes of images."""
    if contract.affine is None:
        lengths = np.sqrt((images.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
        return (images / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    if contract.kind == "unit":
        return (images / 255).astype(np.float32)
    scale, offset = contract.affine
    return (images * scale + offset).astype(np.float32)


def without_channel(images: Images, values: Pixels) -> Pixels:
    """Drop the channel axis of (n, 28, 28, 1), which the preprocessing may add."""
    return values[..., 0] if values.shape == (*images.shape, 1) else values


def levels(contract: InputContract) -> Images:
    """Make images that hold every grey level: flat ones or, where an image's own pixels count, steps in columns."""
    return _FLAT.copy() if contract.affine else _COLUMNS.copy()


def steps(contract: InputContract, values: Pixels) -> Pixels:
    """Return by how much each level of ``levels``, normalised, is above the level before; below, where paper is 1.

    Values of a module's own may go either way, all the same.
    """
    exact = np.asarray(values, np.float64)
    if contract.affine:
        flat: Pixels = np.diff(exact.reshape(256, -1)[:, 0])
        return -flat if contract.kind == "inverted" else flat
    columns = np.diff(exact.reshape(SIDE, SIDE)[:, :10], axis=0).T
    rising = np.concatenate([*columns[:9], columns[9, : 255 - 9 * _STEPS]])
    return -rising if contract.kind == "own" and rising[0] < 0 else rising


def within(contract: InputContract, values: Pixels) -> bool:
    """Tell whether all values lie in the contract's range, but for the rounding of its ends."""
    low, high = np.float32(contract.low), np.float32(contract.high)
    slack = np.float32(0) if contract.kind == "unit" else np.spacing(max(abs(low), abs(high)))
    return bool(np.all((values >= low - slack) & (values <= high + slack)))
