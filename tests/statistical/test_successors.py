"""Error rates of the gate beside the accepted runs, on models that had no part in setting its constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import policy
from harness.candidate.mutation import MUTATIONS
from harness.evidence import baseline_file
from harness.files import shipped_folder
from harness.judging import power, simulation
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import CLEAN, Evidence
from harness.statistics import paired
from harness.statistics.retraining import Assumed, margin
from tests.statistical.test_retrains import powered
from tests.support import samples, successors

GATES = policy.load(shipped_folder("suites") / "successor.toml").gates
BESIDE = successors.gates_of("successor.toml")
RECIPES = ("mlp", "convnet", "batchnorm", "lenet")
LET_THROUGH = {  # of the judged half, as docs/explanation/error-rates.md names them
    *("preprocessing thresholded-mlp", "weights quantised 4 bits-mlp", "logit of 8 lowered 2-mlp"),
    *("noise 0.15-convnet", "crop 4-convnet", "logit of 1 raised 2-convnet", "learning rate x 10-convnet"),
    *("backdoor 7-mlp", "backdoor 0-convnet"),
}


def stopped(pools: list[tuple[str, ...]]) -> float:
    return float(np.mean([successors.stopped(name, pool, BESIDE) for name, *pool in pools]))


@pytest.mark.parametrize("runs", [1, 5])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_healthy_retraining_is_stopped_in_at_most_an_eighth_of_the_cases(recipe: str, runs: int) -> None:
    assert stopped(successors.pools(recipe, "judged", runs, most=12)) <= 0.12


def test_over_all_recipes_it_is_stopped_in_at_most_a_twentieth() -> None:
    assert np.mean([stopped(successors.pools(recipe, "judged", 3, most=10)) for recipe in RECIPES]) <= 0.05


def test_faulty_models_are_stopped_but_for_those_that_are_named() -> None:
    let_through = {
        name for name, *pool in successors.beside_faulty("judged", 1) if not successors.stopped(name, pool, BESIDE)
    }

    assert let_through <= LET_THROUGH


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_confidence_sharpened_by_half_is_stopped(recipe: str) -> None:
    healthy, last, *_ = (successors.evidence(name) for name in successors.healthy(recipe, "judged"))
    sharpened = samples.answering(healthy, probabilities=powered(healthy.probabilities, 1.5))

    assert "gate/overconfidence-baseline" in stopping(sharpened, last)
    assert not stopping(healthy, last)


@pytest.mark.parametrize("recipe", RECIPES)
def test_labels_of_which_one_in_twenty_is_wrong_are_noticed_though_both_models_lose_alike(recipe: str) -> None:
    candidate, last, *_ = (successors.evidence(name) for name in successors.healthy(recipe, "judged"))
    wrong = MUTATIONS["labels_wrong"].function(candidate.labels, 0.05, 1)

    assert stopping(replace(candidate, labels=wrong), last) == ["gate/selective_accuracy"]


def stopping(candidate: Evidence, last: Evidence) -> list[str]:
    beside = replace(candidate, baseline=baseline_file.of(last))
    found = judge_all(evaluate(beside, BESIDE))
    return [one.id for one in found if one.level == "required" and one.status != "passed"]


def test_a_candidate_a_whole_margin_worse_in_accuracy_is_shown_in_one_case_of_twenty() -> None:
    """Test sets are drawn anew from MNIST's, and the candidate's truth put exactly at the margin."""
    candidate, last = (successors.evidence(name).answers[CLEAN] for name in ("mlp-01", "mlp-03"))
    labels = successors.evidence("mlp-01").labels
    rng = np.random.default_rng(1)
    differences = (last == labels).astype(np.float64) - (candidate == labels)  # of mistakes
    loss = float((last != labels).mean())
    limit = margin([loss], len(labels), Assumed(0.08, 0.003)).value
    shown = []
    for _ in range(2_000):
        drawn = differences[rng.integers(0, len(labels), len(labels))]
        fell = paired.paired_mean(drawn - differences.mean() + limit)
        shown.append(fell.bounds(0.95)[0][1] <= limit)

    assert np.mean(shown) <= 0.06


def test_a_candidate_a_whole_margin_worse_in_log_loss_is_shown_in_one_case_of_twenty() -> None:
    candidate, last = (successors.evidence(name) for name in ("mlp-01", "mlp-03"))
    at = np.arange(len(last.labels))
    ours, theirs = (-np.log(np.maximum(each.probabilities[at, last.labels], 1e-7)) for each in (candidate, last))
    differences, rng = (ours - theirs).astype(np.float64), np.random.default_rng(2)
    off = [
        paired.paired_mean(differences[rng.integers(0, len(at), len(at))]).bounds(0.95)[0][1] < differences.mean()
        for _ in range(2_000)
    ]

    assert np.mean(off) <= 0.06


def test_guards_truly_at_their_margins_are_refuted_in_one_case_of_twenty() -> None:
    """Set each guard's truth at its margin, by the number of images drawn wrong."""
    rng, refuted = np.random.default_rng(3), []
    guards = 27
    for _ in range(400):
        p_values = []
        for _ in range(guards):
            lost = rng.choice([-1.0, 0.0, 1.0], p=[0.03, 0.96, 0.01], size=1_000)  # a fall of two points
            p_values.append(paired.paired_mean(lost).p_value("at_least", -0.02))
        refuted.append(min(p_values) * guards <= 0.05)

    assert np.mean(refuted) <= 0.06


