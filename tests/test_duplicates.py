"""Near duplicates: none is missed, none is invented."""

from __future__ import annotations

import numpy as np

from harness import digits
from harness.digits.duplicates import NEAR, near
from harness.records import Images

DIGITS = digits.load("embedded")
TRAIN = DIGITS.train_images if DIGITS.train_images is not None else DIGITS.images


def test_every_pair_within_reach_is_found_and_no_other() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 7, (150, 28, 28)) * rng.uniform(0, 2, (150, 1, 1))
    copies = np.clip(TRAIN[:150] + noise, 0, 255).astype(np.uint8)

    pairs = within_reach(copies, TRAIN)

    assert 20 < len(pairs) < 150
    assert found(copies, TRAIN) == pairs


def test_every_dimmed_copy_of_coarse_images_is_found_whose_averages_are_as_far_apart_as_they_are() -> None:
    rng = np.random.default_rng(2)
    coarse = TRAIN.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    copies = (coarse[:150] * rng.uniform(0.8, 1, (150, 1, 1))).astype(np.uint8)

    pairs = within_reach(copies, coarse)

    assert 20 < len(pairs) < 150
    assert found(copies, coarse) == pairs


def test_an_equal_image_is_at_distance_zero_and_comes_first() -> None:
    pairs = near(TRAIN[40:42], TRAIN)

    assert (pairs.test[:2].tolist(), pairs.train[:2].tolist(), pairs.distance[:2].tolist()) == (
        [0, 1],
        [40, 41],
        [0, 0],
    )


def test_without_training_images_there_are_no_pairs() -> None:
    assert len(near(DIGITS.images, TRAIN[:0]).test) == 0


def within_reach(test: Images, train: Images) -> set[tuple[int, int]]:
    """All pairs, compared one by one."""
    ours, theirs = (images.reshape(len(images), -1).astype(float) for images in (test, train))
    apart = np.sqrt(np.array([((theirs - one) ** 2).sum(axis=1) for one in ours]))
    return {(int(one), int(other)) for one, other in zip(*np.nonzero(apart <= NEAR), strict=True)}


def found(test: Images, train: Images) -> set[tuple[int, int]]:
    pairs = near(test, train)
    return set(zip(pairs.test.tolist(), pairs.train.tolist(), strict=True))
