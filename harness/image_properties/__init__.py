"""Properties of the picture of a digit: ink, stroke, slant, size, place.

The definitions are those of Morpho-MNIST (Castro, Tan, Kainz, Konukoglu & Glocker 2019), on images of twice the
resolution, where they take four times; ``off_centre`` is ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from harness.image_properties.skeleton import strokes
from harness.records import SIDE, Images

Values: TypeAlias = NDArray[np.float64]  # (n,); NaN where an image has no ink

_BLOCK_IMAGES = 256  # images; what is done to them at once stays in the processor's cache
_TRIMMED_SHARE = 0.02  # of the ink, cut off at either end of a width or height
_BINS_PER_PIXEL = 4  # bins a pixel
_MARGIN = SIDE // 2  # pixels to either side of the image that a slant may move ink to
_BINS = (SIDE + 2 * _MARGIN) * _BINS_PER_PIXEL
_MEASURED = ("ink", "length", "thickness", "slant", "width", "height", "off_centre")
_Y, _X = np.divmod(np.arange(SIDE * SIDE, dtype=np.float64), SIDE)


@dataclass(frozen=True)
class Property:
    """A property with its unit; ``low`` and ``high`` name its lowest and highest quintile."""

    name: str
    unit: str
    low: str
    high: str
    meaning: str


PROPERTIES: Mapping[str, Property] = {
    found.name: found
    for found in (
        Property("thickness", "px", "thinnest", "thickest", "twice the mean distance from the skeleton to paper"),
        Property("ink", "px", "lightest", "heaviest", "pixels at least half as dark as the darkest"),
        Property("slant", "°", "most left-slanted", "most right-slanted", "the shear that second moments show"),
        Property("width", "px", "narrowest", "widest", "across, along the slant, without the outer 2 % of ink"),
        Property("height", "px", "lowest", "tallest", "down, without the outer 2 % of ink"),
        Property("length", "px", "shortest", "longest", "of the skeleton"),
        Property(
            "off_centre", "px", "best centred", "most off-centre", "from the middle of the ink's box to the image's"
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Properties:
    """Every property of every image, by name."""

    values: Mapping[str, Values]


_CACHE: deque[tuple[ref[Images], Properties]] = deque(maxlen=4)


def measured(images: Images) -> Properties:
    """Measure every property of every image; results are kept, for a read-only array without reading it again."""
    for array, properties in _CACHE:
        if array() is images:
            return properties
    properties = _measured(images.tobytes())
    if not images.flags.writeable:
        _CACHE.append((ref(images), properties))
    return properties


@lru_cache(maxsize=4)
def _measured(pixels: bytes) -> Properties:
    images = np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE)
    blocks = [_of_block(images[start : start + _BLOCK_IMAGES]) for start in range(0, len(images), _BLOCK_IMAGES)]
    values = np.concatenate([np.zeros((len(_MEASURED), 0)), *blocks], axis=1)
    properties = dict(zip(_MEASURED, values, strict=True))
    for values in properties.values():
        values.setflags(write=False)
    return Properties(MappingProxyType(properties))


def _of_block(images: Images) -> Values:
    """Measure (7, n), in the order of ``_MEASURED``."""
    return np.stack([*_strokes(images), *_parallelograms(images), _off_centre(images)])


def _strokes(images: Images) -> Values:
    """Measure (3, n): area, length of the skeleton, thickness along it."""
    across = np.ascontiguousarray(images.transpose(1, 2, 0)).astype(np.uint16)
    half = np.maximum(8 * across.max(axis=(0, 1)), 1)  # doubling multiplies by 16
    masks = _doubled(across) >= half
    length, distance = strokes(masks)
    area = np.where(np.isnan(distance), np.nan, masks.sum(axis=(0, 1)) / 4)
    return np.stack([area, length / 2, distance])  # 2 * distance, in pixels half the size


def _doubled(images: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Upsample (r, c, n) to (2r, 2c, n), bilinear between pixel centres, times 16."""

    def stretched(many: NDArray[np.uint16]) -> NDArray[np.uint16]:
        rim = np.concatenate([many[:1], many, many[-1:]])
        out = np.empty((2 * len(many), *many.shape[1:]), np.uint16)
        np.add(3 * many, rim[:-2], out=out[0::2])
        np.add(3 * many, rim[2:], out=out[1::2])
        return out

    return stretched(stretched(images).transpose(1, 0, 2)).transpose(1, 0, 2)


