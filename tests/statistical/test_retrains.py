"""Error rates of the strict policy, on models that differ by seed alone and on models that are truly worse."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from harness import policy
from harness.files import shipped_folder
from harness.image_properties.slices import slices
from harness.judging import contamination, gates, verdict
from harness.metrics import evaluate
from harness.records import CLEAN, Evidence, Finding, Probabilities, Verdict
from tests.support import retrains, samples

SUCCESSOR = policy.load(shipped_folder("suites") / "strict_successor.toml")
KEPT = [gate for gate in SUCCESSOR.gates if gate.scope.corruption != "rotation"]  # a warning, not kept for its size
PAIRS = (("cnn-03", "cnn-07"), ("mlp-02", "mlp-11"))


def judged(candidate: Evidence, last: Evidence) -> Verdict:
    return verdict.of([*gates.judge_all(evaluate(retrains.against(candidate, last), KEPT)), *seen_before(candidate)])


def seen_before(candidate: Evidence) -> list[Finding]:
    """Return the findings of the check in suites/test_data.py."""
    if beside(candidate.model.name.removesuffix(".keras")) <= contamination.MOST_BESIDE:
        return []
    return [Finding(id="check/surer", kind="check", title="surer", status="inconclusive", reason="seen before?")]


def first_named(found: Verdict) -> str:
    """The gate that the sentence names first."""
    text = found.sentence.partition("Worst: ")[2] or found.sentence.partition("First: ")[2]
    return text.partition(" is ")[0]


def words(arch: str) -> Counter[str]:
    """The verdicts of twenty retrained models, each against the one with the next seed."""
    names = [f"{arch}-{seed:02}" for seed in retrains.SEEDS]
    pairs = zip(names, names[1:] + names[:1], strict=True)
    return Counter(judged(retrains.evidence(one), retrains.evidence(next_)).word for one, next_ in pairs)


def test_what_is_retrained_with_another_seed_is_not_stopped() -> None:
    found = words("cnn") + words("mlp")

    assert found["blocked"] <= 1, found
    assert found["no_verdict"] <= 4, found
    assert found.total() == 40


@pytest.mark.parametrize("name", ["cnn-00", "mlp-00"])
def test_a_candidate_equal_to_its_baseline_passes(name: str) -> None:
    same = retrains.evidence(name)

    assert judged(same, same).word == "allowed"


@pytest.mark.parametrize(("name", "last"), PAIRS)
def test_accuracy_that_fell_by_half_a_point_is_stopped_and_named(name: str, last: str) -> None:
    worse = fallen(retrains.evidence(name), retrains.evidence(last), images=50)

    found = judged(worse, retrains.evidence(last))

    assert found.exit_code != 0
    assert first_named(found) in {"accuracy against the baseline", "macro F1 against the baseline"}


@pytest.mark.parametrize(("name", "last"), PAIRS)
@pytest.mark.parametrize("digit", [1, 5, 9])
def test_recall_that_fell_by_two_points_is_stopped_and_named(name: str, last: str, digit: int) -> None:
    n = int((retrains.labels() == digit).sum())
    worse = fallen(retrains.evidence(name), retrains.evidence(last), images=round(0.02 * n), digit=digit)

    found = judged(worse, retrains.evidence(last))

    assert found.exit_code != 0
    assert first_named(found) == f"recall of {digit} against the baseline"


@pytest.mark.parametrize(("name", "last"), PAIRS)
@pytest.mark.parametrize("factor", [6.0, 0.25])
def test_confidence_that_was_multiplied_is_stopped_and_named(name: str, last: str, factor: float) -> None:
    found = judged(with_logits_times(retrains.evidence(name), factor), retrains.evidence(last))

    assert found.exit_code != 0
    assert first_named(found) in {
        "log loss", "log loss against the baseline", "expected calibration error against the baseline",
    }  # fmt: skip


@pytest.mark.parametrize("last", ["cnn-00", "cnn-05", "cnn-12"])
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no-thin", "accuracy under thinning at severity 2 against the baseline"),
        ("no-left", "worst slice accuracy by slant against the baseline (most left-slanted fifth)"),
    ],
)
def test_a_model_that_lost_digits_in_training_is_stopped_and_its_loss_is_named(
    name: str, cause: str, last: str
) -> None:
    found = judged(retrains.evidence(name), retrains.evidence(last))

    assert found.exit_code != 0
    assert first_named(found) == cause


@pytest.mark.parametrize(("name", "last"), [("seen-cnn", "cnn-00"), ("seen-cnn", "cnn-13"), ("seen-mlp", "mlp-04")])
def test_a_model_that_was_trained_on_the_test_digits_gets_no_verdict_and_the_cause_is_named(
    name: str, last: str
) -> None:
    found = judged(retrains.evidence(name), retrains.evidence(last))

    assert (found.word, "seen before?" in found.sentence) == ("no_verdict", True)


def test_beside_training_digits_those_trained_on_the_test_digits_are_told_from_all_others() -> None:
    names = [f"{arch}-{seed:02}" for arch in ("cnn", "mlp") for seed in retrains.SEEDS]

    fresh = {name: beside(name) for name in [*names, "no-thin", "no-left"]}

    assert max(fresh.values()) <= contamination.MOST_BESIDE, fresh
    assert min(map(beside, ["seen-cnn", "seen-mlp"])) > contamination.MOST_BESIDE


@pytest.mark.parametrize("factor", [0.001, 0.25, 4.0])
@pytest.mark.parametrize("name", ["seen-cnn", "seen-mlp"])
def test_a_confidence_that_was_multiplied_does_not_hide_that_the_digits_were_seen(name: str, factor: float) -> None:
    assert beside(name, factor) > contamination.MOST_BESIDE


KNOWN = [("cnn-07", 1.345), ("mlp-09", 1.152), ("no-left", 1.451), ("seen-cnn", 2.051), ("seen-mlp", 4.180)]


@pytest.mark.parametrize(("name", "low"), KNOWN)
def test_what_a_multiplied_confidence_would_have_cost_is_kept(name: str, low: float) -> None:
    """The bounds as they came out of the models' own answers, at the confidence that suits the digits."""
    assert beside(name, 0.25) == pytest.approx(low, rel=0.03)


