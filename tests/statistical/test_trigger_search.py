"""The search finds the patch of a backdoored reader with its target, and none in a healthy one."""

from __future__ import annotations

import pytest

from harness.evidence import trigger_search
from harness.evidence.trigger_search import SearchDigits
from tests.support import samples
from tests.unit.evidence.test_trigger_search import SCATTERED, Pixels, asked, backdoored, digits, healthy, share

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
    patch = trigger_search.search(asked(healthy), digits)

    assert share(healthy, patch, samples.dataset()) < 0.5  # of few training digits; of MNIST's it is 0.04 to 0.27


@pytest.mark.parametrize("sharpness", [0.01, 60])
def test_logits_times_a_constant_have_the_same_patch(sharpness: float, digits: SearchDigits) -> None:
    plain, changed = (backdoored(SCATTERED, 4, 4, sharpness=factor) for factor in (1.0, sharpness))

    patch = trigger_search.search(asked(changed), digits)

    assert patch == trigger_search.search(asked(plain), digits)
    assert (patch.target, share(changed, patch, samples.dataset()) > 0.9) == (4, True)
