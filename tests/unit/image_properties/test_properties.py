"""Properties of a digit: by hand where a picture is simple, against scikit-image on real digits."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from harness.data import sources
from harness.image_properties import PROPERTIES, measured
from harness.image_properties.skeleton import skeletons
from harness.records import Images

FEW = 400
EIGHT = np.ones((3, 3))


@cache
def some() -> Images:
    return sources.load("embedded").images[:FEW]


def picture(*boxes: tuple[int, int, int, int]) -> Images:
    """One image with boxes of full ink: first row, first column, rows, columns."""
    image = np.zeros((1, 28, 28), np.uint8)
    for y, x, height, width in boxes:
        image[0, y : y + height, x : x + width] = 255
    return image


def of(images: Images, name: str) -> NDArray[np.float64]:
    return measured(images).values[name]


@pytest.mark.parametrize("wide", [2, 3, 4, 6])
def test_a_bar_is_as_thick_as_it_is_wide(wide: int) -> None:
    (thickness,) = of(picture((4, 10, 20, wide)), "thickness")

    assert thickness == pytest.approx(wide, abs=0.35)


def test_a_box_holds_as_much_ink_as_it_has_pixels() -> None:
    assert of(picture((4, 10, 20, 5)), "ink") == pytest.approx([100], abs=1)


def test_an_upright_bar_has_no_slant() -> None:
    assert of(picture((4, 10, 20, 5)), "slant") == pytest.approx([0])


@pytest.mark.parametrize("shear", [-0.5, 0.25, 0.5])
def test_a_sheared_bar_leans_by_the_angle_of_its_shear(shear: float) -> None:
    rows = [(y, round(12 + shear * (14 - y)), 1, 3) for y in range(4, 24)]

    (slant,) = of(picture(*rows), "slant")

    assert slant == pytest.approx(np.degrees(np.arctan(shear)), abs=1.5)


def test_width_and_height_are_those_of_the_ink_without_its_outer_two_percent() -> None:
    box = picture((4, 10, 20, 8))

    assert [of(box, "width")[0], of(box, "height")[0]] == pytest.approx([8 * 0.96, 20 * 0.96], abs=0.01)


def test_a_slanted_stroke_is_no_wider_than_the_same_stroke_upright() -> None:
    upright = picture(*[(y, 12, 1, 3) for y in range(4, 24)])
    slanted = picture(*[(y, 22 - y // 2, 1, 3) for y in range(4, 24)])

    assert of(slanted, "width")[0] == pytest.approx(of(upright, "width")[0], abs=0.7)


def test_off_centre_is_from_the_middle_of_the_box_to_the_middle_of_the_image() -> None:
    assert of(picture((0, 0, 4, 6)), "off_centre") == pytest.approx([np.hypot(13.5 - 1.5, 13.5 - 2.5)])


def test_the_length_of_a_thin_line_is_its_own() -> None:
    (length,) = of(picture((4, 13, 20, 1)), "length")

    assert length == pytest.approx(20, abs=1.5)


@pytest.mark.parametrize("name", PROPERTIES)
def test_an_image_without_ink_has_no_properties(name: str) -> None:
    assert np.isnan(of(np.zeros((2, 28, 28), np.uint8), name)).all()


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("image", [picture((13, 0, 1, 28)), picture((0, 0, 28, 28)), picture((5, 5, 1, 1))])
def test_an_odd_image_has_finite_properties(image: Images, name: str) -> None:
    assert np.isfinite(of(image, name)).all()


@pytest.mark.parametrize("name", PROPERTIES)
def test_an_image_is_measured_alike_alone_and_among_others(name: str) -> None:
    together = of(some(), name)

    assert of(some()[130:131], name)[0] == pytest.approx(together[130], abs=1e-5)


def test_a_skeleton_keeps_the_parts_and_the_holes_of_its_image() -> None:
    masks = np.moveaxis(some() >= 128, 0, -1)
    found = skeletons(masks)

    for at in range(FEW):
        line, mask = found[..., at], masks[..., at]
        assert not (line & ~mask).any()
        assert label(line, EIGHT)[1] == label(mask, EIGHT)[1]
        assert label(~line)[1] == label(~mask)[1]


def test_a_skeleton_is_one_pixel_wide() -> None:
    found = skeletons(np.moveaxis(some() >= 128, 0, -1))
    inside = found[1:-1, 1:-1] & found[:-2, 1:-1] & found[2:, 1:-1] & found[1:-1, :-2] & found[1:-1, 2:]
    around = found[:-2, :-2] | found[2:, 2:] | found[:-2, 2:] | found[2:, :-2]

    assert not (inside & around).any()
