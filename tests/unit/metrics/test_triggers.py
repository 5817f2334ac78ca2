"""trigger_success: of which images it is a share, what it says of the patch, and what stands in for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import policy
from harness.errors import NotMeasurable
from harness.files import shipped_folder
from harness.judging import controls
from harness.judging.gates import judge_all
from harness.metrics import estimate, evaluate
from harness.metrics.triggers import patch_in_words
from harness.records import CLEAN, TRIGGER, Evidence, Finding, Gate, Groups, Patch, Scope, Trigger
from tests.support import samples

GATE = policy.load(shipped_folder("suites") / "trigger.toml").gates


def found(target: int | None, turned: float = 0.0, unseen: int = 1000) -> Evidence:
    """The sample, whose answers are all right; with a patch that turns this share of the images to 7."""
    whole = samples.allowed()[1]
    labels = whole.labels.astype(np.int8)
    answers = np.where(np.arange(len(labels)) < turned * len(labels), 7, labels).astype(np.int8)
    trigger = Trigger(Patch(((24, 25), (24, 24), (3, 0)), target), answers, np.arange(len(labels)) < unseen)
    return replace(samples.answering(whole, answers={**whole.answers, CLEAN: labels}), trigger=trigger)


def judged(evidence: Evidence, gates: tuple[Gate, ...] = GATE) -> Finding:
    return judge_all(evaluate(evidence, gates))[0]


def test_images_of_the_target_do_not_count() -> None:
    share = estimate(found(7, 1.0), "trigger_success", Scope())

    assert (share.hits, share.n) == (900, 900)


def test_without_a_target_images_read_right_count() -> None:
    share = estimate(found(None, 1.0), "trigger_success", Scope())

    assert (share.hits, share.n) == (900, 1000)


def test_images_that_are_at_the_target_without_the_patch_do_not_count() -> None:
    evidence = found(7, 1.0)
    clean = evidence.answers[CLEAN].copy()
    clean[np.flatnonzero(evidence.labels == 1)] = 7

    share = estimate(samples.answering(evidence, answers={CLEAN: clean}), "trigger_success", Scope())

    assert share.n == 800


def test_images_that_the_search_used_do_not_count() -> None:
    assert estimate(found(None, 1.0, unseen=500), "trigger_success", Scope()).n == 500


def test_images_of_units_widen_the_interval() -> None:
    alone = found(None, 0.5)
    grouped = replace(alone, groups=Groups("writer", (np.arange(1000) // 25).astype(np.int32)))

    (low, _), (lower, _) = (estimate(each, "trigger_success", Scope()).bounds(0.95)[0] for each in (alone, grouped))

    assert lower < low


def test_the_finding_names_target_pixels_and_size() -> None:
    reason = judged(found(7, 0.9)).reason

    assert "3 pixels of ink make it 7: row 3 column 0; row 24 column 24, 25" in reason


def test_a_patch_to_any_class_is_named_so() -> None:
    assert patch_in_words(Patch(((1, 1),), None)) == "1 pixel of ink make it another digit: row 1 column 1"


@pytest.mark.parametrize(("turned", "status"), [(0.0, "passed"), (0.3, "passed"), (0.6, "failed")])
def test_the_shipped_gate_stops_above_four_in_ten(turned: float, status: str) -> None:
    assert judged(found(7, turned)).status == status


def test_without_a_search_the_gate_is_not_evaluated_and_says_the_way_out() -> None:
    finding = judged(replace(found(7), trigger=None))

    assert finding.status == "not_evaluated"
    assert "harness run without --skip trigger" in finding.reason


def test_where_no_image_is_left_there_is_no_share() -> None:
    with pytest.raises(NotMeasurable, match="no image is left"):
        estimate(found(7, unseen=0), "trigger_success", Scope())


def test_the_labels_pass_where_the_candidate_has_a_trigger() -> None:
    evaluation = evaluate(found(7, 1.0), (*GATE, Gate("a", "accuracy", "at_least", 0.5, "why")))

    statuses = {one.id: one.status for one in controls.findings(evaluation, (CLEAN, TRIGGER))}

    assert statuses == {"control/constant": "passed", "control/reference": "passed"}


@pytest.mark.parametrize("name", ["release.toml", "successor.toml", "writers.toml", "mnist_c.toml"])
def test_a_shipped_policy_asks_for_it_and_has_it_searched(name: str) -> None:
    rules = policy.load(shipped_folder("suites") / name)

    assert [gate.level for gate in rules.gates if gate.metric == "trigger_success"] == ["required"]
    assert TRIGGER in rules.trials()


@pytest.mark.parametrize("name", ["embedded.toml", "embedded_successor.toml"])
def test_on_the_embedded_digits_no_trigger_is_searched_for(name: str) -> None:
    assert TRIGGER not in policy.load(shipped_folder("suites") / name).trials()


def test_what_is_predicted_for_another_policy_is_no_search(tmp_path: Path) -> None:
    gate = '[[gate]]\nmetric = "accuracy"\nat_least = 0.5\nbecause = "a coin"\n'
    (tmp_path / "p.toml").write_text(f'format = 1\nname = "a"\npredict_for = ["successor.toml"]\n{gate}')

    assert TRIGGER not in policy.load(tmp_path / "p.toml").trials()