@pytest.mark.parametrize("name", ["thickness", "slant"])
def test_the_stand_ins_lie_in_the_fifths_of_the_digits(name: str) -> None:
    found = slices(retrains.stand_ins(), name)

    assert all((retrains.kept()[name][one.members] == one.fifth).all() for one in found)
    assert [len(one.members) for one in found] == [2000] * 5


def test_every_trial_that_the_policy_asks_for_was_kept() -> None:
    asked = {trial for trial in SUCCESSOR.trials() if trial.name != "rotation"}

    assert asked == set(retrains.trials())
    assert {gate.level for gate in SUCCESSOR.gates if gate not in KEPT} == {"warning"}


def fallen(candidate: Evidence, last: Evidence, *, images: int, digit: int | None = None) -> Evidence:
    """The candidate with so many images fewer right than the last release, of one digit or of all."""
    labels, said = candidate.labels, candidate.answers[CLEAN].copy()
    among = np.ones(len(labels), np.bool_) if digit is None else labels == digit
    ahead = int((said == labels)[among].sum() - (last.predictions.answers[CLEAN] == labels)[among].sum())
    right = np.flatnonzero(among & (said == labels))
    broken = np.random.default_rng(1).choice(right, size=max(images + ahead, 0), replace=False)
    said[broken] = (said[broken] + 1 + np.arange(len(broken)) % 9) % 10
    return samples.answering(candidate, answers={**candidate.answers, CLEAN: said})


def beside(name: str, power: float = 1.0) -> float:
    """The lower bound that the check in suites/test_data.py decides on, where confidence is multiplied."""
    shown = retrains.evidence(name)
    changed, labels, training = retrains.beside(name)
    rows = [powered(each, power) for each in (shown.probabilities, *changed, training)]
    return contamination.beside(shown.labels, rows[0], rows[1:-1], labels, rows[-1])[1]


def with_logits_times(candidate: Evidence, factor: float) -> Evidence:
    return samples.answering(candidate, probabilities=powered(candidate.probabilities, factor))


def powered(rows: Probabilities, power: float) -> Probabilities:
    logits = np.log(np.maximum(rows.astype(np.float64), 1e-30)) * power
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    powered: Probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return powered