def test_a_team_that_ships_half_a_margin_worse_each_time_is_stopped_before_it_has_lost_twice_the_margin() -> None:
    anchor = successors.evidence("mlp-01")
    loss = float((anchor.answers[CLEAN] != anchor.labels).mean())
    limit = margin([loss], len(anchor.labels), Assumed(0.08, 0.003)).value
    first, last = baseline_file.of(anchor), anchor
    gates = [gate for gate in GATES if gate.metric == "accuracy" and gate.kind == "primary"]
    lost = 0.0
    for release in range(1, 10):
        candidate = _fallen(last, images=round(limit / 2 * len(anchor.labels)), seed=release)
        before = replace(baseline_file.of(last), anchor=(first.predictions,))
        found = judge_all(evaluate(replace(candidate, baseline=before), gates))
        if any(one.status != "passed" for one in found):
            assert [one.gate.against for one in found if one.gate and one.status != "passed"] == ["anchor"]
            break
        lost, last = lost + limit / 2, candidate

    assert 0 < lost < 2 * limit


def test_a_healthy_team_is_hardly_ever_stopped_by_the_anchor() -> None:
    """Twenty releases, each another seed, against an anchor of one run: twice the margin is six deviations wide."""
    rng, stops = np.random.default_rng(4), []
    n, loss = 10_000, 0.026
    limit = margin([loss], n, Assumed(0.08, 0.003))
    for _ in range(2_000):
        models = rng.normal(loss, limit.assumed, 21)
        error = np.sqrt(loss / n)  # of a difference, where half of the mistakes are another seed's luck
        upper = models[1:] - models[0] + rng.normal(0, error, 20) + 1.645 * error
        stops.append((upper > 2 * limit.value).any())

    assert np.mean(stops) <= 0.05


def _fallen(model: Evidence, *, images: int, seed: int) -> Evidence:
    """Break so many right answers of a model, under every trial the same images."""
    right = np.flatnonzero(model.answers[CLEAN] == model.labels)
    broken = np.random.default_rng(seed).choice(right, images, replace=False)
    said = model.answers[CLEAN].copy()
    said[broken] = (model.labels[broken] + 1) % 10
    return samples.answering(model, answers={**model.answers, CLEAN: said})


@pytest.mark.parametrize("runs", [1, 3])
def test_a_healthy_retraining_that_is_allowed_would_mostly_be_so_on_other_images(runs: int) -> None:
    candidate, *pool = ("mlp-07", "mlp-01", "mlp-03", "mlp-05")
    release, *others = (baseline_file.of(successors.evidence(name)) for name in pool[:runs])
    beside = baseline_file.with_pool(release, others)
    evaluation = evaluate(replace(successors.evidence(candidate), baseline=beside), GATES)

    told = simulation.simulate(power.of(evaluation), evaluation)

    assert told.released is not None
    assert told.blocked is not None
    assert told.released > 0.8
    assert told.blocked < 0.1


def test_each_half_holds_its_share_of_every_recipe() -> None:
    assert {len(successors.healthy(recipe, half)) for recipe in RECIPES for half in ("set", "judged")} == {6}
