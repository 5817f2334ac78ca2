"""Can these digits tell anything about this candidate?"""

from collections.abc import Callable

import numpy as np

from harness.candidate.parent.subject import Subject
from harness.corruptions import corrupt
from harness.data import embedded, near_duplicates
from harness.errors import Inconclusive, NotMeasurable
from harness.formatting import count
from harness.judging import contamination
from harness.records import SIDE, Dataset, Images
from harness.references import results


def test_the_candidate_has_not_seen_these_digits(dataset: Dataset, own_split: bool) -> None:
    """Accuracy on digits the model was trained on says nothing about digits it has never seen."""
    if dataset.origin == "embedded" and not own_split and not dataset.facts.trained_on:
        raise Inconclusive(
            "the embedded digits come from MNIST's training set, which this candidate has probably seen; "
            "judge it on --data mnist.npz, or declare what it was trained on: --trained-on embedded (their training "
            "part), or a file"
        )


def test_it_is_no_surer_of_these_digits_than_of_others(subject: Subject, dataset: Dataset) -> None:
    """A model that was trained on MNIST's test digits loses more on changed copies of them, and on training digits."""
    if results.measured_on(dataset.facts) is None:
        return
    training, training_labels = embedded.whole()
    sets = [dataset.images, *(corrupt(dataset.images, trial, seed=0) for trial in contamination.CHANGES), training]
    answers = np.concatenate(list(subject.stream(np.array_split(np.concatenate(sets), 45))))
    rows, *of_changed, of_training = np.split(answers, np.cumsum([len(each) for each in sets])[:-1])
    try:
        ratio, low = contamination.beside(dataset.labels, rows, of_changed, training_labels, of_training)
    except NotMeasurable as error:
        raise Inconclusive(f"whether it has seen these digits cannot be told: {error}") from error
    if low > contamination.MOST_BESIDE:
        raise Inconclusive(
            f"seen before? With its confidence set right, it loses {ratio:.2f} times as much on others like them "
            f"(the same slightly changed, and {len(training):,} training digits), at least {low:.2f} times; models "
            f"that had not seen these stayed under {contamination.MOST_BESIDE:.2f}. Judge it on digits that it cannot "
            "have been trained on"
        )


def test_no_test_digit_is_a_training_digit(dataset: Dataset) -> None:
    """An image in both parts is counted as right for having been memorised."""
    facts = dataset.facts
    if facts.shared_units:
        raise Inconclusive(
            f"in the training part, too: {facts.shared_units:,} of {count(facts.units, facts.unit)}; accuracy on them "
            f"says nothing of a {facts.unit} that the model has not seen. Keep each in one part"
        )

    assert facts.overlap == 0, f"in the training part, too: {count(facts.overlap, 'test image')} of {facts.n:,}"


def test_few_test_digits_are_nearly_training_digits(dataset: Dataset, show: Callable[[Images], None]) -> None:
    """A picture that differs by less than one pixel of ink from a training picture has as good as been seen."""
    if dataset.train_images is None:
        return
    try:
        found = near_duplicates.near_duplicates(dataset.images, dataset.train_images)
    except NotMeasurable as error:
        raise Inconclusive(f"{error}; look whether these are digits") from error
    twins, n = len(np.unique(found.test)), len(dataset.images)
    if twins:
        pairs = np.stack([dataset.images[found.test[:5]], dataset.train_images[found.train[:5]]], axis=1)
        show(pairs.reshape(-1, SIDE, SIDE))

    assert twins <= n / 1000, f"nearly a training image: {count(twins, 'test image')} of {n:,}"
