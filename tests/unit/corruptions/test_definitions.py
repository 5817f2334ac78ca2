"""Corruptions image by image against straightforward versions of their definitions, on scipy, skimage and Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import feature, transform

from harness.corruptions import SPACES, corrupt, trial_at
from harness.data.sources import load
from harness.records import SEVERITIES, Images

Floats = NDArray[np.float64]


@cache
def digits() -> Images:
    """Sixty embedded digits, and sixty of noise, whose ink reaches the edges."""
    noisy = np.random.default_rng(3).integers(0, 256, size=(60, 28, 28), dtype=np.uint8)
    return np.concatenate([load("embedded").images[:60], noisy])


def ours(name: str, severity: int, images: Images | None = None, seed: int = 5) -> Images:
    return corrupt(digits() if images is None else images, trial_at(name, severity), seed=seed)


def each(oracle: Callable[[Images], Floats]) -> Floats:
    return np.stack([oracle(image) for image in digits()])


def apart(found: Images, expected: Floats) -> float:
    """The largest distance in grey levels from the unrounded expectation."""
    return float(np.max(np.abs(found.astype(float) - expected)))


def warped(image: Images, pull: Floats) -> Floats:
    """The paper's way: an affine map that keeps (13.5, 13.5) in place, bilinear, 0 outside."""
    matrix = np.eye(3)
    matrix[:2, :2] = pull
    matrix[:2, 2] = 13.5 * (1 - pull.sum(axis=1))
    moved = transform.warp(image / 255, transform.AffineTransform(matrix=matrix), order=1, mode="constant", cval=0)
    return np.asarray(moved * 255, dtype=np.float64)


def turn(angle: float) -> Floats:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def slant(angle: float) -> Floats:
    return np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])


def line(x: float, y: float, to_x: float, to_y: float, reach: float) -> Floats:
    ink = np.zeros((28, 28))
    for column in range(int(np.floor(x)), min(int(np.ceil(to_x)), 28)):
        for row in range(28):
            distance = abs(row - ((to_y - y) / (to_x - x) * (column - x) + y))
            if distance < reach:
                ink[row, column] = max(1 + np.log(1 - distance / reach), 0)
    return ink


def zigzag(start: int, end: int, reach: float) -> Floats:
    angle = np.arctan((end - start) / 23)
    length = 23 / np.cos(angle)
    corners = [(0.0, 0.0)]
    for tooth in range(int((length - 2) // 4) + 1):
        corners.append(((2 * tooth + 1) * 2.0, (-1) ** tooth * 2.0))
    last = 4 * (length // 4)
    if length != last:
        corners.append((length, corners[-1][1] / (2 * (length - last))))
    turned = turn(angle) @ np.array(corners).T + np.array([[2], [start]])
    ink = np.zeros((28, 28))
    for (x, y), (to_x, to_y) in zip(turned.T[:-1], turned.T[1:], strict=True):
        ink = (ink + line(x, y, to_x, to_y, reach)).clip(0, 1)
    return ink


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_lifts_every_pixel(severity: int) -> None:
    offset = [0.1, 0.2, 0.3, 0.4, 0.5][severity - 1]

    assert apart(ours("brightness", severity), (digits() / 255 + offset).clip(0, 1) * 255) <= 0.5001


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_draws_towards_the_mean(severity: int) -> None:
    kept = [0.4, 0.3, 0.2, 0.1, 0.05][severity - 1]
    means = digits().mean(axis=(1, 2), keepdims=True)

    assert apart(ours("contrast", severity), (digits() - means) * kept + means) <= 0.501


@pytest.mark.parametrize("severity", SEVERITIES)
def test_stripes_are_negative_and_the_middle_is_untouched(severity: int) -> None:
    width = [3, 5, 7, 9, 11][severity - 1]
    expected = digits().astype(float)
    expected[:, :, :width] = 255 - expected[:, :, :width]
    expected[:, :, 28 - width :] = 255 - expected[:, :, 28 - width :]

    assert apart(ours("stripe", severity), expected) == 0


@pytest.mark.parametrize("severity", SEVERITIES)
def test_inversion_blends_towards_the_negative(severity: int) -> None:
    weight = [0.15, 0.3, 0.7, 0.85, 1.0][severity - 1]

    assert apart(ours("inversion", severity), (1 - weight) * digits() + weight * (255.0 - digits())) <= 0.5001


@pytest.mark.parametrize("severity", SEVERITIES)
def test_scale_is_the_papers_warp(severity: int) -> None:
    factor = 1 / [0.9, 0.8, 0.7, 0.6, 0.5][severity - 1]

    assert apart(ours("scale", severity), each(lambda image: warped(image, np.eye(2) * factor))) <= 0.51


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("name", "pull"), [("rotate", turn), ("shear", slant)])
def test_rotate_and_shear_are_the_papers_warp_to_one_side_or_the_other(
    name: str, pull: Callable[[float], Floats], severity: int
) -> None:
    angle = 0.2 * severity
    sides = np.stack([each(partial(warped, pull=pull(way * angle))) for way in (1, -1)])
    away = np.abs(sides - ours(name, severity)).max(axis=(2, 3))

    assert np.all(away.min(axis=0) <= 0.51)
    assert 40 <= np.sum(away.argmin(axis=0)) <= 80  # of 120: both sides come up


@pytest.mark.parametrize("severity", SEVERITIES)
def test_translate_moves_towards_one_of_four_corners(severity: int) -> None:
    corners = [(severity * down, severity * right) for down in (1, -1) for right in (1, -1)]
    moves = np.stack([ndimage.shift(digits().astype(float), (0, *by), order=1) for by in corners])
    away = np.abs(moves - ours("translate", severity)).max(axis=(2, 3))

    assert np.all(away.min(axis=0) == 0)
    assert np.bincount(away.argmin(axis=0), minlength=4).min() >= 15  # of 120


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_is_scipys(severity: int) -> None:
    blurred = ndimage.gaussian_filter(digits().astype(float), (0, severity / 2, severity / 2), mode="nearest")

    assert apart(ours("gaussian_blur", severity), blurred) <= 0.75


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_blur_is_a_disc(severity: int) -> None:
    radius = [1.0, 1.5, 2.0, 2.5, 3.0][severity - 1]
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * 64) + 0.5) / 64 - reach - 0.5
    disc = (np.hypot(fine[:, None], fine) <= radius + 0.5).reshape(2 * reach + 1, 64, -1, 64).mean(axis=(1, 3))
    blurred = ndimage.correlate(digits().astype(float), (disc / disc.sum())[None], mode="nearest")

    assert apart(ours("defocus_blur", severity), blurred) <= 0.6


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixelate_is_pillows_box(severity: int) -> None:
    side = [14, 11, 9, 8, 7][severity - 1]

    def boxed(image: Images) -> Floats:
        small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
        return np.asarray(small.resize((28, 28), Image.Resampling.BOX), dtype=np.float64)

    assert apart(ours("pixelate", severity), each(boxed)) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_is_libjpegs_but_for_its_own_rounding_of_cosines(severity: int) -> None:
    def stored(image: Images) -> Floats:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=[25, 18, 15, 10, 7][severity - 1])
        return np.asarray(Image.open(file), dtype=np.float64)

    away = np.abs(ours("jpeg_compression", severity) - each(stored))[:60]  # the digits; noise has more near-ties

    assert np.mean(away > 1) <= 0.015
    assert np.mean(away) <= 0.1


