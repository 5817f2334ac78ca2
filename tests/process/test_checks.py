"""The suites on candidates of arrays: each known mistake is blocked and named, and what is right is not stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.judging import verdict
from tests.support.faults import preprocessing
from tests.support.local_subject import LocalSubject, checked
from tests.support.samples import network_answers as good

Arrays = NDArray[Any]
NOISE = np.random.default_rng(0)


@pytest.mark.parametrize("fault", preprocessing.FAULTS)
def test_faulty_preprocessing_is_blocked_and_the_cause_is_named(fault: str) -> None:
    text, words = preprocessing.FAULTS[fault]

    judged = verdict.of(checked(LocalSubject(module=text)))

    assert judged.word == "blocked"
    assert words in judged.sentence


@pytest.mark.parametrize("variant", preprocessing.CORRECT)
def test_correct_preprocessing_is_not_stopped(variant: str) -> None:
    findings = checked(LocalSubject(module=preprocessing.CORRECT[variant]))

    assert [one.id.rpartition(":")[2] for one in findings if one.level == "required" and one.status != "passed"] == [
        "test_the_candidate_has_not_seen_these_digits"  # these digits are MNIST's training digits
    ]


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
    "one row for the batch": (lambda seen: good(seen).mean(0, keepdims=True), "with shape (2, 10)"),
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

    judged = verdict.of(checked(LocalSubject(predict)))

    assert judged.word == "blocked"
    assert words in judged.sentence


@pytest.mark.parametrize(
    ("takes", "gives", "words"),
    [
        ((32, 32, 3), (10,), "(32, 32, 3)"),
        ((14, 14), (10,), "(14, 14)"),
        ((14, 14, 1), (10,), "(14, 14, 1)"),
        ((28, 28), (1,), "[(1,)]"),
        ((28, 28), (9,), "[(9,)]"),
        ((28, 28), (11,), "answers with shape [(11,)]"),
        ((28, 28), (1000,), "[(1000,)]"),
        ((28, 28), (10, 1), "[(10, 1)]"),
        ((28, 28), (28, 28, 10), "[(28, 28, 10)]"),
    ],
)
def test_another_shape_is_blocked_and_named(takes: tuple[int, ...], gives: tuple[int, ...], words: str) -> None:
    judged = verdict.of(checked(LocalSubject(takes=takes, gives=gives)))

    assert judged.word == "blocked"
    assert words in judged.sentence
