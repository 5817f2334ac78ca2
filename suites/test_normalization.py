"""Does the candidate's ``normalize`` turn pixels 0..255 into what its contract says, by default x / 255?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.candidate.parent.subject import Subject
from harness.checks import contract, diagnosis
from harness.checks.strategies import images as image_batches
from harness.errors import Refused
from harness.records import SIDE, Dataset, Images

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, database=None, print_blob=False)


def pixels(subject: Subject, images: Images) -> NDArray[Any]:
    """Return the normalised pixels of images, without a channel axis."""
    values: NDArray[Any] = contract.without_channel(images, subject.normalize(images).values)
    return values


def test_the_shape_is_kept(subject: Subject, dataset: Dataset) -> None:
    """A model fed with other shapes fails in production, not here."""

    @EXAMPLES
    @given(image_batches(dataset.images))
    def holds(images: Images) -> None:
        values = pixels(subject, images)

        assert values.shape == images.shape, f"normalize turns shape {images.shape} into {values.shape}"

    holds()


def test_pixels_are_float32(subject: Subject) -> None:
    """The type the model was trained with; float16 loses grey levels, float64 doubles the memory."""
    values, wanted = pixels(subject, contract.levels(subject.contract)), subject.contract.dtype

    assert values.dtype == wanted, f"normalize gives {values.dtype}, must be {wanted}"


def test_every_pixel_is_its_grey_level_over_255(subject: Subject, dataset: Dataset) -> None:
    """Exactly x / 255, to within one unit in the last place of float32."""

    @EXAMPLES
    @given(image_batches(dataset.images))
    def holds(images: Images) -> None:
        values = pixels(subject, images)
        expected = contract.expected(subject.contract, images)
        same_shape = values.shape == expected.shape
        wrong = ~(np.abs(values - expected) <= np.spacing(np.abs(expected))) if same_shape else np.ones(1, bool)

        assert not wrong.any(), explained(subject, dataset.images[:20] // 2, images, values, expected, wrong)

    holds()


def explained(subject: Subject, known: Images, images: Images, values: Any, expected: Any, wrong: Any) -> str:
    """Name the fault that it looks like on known digits, of half ink, and one wrong pixel in numbers."""
    named = diagnosis.preprocessing(known, pixels(subject, known))
    if values.shape != expected.shape:
        return named or f"normalize turns shape {images.shape} into {values.shape}"
    at = tuple(np.argwhere(wrong)[0])
    pixel = f"a pixel of {images[at]} becomes {values[at]:.8g}, must be {expected[at]:.8g}"
    return f"{named}: {pixel}" if named else pixel


def test_every_pixel_lies_in_0_to_1(subject: Subject, dataset: Dataset) -> None:
    """The range the model was trained on."""

    @EXAMPLES
    @given(image_batches(dataset.images))
    def holds(images: Images) -> None:
        values, own = pixels(subject, images), subject.contract
        assert contract.within(own, values), f"pixels go from {values.min():.6g} to {values.max():.6g}" + (
            "" if own.kind == "unit" else f", must lie in {own.low:.6g} to {own.high:.6g}")  # fmt: skip

    holds()


def test_paper_is_0_and_ink_is_1(subject: Subject) -> None:
    """The two ends of the range are reached, so nothing was divided by too much or too little."""
    images = np.stack([np.full((SIDE, SIDE), level, np.uint8) for level in (0, 255)])
    values, expected = pixels(subject, images), contract.expected(subject.contract, images)
    (paper, ink), wanted = (float(each.flat[0]) for each in values), [float(each.flat[0]) for each in expected]
    shown = f"0 becomes {paper:.8g} and 255 becomes {ink:.8g}, must be {wanted[0]:.8g} and {wanted[1]:.8g}"
    assert [paper, ink] == wanted, shown


def test_a_darker_pixel_stays_darker(subject: Subject) -> None:
    """Strictly increasing over all 256 levels: no two grey levels become one."""
    steps = contract.steps(subject.contract, pixels(subject, contract.levels(subject.contract)))
    flat = np.flatnonzero(~(steps > 0))

    assert not len(flat), f"level {flat[0] + 1} is not above level {flat[0]} after normalize"


def test_the_input_is_left_alone(subject: Subject, dataset: Dataset) -> None:
    """A function that changes its input in place spoils the images for whoever reads them next."""
    images = dataset.images[:3]

    assert not subject.normalize(images).modified, "normalize changes its input in place; work on a copy"


def test_an_image_does_not_depend_on_its_batch(subject: Subject, dataset: Dataset) -> None:
    """The same image alone and among others: the same pixels."""

    @EXAMPLES
    @given(image_batches(dataset.images, min_size=1, max_size=6), st.data())
    def holds(images: Images, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(images) - 1))
        together, alone = subject.normalize(images).values, subject.normalize(images[at : at + 1]).values

        assert np.array_equal(together[at : at + 1], alone), (
            f"image {at} of {len(images)} is normalised otherwise alone: "
            f"{diagnosis.preprocessing(images, together) or 'it depends on its batch'}"
        )

    holds()


@pytest.mark.advisory
def test_a_second_application_is_noticed(subject: Subject) -> None:
    """Pixels that are normalised already should be refused, or they become 255 times too faint without a word."""
    images = contract.levels(subject.contract)
    once = subject.normalize(images).values
    try:
        twice = subject.normalize(once).values
    except Refused:
        return

    assert np.array_equal(once, twice), (
        f"normalize takes its own result: white becomes {twice.max():.6g}; refuse floats"
    )