def test_canny_edges_are_scikit_images() -> None:
    edges = each(lambda image: feature.canny(image / 255) * 255.0)

    assert np.mean(ours("canny_edges", 5) != edges) <= 0.0005


@pytest.mark.parametrize("severity", SEVERITIES)
def test_milder_canny_edges_are_blends(severity: int) -> None:
    weight = severity / 5

    assert apart(ours("canny_edges", severity), (1 - weight) * digits() + weight * ours("canny_edges", 5)) <= 0.5001


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["dotted_line", "zigzag"])
def test_every_drawing_is_one_of_the_papers(name: str, severity: int) -> None:
    reach = [1.3, 1.8, 2.3, 2.9, 3.6][severity - 1]
    if name == "zigzag":
        drawings = [zigzag(start, start + drift, reach) for start in range(0, 27, 2) for drift in range(-5, 5)]
    else:
        dots = np.arange(28) % 4 >= 2
        drawings = [line(0, start, 27, end, reach) * dots for start in range(0, 27, 5) for end in range(0, 27, 2)]
    expected = {np.floor(255 * ink + 0.5).astype(np.uint8).tobytes() for ink in drawings}

    drawn = {image.tobytes() for image in ours(name, severity, np.zeros((6000, 28, 28), dtype=np.uint8))}

    assert expected <= drawn
    assert len(drawn) == {"zigzag": 270, "dotted_line": 729}[name]


@pytest.mark.parametrize("name", ["dotted_line", "zigzag"])
def test_a_drawing_is_added_and_clipped(name: str) -> None:
    ink = ours(name, 3, np.zeros_like(digits())).astype(int)

    assert np.array_equal(ours(name, 3), (digits() + ink).clip(0, 255))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_an_occlusion_is_one_square_of_paper(severity: int) -> None:
    side = [4, 6, 8, 10, 12][severity - 1]
    covered = ours("occlusion", severity, np.full((300, 28, 28), 255, dtype=np.uint8)) == 0

    rows, columns = covered.any(axis=2).sum(axis=1), covered.any(axis=1).sum(axis=1)

    assert np.array_equal(covered.sum(axis=(1, 2)), rows * columns)
    assert rows.max() == columns.max() == side


@pytest.mark.parametrize("degrees", [-45, -30, -1, 1, 7, 45])
def test_the_space_of_rotations_is_the_warp(degrees: int) -> None:
    found = corrupt(digits(), trial_at("rotation", degrees), seed=0)

    assert apart(found, each(lambda image: warped(image, turn(np.deg2rad(degrees))))) <= 0.51


@pytest.mark.parametrize("point", [(0, 1), (1, 0), (-6, 6), (3, -2)])
def test_the_space_of_shifts_moves_right_and_down(point: tuple[int, int]) -> None:
    dx, dy = point

    found = corrupt(digits(), trial_at("shift", *point), seed=0)

    assert apart(found, ndimage.shift(digits().astype(float), (0, dy, dx), order=1)) == 0


@pytest.mark.parametrize("offset", [-255, -40, 1, 255])
def test_the_space_of_brightness_offsets_clips(offset: int) -> None:
    found = corrupt(digits(), trial_at("brightness_offset", offset), seed=0)

    assert np.array_equal(found, (digits().astype(int) + offset).clip(0, 255))


def test_the_spaces_are_whole_and_leave_out_what_changes_nothing() -> None:
    shifts = SPACES["shift"].points(2)

    assert len(shifts) == len(set(shifts)) == 24
    assert (0, 0) not in shifts
    assert SPACES["rotation"].points(2) == ((-2,), (-1,), (1,), (2,))