def _parallelograms(images: Images) -> tuple[Values, Values, Values]:
    """Measure slant in degrees, positive to the right; width and height of the parallelogram with this slant."""
    which, place = np.divmod(np.flatnonzero(images).astype(np.int32), SIDE * SIDE)
    y, x = np.divmod(place, SIDE)
    n, weight = len(images), images.reshape(-1)[images.reshape(-1) > 0].astype(np.float32)
    powers = np.stack([_X**0, _X, _Y, _X * _Y, _Y * _Y], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = images.reshape(n, SIDE * SIDE).astype(np.float32) @ powers.astype(np.float32)
        means = sums[:, 1:].astype(np.float64) / sums[:, :1]
        x_mid, y_mid = means[:, 0], means[:, 1]
        lean = (means[:, 2] - x_mid * y_mid) / (means[:, 3] - y_mid**2)
    lean = np.where(np.isfinite(lean) | np.isnan(x_mid), lean, 0.0)  # one row of ink leans nowhere
    across = (x - lean[which] * (y - y_mid[which])).astype(np.float32)
    return np.degrees(np.arctan(-lean)), _extent(which, across, weight, n), _extent(which, y, weight, n)


def _extent(which: NDArray[np.int32], position: NDArray[Any], weight: NDArray[np.float32], n: int) -> Values:
    """Measure the length along one axis that holds all ink but ``_TRIM`` at either end; a pixel is as wide as it is."""
    starts = np.clip((position + _MARGIN - 0.5) * _BINS_PER_PIXEL + 0.5, 0, _BINS - _BINS_PER_PIXEL).astype(np.int32)
    begun = np.bincount(which * _BINS + starts, weight, n * _BINS).reshape(n, _BINS).cumsum(axis=1)
    cumulated = begun.copy()  # ink to the left of each bin's right edge: what has begun, spread over a pixel
    for step in range(1, _BINS_PER_PIXEL):
        cumulated[:, step:] += begun[:, :-step]
    low, high = (_crossing(cumulated, share * cumulated[:, -1]) for share in (_TRIMMED_SHARE, 1 - _TRIMMED_SHARE))
    return np.where(cumulated[:, -1] > 0, (high - low) / _BINS_PER_PIXEL, np.nan)


def _crossing(cumulated: Values, wanted: Values) -> Values:
    """Find where each row of cumulated ink reaches ``wanted``, in bins, by linear interpolation."""
    after = (cumulated >= wanted[:, None]).argmax(axis=1)
    rows = np.arange(len(cumulated))
    upper = cumulated[rows, after]
    lower = np.where(after > 0, cumulated[rows, after - 1], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        part: Values = (wanted - lower) / (upper - lower)
    reached: Values = after + np.nan_to_num(part, nan=0.0)
    return reached


def _off_centre(images: Images) -> Values:
    """Measure from the middle of the box around the ink to the middle of the image."""
    ink = images >= np.maximum(images.max(axis=(1, 2), keepdims=True) // 2, 1)
    middles = []
    for axis in (1, 2):
        has_ink = ink.any(axis=axis)
        first, last = has_ink.argmax(axis=1), SIDE - 1 - has_ink[:, ::-1].argmax(axis=1)
        middles.append(np.where(has_ink.any(axis=1), (first + last - (SIDE - 1)) / 2, np.nan))
    return np.hypot(*middles)
