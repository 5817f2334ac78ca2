"""Controls: with a sound judge both come out right; with a broken one the run has no verdict and says why."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import policy
from harness.corruptions import trial_at
from harness.files import shipped_folder
from harness.judging import controls, verdict
from harness.metrics import evaluate
from harness.records import CLEAN, Evidence, Gate
from tests.support import samples


def evidence() -> Evidence:
    return samples.tiny()[1]


LAX = Gate("lax", "accuracy", "at_least", 0.05, "x")
STRICT = Gate("strict", "accuracy", "at_least", 0.9, "x")


@pytest.mark.parametrize("name", ["embedded.toml"])
def test_the_shipped_policy_stops_a_constant_model_and_lets_the_labels_through(name: str) -> None:
    rules = policy.load(shipped_folder("suites") / name)

    found = controls.findings(evaluate(samples.allowed()[1], rules.gates), rules.trials())

    assert [one.status for one in found] == ["passed", "passed"]


def test_a_policy_that_asks_nothing_of_a_constant_model_is_said_to() -> None:
    constant, reference = controls.findings(evaluate(evidence(), [LAX]), [CLEAN])

    assert (constant.status, constant.level, reference.status) == ("not_evaluated", "warning", "passed")


def test_controls_that_hold_change_nothing_in_the_verdict() -> None:
    found = samples.allowed()[0].findings
    held = controls.findings(evaluate(evidence(), [STRICT]), [CLEAN])

    assert verdict.of([*found, *held]) == verdict.of(found)


def test_a_control_that_fails_leaves_no_verdict_even_where_a_gate_failed() -> None:
    found = samples.blocked()[0].findings
    (held, _) = controls.findings(evaluate(evidence(), [STRICT]), [CLEAN])
    broken = replace(held, status="inconclusive", reason="a model that always answers 1 was let through")

    said = verdict.of([*found, broken])

    assert (said.word, said.exit_code) == ("no_verdict", 5)
    assert said.sentence == "The harness is broken: a model that always answers 1 was let through."


def test_trials_that_the_candidate_never_answered_are_asked_of_the_controls() -> None:
    dead = samples.answering(evidence(), answers={}, probabilities=np.zeros((0, 10), np.float32), fault="killed")
    gate = replace(STRICT, scope=replace(STRICT.scope, corruption="fog", severity=3))

    found = controls.findings(evaluate(dead, [gate]), [CLEAN, trial_at("fog", 3)])

    assert [one.status for one in found] == ["passed", "passed"]


BREAKS = {
    "bounds that tell nothing": (
        "from harness.statistics import estimates; estimates.exact = lambda k, n, c=0.95: (0.0, 1.0)"
    ),
    "a judge that reads the rule the wrong way": (
        "from harness.judging import gates; right = gates.judge;"
        "from dataclasses import replace;"
        "gates.judge = lambda m, g, p=None, **more: right(m, replace(g, rule='at_most'), p, **more)"
    ),
    "a share that counts every image": (
        "from harness.metrics import classification;"
        "right = classification.share;"
        "classification.share = lambda shown, hits, among=None: right(shown, hits | True, among)"
    ),
    "a metric that finds no image right": (
        "from harness.metrics import classification;"
        "right = classification.share;"
        "classification.share = lambda shown, hits, among=None: right(shown, hits & False, among)"
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_judge_is_noticed(name: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        f"{BREAKS[name]}\n"
        "from harness.judging import verdict\n"
        "from harness.judging import controls\n"
        "from harness.judging.gates import judge_all\n"
        "from harness.metrics import evaluate\n"
        "from harness.records import CLEAN\n"
        "from tests.process import test_controls\nfrom tests.support import samples\n"
        "shown = samples.tiny()[1]\n"
        "found = [*judge_all(evaluate(shown, [test_controls.STRICT]))]\n"
        "said = verdict.of([*found, *controls.findings(evaluate(shown, [test_controls.STRICT]), [CLEAN])])\n"
        "print(said.exit_code, said.sentence)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("5 The harness is broken: ")
