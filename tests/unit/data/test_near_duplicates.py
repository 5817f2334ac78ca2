"""Near duplicates: none is missed, none is invented, the nearest is named."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data import sources
from harness.data.near_duplicates import MAX_DISTANCE, near_duplicates
from harness.errors import NotMeasurable
from harness.records import Images

DIGITS = sources.load("embedded")
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
    pairs = near_duplicates(TRAIN[40:42], TRAIN)

    assert (pairs.test[:2].tolist(), pairs.train[:2].tolist(), pairs.distance[:2].tolist()) == (
        [0, 1],
        [40, 41],
        [0, 0],
    )


def test_a_training_part_of_one_image_is_compared() -> None:
    assert found(TRAIN[40:45], TRAIN[42:43]) == {(2, 0)}


def test_of_many_that_are_near_each_gets_its_nearest() -> None:
    """Pages all but blank, of which each is near to all."""
    pages = np.zeros((250, 28, 28), np.uint8)
    pages[np.arange(250), 3, 4] = np.arange(250)

    pairs = near_duplicates(pages[:249] + (pages[:249] > 0), pages)

    assert sorted(pairs.test.tolist()) == list(range(249))
    assert (pages[pairs.train, 3, 4] - pages[pairs.test, 3, 4]).max() <= 1
    assert pairs.distance.max() <= 1 / 255


def test_pages_that_are_all_alike_are_not_compared_for_minutes() -> None:
    pages = np.zeros((2000, 28, 28), np.uint8)
    pages[:, 3, :5] = np.random.default_rng(3).integers(0, 50, (2000, 5))

    with pytest.raises(NotMeasurable, match="look alike"):
        near_duplicates(pages, pages)


def test_without_training_images_there_are_no_pairs() -> None:
    assert len(near_duplicates(DIGITS.images, TRAIN[:0]).test) == 0


def within_reach(test: Images, train: Images) -> set[tuple[int, int]]:
    """The nearest of each, compared one by one."""
    ours, theirs = (images.reshape(len(images), -1).astype(float) for images in (test, train))
    apart = np.sqrt(np.array([((theirs - one) ** 2).sum(axis=1) for one in ours]))
    return {(int(one), int(apart[one].argmin())) for one in np.flatnonzero(apart.min(axis=1) <= MAX_DISTANCE)}


def found(test: Images, train: Images) -> set[tuple[int, int]]:
    pairs = near_duplicates(test, train)
    return set(zip(pairs.test.tolist(), pairs.train.tolist(), strict=True))
