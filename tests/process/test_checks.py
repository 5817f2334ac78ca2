"""The suites on candidates of arrays: each known mistake is blocked and named, and what is right is not stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.judging import verdict
from harness.records import Finding, InputContract, InputKind
from tests.support.faults import preprocessing
from tests.support.local_subject import LocalSubject, checked
from tests.support.samples import network_answers as good

Arrays = NDArray[Any]
NOISE = np.random.default_rng(0)


@pytest.mark.parametrize("fault", preprocessing.FAULTS)
def test_faulty_preprocessing_is_blocked_and_the_cause_is_named(fault: str) -> None:
    text, words = preprocessing.FAULTS[fault]

    suite = "test_one_hot.py" if fault.startswith("one_hot") else "test_normalization.py"

    judged = verdict.of(checked(LocalSubject(module=text), suite=suite))

    assert judged.word == "blocked"
    assert words in judged.sentence


@pytest.mark.parametrize("variant", preprocessing.CORRECT)
def test_correct_preprocessing_is_not_stopped(variant: str) -> None:
    findings = checked(LocalSubject(module=preprocessing.CORRECT[variant]))

    assert only_seen(findings)


def only_seen(findings: tuple[Finding, ...]) -> bool:
    """Tell whether all required checks passed but the one that these digits cannot judge a stranger's model."""
    open_ = [one.id.rpartition(":")[2] for one in findings if one.level == "required" and one.status != "passed"]
    return open_ == ["test_the_candidate_has_not_seen_these_digits"]


KINDS: tuple[InputKind, ...] = ("raw", "symmetric", "standardised", "inverted", "l2")
UNDO: dict[str, Callable[[Arrays], Arrays]] = {
    "raw": lambda seen: seen / 255,
    "symmetric": lambda seen: (seen + 1) / 2,
    "standardised": lambda seen: seen * 0.3081 + 0.1307,
    "inverted": lambda seen: 1 - seen,
    "l2": lambda seen: seen * 2,
}


def shipped(kind: str) -> str:
    return f"from harness.references.contracts import normalizer, one_hot\nnormalize = normalizer({kind!r})\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_reads_under_a_declared_contract_is_not_stopped(kind: InputKind) -> None:
    contract = InputContract.of(kind)

    findings = checked(LocalSubject(lambda seen: good(UNDO[kind](seen)), module=shipped(kind), contract=contract))

    assert only_seen(findings)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "l2"])
def test_what_reads_under_another_contract_than_the_default_is_blocked_and_its_option_named(kind: InputKind) -> None:
    judged = verdict.of(checked(LocalSubject(lambda seen: good(UNDO[kind](seen))), suite="test_contract.py"))

    assert judged.word == "blocked"
    assert f"as they are; if that is how it will be fed: --preprocess {kind}" in judged.sentence


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_that_are_not_those_of_the_declared_contract_are_blocked(kind: InputKind) -> None:
    contract = InputContract.of(kind)

    judged = verdict.of(checked(LocalSubject(contract=contract), suite="test_normalization.py"))

    assert judged.word == "blocked"
    assert "every pixel is what the contract makes of it: a pixel of " in judged.sentence


def own(expression: str, limits: str = "(-1, 1)", start: str = "x = images.astype(np.float32)") -> str:
    body = f"    {start}\n    return ({expression}).astype(np.float32)\n"
    return f"import numpy as np\nRANGE = {limits}\n\n\ndef normalize(images):\n{body}"


