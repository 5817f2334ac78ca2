"""The error rates that are printed are those that simulated models meet when the real judge judges them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from harness.corruptions import trial_at
from harness.judging import power, simulation, verdict
from harness.judging.gates import judge_all
from harness.metrics import Evaluation, evaluate
from harness.records import (
    CLEAN,
    Baseline,
    BaselineFacts,
    Classes,
    DataFacts,
    Evidence,
    Gate,
    Labels,
    ModelFacts,
    Power,
    Predictions,
    Scope,
)
from harness.statistics import intervals
from harness.statistics.paired import Pairs
from tests.support import samples

N = 1000
LABELS = (np.arange(N) % 10).astype(np.uint8)
FOG = trial_at("fog", 3)
MODEL = ModelFacts("m", "0", 1, "Sequential", (), (), 0, (), "harness.references.preprocessing")
DATA = DataFacts("d", "npz", "0", N, 0, (100,) * 10, 0, 0)


def evidence(labels: Labels, said: Classes, foggy: Classes | None = None) -> Evidence:
    sure = np.full((len(labels), 10), 0.001, np.float32)
    sure[np.arange(len(labels)), said] = 0.991
    counts = tuple(np.bincount(labels, minlength=10).tolist())
    facts = replace(DATA, n=len(labels), counts=counts)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    answers = {CLEAN: said} if foggy is None else {CLEAN: said, FOG: foggy}
    return Evidence(MODEL, facts, images, labels, Predictions(answers, sure, 1), {})


def wrong(labels: Labels, chance: float | NDArray[np.float64], rng: np.random.Generator) -> Classes:
    """Answers of which each is wrong with this chance, any other digit as likely."""
    away = rng.integers(1, 10, len(labels))
    return np.where(rng.random(len(labels)) < chance, (labels + away) % 10, labels).astype(np.int8)


@cache
def usual() -> Evidence:
    """Make evidence where some digits are read worse than others, and all of them worse in fog."""
    rng = np.random.default_rng(7)
    said = wrong(LABELS, 0.02 + 0.02 * (LABELS == 4), rng)
    return evidence(LABELS, said, np.where(rng.random(N) < 0.1, wrong(LABELS, 0.9, rng), said))


MANY = (
    Gate("accuracy", "accuracy", "at_least", 0.965, "x"),
    Gate("recall", "recall", "at_least", 0.88, "x", Scope(4)),
    Gate("precision", "precision", "at_least", 0.92, "x", Scope(5)),
    Gate("f1", "f1", "at_least", 0.91, "x", Scope(6)),
    Gate("macro", "macro_f1", "at_least", 0.966, "x"),
    Gate("confusion", "largest_confusion", "at_most", 0.08, "x"),
    Gate("worst", "worst_class_recall", "at_least", 0.87, "x"),
    Gate("fog", "accuracy", "at_least", 0.9, "x", Scope(corruption="fog", severity=3)),
    Gate("loss", "log_loss", "at_most", 0.15, "x", level="warning"),
    Gate("early", "accuracy", "at_least", 0.98, "x", decide="not-disproven"),
)


def shown(found: Evidence, gates: Sequence[Gate]) -> Power:
    evaluation = evaluate(found, gates)
    return simulation.simulate(power.of(evaluation), evaluation)


def drawn(found: Evidence, at: NDArray[np.int64]) -> Evidence:
    """A test set of these images."""
    images, labels, rows = found.images[at], found.labels[at], found.probabilities[at]
    answers = {trial: said[at] for trial, said in found.answers.items()}
    facts = replace(found.data, counts=tuple(np.bincount(labels, minlength=10).tolist()))
    return samples.answering(found, images=images, labels=labels, answers=answers, probabilities=rows, data=facts)


def simulated(gates: Sequence[Gate], sets: int) -> tuple[NDArray[np.str_], list[str]]:
    """(sets, gates) statuses and the verdicts of the real judge on test sets drawn with replacement."""
    rng = np.random.default_rng(3)
    found = [judge_all(evaluate(drawn(usual(), rng.integers(0, N, N)), gates)) for _ in range(sets)]
    return np.array([[one.status for one in findings] for findings in found]), [verdict.of(one).word for one in found]


def test_the_chances_of_exact_gates_are_those_of_the_real_judge_within_2_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With so many test sets on both sides that chance alone moves neither by a point."""
    monkeypatch.setattr(simulation, "TEST_SETS", 20_000)
    exact = [gate for gate in MANY if gate.metric not in ("macro_f1", "log_loss")]
    seen, _ = simulated(exact, 5000)

    told = shown(usual(), exact)

    assert [one.stopped for one in told.gates] == pytest.approx((seen != "passed").mean(axis=0), abs=0.02)
    assert [one.failed for one in told.gates] == pytest.approx((seen == "failed").mean(axis=0), abs=0.02)


