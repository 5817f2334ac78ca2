"""Hypothesis strategies for images, labels and harmless changes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from harness.records import SIDE, Images, Labels

_RAMP = np.linspace(0, 255, SIDE).astype(np.uint8)


def blank() -> st.SearchStrategy[Images]:
    """Generate an image without ink."""
    return st.just(np.zeros((1, SIDE, SIDE), np.uint8))


def flat() -> st.SearchStrategy[Images]:
    """Generate an image of one grey level, 0..255."""
    return st.integers(0, 255).map(lambda level: np.full((1, SIDE, SIDE), level, np.uint8))


@st.composite
def single_pixels(draw: st.DrawFn) -> Images:
    """Generate one pixel of some grey on an empty image: shows what is shifted, transposed or mixed up."""
    image = np.zeros((1, SIDE, SIDE), np.uint8)
    place = st.integers(0, SIDE - 1)
    image[0, draw(place), draw(place)] = draw(st.integers(1, 255))
    return image


def gradients() -> st.SearchStrategy[Images]:
    """Generate a ramp from paper to ink, in one of four directions."""
    ramp = np.tile(_RAMP, (SIDE, 1))
    return st.sampled_from([ramp, ramp[:, ::-1], ramp.T, ramp.T[::-1]]).map(lambda image: image[None].copy())


def grain() -> st.SearchStrategy[Images]:
    """Generate an image with every pixel at random."""
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (1, SIDE, SIDE), np.uint8)
    )


def from_digits(digits: Images) -> st.SearchStrategy[Images]:
    """Choose one of ``digits``."""
    return st.integers(0, len(digits) - 1).map(lambda index: digits[index : index + 1].copy())


def images(digits: Images, *, min_size: int = 0, max_size: int = 12) -> st.SearchStrategy[Images]:
    """Generate batches ``(n, 28, 28) uint8`` of every kind; shrinks to few, empty images."""
    one = st.one_of(blank(), flat(), single_pixels(), gradients(), from_digits(digits), grain())
    empty = np.zeros((0, SIDE, SIDE), np.uint8)
    batch = st.lists(one, min_size=min_size, max_size=max_size)
    return batch.map(lambda parts: np.concatenate([empty, *parts]))


def labels(*, min_size: int = 0, max_size: int = 50) -> st.SearchStrategy[Labels]:
    """Generate labels 0..9 in any order, as any of the integer types labels come in."""
    lists = st.lists(st.integers(0, 9), min_size=min_size, max_size=max_size)
    types = st.sampled_from([np.uint8, np.int32, np.int64])
    return st.builds(lambda values, dtype: np.array(values, dtype), lists, types)


def not_labels() -> st.SearchStrategy[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Generate labels of which one is negative, over 9 or fractional."""
    wrong = st.one_of(st.integers(10, 255), st.integers(-128, -1), st.integers(0, 8).map(lambda whole: whole + 0.5))
    good = st.lists(st.integers(0, 9), max_size=5)
    return st.builds(lambda before, bad, after: np.array([*before, bad, *after]), good, wrong, good)


def orders(n: int) -> st.SearchStrategy[list[int]]:
    """Generate orders of n images."""
    return st.permutations(range(n))
