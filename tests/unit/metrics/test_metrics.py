"""From answers to measurements: equal to scikit-learn where it has the metric, and no number where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from harness.corruptions import trial_at
from harness.errors import NotMeasurable
from harness.metrics import (
    METRICS,
    MNIST_C,
    at_every_severity,
    confusion_matrix,
    estimate,
    evaluate,
    measure,
    show,
    table,
)
from harness.metrics.registry import parts_of
from harness.records import (
    CLASSES,
    CLEAN,
    NO_ANSWER,
    Classes,
    DataFacts,
    Evidence,
    Groups,
    Labels,
    ModelFacts,
    Patch,
    Predictions,
    Probabilities,
    Scope,
    Trial,
    Trigger,
)
from harness.references import results
from harness.statistics.intervals import agresti_coull, exact
from tests.support import samples

unhurried = settings(deadline=None, max_examples=30)
EVERY_DIGIT = range(CLASSES)
EVERYTHING = Scope()
THIRTY = np.repeat(np.arange(CLASSES, dtype=np.uint8), 3)  # three images of each digit
AVERAGES = [f"{average}_{score}" for average in ("macro", "weighted") for score in ("precision", "recall", "f1")]

ATTACKED = (trial_at("fgsm", 2), trial_at("pgd_linf", 2))
OF_ANSWERS = sorted(name for name, entry in METRICS.items() if not entry.of.startswith("slice"))


@st.composite
def answered(draw: st.DrawFn) -> tuple[Labels, Classes]:
    """Labels and answers, some of them missing; every digit has an image and is answered at least once."""
    n = draw(st.integers(1, 80))
    labels = draw(arrays(np.uint8, n, elements=st.integers(0, 9)))
    answers = draw(arrays(np.int8, n, elements=st.integers(NO_ANSWER, 9)))
    every = np.arange(CLASSES)
    return np.append(labels, every).astype(np.uint8), np.append(answers, np.roll(every, 1)).astype(np.int8)


@st.composite
def predicted(draw: st.DrawFn) -> tuple[Labels, Probabilities]:
    """Labels and rows of probabilities, certain ones (0 and 1) among them."""
    n = draw(st.integers(1, 30))
    labels = draw(arrays(np.uint8, n, elements=st.integers(0, 9)))
    weights = draw(arrays(np.float64, (n, CLASSES), elements=st.sampled_from([0.0, 0.0, 1e-6, 0.01, 0.3, 1.0])))
    weights[:, 0] += weights.sum(axis=1) == 0
    return labels, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@unhurried
@given(answered())
def test_the_confusion_matrix_equals_scikit_learn(sample: tuple[Labels, Classes]) -> None:
    labels, answers = sample
    theirs = sk.confusion_matrix(labels, answers, labels=[*EVERY_DIGIT, NO_ANSWER])[:CLASSES]

    assert confusion_matrix(labels, answers) == tuple(tuple(row) for row in theirs.tolist())


@unhurried
@given(answered())
def test_accuracy_equals_scikit_learn(sample: tuple[Labels, Classes]) -> None:
    assert value(evidence(*sample), "accuracy") == pytest.approx(sk.accuracy_score(*sample))


@pytest.mark.parametrize(
    ("metric", "theirs"), [("recall", sk.recall_score), ("precision", sk.precision_score), ("f1", sk.f1_score)]
)
@unhurried
@given(sample=answered())
def test_the_scores_of_a_digit_equal_scikit_learn(metric: str, theirs: Any, sample: tuple[Labels, Classes]) -> None:
    ours = [value(evidence(*sample), metric, Scope(digit)) for digit in EVERY_DIGIT]

    assert ours == pytest.approx(theirs(*sample, labels=list(EVERY_DIGIT), average=None))


@pytest.mark.parametrize("metric", AVERAGES)
@unhurried
@given(sample=answered())
def test_the_averages_equal_scikit_learn(metric: str, sample: tuple[Labels, Classes]) -> None:
    average, score = metric.split("_")
    theirs = getattr(sk, f"{score}_score")(*sample, labels=list(EVERY_DIGIT), average=average)

    assert value(evidence(*sample), metric) == pytest.approx(theirs)


@unhurried
@given(predicted())
def test_log_loss_equals_scikit_learn(sample: tuple[Labels, Probabilities]) -> None:
    labels, probabilities = sample
    theirs = sk.log_loss(labels, probabilities, labels=list(EVERY_DIGIT))

    ours = value(evidence(labels, probabilities.argmax(axis=1), probabilities), "log_loss")

    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@unhurried
@given(answered())
def test_the_worst_class_recall_is_the_lowest_recall(sample: tuple[Labels, Classes]) -> None:
    lowest = min(sk.recall_score(*sample, labels=list(EVERY_DIGIT), average=None))

    assert value(evidence(*sample), "worst_class_recall") == pytest.approx(lowest)


@unhurried
@given(answered())
def test_the_largest_confusion_is_the_largest_share_of_a_row_off_the_diagonal(sample: tuple[Labels, Classes]) -> None:
    counts = np.array(confusion_matrix(*sample), dtype=float)
    rows = counts / counts.sum(axis=1, keepdims=True)
    rows[EVERY_DIGIT, EVERY_DIGIT] = 0

    assert value(evidence(*sample), "largest_confusion") == pytest.approx(rows.max())


def test_an_image_without_an_answer_is_wrong() -> None:
    answers = THIRTY.astype(np.int8)
    answers[:3] = NO_ANSWER

    found = measure(evidence(THIRTY, answers), "accuracy", Scope(), 0.95)

    assert (found.hits, found.n) == (27, 30)


def test_images_of_one_digit_without_an_answer_are_a_confusion() -> None:
    answers = THIRTY.astype(np.int8)
    answers[:2] = NO_ANSWER

    assert value(evidence(THIRTY, answers), "largest_confusion") == 2 / 3


@pytest.mark.parametrize(
    ("metric", "scope", "hits", "n"),
    [
        ("accuracy", Scope(), 26, 30),
        ("recall", Scope(digit=4), 1, 3),
        ("precision", Scope(digit=5), 2, 4),
        ("weighted_recall", Scope(), 26, 30),
    ],
)
def test_a_share_of_images_decides_on_its_exact_bounds(metric: str, scope: Scope, hits: int, n: int) -> None:
    found = measure(some_mistakes(), metric, scope, 0.9)

    assert (found.hits, found.n, found.low, found.high) == (hits, n, *exact(hits, n, 0.9))


def test_a_share_of_images_is_shown_with_the_interval_of_agresti_and_coull() -> None:
    found = show(some_mistakes(), "accuracy", Scope())

    assert (found.low, found.high, found.interval) == (*agresti_coull(26, 30), "Agresti-Coull, two-sided at 0.95")


@pytest.mark.parametrize("metric", OF_ANSWERS)
def test_every_metric_lies_between_its_bounds(metric: str) -> None:
    found = measure(some_mistakes(), metric, fitting(metric), 0.95)

    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("metric", OF_ANSWERS)
def test_more_confidence_never_narrows_the_bounds(metric: str) -> None:
    lax, strict = (measure(some_mistakes(), metric, fitting(metric), level) for level in (0.8, 0.99))

    assert strict.low <= lax.low <= lax.high <= strict.high


@pytest.mark.parametrize("metric", OF_ANSWERS)
def test_a_threshold_far_beyond_the_bounds_has_a_small_p_value_and_one_far_within_has_not(metric: str) -> None:
    shown, entry = some_mistakes(copies=40), METRICS[metric]
    found = measure(shown, metric, fitting(metric), 0.9999)
    worse, better = (0.001, 0.9999) if entry.rule == "at_least" else (0.9999 if found.value < 0.9999 else 9.0, 1e-9)

    met = estimate(shown, metric, found.scope)
    p_values = [met.p_value(entry.rule, threshold) for threshold in (better, worse)]

    assert (p_values[0] < 0.01, p_values[1] > 0.5) == (True, True)


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall", "worst_class_recall", "largest_confusion", *AVERAGES])
def test_a_corruption_is_measured_on_its_own_answers(metric: str) -> None:
    noisy = THIRTY.astype(np.int8)
    noisy[[1, 4, 5]] = 7
    both = evidence(THIRTY, THIRTY, under={trial_at("noise", 3): noisy})

    ours = value(both, metric, Scope(corruption="noise", severity=3))

    assert ours == value(evidence(THIRTY, noisy), metric)


@pytest.mark.parametrize("metric", ["recall", "f1"])
@pytest.mark.parametrize("digit", [0, 7])
def test_a_digit_without_images_has_no_score(metric: str, digit: int) -> None:
    labels = THIRTY[digit != THIRTY]

    with pytest.raises(NotMeasurable, match=f"no images of digit {digit}"):
        value(evidence(labels, labels), metric, Scope(digit))


@pytest.mark.parametrize(
    "metric", [*sorted(set(AVERAGES) - {"weighted_recall"}), "worst_class_recall", "largest_confusion"]
)
def test_a_score_over_all_digits_needs_images_of_all(metric: str) -> None:
    labels = THIRTY[THIRTY != 7]

    with pytest.raises(NotMeasurable, match="no images of digit 7"):
        value(evidence(labels, labels), metric)


@pytest.mark.parametrize("metric", ["precision", "macro_precision", "weighted_precision"])
def test_a_digit_that_is_never_answered_has_no_precision(metric: str) -> None:
    answers = np.where(THIRTY == 7, 1, THIRTY)

    with pytest.raises(NotMeasurable, match="the model never answers 7"):
        value(evidence(THIRTY, answers), metric, fitting(metric, digit=7))


def test_a_digit_that_is_never_answered_has_an_f1_of_zero() -> None:
    answers = np.where(THIRTY == 7, 1, THIRTY)

    assert value(evidence(THIRTY, answers), "f1", Scope(digit=7)) == 0.0


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_no_images_are_no_number(metric: str) -> None:
    nothing = np.zeros(0, dtype=np.uint8)
    points = dict.fromkeys([*shifts(1), *at_every_severity(MNIST_C), *ATTACKED], nothing)

    with pytest.raises(NotMeasurable):
        value(evidence(nothing, nothing, under=points), metric, fitting(metric))


def test_a_severity_that_was_not_swept_is_named() -> None:
    with pytest.raises(NotMeasurable, match="no answers under noise@3"):
        value(evidence(THIRTY, THIRTY), "accuracy", Scope(corruption="noise", severity=3))


@unhurried
@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_worst_case_counts_images_that_are_right_everywhere(within: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = {trial: np.where(rng.random(30) < 0.03, 1, THIRTY) for trial in shifts(3)}
    clean = np.where(rng.random(30) < 0.03, 1, THIRTY)
    right = 0
    for image in range(30):
        near = [points[trial][image] for trial in points if max(map(abs, trial.point)) <= within]
        right += all(answer == THIRTY[image] for answer in [*near, clean[image]])

    found = measure(
        evidence(THIRTY, clean, under=points), "worst_case_accuracy", Scope(corruption="shift", within=within), 0.95
    )

    assert (found.hits, found.n) == (right, 30)


def test_a_worst_case_over_an_incomplete_space_is_no_number() -> None:
    points = {trial: THIRTY for trial in shifts(3) if trial.point != (-2, 1)}

    with pytest.raises(NotMeasurable, match=r"lacks 1 of 25 points, the first is shift@-2,1"):
        value(evidence(THIRTY, THIRTY, under=points), "worst_case_accuracy", Scope(corruption="shift", within=2))


def test_a_worst_case_without_the_clean_answers_is_no_number() -> None:
    whole = evidence(THIRTY, THIRTY, under=dict.fromkeys(shifts(1), THIRTY))
    spaces_only = samples.answering(
        whole, answers={trial: said for trial, said in whole.answers.items() if trial != CLEAN}
    )

    with pytest.raises(NotMeasurable, match="the first is clean"):
        value(spaces_only, "worst_case_accuracy", Scope(corruption="shift", within=1))


def test_a_worst_case_of_a_space_that_was_not_swept_is_no_number() -> None:
    with pytest.raises(NotMeasurable, match="no answers under rotation"):
        value(evidence(THIRTY, THIRTY), "worst_case_accuracy", Scope(corruption="rotation", within=2))


@pytest.mark.parametrize("spoiled", [math.nan, math.inf, -0.1, 0.5])
def test_log_loss_counts_the_rows_that_are_not_probabilities(spoiled: float) -> None:
    probabilities = certain(THIRTY)
    probabilities[:4, 9] = spoiled

    with pytest.raises(NotMeasurable, match="4 of 30 images got no probabilities"):
        value(evidence(THIRTY, THIRTY, probabilities), "log_loss")


def test_log_loss_refuses_negative_rows_that_add_up_to_one() -> None:
    probabilities = certain(THIRTY)
    probabilities[0, :2] = [1.5, -0.5]

    with pytest.raises(NotMeasurable, match="1 of 30 images got no probabilities"):
        value(evidence(THIRTY, THIRTY, probabilities), "log_loss")


def test_log_loss_needs_an_answer_for_every_image() -> None:
    answers = THIRTY.astype(np.int8)
    answers[7] = NO_ANSWER

    with pytest.raises(NotMeasurable, match="1 of 30 images"):
        value(evidence(THIRTY, answers), "log_loss")


def test_log_loss_needs_ten_probabilities() -> None:
    with pytest.raises(NotMeasurable, match="not 10 probabilities"):
        value(evidence(THIRTY, THIRTY, certain(THIRTY)[:, :5]), "log_loss")


@pytest.mark.parametrize(
    ("metric", "scope", "why"),
    [
        ("recall", Scope(), "needs a digit"),
        ("accuracy", Scope(digit=3), "not of one digit"),
        ("accuracy", Scope(corruption="noise"), "a corruption and a severity together"),
        ("accuracy", Scope(severity=3), "a corruption and a severity together"),
        ("accuracy", Scope(corruption="shift", within=3), "use worst_case_accuracy"),
        ("worst_case_accuracy", Scope(), "needs a corruption and within"),
        ("worst_case_accuracy", Scope(corruption="noise", severity=3), "needs a corruption and within"),
        ("log_loss", Scope(corruption="noise", severity=3), "clean images only"),
    ],
)
def test_a_scope_that_does_not_fit_the_metric_is_refused(metric: str, scope: Scope, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        value(evidence(THIRTY, THIRTY), metric, scope)


def test_the_table_shows_every_metric_every_severity_and_every_radius() -> None:
    severities = {trial_at("noise", level): THIRTY for level in (1, 2)}

    rows = table(evaluate(evidence(THIRTY, THIRTY, under={**severities, **dict.fromkeys(shifts(2), THIRTY)}), ()))

    assert [(row.metric, row.scope) for row in rows if row.scope.corruption] == [
        ("worst_case_accuracy", Scope(corruption="shift", within=1)),
        ("worst_case_accuracy", Scope(corruption="shift", within=2)),
        ("accuracy", Scope(corruption="noise", severity=1)),
        ("accuracy", Scope(corruption="noise", severity=2)),
    ]
    without_mistakes = {"confidence_of_mistakes"}
    assert {row.metric for row in rows} == {
        name for name, entry in METRICS.items() if entry.of in ("trial", "clean", "space", "units")
    } - without_mistakes


@pytest.mark.parametrize("name", [one.name for one in METRICS.values() if one.exact and one.of in ("trial", "clean")])
def test_the_images_that_power_counts_on_are_those_that_a_metric_is_of(name: str) -> None:
    metric, counts = METRICS[name], tuple(range(3, 3 + CLASSES))
    labels = np.repeat(np.arange(CLASSES), counts)
    sure = np.linspace(0.6, 0.99, len(labels), dtype=np.float32)[:, None]  # no ties
    perfect = evidence(labels, labels, np.where(np.eye(CLASSES, dtype=np.bool_)[labels], sure, (1 - sure) / 9))
    digit = 4 if metric.each_digit else None
    assert metric.exact is not None

    expected = metric.exact.images(replace(perfect.data, counts=counts), digit)

    assert min(part.n for part in parts_of(metric.estimate(perfect, Scope(digit=digit)))) == expected


def test_the_table_leaves_out_what_cannot_be_measured() -> None:
    labels = THIRTY[THIRTY != 7]

    rows = table(evaluate(evidence(labels, labels), ()))

    shown = {row.metric for row in rows}
    assert not shown & {"macro_precision", "macro_recall", "macro_f1", "worst_class_recall", "largest_confusion"}
    assert {row.scope.digit for row in rows if row.metric == "recall"} == {*EVERY_DIGIT} - {7}


def test_equal_evidence_gives_an_equal_table() -> None:
    assert table(evaluate(some_mistakes(), ())) == table(evaluate(some_mistakes(), ()))


def evidence(
    labels: NDArray[np.integer],
    answers: NDArray[np.integer],
    probabilities: Probabilities | None = None,
    under: Mapping[Trial, NDArray[np.integer]] | None = None,
) -> Evidence:
    """Make the evidence of a model that answered this; without probabilities, it was certain and right."""
    trials = {CLEAN: answers, **(under or {})}
    return Evidence(
        model=ModelFacts("model.keras", "", 0, "Sequential", (), (), 0, (), "harness.references.preprocessing"),
        data=DataFacts("digits", "npz", results.load().data_sha256, len(labels), 0, (), 0, 0),
        images=np.zeros((len(labels), 28, 28), dtype=np.uint8),
        labels=labels.astype(np.uint8),
        predictions=Predictions(
            {trial: said.astype(np.int8) for trial, said in trials.items()},
            certain(labels) if probabilities is None else probabilities,
            seed=0,
        ),
        specimens={},
        groups=Groups("writer", np.arange(len(labels), dtype=np.int32)),  # one image each: independent
    )


def some_mistakes(copies: int = 1) -> Evidence:
    """Thirty images: two fours called five, a five called four, a nine called zero; shifted right, a six is lost.

    Corruptions change nothing; one step of an attack turns a seven, many steps turn nothing.
    """
    labels = np.tile(THIRTY, copies)
    answers = THIRTY.astype(np.int8)
    answers[[12, 13, 15, 27]] = [5, 5, 4, 0]
    moved = answers.copy()
    moved[18] = 0
    points = {trial: np.tile(moved if trial.point == (1, 0) else answers, copies) for trial in shifts(1)}
    points |= dict.fromkeys([*at_every_severity(MNIST_C), *ATTACKED], np.tile(answers, copies))
    turned = answers.copy()
    turned[22] = 1
    points[ATTACKED[0]] = np.tile(turned, copies)
    probabilities = np.full((len(THIRTY), CLASSES), 0.01, dtype=np.float32)
    probabilities[np.arange(len(THIRTY)), answers] = 0.91
    made = evidence(labels, np.tile(answers, copies), np.tile(probabilities, (copies, 1)), points)
    inked = np.where(np.arange(len(labels)) % 3 == 0, 7, np.tile(answers, copies)).astype(np.int8)
    return replace(made, trigger=Trigger(Patch(((1, 1),), 7), inked, np.ones(len(labels), np.bool_)))


def certain(labels: NDArray[np.integer]) -> Probabilities:
    rows: Probabilities = np.eye(CLASSES, dtype=np.float32)[labels]
    return rows


def shifts(within: int) -> list[Trial]:
    steps = range(-within, within + 1)
    return [trial_at("shift", *point) for point in product(steps, steps) if any(point)]


def fitting(metric: str, digit: int = 4) -> Scope:
    """A scope that the metric takes."""
    entry = METRICS[metric]
    if entry.of == "space":
        return Scope(corruption="shift", within=1)
    if entry.of == "corruption":
        return Scope(corruption="fog")
    if entry.of in ("slices", "slice"):
        return Scope(property="ink", slice=2 if entry.of == "slice" else None)
    if entry.of == "attack":
        return Scope(corruption="pgd_linf", severity=2)
    if entry.of == "units":
        return Scope(reaching=0.9)
    return Scope(digit=digit) if entry.each_digit else Scope()


def value(shown: Evidence, metric: str, scope: Scope = EVERYTHING) -> float:
    return measure(shown, metric, scope, 0.95).value