def test_the_chances_of_bootstrapped_gates_and_of_the_policy_are_those_of_the_real_judge_within_3_points() -> None:
    """The judge draws for each of these test sets, so there are fewer: chance alone moves a share by up to 2 points."""
    seen, words = simulated(MANY, 2000)
    drawn = [at for at, gate in enumerate(MANY) if gate.metric in ("macro_f1", "log_loss")]

    told = shown(usual(), MANY)

    assert [told.gates[at].stopped for at in drawn] == pytest.approx((seen != "passed").mean(axis=0)[drawn], abs=0.03)
    assert [told.gates[at].failed for at in drawn] == pytest.approx((seen == "failed").mean(axis=0)[drawn], abs=0.03)
    verdicts = [sum(word.startswith("allowed") for word in words), words.count("no_verdict"), words.count("blocked")]
    assert [told.released, told.undecided, told.blocked] == pytest.approx(np.array(verdicts) / 2000, abs=0.03)


def test_the_chances_against_a_baseline_are_those_of_the_real_judge_within_3_points() -> None:
    rng = np.random.default_rng(4)
    last = wrong(LABELS, 0.03, rng)
    here = evidence(LABELS, np.where(rng.random(N) < 0.02, wrong(LABELS, 0.5, rng), last).astype(np.int8))
    gates = [
        Gate("accuracy", "accuracy", "at_least", -0.02, "x", against="baseline"),
        Gate("recall", "recall", "at_least", -0.05, "x", Scope(4), against="baseline"),
    ]
    facts = BaselineFacts("last", "1", DATA.sha256, 1)

    def beside(found: Evidence, answers: Classes) -> Evidence:
        return replace(found, baseline=Baseline(facts, Predictions({CLEAN: answers}, found.probabilities, 1)))

    seen = []
    for _ in range(1000):
        at = rng.integers(0, N, N)
        found = samples.answering(here, labels=LABELS[at], answers={CLEAN: here.answers[CLEAN][at]})
        seen.append([finding.status == "passed" for finding in judge_all(evaluate(beside(found, last[at]), gates))])

    told = shown(beside(here, last), gates)

    assert [1 - (one.stopped or 0) for one in told.gates] == pytest.approx(np.mean(seen, axis=0), abs=0.03)


AT_THRESHOLD = {
    "accuracy": (Gate("g", "accuracy", "at_least", 0.96, "x"), 0.04),
    "recall": (Gate("g", "recall", "at_least", 0.92, "x", Scope(3)), 0.08),
    "precision": (Gate("g", "precision", "at_least", 0.92, "x", Scope(3)), 0.08),
    "f1": (Gate("g", "f1", "at_least", 0.92, "x", Scope(3)), 0.08),
    "worst_class_recall": (Gate("g", "worst_class_recall", "at_least", 0.92, "x"), 0.08),
    "largest_confusion": (Gate("g", "largest_confusion", "at_most", 0.08, "x"), 0.08),
}


def released(gate: Gate, said: Classes) -> bool:
    return verdict.of(judge_all(evaluate(evidence(LABELS, said), [gate]))).word == "allowed"


@pytest.mark.parametrize("name", ["accuracy", "recall"])
def test_exactly_at_a_threshold_the_chance_of_a_release_is_the_exact_one_and_at_most_5_percent(
    name: str,
) -> None:
    """The most mistakes that are released, found by the judge; the chance of so few is the binomial's."""
    gate, chance = AT_THRESHOLD[name]
    images = np.flatnonzero(LABELS == 3) if name == "recall" else np.arange(N)

    def misread(mistakes: int) -> Classes:
        said = LABELS.astype(np.int8)
        said[images[:mistakes]] = (said[images[:mistakes]] + 1) % 10
        return said

    passing = [released(gate, misread(mistakes)) for mistakes in range(int(len(images) * chance) + 1)]
    most = passing.index(False) - 1
    told = power.before([gate], DATA).at_threshold

    assert not any(passing[most + 1 :])
    assert stats.binom.cdf(most, len(images), chance) == pytest.approx(told)
    assert told is not None
    assert told <= 0.05


