"""Labels in doubt: both the model and the neighbours must doubt them, and a bad model is not asked."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import NotMeasurable
from harness.judging import label_issues
from harness.judging.gates import judge_all
from harness.metrics import confusion_matrix, evaluate
from harness.records import CLASSES, CLEAN, Evidence, Gate, Labels, Level
from tests.support import samples
from tests.unit.metrics.test_calibration import told


def with_labels(labels: Labels, said: np.ndarray | None = None) -> Evidence:
    """The embedded digits under these labels, and a model that says ``said`` (or what they truly are), quite sure."""
    known = samples.dataset()
    said = known.labels if said is None else said
    shown = samples.evidence((), n=len(known.labels))
    rows = told(said.astype(int), np.full(len(said), 0.98))
    return samples.answering(
        shown, labels=labels.astype(np.uint8), probabilities=rows, answers={CLEAN: said.astype(np.int8)}
    )


def mislabelled(indexes: list[int]) -> Labels:
    """True labels, but these are of the next digit."""
    labels = samples.dataset().labels.copy()
    labels[indexes] = (labels[indexes] + 1) % CLASSES
    return labels


WRONG = [3, 140, 260, 333, 471, 618, 777, 905]


def test_labels_that_were_changed_are_found() -> None:
    found = {one.index for one in label_issues.find(with_labels(mislabelled(WRONG)))}

    assert found <= set(WRONG)
    assert len(found) >= len(WRONG) - 1


def test_a_suspect_says_what_both_take_it_for() -> None:
    first = label_issues.find(with_labels(mislabelled(WRONG)))[0]
    true = int(samples.dataset().labels[first.index])

    assert (first.label, first.said) == ((true + 1) % CLASSES, true)
    assert first.neighbours > label_issues.NEIGHBOURS // 2


def test_a_mistake_of_the_model_alone_is_no_label_in_doubt() -> None:
    labels = samples.dataset().labels
    said = labels.copy()
    said[WRONG] = (labels[WRONG] + 5) % CLASSES

    assert label_issues.find(with_labels(labels, said)) == ()


def test_a_doubt_of_the_neighbours_alone_is_none() -> None:
    labels = mislabelled(WRONG)

    assert label_issues.find(with_labels(labels, labels)) == ()


def test_a_model_that_takes_one_digit_for_another_marks_few() -> None:
    """Half of the fours are called nines: five in a hundred images, of which the neighbours side with some."""
    labels = samples.dataset().labels
    fours = np.flatnonzero(labels == 4)
    said = labels.copy()
    said[fours[::2]] = 9

    assert len(label_issues.find(with_labels(labels, said))) <= 10


def test_a_model_that_doubts_too_many_labels_is_not_asked() -> None:
    labels = samples.dataset().labels
    said = np.where(labels % 2 == 0, (labels + 1) % CLASSES, labels)

    with pytest.raises(NotMeasurable, match=r"the model doubts \d+ of 1000 labels"):
        label_issues.find(with_labels(labels, said))


def test_without_probabilities_there_are_no_suspects() -> None:
    shown = with_labels(mislabelled(WRONG))
    unusable = samples.answering(shown, probabilities=np.full_like(shown.probabilities, np.nan))

    assert label_issues.assess(unusable, ()) is None


def test_accuracy_without_the_suspects_leaves_them_out_of_both_counts() -> None:
    shown = with_labels(mislabelled(WRONG))

    found = label_issues.assess(shown, ())

    assert found is not None
    assert (found.without.hits, found.without.n) == (992, 1000 - len(found.images))


def test_the_other_images_keep_their_answers() -> None:
    shown = with_labels(mislabelled(WRONG))
    found = label_issues.find(shown)
    counts = np.array(confusion_matrix(shown.labels, shown.answers[CLEAN]))
    for one in found:
        counts[one.label, one.said] -= 1

    rest = label_issues.without(shown, found)

    assert confusion_matrix(rest.labels, rest.answers[CLEAN]) == tuple(map(tuple, counts.tolist()))


def turned(threshold: float, level: Level = "required") -> tuple[str, ...]:
    """Return the gates on accuracy that hang on eight wrong labels among a thousand."""
    shown = with_labels(mislabelled(WRONG))
    gate = Gate("accuracy", "accuracy", "at_least", threshold, "because", level=level)
    found = label_issues.assess(shown, judge_all(evaluate(shown, [gate])))
    assert found is not None
    return found.turned


def test_a_gate_that_passes_without_them_hangs_on_the_suspects() -> None:
    assert turned(0.994) == ("accuracy",)


def test_a_gate_that_passes_either_way_does_not() -> None:
    assert turned(0.9) == ()


def test_a_gate_that_misses_either_way_does_not() -> None:
    assert turned(0.9999) == ()


def test_a_warning_does_not() -> None:
    assert turned(0.994, "warning") == ()
