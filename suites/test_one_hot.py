"""Does the candidate's ``one_hot`` turn labels 0..9 into ten columns with a single 1, and refuse everything else?"""

import numpy as np
from hypothesis import given, settings

from harness.candidate.parent.subject import Subject
from harness.checks.strategies import labels as label_lists
from harness.checks.strategies import not_labels
from harness.errors import Refused
from harness.records import CLASSES, Labels

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, database=None, print_blob=False)
EACH = np.arange(CLASSES, dtype=np.uint8)


def test_there_are_ten_columns_and_a_row_for_each_label(subject: Subject) -> None:
    """Shape (n, 10), for no label as for many."""

    @EXAMPLES
    @given(label_lists())
    def holds(labels: Labels) -> None:
        shape = subject.one_hot(labels).values.shape

        assert shape == (len(labels), CLASSES), f"{len(labels)} labels give shape {shape}, must be ({len(labels)}, 10)"

    holds()


def test_there_are_only_zeros_and_ones(subject: Subject) -> None:
    """Anything else is a soft label, and trains another model."""
    values = subject.one_hot(EACH).values
    found = sorted({float(value) for value in values.ravel()})

    assert set(found) <= {0.0, 1.0}, f"one_hot gives the values {found[:4]}, must be 0 and 1: soft labels?"


def test_each_row_has_a_single_1(subject: Subject) -> None:
    """A label is one digit."""

    @EXAMPLES
    @given(label_lists(min_size=1))
    def holds(labels: Labels) -> None:
        values = subject.one_hot(labels).values
        ones = (values == 1).reshape(len(values), -1).sum(axis=1)

        assert (ones == 1).all(), f"a row has {ones[ones != 1][0]} ones, must have a single 1"

    holds()


def test_the_1_is_where_the_label_says(subject: Subject) -> None:
    """Back by argmax to the label, in the same order."""

    @EXAMPLES
    @given(label_lists(min_size=1))
    def holds(labels: Labels) -> None:
        values = subject.one_hot(labels).values
        back = values.reshape(len(values), -1).argmax(axis=1)
        wrong = np.flatnonzero(back != labels) if len(back) == len(labels) else np.zeros(1, int)

        assert not len(wrong), f"label {labels[wrong[0]]} comes back as {back[wrong[0]]}"

    holds()


def test_the_order_is_kept(subject: Subject) -> None:
    """Row i belongs to label i: the rows of a reversed list are the rows reversed."""
    labels = np.array([3, 1, 4, 1, 5, 9, 2, 6], np.uint8)
    rows, backwards = subject.one_hot(labels).values, subject.one_hot(labels[::-1].copy()).values

    assert np.array_equal(rows[::-1], backwards), "the rows of a reversed list of labels are not the rows reversed"


def test_the_input_is_left_alone(subject: Subject) -> None:
    """A function that changes its input in place spoils the labels for whoever reads them next."""
    labels = np.array([3, 1, 4, 1, 5], np.int64)

    assert not subject.one_hot(labels).modified, "one_hot changes its input in place; work on a copy"


def test_what_is_no_digit_is_refused(subject: Subject) -> None:
    """Labels over 9, negative or fractional must raise, not become some other digit."""

    @EXAMPLES
    @given(not_labels())
    def holds(labels: Labels) -> None:
        wrong = next(float(label) for label in labels if label not in EACH)
        try:
            subject.one_hot(labels)
        except Refused:
            return

        raise AssertionError(f"one_hot accepts the label {wrong:g}; labels are whole numbers 0..9")

    holds()