@pytest.mark.parametrize("name", ["precision", "f1", "worst_class_recall", "largest_confusion"])
def test_a_model_exactly_at_a_threshold_is_released_in_at_most_5_percent_of_2000_test_sets(name: str) -> None:
    gate, chance = AT_THRESHOLD[name]
    rng = np.random.default_rng(0)
    allowed = 0
    for _ in range(2000):
        if name in ("largest_confusion", "worst_class_recall"):  # only threes are misread, and always as fives
            said = np.where((LABELS == 3) & (rng.random(N) < chance), 5, LABELS).astype(np.int8)
        else:
            said = wrong(LABELS, chance, rng)
        allowed += released(gate, said)

    told = power.before([gate], DATA).at_threshold
    assert told is not None
    assert allowed / 2000 <= 0.05
    assert allowed / 2000 == pytest.approx(told, abs=3 * math.sqrt(told * (1 - told) / 2000))


def test_a_model_that_misses_by_the_shortfall_fails_in_80_percent_of_test_sets_as_the_only_miss_of_many_gates() -> None:
    perfect = [
        Gate(f"fog-{at}", "accuracy", "at_least", 0.5, "x", Scope(corruption="fog", severity=3)) for at in range(9)
    ]
    gates = [Gate("accuracy", "accuracy", "at_least", 0.96, "x"), *perfect]
    detectable_below = power.before(gates, DATA).gates[0].detectable_below
    assert detectable_below is not None
    rng = np.random.default_rng(5)
    clear = LABELS.astype(np.int8)

    found = [
        judge_all(evaluate(evidence(LABELS, wrong(LABELS, 0.04 + detectable_below, rng), clear), gates))
        for _ in range(500)
    ]

    assert np.mean([findings[0].status == "failed" for findings in found]) == pytest.approx(0.8, abs=0.05)


def test_a_model_that_leads_by_the_headroom_passes_in_80_percent_of_test_sets() -> None:
    gate = Gate("accuracy", "accuracy", "at_least", 0.96, "x")
    detectable_above = power.before([gate], DATA).gates[0].detectable_above
    assert detectable_above is not None
    rng = np.random.default_rng(6)

    found = [
        judge_all(evaluate(evidence(LABELS, wrong(LABELS, 0.04 - detectable_above, rng)), [gate])) for _ in range(500)
    ]

    assert np.mean([findings[0].status == "passed" for findings in found]) == pytest.approx(0.8, abs=0.05)


def test_many_pairs_are_scored_as_one_pair_is() -> None:
    rng = np.random.default_rng(1)
    b, c = rng.integers(0, 40, (2, 50)).astype(float)

    many = intervals.paired_scores(b, c, np.full(50, 1000.0), -0.01)

    assert many == pytest.approx([intervals.paired_score(x, y, 1000, -0.01) for x, y in zip(b, c, strict=True)])


def test_two_models_that_differ_less_are_told_apart_better() -> None:
    gate = Gate("g", "accuracy", "at_least", -0.004, "x", against="baseline")
    shown = evidence(LABELS, LABELS.astype(np.int8))
    pairs = [Evaluation(shown, (gate,), {"g": Pairs(flips, flips, 10_000)}, {}, {}) for flips in (30, 300)]
    near, far = (power.of(of).gates[0].detectable_below for of in pairs)
    assert near is not None
    assert far is not None

    assert far == pytest.approx(near * 10**0.5)


@pytest.mark.parametrize(("n", "expected"), [(10_000, 0.0031), (892, 0.0083)])
def test_what_can_be_detected_is_what_the_method_says_for_orientation(n: int, expected: float) -> None:
    threshold = 0.992 if n == 10_000 else 0.99
    gate = Gate("g", "accuracy", "at_least", threshold, "x")

    told = power.before([gate], replace(DATA, n=n)).gates[0].detectable_below

    assert told == pytest.approx(expected, abs=0.002)


def test_the_command_tells_a_policy_without_a_model_and_without_tensorflow() -> None:
    code = (
        "import sys; from harness.cli import main; code = main(['power', '--data', 'embedded', '--json']);"
        "assert not {'tensorflow', 'keras'} & sys.modules.keys(); sys.exit(code)"
    )

    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    told = json.loads(done.stdout)
    assert told["family"] > 30
    assert 0 < told["at_threshold"] <= 0.05
    assert told["gates"][0]["images"] > 0
