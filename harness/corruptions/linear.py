"""Linear maps of a whole image, the same for every image, exact to the last bit on every machine.

Weights are whole multiples of 2**-16 held in float32. As long as a row's weights are nowhere negative and add up to
about 1, every sum on the way stays below 2**24, where float32 counts exactly: neither the order of the additions nor
a fused multiply-add can change the result.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.records import SIDE, Images

Operator: TypeAlias = Any  # scipy.sparse.csr_array (784, 784) float32: a row an output pixel, weights times UNIT
Pixels: TypeAlias = NDArray[np.intp]

PIXELS = SIDE * SIDE
UNIT = 1 << 16


def operator(outputs: Pixels, inputs: Pixels, weights: NDArray[np.float64], shape: tuple[int, int]) -> Operator:
    """A map from its non-zero weights (outputs, inputs and weights run together); weights of a pair that recurs add up."""
    from scipy.sparse import coo_array

    added = coo_array((weights, (outputs, inputs)), shape=shape).tocsr()
    added.sum_duplicates()
    added.data = np.rint(added.data * UNIT)
    added.eliminate_zeros()
    return added.astype(np.float32)


def apply(through: Operator, images: Images) -> Images:
    """Every image through the map, rounded to grey levels (halves up)."""
    pixels = np.ascontiguousarray(images.reshape(len(images), -1).T).astype(np.float32)
    return _levels(through @ pixels).T.reshape(images.shape)


def _levels(sums: NDArray[np.float32]) -> NDArray[np.uint8]:
    sums += np.float32(UNIT / 2)
    sums *= np.float32(1 / UNIT)
    return sums.astype(np.uint8)
