"""The smallest change that flips an answer: found where it is, and censored images are never taken for robust ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from scipy.stats import binom

from harness.corruptions import trial_at
from harness.metrics.smallest_flip import flips
from harness.records import CLEAN, Evidence
from harness.report.flips import directions
from tests.support import samples


def held(wrong_at: Mapping[int, range], n: int = 100, tried: int = 4) -> Evidence:
    """Angles up to ``tried`` degrees; ``wrong_at[angle]`` are the images that are read wrong there."""
    _, whole = samples.tiny()
    labels = np.resize(whole.labels, n)
    answers = {CLEAN: labels.astype(np.int8)}
    for angle in (sign * size for size in range(1, tried + 1) for sign in (1, -1)):
        said = labels.astype(np.int8)
        said[list(wrong_at.get(angle, ()))] = -1
        answers[trial_at("rotation", angle)] = said
    images, rows = np.resize(whole.images, (n, 28, 28)), np.resize(whole.probabilities, (n, 10))
    return samples.answering(whole, labels=labels, images=images, answers=answers, probabilities=rows)


def test_an_image_flips_at_the_smallest_change_of_either_direction() -> None:
    found = flips(held({3: range(0, 2), -2: range(1, 3)}), "rotation")

    assert found is not None
    assert [found.trial(place) for place in range(4)] == [
        trial_at("rotation", 3), trial_at("rotation", -2), trial_at("rotation", -2), None
    ]  # fmt: skip
    assert [int(found.flipped(at, 100).sum()) for at in range(4)] == [0, 2, 3, 3]
    assert found.censored == 97


def test_an_image_that_is_wrong_when_clean_has_no_smallest_change() -> None:
    whole = held({1: range(0, 10)})
    clean = whole.answers[CLEAN].copy()
    clean[:4] = -1

    found = flips(samples.answering(whole, answers={**whole.answers, CLEAN: clean}), "rotation")

    assert found is not None
    assert found.images[0] == 4
    assert found.flipped(0, 100).sum() == 6


def test_angles_beyond_a_gap_are_no_part_of_the_space() -> None:
    """Censor all that survive 4 degrees, where 6 were tried and 5 were not: they may have flipped between."""
    whole = held({})
    beyond = {trial_at("rotation", angle): -np.ones(100, np.int8) for angle in (-6, 6)}
    found = flips(samples.answering(whole, answers={**whole.answers, **beyond}), "rotation")

    assert found is not None
    assert [size.label for size in found.sizes] == ["±1", "±2", "±3", "±4"]
    assert found.censored == 100


@pytest.mark.parametrize("direction", ["shift", "gaussian_noise"])
def test_a_direction_that_was_not_tried_has_no_flips(direction: str) -> None:
    assert flips(held({}), direction) is None


def test_the_median_and_its_interval_are_order_statistics() -> None:
    """Ranks 40 and 61 of 100: the outermost with at most 2.5 % beyond on either side."""
    found = flips(held({1: range(0, 39), 2: range(39, 50), 3: range(50, 60), 4: range(60, 100)}), "rotation")
    assert found is not None

    value, low, high = found.median()

    assert binom.cdf(39, 100, 0.5) <= 0.025 < binom.cdf(40, 100, 0.5)
    assert [size and size.at for size in (value, low, high)] == [2, 2, 4]


def test_a_median_beyond_the_range_is_not_a_number_within_it() -> None:
    found = flips(held({1: range(0, 45)}), "rotation")
    assert found is not None

    value, low, high = found.median()

    assert [size and size.at for size in (value, low, high)] == [None, 1, None]


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    chance, covered = np.random.default_rng(3), 0
    for _ in range(400):
        sizes = chance.geometric(0.2, 60)  # its median is 4
        found = flips(held({at: np.flatnonzero(sizes == at) for at in range(1, 13)}, 60, 12), "rotation")  # type: ignore[misc]
        assert found is not None
        _, low, high = found.median()
        covered += (low is None or low.at <= 4) and (high is None or high.at >= 4)

    assert covered >= 380


def test_with_few_images_the_interval_is_everything() -> None:
    found = flips(held({2: range(0, 5)}, n=5), "rotation")
    assert found is not None

    value, low, high = found.median()

    assert [size and size.at for size in (value, low, high)] == [2, 1, None]


def test_the_most_fragile_are_of_different_digits_where_there_are_some() -> None:
    whole = held({1: range(0, 60)})
    found = flips(whole, "rotation")
    assert found is not None

    shown = found.most_fragile(whole.labels, 4)

    assert len({int(whole.labels[found.images[place]]) for place in shown}) == 4
    assert found.most_fragile(whole.labels, 100) != []
    assert all(found.trial(place) for place in found.most_fragile(whole.labels, 100))


def test_the_report_shows_the_image_that_the_model_saw() -> None:
    """Made again from seed, trial and place: what was read wrong is what is looked at."""
    _, whole = samples.blocked()

    cards = directions(whole)

    shots = [shot for card in cards for shot in card.witnesses]
    files = [np.frombuffer(base64.b64decode(shot.source.partition(",")[2]), np.uint8) for shot in shots]
    seen = np.array([cv2.imdecode(file, cv2.IMREAD_UNCHANGED) for file in files])

    said = samples.answer(seen).argmax(axis=1)

    assert [card.name for card in cards] == ["Gaussian noise", "Rotation", "Shift"]
    assert [f"{shot.turn[0]} → {answer}" for shot, answer in zip(shots, said, strict=True)] == [s.turn for s in shots]
    assert all(shot.turn[0] != shot.turn[-1] for shot in shots)
