"""What stands where probabilities should is named for what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.checks import diagnosis
from harness.data import sources
from harness.records import Images
from tests.support.faults import preprocessing

SCORES = np.random.default_rng(0).normal(0, 4, (200, 10)).astype(np.float32)
CHANCES = (np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        (CHANCES.astype(np.float16).astype(np.float32), "half precision"),
        (1 / (1 + np.exp(-SCORES)), "not sigmoid"),
        (SCORES, "logits"),
        (np.log(CHANCES), "logarithms"),
    ],
)
def test_what_is_no_probability_is_named(answers: NDArray[np.float32], named: str) -> None:
    assert named in diagnosis.probabilities(answers)


def test_probabilities_are_left_unnamed() -> None:
    assert diagnosis.probabilities(CHANCES) == ""


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda images, scale: images / 255.0 * scale, ""),
        (lambda images, scale: images / 255.0 * scale / 255, "divides by 255 itself"),
        (lambda images, scale: 1 - images / 255.0, "inverted"),
        (lambda images, scale: images.swapaxes(1, 2) / 255.0, "transposed"),
        (lambda images, scale: images[:, :, ::-1] / 255.0, "mirrored"),
        (lambda images, scale: images[:, ::-1] / 255.0, "upside down"),
        (lambda images, scale: images[:, ::-1, ::-1] / 255.0, "180 degrees"),
    ],
)
def test_a_model_that_reads_images_fed_in_another_way_is_found_out(
    model: Callable[[Images, float], NDArray[np.float64]], named: str
) -> None:
    known = sources.load("embedded")
    rows, labels = known.images[:200].reshape(200, -1) / 255.0, known.labels[:200]

    def predict(images: Images, scale: float = 1.0) -> NDArray[np.float32]:
        seen = model(images, scale).reshape(len(images), -1)
        nearest = ((seen[:, None] - rows) ** 2).sum(axis=2).argmin(axis=1)
        answers: NDArray[np.float32] = np.eye(10, dtype=np.float32)[labels[nearest]]
        return answers

    found = diagnosis.reading(predict, known.images[:200], labels)

    assert named in found
    assert bool(found) is bool(named)


BY_FORMULA = list(preprocessing.FAULTS)[:12]


@pytest.mark.parametrize("fault", BY_FORMULA)
def test_pixels_that_a_known_mistake_makes_are_named(fault: str) -> None:
    text, words = preprocessing.FAULTS[fault]
    module: dict[str, Any] = {}
    exec(text, module)
    images = sources.load("embedded").images[:20] // 2

    assert words in diagnosis.preprocessing(images, module["normalize"](images))


def test_pixels_that_are_right_or_wrong_in_no_known_way_are_left_unnamed() -> None:
    images = sources.load("embedded").images[:20] // 2

    assert [diagnosis.preprocessing(images, values) for values in (images / 255, images / 251)] == ["", ""]


def test_classes_that_the_output_exchanges_are_named() -> None:
    labels = np.arange(200, dtype=np.uint8) % 10
    columns = np.array([0, 1, 2, 3, 9, 5, 6, 7, 8, 4])

    assert diagnosis.exchanged(np.eye(10, dtype=np.float32)[labels], labels) == ""
    assert "4 is said as 9, 9 is said as 4" in diagnosis.exchanged(
        np.eye(10, dtype=np.float32)[columns[labels]], labels
    )
