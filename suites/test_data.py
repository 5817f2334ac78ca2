"""Can these digits tell anything about this candidate?"""

from collections.abc import Callable

import numpy as np

from harness.digits import duplicates
from harness.records import SIDE, CannotTell, Dataset, Images, NothingToMeasure


def test_the_candidate_has_not_seen_these_digits(dataset: Dataset, own_split: bool) -> None:
    """Accuracy on digits the model was trained on says nothing about digits it has never seen."""
    if dataset.origin == "embedded" and not own_split:
        raise CannotTell(
            "the embedded digits come from MNIST's training set, which this candidate has probably seen; "
            "judge it on --data mnist.npz"
        )


def test_no_test_digit_is_a_training_digit(dataset: Dataset) -> None:
    """An image in both parts is counted as right for having been memorised."""
    overlap = dataset.facts.overlap

    assert overlap == 0, f"{overlap} of {dataset.facts.n} test images are in the training part too"


def test_few_test_digits_are_nearly_training_digits(dataset: Dataset, show: Callable[[Images], None]) -> None:
    """A picture that differs by less than one pixel of ink from a training picture has as good as been seen."""
    if dataset.train_images is None:
        return
    try:
        found = duplicates.near(dataset.images, dataset.train_images)
    except NothingToMeasure as error:
        raise CannotTell(f"{error}; look whether these are digits") from error
    twins, n = len(np.unique(found.test)), len(dataset.images)
    if twins:
        pairs = np.stack([dataset.images[found.test[:5]], dataset.train_images[found.train[:5]]], axis=1)
        show(pairs.reshape(-1, SIDE, SIDE))

    assert twins <= n / 1000, f"{twins} of {n} test images are nearly a training image"
