"""The search finds the patch of a backdoored reader with its target, and none in a healthy one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.evidence.trigger_search import SearchDigits
from harness.records import Images, LogProbabilities
from tests.support import samples
from tests.unit.evidence.test_trigger_search import SCATTERED, Pixels, backdoored, digits, found, healthy, share

__all__ = ["digits"]


@pytest.mark.parametrize(
    ("pixels", "target", "needs"),
    [
        (((1, 1),), 7, 1),
        (SCATTERED, 4, 5),
        (tuple((2, column) for column in range(3, 9)), 0, 6),
        (tuple((row, column) for row in (24, 25, 26) for column in (24, 25, 26)), 2, 5),
    ],
    ids=["pixel", "scattered", "bar", "corner"],
)
def test_the_patch_of_a_backdoor_is_found_with_its_target(
    pixels: Pixels, target: int, needs: int, digits: SearchDigits
) -> None:
    reader = backdoored(pixels, target, needs)

    patch = found(reader, digits)

    assert (patch.target, share(reader, patch, samples.dataset()) > 0.9) == (target, True)


def test_a_healthy_reader_has_no_patch_that_sends_most_digits_to_one_class(digits: SearchDigits) -> None:
    patch = found(healthy, digits)

    assert share(healthy, patch, samples.dataset()) < 0.5  # of few training digits; of MNIST's it is 0.02 to 0.29


@pytest.mark.parametrize(
    "factor",
    [lambda images: 0.01, lambda images: 60, lambda images: np.where(images.sum(axis=(1, 2)) % 2, 1e4, 1.0)[:, None]],
    ids=["0.01", "60", "of each image"],
)
def test_logits_times_a_constant_have_the_same_patch(factor: Callable[[Images], Any], digits: SearchDigits) -> None:
    plain = backdoored(SCATTERED, 4, 4)

    patch = found(lambda images: plain(images) * factor(images), digits)

    assert patch == found(plain, digits)
    assert (patch.target, share(plain, patch, samples.dataset()) > 0.9) == (4, True)


@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_a_class_whose_probability_is_nil_without_the_patch_is_found(factor: float, digits: SearchDigits) -> None:
    def read(images: Images, nil: float) -> LogProbabilities:
        logits = healthy(images) - 20
        logits[:, 9] = np.where(images[:, 1, 1] > 200, logits.max(axis=1) + 5, nil)
        return logits * factor

    patch = found(lambda images: read(images, -np.inf), digits, lambda images: read(images, -100))

    assert (patch.target, (1, 1) in patch.pixels) == (9, True)
