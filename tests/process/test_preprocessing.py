"""Shipped preprocessing, compared with what Keras does."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.references.contracts import normalizer
from harness.references.preprocessing import one_hot


@settings(deadline=None)  # the first example imports keras
@given(hnp.arrays(hnp.integer_dtypes() | hnp.unsigned_integer_dtypes(), st.integers(0, 30), elements=st.integers(0, 9)))
def test_one_hot_equals_keras_to_categorical(labels: Any) -> None:
    import keras

    ours, keras_own = one_hot(labels), keras.utils.to_categorical(labels.astype(np.int64), 10)

    assert ours.dtype == np.float32
    assert ours.shape == (len(labels), 10)
    assert np.array_equal(ours, keras_own)


def test_l2_equals_keras_normalize_along_axis_1() -> None:
    import keras

    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    images[:, :, 3] = 0

    assert np.array_equal(normalizer("l2")(images), keras.utils.normalize(images, axis=1).astype(np.float32))
