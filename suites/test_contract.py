"""Input, output, and independence of an answer from anything but the image."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.candidate.parent.subject import Subject
from harness.checks import diagnosis
from harness.records import CLASSES, SIDE, Dataset, Images, ModelFacts, Probabilities

Unchanged = Callable[[Probabilities, Probabilities, Images, str], None]
TAKEN = ((SIDE, SIDE), (SIDE, SIDE, 1), (SIDE * SIDE,), (None, None, 1))
AFTER_A_CHANGE = 200  # images in each comparison


@pytest.fixture
def unchanged(candidate: ModelFacts) -> Unchanged:
    """Same class, and probabilities within 1e-5, or what a coarser type allows; the images that changed are shown."""

    def compare(before: Probabilities, after: Probabilities, images: Images, when: str) -> None:
        moved = diagnosis.moved(before, after, candidate)
        gap = np.nanmax(np.abs(before - after), initial=0)
        images, state = images[moved], diagnosis.state(candidate)

        assert not len(images), f"{len(images)} of {len(moved)} answers change {when}, by up to {gap:.3g}{state}"

    return compare


def test_the_model_is_sequential(candidate: ModelFacts) -> None:
    """The kind of model this gate was made for; what a SavedModel was built as cannot be seen any more."""
    fits = candidate.kind in ("Sequential", "SavedModel", "TFLite")

    assert fits, f"the file holds a {candidate.kind} model, must be Sequential"


@pytest.mark.advisory
def test_its_layers_can_be_seen(candidate: ModelFacts) -> None:
    """A SavedModel is a program: it answers, and does not say what layers it was built of."""
    assert candidate.layers, f"a {candidate.kind} shows no layers; save with model.save('model.keras') to show them"


def test_it_takes_one_image(candidate: ModelFacts) -> None:
    """One input, of a shape that 28 x 28 pixels fill."""
    shapes = [shape[1:] for shape in candidate.inputs]
    first = "; its channel comes first: put Input((28, 28, 1)) and Permute((3, 1, 2)) before it"

    assert shapes in [[taken] for taken in TAKEN], (
        f"it takes input of shape {shapes}; a digit model takes (28, 28), (28, 28, 1) or (784,)"
        f"{first if shapes == [(1, SIDE, SIDE)] else ''}"
    )


def test_it_gives_ten_numbers(candidate: ModelFacts) -> None:
    """One output, a number for each digit."""
    shapes = [shape[1:] for shape in candidate.outputs]

    assert shapes == [(CLASSES,)], f"it answers with shape {shapes}; a digit model answers (10,) for each image"


def test_its_weights_are_numbers(subject: Subject) -> None:
    """A NaN in one weight spoils some answers or all."""
    unfit = subject.unfit_weights()

    assert not unfit, f"weights hold NaN or infinity: {', '.join(unfit[:3])}"


def test_answers_are_finite(subject: Subject, dataset: Dataset) -> None:
    """NaN has no largest class: argmax would call it 0 without a word."""
    answers = subject.predict(dataset.images)
    bad = ~np.isfinite(answers).all(axis=1)
    images = dataset.images[bad]

    assert not len(images), f"{len(images)} of {len(answers)} answers hold NaN or infinity"


def test_answers_are_probabilities(subject: Subject, dataset: Dataset, candidate: ModelFacts) -> None:
    """In 0..1, and each row sums to 1 within 1e-5: whoever reads the confidence relies on it."""
    answers = subject.predict(dataset.images[:1000])
    finite = np.isfinite(answers).all(axis=1)
    named = diagnosis.probabilities(answers[finite], candidate.precision, dataset.labels[:1000][finite])

    assert not named, named


def test_it_reads_digits_the_way_they_are_given(subject: Subject, dataset: Dataset) -> None:
    """Pixels 0..1, ink 1, upright: a model made for anything else is read wrongly here, and in production."""
    images, labels = diagnosis.sample(dataset, 50)
    otherwise = diagnosis.reading(subject.predict, images, labels, subject.contract.kind, dataset)

    assert not otherwise, otherwise


def test_each_output_column_is_its_digit(subject: Subject, dataset: Dataset) -> None:
    """Column 4 is the probability of a 4."""
    images, labels = diagnosis.sample(dataset, 50)
    exchanged = diagnosis.exchanged(subject.predict(images), labels)

    assert not exchanged, exchanged


def test_the_answer_depends_on_the_image(subject: Subject, dataset: Dataset) -> None:
    """A constant model is right one time in ten."""
    answers = subject.predict(dataset.images[:1000])
    said = np.unique(answers.argmax(axis=1))

    assert len(said) > 1, f"the model says {said[0]} for each of {len(answers)} digits: its answer is constant"


def test_the_same_images_twice_give_the_same_answers(subject: Subject, dataset: Dataset, unchanged: Unchanged) -> None:
    """Dropout or noise left on at inference."""
    images = dataset.images[:AFTER_A_CHANGE]

    unchanged(subject.predict(images), subject.predict(images), images, "when asked twice")


def test_the_batch_size_changes_nothing(subject: Subject, dataset: Dataset, unchanged: Unchanged) -> None:
    """Batch statistics left on at inference."""
    images = dataset.images[:AFTER_A_CHANGE]
    whole = subject.predict(images)

    for size in (1, 7, 64):
        unchanged(whole, subject.predict(images, batch=size), images, f"in batches of {size}")


def test_the_order_changes_nothing(subject: Subject, dataset: Dataset, unchanged: Unchanged) -> None:
    """Row i of the answer belongs to image i."""
    images = dataset.images[:AFTER_A_CHANGE]
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(images))
    there, back = subject.predict(images[order]), np.argsort(order)

    unchanged(subject.predict(images), there[back], images, "in another order")


def test_the_neighbours_change_nothing(subject: Subject, dataset: Dataset, unchanged: Unchanged) -> None:
    """The same image among blank ones, white ones and other digits."""
    images = dataset.images[:40]
    alone = subject.predict(images)
    blank, white = np.zeros((40, SIDE, SIDE), np.uint8), np.full((40, SIDE, SIDE), 255, np.uint8)

    for name, others in (("blank", blank), ("white", white), ("other", dataset.images[40:80])):
        among = subject.predict(np.concatenate([images, others]))[: len(images)]
        unchanged(alone, among, images, f"among {name} images")


def test_blank_white_and_extreme_images_get_an_answer(subject: Subject) -> None:
    """A camera sends blanks and glare too: each answer is made of numbers."""
    board = (np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 255).astype(np.uint8)
    flat = [np.full((SIDE, SIDE), level, np.uint8) for level in (0, 1, 128, 255)]
    images: Images = np.stack([*flat, board, 255 - board, np.eye(SIDE, dtype=np.uint8) * 255])
    bad = np.logical_not(np.isfinite(subject.predict(images)).all(axis=1))
    images = images[bad]

    assert not len(images), f"{len(images)} of {len(bad)} extreme images get an answer of NaN or infinity"


def test_the_file_loads_twice_to_the_same_answers(subject: Subject, dataset: Dataset, unchanged: Unchanged) -> None:
    """A model that is loaded again, as for deployment, answers as the one that was judged."""
    images = dataset.images[:AFTER_A_CHANGE]

    unchanged(subject.predict(images), subject.predict(images, fresh=True), images, "when the file is loaded again")
