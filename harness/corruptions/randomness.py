"""Counter-based randomness: an image's draws depend on its key alone, never on its neighbours.

Axes: n images, count draws an image.

The stream of an image is SplitMix64 (Steele et al. 2014) started at a mix of (seed, corruption, severity, image
index). All arithmetic is on unsigned 64-bit integers, so every machine draws the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from functools import wraps
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]  # (n, count)
Indices: TypeAlias = NDArray[np.int64]  # (n,), an image's place in its data set

LEVELS = 1 << 16  # a 16-bit uniform u stands for (u + 0.5) / LEVELS

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Rng:
    """Draws for the images of one batch. Every call continues each image's own stream."""

    def __init__(self, seed: int, name: str, severity: int, indices: Indices) -> None:
        key = blake2b(f"{seed}\n{name}\n{severity}".encode(), digest_size=8).digest()
        places = indices.astype(np.uint64) * _STEP
        places += np.uint64(int.from_bytes(key, "little"))
        self._keys = _mix(places)
        self._drawn = 0

    def words(self, count: int) -> Words:
        """Draw ``(n, count)`` uint64, every bit fair."""
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64) * _STEP
        self._drawn += count
        return _mix(self._keys[:, None] + steps)

    def sixteen_bits(self, count: int) -> NDArray[np.uint16]:
        """Draw ``(n, count)`` uint16, uniform on 0..65535; four to a word."""
        words = self.words(-(-count // 4)).astype("<u8", copy=False)
        return words.view("<u2")[:, :count].astype(np.uint16, copy=False)

    def below(self, limit: int) -> Indices:
        """Draw ``(n,)`` int64, uniform on 0..limit-1 to within 2**-32."""
        high = self.words(1)[:, 0] >> np.uint64(32)
        return ((high * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Draw ``(n, count)`` float64, uniform on [0, 1) in steps of 2**-53."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, count: int) -> NDArray[np.float32]:
        """Draw ``(n, count)`` float32, standard normal in 65,536 equally likely values."""
        return normals()[self.sixteen_bits(count)]


def once(build: _Function) -> _Function:
    """Build a table the first time it is asked for with these arguments; threads that ask meanwhile wait for it."""
    built: dict[Hashable, Any] = {}
    guard = threading.RLock()

    @wraps(build)
    def table(*arguments: Hashable) -> Any:
        if arguments not in built:
            with guard:
                if arguments not in built:
                    built[arguments] = build(*arguments)
        return built[arguments]

    return cast(_Function, table)


@once
def normals() -> NDArray[np.float32]:
    """Tabulate the standard normal's inverse distribution function at every 16-bit uniform, ``(65536,)``."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((u + 0.5) / LEVELS) for u in range(LEVELS // 2, LEVELS)])
    return np.concatenate([-upper[::-1], upper]).astype(np.float32)


def _mix(z: Words) -> Words:
    """Apply SplitMix64's finaliser in place."""
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= _FIRST
    np.right_shift(z, np.uint64(27), out=shifted)
    z ^= shifted
    z *= _SECOND
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted
    return z
