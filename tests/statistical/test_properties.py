"""Properties of real digits, compared with scikit-image's."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage.measure import moments_central, perimeter
from skimage.morphology import medial_axis, skeletonize
from skimage.transform import pyramid_expand

from harness.image_properties.skeleton import skeletons, strokes
from tests.unit.image_properties.test_properties import FEW, of, some


def test_distances_along_a_skeleton_are_those_of_scikit_image() -> None:
    masks = np.moveaxis(some() >= 128, 0, -1)
    lines = skeletons(masks)

    _, ours = strokes(masks)

    for at in range(FEW):
        distances = medial_axis(np.pad(masks[..., at], 1), return_distance=True)[1][1:-1, 1:-1]
        assert ours[at] == pytest.approx(distances[lines[..., at]].mean())


def finely(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Four times the resolution, where Morpho-MNIST measures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        large = pyramid_expand(image / 255, 4, order=3)
    mask: NDArray[np.bool_] = large >= large.max() / 2
    return mask


@cache
def theirs() -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[float]] = {"thickness": [], "ink": [], "slant": [], "length": []}
    for image in some():
        mask = finely(image)
        line, distances = medial_axis(mask, return_distance=True)
        central = moments_central(image.astype(np.float64), order=2)
        found["thickness"].append(2 * distances[line].mean() / 4)
        found["ink"].append(mask.sum() / 16)
        found["slant"].append(np.degrees(np.arctan(-central[1, 1] / central[2, 0])))
        found["length"].append(perimeter(skeletonize(mask), 8) / 4)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("name", "agreement"), [("thickness", 0.985), ("ink", 0.995), ("slant", 0.9999), ("length", 0.98)]
)
def test_real_digits_are_ranked_as_scikit_image_ranks_them_at_four_times_the_resolution(
    name: str, agreement: float
) -> None:
    rank = spearmanr(of(some(), name), theirs()[name]).statistic

    assert rank >= agreement


def test_slant_is_that_of_scikit_images_moments() -> None:
    assert of(some(), "slant") == pytest.approx(theirs()["slant"], abs=0.01)


def test_thickness_is_within_a_tenth_of_a_pixel_of_scikit_images_on_average() -> None:
    assert abs(of(some(), "thickness") - theirs()["thickness"]).mean() < 0.15
