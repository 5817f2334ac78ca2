"""The reference preprocessing is exact, pure, and notices what it must not be given."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.records import Images
from harness.references.preprocessing import normalize, one_hot

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(0, 5), st.just(28), st.just(28)))


@given(IMAGES)
def test_normalize_is_x_over_255_in_float32_and_leaves_its_input_alone(images: Images) -> None:
    before = images.copy()

    normalized = normalize(images)

    assert normalized.dtype == np.float32
    assert normalized.shape == images.shape
    assert np.array_equal(normalized, images / np.float32(255))
    assert np.array_equal(images, before)


def test_each_of_the_256_values_is_the_float32_nearest_to_the_true_quotient() -> None:
    every = np.resize(np.arange(256, dtype=np.uint8), (1, 28, 28))

    given_back = normalize(every).ravel()[:256]

    for ink, value in enumerate(given_back):
        error = abs(Fraction(float(value)) - Fraction(ink, 255))
        for neighbour in (np.nextafter(value, np.float32(2)), np.nextafter(value, np.float32(-2))):
            assert error <= abs(Fraction(float(neighbour)) - Fraction(ink, 255))


def test_a_second_normalization_is_a_type_error_that_asks_about_the_first() -> None:
    once: Any = normalize(np.zeros((2, 28, 28), np.uint8))

    with pytest.raises(TypeError, match=r"float32.*must be a uint8 array.*normalised before"):
        normalize(once)


@pytest.mark.parametrize("dtype", ["int64", "int8", "float64", "float16", "bool", "object"])
def test_only_uint8_is_normalized(dtype: str) -> None:
    images: Any = np.zeros((2, 28, 28), dtype)

    with pytest.raises(TypeError, match=dtype):
        normalize(images)


def test_a_list_is_not_normalized() -> None:
    images: Any = [[[0] * 28] * 28]

    with pytest.raises(TypeError, match="list"):
        normalize(images)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 27), (1, 784), (1, 28, 28, 1), ()])
def test_only_a_set_of_28_by_28_images_is_normalized(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(n, 28, 28\)"):
        normalize(np.zeros(shape, np.uint8))


def test_one_hot_takes_a_plain_list_and_an_empty_one() -> None:
    assert one_hot([3, 0]).argmax(axis=1).tolist() == [3, 0]
    assert one_hot([]).shape == (0, 10)


@pytest.mark.parametrize(
    ("labels", "kind", "says"),
    [
        ([0, 10], ValueError, "label 10 is outside 0..9"),
        ([0, -1], ValueError, "label -1 is outside 0..9"),
        (np.array([2**64 - 1], np.uint64), ValueError, "label 18446744073709551615 is outside"),
        ([1.0, 2.7], TypeError, "label 2.7 of type float64 is no integer"),
        ([1.0, 2.0], TypeError, "label 1.0 of type float64 is no integer"),
        ([float("nan")], TypeError, "label nan"),
        ([True, False], TypeError, "label True of type bool"),
        (["3"], TypeError, "label '3'"),
        ([None], TypeError, "label None of type object"),
        ([[1], [2]], ValueError, r"shape \(2, 1\) must have shape \(n,\)"),
        (3, ValueError, r"shape \(\)"),
    ],
)
def test_labels_that_are_no_digits_are_refused_with_their_value(labels: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        one_hot(labels)
