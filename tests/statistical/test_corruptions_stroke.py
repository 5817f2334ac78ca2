"""Stroke corruptions beside a straightforward, image by image version of Morpho-MNIST's definitions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import draw, transform
from skimage.morphology import dilation, disk, erosion, medial_axis

from harness.corruptions import corrupt, trial_at
from harness.data.sources import load
from harness.records import SEVERITIES, Images
from tests.statistical.test_corruptions_law import ALIKE, ERROR_ALIKE, classifier

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

THINNING = (0.4, 0.5, 0.6, 0.7, 0.8)
THICKENING = (0.4, 0.6, 0.8, 1.0, 1.2)
SWELLING = (5, 6, 7, 8, 9)
DIGITS, DRAWS = 100, 25


@dataclass(frozen=True)
class Digit:
    large: Mask
    skeleton: Mask
    distance: Floats
    thickness: float  # pixels of the original


@cache
def images() -> Images:
    return load("embedded").images[:DIGITS]


@cache
def digits() -> tuple[Digit, ...]:
    return tuple(measured(image) for image in images())


def measured(image: Images) -> Digit:
    large = (255 * transform.pyramid_expand(image, upscale=4, order=3)).astype(np.uint8)
    mask = large >= large.min() + (int(large.max()) - int(large.min())) * 0.5
    skeleton, distance = medial_axis(mask, return_distance=True)
    return Digit(mask, skeleton, distance, 2 * float(distance[skeleton].mean()) / 4)


def shrunk(large: Mask | Floats) -> Images:
    return np.asarray(255 * transform.pyramid_reduce(large, downscale=4, order=3), dtype=np.uint8)


def spread(digit: Digit, amount: float, *, ink: bool) -> Images:
    disc = disk(int(amount * 4 * digit.thickness / 2))
    padded = np.pad(digit.large, 20)
    grown = dilation(padded, disc) if ink else erosion(padded, disc)
    return shrunk(grown[20:-20, 20:-20])


def centres(digit: Digit, each: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """(DRAWS, each, 2): places of the skeleton, spread evenly over the draws, so that few draws have the mean."""
    places = np.argwhere(digit.skeleton)
    drawn = [(np.arange(DRAWS) + chance.random()) / DRAWS * len(places) for _ in range(each)]
    return np.stack([places[chance.permutation(some.astype(int))] for some in drawn], axis=1)


def swollen(digit: Digit, strength: float, place: NDArray[np.int64]) -> Images:
    centre = place[0, ::-1]
    radius = strength * np.sqrt(digit.thickness) / 2 * 4

    def pulled(places: Floats) -> Floats:
        away = places - centre
        share = (np.hypot(*away.T) / radius) ** 2
        share[share > 1] = 1
        return np.asarray(centre + share[:, None] * away, dtype=np.float64)

    return shrunk(transform.warp(digit.large, pulled))


def broken(digit: Digit, places: NDArray[np.int64]) -> Images:
    large, skeleton = np.pad(digit.large, 3), np.pad(digit.skeleton, 8)
    for centre in places:
        row, column = centre
        y, x = np.nonzero(skeleton[row : row + 17, column : column + 17])
        angle = 0.5 * np.arctan2(2 * np.cov(x, y, bias=True)[0, 1], x.var() - y.var()) + np.pi / 2
        half = (digit.distance[row, column] + 2) * np.array([np.sin(angle), np.cos(angle)])
        start, end = (centre + half).astype(int), (centre - half).astype(int)
        for at_row, at_column in zip(*draw.line(*start, *end), strict=True):
            if at_row >= 0 and at_column >= 0:
                hole = large[at_row : at_row + 7, at_column : at_column + 7]
                hole &= ~disk(3).astype(bool)[: hole.shape[0], : hole.shape[1]]
    return shrunk(large[3:-3, 3:-3])


def apart(found: Images, expected: Images) -> tuple[float, float]:
    """Relative difference of the mean and of the spread of the change."""
    clean = images()
    ours, theirs = (np.abs(changed.astype(float) - np.resize(clean, changed.shape)) for changed in (found, expected))
    return abs(ours.mean() / theirs.mean() - 1), abs(ours.std() / theirs.std() - 1)


def ours(name: str, severity: int, repeats: int = 1) -> Images:
    return corrupt(np.tile(images(), (repeats, 1, 1)), trial_at(name, severity), seed=2)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("name", "amounts", "ink"), [("thinning", THINNING, False), ("thickening", THICKENING, True)])
def test_thinning_and_thickening_are_close(name: str, amounts: tuple[float, ...], ink: bool, severity: int) -> None:
    expected = np.stack([spread(digit, amounts[severity - 1], ink=ink) for digit in digits()])
    found = ours(name, severity)

    mean, deviation = apart(found, expected)

    assert mean <= 0.03
    assert deviation <= 0.03
    assert np.abs(found.astype(float) - expected).mean() <= 2


@cache
def drawn(name: str, severity: int) -> tuple[Images, Images]:
    """The digits over and over, as the definition changes them and as we do."""
    chance = np.random.default_rng(severity)
    each = 1 if name == "swelling" else severity
    expected = np.stack(
        [[changed(name, severity, digit, at) for at in centres(digit, each, chance)] for digit in digits()]
    )
    return expected.swapaxes(0, 1).reshape(-1, 28, 28), ours(name, severity, 6 * DRAWS)


def changed(name: str, severity: int, digit: Digit, places: NDArray[np.int64]) -> Images:
    return swollen(digit, SWELLING[severity - 1], places) if name == "swelling" else broken(digit, places)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["swelling", "fracture"])
def test_the_change_of_swelling_and_fracture_has_the_mean_and_the_spread_of_the_definition(
    name: str, severity: int
) -> None:
    expected, found = drawn(name, severity)

    mean, deviation = apart(found, expected)

    assert mean <= ALIKE
    assert deviation <= ALIKE


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["swelling", "fracture"])
def test_a_fixed_classifier_errs_as_often_as_under_the_definition(name: str, severity: int) -> None:
    labels = load("embedded").labels[:DIGITS]

    expected, found = (
        np.mean(classifier().predict(images.reshape(-1, 784) / 255) != np.resize(labels, len(images)))
        for images in drawn(name, severity)
    )

    assert abs(found - expected) <= ERROR_ALIKE


@pytest.mark.parametrize("name", ["thinning", "thickening", "swelling", "fracture"])
def test_what_is_kept_of_images_is_never_taken_for_other_images(name: str) -> None:
    """The same array with other ink in it, and the same ink after an earlier result was written into."""
    there, trial = images().copy(), trial_at(name, 3)
    first = corrupt(there, trial, seed=2)
    expected = first.copy()
    first[:] = 7
    there[:] = there[::-1].copy()

    turned = corrupt(there, trial, seed=2)

    assert not np.array_equal(turned, expected)
    assert np.array_equal(corrupt(images(), trial, seed=2), expected)


@pytest.mark.parametrize("name", ["thinning", "thickening", "swelling", "fracture"])
def test_a_batch_that_shares_most_images_with_another_is_not_taken_for_it(name: str) -> None:
    trial, other = trial_at(name, 3), images().copy()
    other[1] = images()[2]
    corrupt(images(), trial, seed=2)

    made = corrupt(other, trial, seed=2)

    assert np.array_equal(made[1], corrupt(images()[2:3], trial, seed=2, first=1)[0])
