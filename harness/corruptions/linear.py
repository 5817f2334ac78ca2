"""Linear maps of a whole image, exact to the last bit on every machine.

Weights are whole multiples of a power of two held in floating point. As long as every sum on the way stays below
2**24 (2**53 in float64), where float32 (float64) counts exactly, neither the order of the additions, nor a fused
multiply-add, nor the BLAS underneath can change the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.records import SIDE, Images

Operator: TypeAlias = (
    Any  # scipy.sparse.csr_array (784, 784) float32: a row an output pixel, weights in multiples of 1 / UNIT
)
Pixels: TypeAlias = NDArray[np.intp]
Line: TypeAlias = NDArray[np.float32]  # (28, 28): one axis of a separable map, weights times LINE_UNIT

PIXELS = SIDE * SIDE
UNIT = 1 << 16
LINE_UNIT = 1 << 12
_BETWEEN = 1 << 4  # parts of a grey level kept between the two axes of a separable map


def operator(outputs: Pixels, inputs: Pixels, weights: NDArray[np.float64], rows: int = PIXELS) -> Operator:
    """Make a map from its weights (the three run together), none negative; weights of a pair that recurs add up."""
    from scipy.sparse import coo_array

    added = coo_array((weights, (outputs, inputs)), shape=(rows, PIXELS)).tocsr()
    added.sum_duplicates()
    added.data = np.rint(added.data * UNIT) / UNIT
    added.eliminate_zeros()
    return added.astype(np.float32)


def operator_by_rows(inputs: Pixels, weights: NDArray[np.float64]) -> Operator:
    """Make it from ``(784, k)`` inputs and weights of each output pixel: quicker, nothing added up or left out."""
    from scipy.sparse import csr_array

    rounded = (np.rint(weights * UNIT) / UNIT).astype(np.float32).reshape(-1)
    starts = np.arange(0, rounded.size + 1, weights.shape[1], dtype=np.int32)
    return csr_array((rounded, inputs.astype(np.int32).reshape(-1), starts), shape=(PIXELS, PIXELS))


def apply(through: Operator, images: Images) -> Images:
    """Send every image through one map, rounded to grey levels, halves up: ``(n, rows of the map)``."""
    return _levels(through @ _upright(images)).T


def apply_chosen(bank: Sequence[Operator], choice: NDArray[np.int64], images: Images) -> Images:
    """Send image i through ``bank[choice[i]]``."""
    order = np.argsort(choice, kind="stable")
    ends = np.searchsorted(choice[order], np.arange(len(bank) + 1))
    pixels = images.reshape(len(images), PIXELS)
    made = np.empty_like(pixels)
    for through, start, end in zip(bank, ends[:-1], ends[1:], strict=True):
        if start < end:
            chosen = order[start:end]
            made[chosen] = _levels(through @ _upright(pixels[chosen])).T
    return made.reshape(images.shape)


def gaussian_line(sigma: float, *, edge: str, reach: float = 4.0) -> NDArray[np.float64]:
    """Make one axis of a Gaussian blur of ``sigma`` pixels, cut off at ``reach`` sigmas.

    ``edge`` is what lies outside: "nearest" repeats the edge pixel, "reflect" mirrors there, and "none" shares the
    weight out among the pixels inside.
    """
    radius = int(reach * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / sigma**2 * offsets**2)
    line = np.zeros((SIDE, SIDE))
    for row in range(SIDE):
        places = row + offsets
        if edge == "none":
            inside = (places >= 0) & (places < SIDE)
            line[row, places[inside]] = weights[inside]
        elif edge == "reflect":
            np.add.at(line[row], SIDE - 1 - abs(places % (2 * SIDE) - SIDE + (places % (2 * SIDE) < SIDE)), weights)
        else:
            np.add.at(line[row], places.clip(0, SIDE - 1), weights)
    line /= line.sum(axis=1, keepdims=True)
    return line


def whole(line: NDArray[np.float64], unit: int = LINE_UNIT) -> Line:
    """Round weights to whole numbers; each row still adds up to ``unit``, its largest weight taking the difference."""
    counts = np.rint(line * unit)
    rows = np.arange(len(counts))
    counts[rows, counts.argmax(axis=1)] += unit - counts.sum(axis=1)
    return counts.astype(np.float32)


def separable(line: Line, images: Images) -> NDArray[np.float32]:
    """Send rows and columns of every image through ``line``; grey levels times ``UNIT``, all whole and below 2**24."""
    across = np.matmul(images.astype(np.float32), line.T)
    across *= np.float32(_BETWEEN / LINE_UNIT)
    np.rint(across, out=across)
    sums: NDArray[np.float32] = np.matmul(line, across)
    return sums


def fields(line: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Send rows and columns of ``(n, 28, 28)`` real fields below 32 through ``line``, on a grid of 2**-16
    throughout.
    """
    weights = np.rint(line * UNIT)
    across = np.matmul(np.rint(values * UNIT), weights.T)
    across = np.rint(across / UNIT)
    sums: NDArray[np.float64] = np.matmul(weights, across)
    return sums / float(UNIT) ** 2


def _upright(images: Images) -> NDArray[np.float32]:
    return np.ascontiguousarray(images.reshape(len(images), PIXELS).T).astype(np.float32)


def _levels(sums: NDArray[np.float32]) -> NDArray[np.uint8]:
    sums += np.float32(0.5)
    return sums.astype(np.uint8)
