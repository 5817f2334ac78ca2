"""Diagnosis of outputs that are no probabilities, each named for what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.checks import diagnosis
from harness.data import sources
from harness.records import Images, ModelFacts
from tests.support.faults import preprocessing

Arrays = NDArray[Any]
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


FED: dict[str, Callable[[Arrays], Arrays]] = {
    "raw": lambda x: x,
    "symmetric": lambda x: x / 127.5 - 1,
    "standardised": lambda x: (x / 255 - 0.1307) / 0.3081,
    "inverted": lambda x: 1 - x / 255,
    "l2": lambda x: x / np.maximum(np.sqrt((x**2).sum(axis=1, keepdims=True)), 1e-9),
}
NEAREST = sources.load("embedded").images[:200].astype(np.float64)


def nearest(declared: str, trained: str, change: Callable[[Images], Images]) -> Callable[..., NDArray[np.float32]]:
    """A model that knows 200 digits as they were in training and says the nearest; it is fed as ``declared``."""
    feeds: dict[str, Callable[[Arrays], Arrays]] = {**FED, "unit": lambda x: x / 255}
    rows = feeds[trained](NEAREST).reshape(200, -1)
    labels = sources.load("embedded").labels[:200]

    def predict(images: Images, under: str | None = None) -> NDArray[np.float32]:
        seen = feeds[under or declared](change(images).astype(np.float64)).reshape(len(images), -1)
        distances = (rows**2).sum(axis=1) - 2 * seen @ rows.T  # and the square of what is seen, the same for all
        answers: NDArray[np.float32] = np.eye(10, dtype=np.float32)[labels[distances.argmin(axis=1)]]
        return answers

    return predict


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda images: images, ""),
        (lambda images: images.swapaxes(1, 2), "transposed"),
        (lambda images: images[:, :, ::-1], "mirrored"),
        (lambda images: images[:, ::-1], "upside down"),
        (lambda images: images[:, ::-1, ::-1], "180 degrees"),
    ],
)
def test_a_model_that_reads_images_placed_in_another_way_is_found_out(
    change: Callable[[Images], Images], named: str
) -> None:
    known = sources.load("embedded")

    found = diagnosis.reading(nearest("unit", "unit", change), known.images[:200], known.labels[:200])

    assert named in found
    assert bool(found) is bool(named)


@pytest.mark.parametrize("trained", [kind for kind in FED if kind != "l2"])  # there the nearest stays the nearest
def test_the_contract_under_which_a_model_reads_is_named_with_its_option(trained: str) -> None:
    known = sources.load("embedded")

    found = diagnosis.reading(nearest("unit", trained, lambda x: x), known.images[:200], known.labels[:200])

    assert found.startswith("it reads 100.0% of 200 digits with ")
    assert f"if that is how it will be fed: --preprocess {trained}" in found


@pytest.mark.parametrize("trained", FED)
def test_a_model_that_is_fed_as_it_was_trained_is_left_alone(trained: str) -> None:
    known = sources.load("embedded")
    kind: Any = trained

    assert diagnosis.reading(nearest(trained, trained, lambda x: x), known.images[:200], known.labels[:200], kind) == ""


def test_a_model_of_0_to_1_that_is_declared_otherwise_is_led_back() -> None:
    known = sources.load("embedded")

    found = diagnosis.reading(
        nearest("inverted", "unit", lambda x: x), known.images[:200], known.labels[:200], "inverted"
    )

    assert "with pixels 0..1" in found
    assert "--preprocess unit" in found


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


def test_logits_are_told_what_a_softmax_would_make_of_them() -> None:
    labels = np.arange(10, dtype=np.uint8)
    logits = np.eye(10, dtype=np.float32) * 12

    assert "with it 100.0% of 10 digits are read, at a log loss of 0.000" in diagnosis.probabilities(logits, "", labels)


def test_answers_of_a_coarser_type_may_differ_by_as_much_as_it_rounds() -> None:
    exact = ModelFacts("m", "", 0, "Sequential", (), (), 0, (), "")
    before = np.full((3, 10), 0.1, np.float32)
    after = before + np.array([[0], [0.01], [0.1]], np.float32)

    assert diagnosis.moved(before, after, exact).tolist() == [False, True, True]
    assert diagnosis.moved(before, after, replace(exact, precision="bfloat16")).tolist() == [False, False, True]


def test_rows_of_eight_bits_add_up_to_1_as_well_as_these_can() -> None:
    rounded = np.round(CHANCES * 128) / np.float32(128)

    assert diagnosis.probabilities(rounded) != ""
    assert diagnosis.probabilities(rounded, "int8") == ""
