"""Random corruptions follow the law of their definition, written out in float64 with numpy's own draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from harness.corruptions import CORRUPTIONS, corrupt, trial_at
from harness.data.sources import load
from harness.records import SEVERITIES, Dataset, Images

Floats = NDArray[np.float64]  # ink 0..1 going in, 0..255 coming out

ALIKE = 0.02  # of the mean and of the spread of the change
REPEATS = {"spatter": 3, "occlusion": 5, "elastic": 2}  # of 5,000 digits, where one draw differs much from the next
ERROR_ALIKE = 0.015


def oracle_gaussian_noise(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    return (x + draw.normal(scale=[0.08, 0.12, 0.18, 0.26, 0.38][severity - 1], size=x.shape)).clip(0, 1) * 255


def oracle_speckle_noise(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    return (x + x * draw.normal(scale=[0.15, 0.2, 0.35, 0.45, 0.6][severity - 1], size=x.shape)).clip(0, 1) * 255


def oracle_shot_noise(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    photons = [60, 25, 12, 5, 3][severity - 1]
    return (draw.poisson(x * photons) / photons).clip(0, 1) * 255


def oracle_impulse_noise(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    hit = draw.random(x.shape) < [0.03, 0.06, 0.09, 0.17, 0.27][severity - 1]
    return np.where(hit, draw.random(x.shape) < 0.5, x) * 255


def oracle_glass_blur(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    sigma, reach, rounds = [(0.4, 1, 1), (0.55, 1, 1), (0.7, 1, 2), (0.9, 2, 1), (1, 2, 3)][severity - 1]
    levels = np.floor(blurred(x, sigma) * 255 + 1e-9)
    each = np.arange(len(x))
    for _ in range(rounds):
        for row in range(28 - reach, reach, -1):
            for column in range(28 - reach, reach, -1):
                swap = each[draw.random(len(x)) < 0.5]
                down, right = draw.integers(-reach, reach, size=(2, len(swap)))
                here, there = levels[swap, row, column], levels[swap, row + down, column + right]
                levels[swap, row, column], levels[swap, row + down, column + right] = there, here
    return blurred(levels / 255, sigma).clip(0, 1) * 255


def oracle_motion_blur(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    radius, sigma = [(6, 1.5), (8, 2), (10, 3), (15, 5), (15, 8)][severity - 1]
    angle = np.deg2rad(draw.uniform(-45, 45, size=len(x)))
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    sums, place, each = np.zeros_like(x), np.arange(28), np.arange(len(x))[:, None, None]
    for step, weight in enumerate(weights / weights.sum()):
        down = np.ceil(step * np.sin(angle) - 0.5).astype(int)[:, None]
        right = np.ceil(step * np.cos(angle) - 0.5).astype(int)[:, None]
        rows, columns = (place + down).clip(0, 27), (place + right).clip(0, 27)
        sums += weight * x[each, rows[:, :, None], columns[:, None, :]]
    return sums * 255


def oracle_fog(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    density, decay = [(1.5, 2), (2.0, 2), (2.5, 1.7), (2.75, 1.5), (3.0, 1.4)][severity - 1]
    top = x.max(axis=(1, 2), keepdims=True)
    clouds = np.concatenate([plasma(50, decay, draw)[:, :28, :28] for _ in range(12)])
    clouds = np.resize(np.concatenate([clouds, 1 - clouds]), x.shape)  # the law does not change when the signs do
    foggy: Floats = ((x + density * clouds) * top / (top + density)).clip(0, 1) * 255
    return foggy


def oracle_spatter(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    mean, spread, size, threshold, edge = [
        (0.65, 0.3, 4, 0.69, 0.6),
        (0.65, 0.3, 1, 0.65, 1.5),
        (0.65, 0.3, 3, 0.68, 0.6),
        (0.67, 0.4, 1, 0.65, 1.5),
        (0.65, 0.3, 2, 0.68, 0.5),
    ][severity - 1]
    mud = blurred((blurred(draw.normal(mean, spread, x.shape), size) > threshold).astype(float), edge)
    mud[mud < 0.8] = 0
    return (x * (1 - mud) + 63 / 255 * mud).clip(0, 1) * 255


def oracle_elastic(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    fields = ndimage.gaussian_filter(draw.uniform(-1, 1, (2, *x.shape)), (0, 0, 3, 3), mode="reflect")
    fields *= [0.5, 0.8, 1.1, 1.4, 1.7][severity - 1] / np.sqrt(np.mean(fields**2))
    rows, columns = np.mgrid[:28, :28]
    places = zip(x, fields[0] + rows, fields[1] + columns, strict=True)
    return np.stack([ndimage.map_coordinates(one, (y, x), order=1, mode="constant") for one, y, x in places]) * 255


def oracle_occlusion(x: Floats, severity: int, draw: np.random.Generator) -> Floats:
    side = [4, 6, 8, 10, 12][severity - 1]
    occluded = x.copy()
    for image, (row, column) in zip(occluded, draw.integers(4, 24, size=(len(x), 2)), strict=True):
        top, left = row - side // 2, column - side // 2
        image[max(top, 0) : top + side, max(left, 0) : left + side] = 0
    return occluded * 255


def plasma(maps: int, decay: float, draw: np.random.Generator) -> Floats:
    """Whole diamond-square maps of 256 x 256 on a torus, first point 0, scaled to 0..1."""
    heights, step, wibble = np.zeros((maps, 256, 256)), 256, 100.0
    while step >= 2:
        half = step // 2

        def shaken(sums: Floats, size: float = wibble * wibble) -> Floats:
            return sums / 4 + size * draw.uniform(-1, 1, sums.shape)

        corner = heights[:, ::step, ::step]
        pairs = corner + np.roll(corner, -1, axis=1)
        centre = heights[:, half::step, half::step] = shaken(pairs + np.roll(pairs, -1, axis=2))
        heights[:, ::step, half::step] = shaken(
            centre + np.roll(centre, 1, axis=1) + corner + np.roll(corner, -1, axis=2)
        )
        heights[:, half::step, ::step] = shaken(
            centre + np.roll(centre, 1, axis=2) + corner + np.roll(corner, -1, axis=1)
        )
        step, wibble = half, wibble / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    heights /= heights.max(axis=(1, 2), keepdims=True)
    return heights


def blurred(x: Floats, sigma: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter(x, (0, sigma, sigma), mode="nearest", truncate=4), dtype=np.float64)


ORACLES: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    name.removeprefix("oracle_"): function for name, function in globals().items() if name.startswith("oracle_")
}
NEITHER_RANDOM_NOR_BANKED = {
    name
    for name, made in CORRUPTIONS.items()
    if made.family in {"light", "digital", "edges", "overlay", "geometry", "stroke"} or name.endswith("_blur")
}  # compared image by image in unit/corruptions/test_definitions.py and test_corruptions_stroke.py


@cache
def digits() -> Dataset:
    return load("embedded")


@cache
def classifier() -> LogisticRegression:
    made = digits()
    assert made.train_images is not None
    return LogisticRegression(C=0.01, max_iter=300).fit(made.train_images.reshape(-1, 784) / 255, made.train_labels)


@cache
def pair(name: str, severity: int) -> tuple[Images, Images, Images, NDArray[np.uint8]]:
    """The same digits clean, from the oracle and from us, and what they are."""
    made = digits()
    assert made.train_images is not None
    assert made.train_labels is not None
    repeats = REPEATS.get(name, 1)
    images = np.concatenate([made.images, made.train_images] * repeats)
    labels = np.concatenate([made.labels, made.train_labels] * repeats)
    draw = np.random.default_rng([severity, *name.encode()])
    theirs = np.floor(ORACLES[name](images / 255, severity, draw) + 0.5).astype(np.uint8)
    return images, theirs, corrupt(images, trial_at(name, severity), seed=7), labels


def test_every_random_corruption_has_an_oracle() -> None:
    lacking = set(CORRUPTIONS) - set(ORACLES) - NEITHER_RANDOM_NOR_BANKED

    assert not lacking, f"write oracle_{min(lacking)} here: the definition in float64, with numpy's own draws"


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", sorted(ORACLES))
def test_the_change_has_the_mean_and_the_spread_of_the_definition(name: str, severity: int) -> None:
    images, theirs, ours, _ = pair(name, severity)

    expected, found = (np.abs(corrupted.astype(float) - images) for corrupted in (theirs, ours))

    assert found.mean() == pytest.approx(expected.mean(), rel=ALIKE)
    assert found.std() == pytest.approx(expected.std(), rel=ALIKE)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", sorted(ORACLES))
def test_a_fixed_classifier_errs_as_often_as_under_the_definition(name: str, severity: int) -> None:
    _, theirs, ours, labels = pair(name, severity)

    expected, found = (
        np.mean(classifier().predict(corrupted.reshape(-1, 784) / 255) != labels) for corrupted in (theirs, ours)
    )

    assert abs(found - expected) <= ERROR_ALIKE
