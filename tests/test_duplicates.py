"""Near duplicates: none is missed, none is invented."""

from __future__ import annotations

import numpy as np

from harness import digits
from harness.digits.duplicates import NEAR, near

DIGITS = digits.load("embedded")
TRAIN = DIGITS.train_images if DIGITS.train_images is not None else DIGITS.images


def test_every_pair_within_reach_is_found_and_no_other() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 7, (150, 28, 28)) * rng.uniform(0, 2, (150, 1, 1))
    copies = np.clip(TRAIN[:150] + noise, 0, 255).astype(np.uint8)
    ours, theirs = copies.reshape(150, -1).astype(float), TRAIN.reshape(len(TRAIN), -1).astype(float)
    apart = np.sqrt(np.array([((theirs - one) ** 2).sum(axis=1) for one in ours]))

    found = near(copies, TRAIN)

    assert set(zip(found.test.tolist(), found.train.tolist(), strict=True)) == set(
        zip(*map(np.ndarray.tolist, np.nonzero(apart <= NEAR)), strict=True)
    )
    assert 20 < len(found.test) < 150


def test_an_equal_image_is_at_distance_zero_and_comes_first() -> None:
    found = near(TRAIN[40:42], TRAIN)

    assert (found.test[:2].tolist(), found.train[:2].tolist(), found.distance[:2].tolist()) == (
        [0, 1],
        [40, 41],
        [0, 0],
    )


def test_without_training_images_there_are_no_pairs() -> None:
    assert len(near(DIGITS.images, TRAIN[:0]).test) == 0
