"""Detection of transposed digits, as EMNIST publishes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import embedded
from harness.errors import UsageError
from harness.records import CLASSES, SIDE

# Read by the nearest mean of the embedded digits: 81 % of MNIST's test digits as they are, 20 % transposed.
_READ, _TIMES = 0.5, 2.0
_LOOKED_AT = 2000  # images


def transposed(images: NDArray[np.uint8], labels: NDArray[Any]) -> bool:
    """Tell whether many more digits are read transposed than as they are; False without the embedded digits."""
    try:
        means = _means()
    except UsageError:
        return False
    some = images[:_LOOKED_AT].reshape(-1, SIDE, SIDE)[: len(labels)]
    turned, upright = (_share_read(each, labels[: len(some)], means) for each in (some.transpose(0, 2, 1), some))
    return turned > max(_READ, _TIMES * upright)


def _share_read(images: NDArray[np.uint8], labels: NDArray[Any], means: NDArray[np.float32]) -> float:
    pixels = images.reshape(len(images), SIDE * SIDE).astype(np.float32)
    nearest = (2 * pixels @ means.T - (means**2).sum(axis=1)).argmax(axis=1)
    return float(np.mean(nearest == labels)) if len(images) else 0.0


@cache
def _means() -> NDArray[np.float32]:
    images, labels = embedded.whole()
    means = [images[labels == digit].mean(axis=0).ravel() for digit in range(CLASSES)]
    return np.stack(means).astype(np.float32)
