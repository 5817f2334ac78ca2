"""Can these digits tell anything about this candidate?"""

from harness.records import CannotTell, Dataset


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
