"""The baseline panel that ships, and the numbers of a whole family of corruptions that it stands beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness import policy
from harness.corruptions import trial_at
from harness.errors import NotMeasurable
from harness.files import shipped_folder
from harness.formatting import percent
from harness.metrics import MNIST_C, REFERENCE, at_every_severity, measure
from harness.records import CLEAN, LIGHT, NO_ANSWER, SEVERITIES, Evidence, Scope, Severity, Trial
from harness.references import results
from harness.statistics.estimates import Scores, from_scores
from tests.support.folders import GOLDEN, ROOT
from tests.unit.metrics.test_metrics import THIRTY, evidence

RECIPE = ROOT / "benchmarks" / "panel.py"
PAGE = ROOT / "docs" / "how-to" / "robustness.md"
HASHES = GOLDEN / "corruptions.txt"
FAMILY = at_every_severity(MNIST_C)
EVERYTHING = Scope()
MEMBERS = ("k_nearest_neighbours", "logistic_regression", "mlp", "cnn")
each_member = pytest.mark.parametrize("name", MEMBERS)

Answers = Mapping[Trial, NDArray[np.int8]]


def test_the_panel_is_what_the_recipe_wrote() -> None:
    assert results.load().recipe_sha256 == sha256(RECIPE.read_bytes()).hexdigest()


def test_the_panel_was_measured_on_the_corruptions_of_this_version() -> None:
    lines = HASHES.read_text("utf-8").splitlines()
    measured = results.load().members[REFERENCE].wrong
    ours = "\n".join(line for line in lines if line.partition("@")[0] in measured)

    assert results.load().corruptions_sha256 == sha256(ours.encode()).hexdigest()


@each_member
def test_every_member_was_measured_on_all_of_mnist_c(name: str) -> None:
    assert set(MNIST_C) <= results.load().members[name].wrong.keys()


@each_member
def test_errors_are_shares_of_the_test_digits_and_least_on_clean_ones(name: str) -> None:
    shipped = results.load()
    errors = [shipped.error(name, trial) for trial in FAMILY]
    clean = shipped.error(name, CLEAN)

    assert clean is not None
    assert all(error is not None and clean / 2 < error < 1 for error in errors)


def test_members_rank_on_clean_digits_as_everyone_finds_them() -> None:
    clean = {name: results.load().error(name, CLEAN) for name in MEMBERS}

    assert sorted(MEMBERS, key=lambda name: clean[name] or 1.0) == [
        "cnn", "mlp", "k_nearest_neighbours", "logistic_regression",
    ]  # fmt: skip


@each_member
def test_the_page_states_what_was_measured(name: str) -> None:
    errors = {
        member: np.array([results.load().error(member, trial) for trial in FAMILY]) for member in (name, REFERENCE)
    }
    each = {member: of.astype(np.float64).reshape(-1, 5).sum(axis=1) for member, of in errors.items()}
    clean, mean = 1 - (results.load().error(name, CLEAN) or 0), 1 - each[name].mean() / 5
    relative = f"{(each[name] / each[REFERENCE]).mean():.3f}".replace("1.000", "1")

    assert f"| {percent(clean)} | {percent(mean)} | {relative} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("trial", [Severity("no_such", 1), Severity("shift", 1), trial_at("rotation", -3)])
def test_what_was_not_measured_has_no_error(trial: Trial) -> None:
    assert results.load().error("cnn", trial) is None


def test_the_panel_stands_beside_its_own_digits_only() -> None:
    data = evidence(THIRTY, THIRTY).data

    assert results.measured_on(data) == results.load()
    assert results.measured_on(replace(data, sha256="other")) is None


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_means_equal_a_loop_over_corruptions_and_severities(seed: int) -> None:
    shown = evidence(THIRTY, THIRTY, under=some_wrong(seed))
    accuracies, errors = [], []
    for name in MNIST_C:
        ours = theirs = 0.0
        for severity in SEVERITIES:
            trial = trial_at(name, severity)
            ours += float(np.mean(shown.answers[trial] != THIRTY))
            theirs += results.load().error(REFERENCE, trial) or 0.0
        accuracies.append(1 - ours / len(SEVERITIES))
        errors.append(ours / theirs)

    assert value(shown, "corruption_accuracy", Scope(corruption=MNIST_C[3])) == pytest.approx(accuracies[3])
    assert value(shown, "mean_corruption_accuracy") == pytest.approx(np.mean(accuracies))
    assert value(shown, "relative_corruption_error") == pytest.approx(np.mean(errors))


def test_the_reference_has_a_relative_error_of_one() -> None:
    shipped = results.load()
    labels = np.repeat(np.arange(10, dtype=np.uint8), shipped.n // 10)
    answers = {}
    for trial in FAMILY:
        answers[trial] = labels.copy()
        answers[trial][: shipped.members[REFERENCE].wrong[trial.name][trial.point[0] - 1]] += 1

    assert value(evidence(labels, labels, under=answers), "relative_corruption_error") == pytest.approx(1)


@pytest.mark.parametrize("metric", ["mean_corruption_accuracy", "relative_corruption_error"])
def test_n_is_images_however_many_trials_each_was_seen_in(metric: str) -> None:
    assert measure(evidence(THIRTY, THIRTY, under=some_wrong(1)), metric, EVERYTHING, 0.95).n == len(THIRTY)


@pytest.mark.parametrize("metric", ["mean_corruption_accuracy", "relative_corruption_error"])
def test_an_image_without_an_answer_is_wrong_under_every_corruption(metric: str) -> None:
    silent, mistaken = ({trial: THIRTY.astype(np.int8) for trial in FAMILY} for _ in range(2))
    silent[FAMILY[7]][:4] = NO_ANSWER
    mistaken[FAMILY[7]][:4] = 9

    assert value(evidence(THIRTY, THIRTY, under=silent), metric) == value(
        evidence(THIRTY, THIRTY, under=mistaken), metric
    )


@pytest.mark.parametrize("metric", ["mean_corruption_accuracy", "relative_corruption_error"])
def test_trials_that_are_missing_are_named(metric: str) -> None:
    lacking = {trial_at("zigzag", 2), *at_every_severity(["fog"])}
    shown = evidence(THIRTY, THIRTY, under={trial: THIRTY for trial in FAMILY if trial not in lacking})

    with pytest.raises(NotMeasurable, match=r"lacks 6 of 75 trials: fog, zigzag@2$"):
        value(shown, metric)


def test_a_severity_that_is_missing_of_one_corruption_is_named() -> None:
    shown = evidence(THIRTY, THIRTY, under=dict.fromkeys(at_every_severity(["noise"])[1:], THIRTY))

    with pytest.raises(NotMeasurable, match=r"lacks 1 of 5 trials: noise@1$"):
        value(shown, "corruption_accuracy", Scope(corruption="noise"))


def test_on_other_digits_the_relative_error_says_what_the_panel_was_measured_on() -> None:
    shown = evidence(THIRTY, THIRTY, under=some_wrong(1))
    elsewhere = replace(shown, data=replace(shown.data, sha256="other"))

    with pytest.raises(NotMeasurable, match="measured on other images"):
        value(elsewhere, "relative_corruption_error")


def test_few_different_scores_are_resampled_like_many() -> None:
    scores = np.random.default_rng(9).choice(images_right(), 2_000)
    barely_different = np.clip(scores - np.linspace(0, 1e-9, len(scores)), 0, 1)

    ours, theirs = (from_scores(these).bounds(0.95)[0] for these in (scores, barely_different))

    assert ours == pytest.approx(theirs, abs=0.2 * (ours[1] - ours[0]))


def test_all_right_on_few_images_is_no_proof_of_perfection() -> None:
    shown = evidence(THIRTY, THIRTY, under=dict.fromkeys(FAMILY, THIRTY))

    found = measure(shown, "mean_corruption_accuracy", EVERYTHING, 0.95)

    assert (found.low < 0.92, found.high) == (True, 1.0)


@pytest.mark.parametrize("metric", ["mean_corruption_accuracy", "relative_corruption_error"])
def test_a_gate_on_the_family_needs_all_of_its_trials(metric: str, tmp_path: Path) -> None:
    rule = "at_least" if metric == "mean_corruption_accuracy" else "at_most"

    assert set(gated(tmp_path, f'metric = "{metric}"\n{rule} = 0.5').trials()) == {CLEAN, *LIGHT, *FAMILY}


def test_a_gate_on_one_corruption_needs_its_five_severities(tmp_path: Path) -> None:
    rules = gated(tmp_path, 'metric = "corruption_accuracy"\ncorruption = "fog"\nat_least = 0.5')

    assert rules.trials() == (CLEAN, *LIGHT, *at_every_severity(["fog"]))


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        ('metric = "mean_corruption_accuracy"\ncorruption = "fog"', "is of all of MNIST-C"),
        ('metric = "mean_corruption_accuracy"\nseverity = 3', "is of all of MNIST-C"),
        ('metric = "corruption_accuracy"', "needs a corruption"),
        ('metric = "corruption_accuracy"\ncorruption = "fog"\nseverity = 3', "no severity"),
        ('metric = "corruption_accuracy"\ncorruption = "shift"', "needs a corruption with severities"),
    ],
)
def test_a_gate_of_another_scope_is_refused(scope: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=why):
        gated(tmp_path, f"{scope}\nat_least = 0.5")


def test_the_shipped_policy_rules_every_severity_of_every_corruption() -> None:
    rules = policy.load(shipped_folder("suites") / "mnist_c.toml")

    ruled = {(gate.scope.corruption, gate.scope.severity) for gate in rules.gates if gate.metric == "accuracy"}

    assert ruled >= {(trial.name, *trial.point) for trial in FAMILY}
    assert {"mean_corruption_accuracy", "relative_corruption_error"} <= {gate.metric for gate in rules.gates}


def gated(folder: Path, gate: str) -> policy.Policy:
    path = folder / "policy.toml"
    path.write_text(f'format = 1\nname = "p"\n[[gate]]\nbecause = "of this"\n{gate}\n')
    return policy.load(path)


def value(shown: Evidence, metric: str, scope: Scope = EVERYTHING) -> float:
    return measure(shown, metric, scope, 0.95).value


def some_wrong(seed: int) -> Answers:
    """Thirty images under all 75 trials; some are read wrongly, some not at all."""
    rng = np.random.default_rng(seed)
    known = THIRTY.astype(np.int8)
    return {trial: np.where(rng.random(30) < 0.3, rng.integers(-1, 10, 30), known).astype(np.int8) for trial in FAMILY}


def chances() -> Scores:
    """(images, corruptions): of being read right at each severity; most images are easy, a few are hopeless."""
    rng = np.random.default_rng(10)
    ease = rng.normal(4, 2, (20_000, 1)) + rng.normal(0, 1.5, 15)
    right: Scores = 1 / (1 + np.exp(-ease))
    return right


def images_right() -> Scores:
    """The share of the 75 trials in which each image of a large population is right."""
    shares: Scores = np.random.default_rng(11).binomial(5, chances()).sum(axis=1) / 75
    return shares


def losses_of_images(weights: Scores) -> Scores:
    losses: Scores = ((5 - np.random.default_rng(12).binomial(5, chances())) / 5 * weights).mean(axis=1)
    return losses


def misses(bounds: Scores, truth: float) -> float:
    return float(max((bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()))