OWN = InputContract("own", -1.0, 1.0, one_hot=False)
# what a module that promises -1..1 does, and words that the verdict's sentence must hold
BROKEN = {
    "out of range": (own("x / 127"), ", must lie in -1 to 1"),
    "levels lost": (own("np.round(x / 127.5 - 1, 2)"), "is not above level"),
    "of the batch": (own("x / max(x.max(initial=0), 1)"), "is normalised otherwise alone"),
    "in place": (own("x", start="x = images / 255.; images[:] = 0"), "in place"),
    "float64": (own("x / 127.5 - 1").replace("float32)\n", "float64)\n"), "float64"),
    "flattened": (own("(x / 127.5 - 1).reshape(len(x), 784)"), "turns shape"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_module_is_held_to_the_range_that_it_states(fault: str) -> None:
    text, words = BROKEN[fault]

    judged = verdict.of(checked(LocalSubject(module=text, contract=OWN), suite="test_normalization.py"))

    assert judged.word == "blocked"
    assert words in judged.sentence


OWN_WAYS: dict[str, Callable[[Arrays], Arrays]] = {
    "x / 127.5 - 1": lambda seen: (seen + 1) / 2,
    "1 - x / 127.5": lambda seen: (1 - seen) / 2,
    "(x / 127.5 - 1)[..., None]": lambda seen: (seen + 1) / 2,
    "x / 255": lambda seen: seen,
}


@pytest.mark.parametrize("expression", OWN_WAYS)
def test_a_module_may_state_a_range_add_a_channel_and_leave_labels_alone(expression: str) -> None:
    findings = checked(
        LocalSubject(lambda seen: good(OWN_WAYS[expression](seen)), module=own(expression), contract=OWN)
    )

    assert only_seen(findings)
    assert not [one.id for one in findings if "one_hot" in one.id or "over_255" in one.id or "ink_is_1" in one.id]


def logits(pixels: Arrays) -> Arrays:
    return np.log(np.maximum(good(pixels), 1e-12)) + np.float32(3)


def rows(scores: Arrays, axis: int = 1) -> Arrays:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def exchanged(said: Arrays) -> Arrays:
    return said[:, [0, 1, 2, 3, 9, 5, 6, 7, 8, 4]]


# what the model does with normalised pixels, and words that the verdict's sentence must hold
PREDICTIONS: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "classes 4 and 9 exchanged": (lambda seen: exchanged(good(seen)), "4 is said as 9, 9 is said as 4"),
    "divides again": (lambda seen: good(seen / 255), "it divides by 255 itself"),
    "constant": (lambda seen: np.tile(np.float32(np.eye(10)[3]), (len(seen), 1)), "its answer is constant"),
    "transposes": (lambda seen: good(seen.swapaxes(1, 2)), "transposed"),
    "inverts": (lambda seen: good(1 - seen), "inverted"),
    "logits": (logits, "logits"),
    "sigmoid": (lambda seen: 1 / (1 + np.exp(-logits(seen))), "sigmoid"),
    "logarithms": (lambda seen: np.log(good(seen)), "logarithms"),
    "softmax over the batch": (lambda seen: rows(logits(seen), axis=0), "rows do not sum to 1"),
    "one row for the batch": (lambda seen: good(seen).mean(0, keepdims=True), "with shape (1, 10)"),
    "nan for some": (lambda seen: np.where(seen.mean((1, 2))[:, None] > 0.2, np.nan, good(seen)), "NaN or infinity"),
    "infinite": (lambda seen: np.where(good(seen) > 0.999, np.inf, good(seen)), "hold NaN or infinity"),
    "negative": (lambda seen: good(seen) - np.float32(0.1), "not probabilities (from -0.1 "),
    "sums of 0.9": (lambda seen: good(seen) * np.float32(0.9), "rows do not sum to 1 but to 0.9"),
    "half precision": (lambda seen: good(seen).astype(np.float16), "rows do not sum to 1"),
    "labels": (lambda seen: good(seen).round().astype(np.int32), "int32"),
    "noise left on": (lambda seen: good(seen + np.float32(NOISE.normal(0, 0.03, seen.shape))), "when asked twice"),
    "divided by the batch's norm": (lambda seen: rows(50 * good(seen) / np.linalg.norm(good(seen))), "in batches of 1"),
    "the best of its batch": (lambda seen: rows(20 * (good(seen) - good(seen).max(0))), "in batches of 1"),
    "answers moved on by one": (lambda seen: np.roll(good(seen), 1, 0), "in batches of 1"),
}


@pytest.mark.parametrize("fault", PREDICTIONS)
def test_predictions_that_break_the_contract_are_blocked_and_the_cause_is_named(fault: str) -> None:
    predict, words = PREDICTIONS[fault]

    judged = verdict.of(checked(LocalSubject(predict), suite="test_contract.py"))

    assert judged.word == "blocked"
    assert words in judged.sentence


@pytest.mark.parametrize(
    ("takes", "gives", "words"),
    [
        ((32, 32, 3), (10,), "(32, 32, 3)"),
        ((14, 14), (10,), "(14, 14)"),
        ((14, 14, 1), (10,), "(14, 14, 1)"),
        ((1, 28, 28), (10,), "its channel comes first: put Input((28, 28, 1)) and Permute((3, 1, 2)) before it"),
        ((28, 28), (1,), "[(1,)]"),
        ((28, 28), (9,), "[(9,)]"),
        ((28, 28), (11,), "answers with shape [(11,)]"),
        ((28, 28), (1000,), "[(1000,)]"),
        ((28, 28), (10, 1), "[(10, 1)]"),
        ((28, 28), (28, 28, 10), "[(28, 28, 10)]"),
    ],
)
def test_another_shape_is_blocked_and_named(takes: tuple[int, ...], gives: tuple[int, ...], words: str) -> None:
    judged = verdict.of(checked(LocalSubject(takes=takes, gives=gives), suite="test_contract.py"))

    assert judged.word == "blocked"
    assert words in judged.sentence


def test_writers_of_both_parts_are_counted_and_nothing_is_said_of_others() -> None:
    findings = checked(LocalSubject(), suite="test_data.py", unit="writer", units=60, shared_units=2)

    (found,) = (one for one in findings if one.id.endswith("test_no_test_digit_is_a_training_digit"))
    assert (found.status, found.level) == ("inconclusive", "required")
    assert "in the training part, too: 2 of 60 writers" in found.reason
