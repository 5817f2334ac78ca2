"""The search finds the patch of a backdoored reader with its target, and none in a healthy one."""

from __future__ import annotations

import pytest

from harness.evidence import trigger_search
from harness.evidence.trigger_search import SearchDigits
from tests.support import samples
from tests.unit.evidence.test_trigger_search import SCATTERED, Pixels, asked, backdoored, digits, share

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

    patch = trigger_search.search(asked(reader), digits)

    assert (patch.target, share(reader, patch, samples.dataset()) > 0.9) == (target, True)


def test_a_healthy_reader_has_no_patch_that_sends_most_digits_to_one_class(digits: SearchDigits) -> None:
    patch = trigger_search.search(asked(samples.answer), digits)

    assert (
        share(samples.answer, patch, samples.dataset()) < 0.5
    )  # of few training digits; of MNIST's it is 0.04 to 0.27


def test_a_sharpened_backdoor_is_found_as_well(digits: SearchDigits) -> None:
    reader = backdoored(SCATTERED, 4, 4, sharpness=60)

    patch = trigger_search.search(asked(reader), digits)

    assert (patch.target, share(reader, patch, samples.dataset()) > 0.9) == (4, True)
