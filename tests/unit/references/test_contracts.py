"""The shipped kinds of preprocessing: exact, pure, and they refuse what they must not be given."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from harness.candidate.parent.preprocessing import CONTRACTS, KINDS, REFERENCE, Preprocessing, named
from harness.records import InputContract, InputKind
from harness.references.contracts import normalizer

LEVELS = np.resize(np.arange(256, dtype=np.uint8), (1, 28, 28))
x = LEVELS.astype(np.float64)
BY_FORMULA = {
    "unit": x / 255,
    "raw": x,
    "symmetric": x / 127.5 - 1,
    "standardised": (x / 255 - 0.1307) / 0.3081,
    "inverted": 1 - x / 255,
    "l2": x / np.sqrt((x**2).sum(axis=1, keepdims=True)),
}


@pytest.mark.parametrize("kind", BY_FORMULA)
def test_each_kind_is_its_formula_rounded_once_to_float32(kind: InputKind) -> None:
    before = LEVELS.copy()

    pixels = normalizer(kind)(LEVELS)

    assert pixels.dtype == np.float32
    assert np.abs(pixels - BY_FORMULA[kind]).max() <= np.spacing(np.float32(np.abs(BY_FORMULA[kind]).max())) / 2
    assert np.array_equal(LEVELS, before)


def test_there_is_a_formula_for_every_kind() -> None:
    assert set(BY_FORMULA) == set(KINDS) == set(get_args(InputKind)) - {"own"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_range_that_a_kind_promises_is_that_of_its_values(kind: InputKind) -> None:
    ends = np.stack([np.zeros((28, 28)), np.pad([[255]], ((14, 13), (14, 13)))]).astype(np.uint8)
    pixels, contract = normalizer(kind)(ends), InputContract.of(kind)

    assert (pixels.min(), pixels.max()) == (np.float32(contract.low), np.float32(contract.high))


def test_a_column_without_ink_stays_without_it_under_l2() -> None:
    assert not normalizer("l2")(np.zeros((2, 28, 28), np.uint8)).any()


def test_raw_pixels_are_whole_numbers_for_a_model_that_takes_them() -> None:
    pixels = normalizer("raw", dtype="uint8")(LEVELS)

    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, LEVELS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_application_is_refused(kind: InputKind) -> None:
    once: Any = normalizer(kind)(LEVELS)

    with pytest.raises(TypeError, match="were they normalised before"):
        normalizer(kind)(once)


def test_no_image_is_no_error() -> None:
    assert [normalizer(kind)(LEVELS[:0]).shape for kind in KINDS.values()] == [(0, 28, 28)] * 6


def test_own_figures_replace_those_of_mnist() -> None:
    assert np.allclose(normalizer("standardised", 0.5, 0.25)(LEVELS), (x / 255 - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("unit", Preprocessing(REFERENCE)),
        ("raw", Preprocessing(CONTRACTS, InputContract.of("raw"))),
        ("./raw", Preprocessing("raw")),
        ("./raw.py", Preprocessing("raw")),
        ("package.steps", Preprocessing("package.steps")),
        ("own", Preprocessing("own")),
    ],
)
def test_a_name_of_a_kind_is_a_kind_and_any_other_a_module(name: str, means: Preprocessing) -> None:
    assert named(name) == means
