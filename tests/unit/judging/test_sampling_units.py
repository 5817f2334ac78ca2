"""Units that are few, odd or out of reach: what is judged, said and simulated of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import policy
from harness.judging import controls, power, sampling, simulation
from harness.judging.gates import judge_all
from harness.metrics import Evaluation, evaluate
from harness.policy.rules import beyond_reach
from harness.records import CLEAN, Codes, Column, Evidence, Gate, Groups, Rule, Scope
from tests.support import samples

N = 1000


def by_writer(codes: NDArray[np.integer[Any]], site: Codes | None = None) -> Evidence:
    shown = samples.evidence((), n=N)
    columns = {} if site is None else {"site": Column(("north", "south"), site)}
    groups = Groups("writer", codes.astype(np.int32), columns)
    sizes = (groups.mean_size(), *(groups.mean_size(shown.labels == digit) for digit in range(10)))
    data = replace(shown.data, unit="writer", units=int(codes.max()) + 1, unit_sizes=sizes)
    return replace(shown, groups=groups, data=data)


def gate(metric: str, threshold: float, rule: Rule = "at_least", **scope: Any) -> Gate:
    return Gate(f"{metric}{scope}", metric, rule, threshold, "x", Scope(**scope))


NORTH_AND_SOUTH = (np.arange(N) >= 700).astype(np.int32)
FEW_IN_THE_SOUTH = np.where(NORTH_AND_SOUTH, 700 + np.arange(N) // 60, np.arange(N))


@pytest.mark.parametrize("wrong", [slice(0, 100), slice(900, 1000)])
def test_too_few_units_of_any_slice_are_named_with_their_own_images(wrong: slice) -> None:
    shown = by_writer(FEW_IN_THE_SOUTH, NORTH_AND_SOUTH)
    labels = shown.answers[CLEAN].astype(np.uint8)
    labels[wrong] = (labels[wrong] + 1) % 10

    (found,) = judge_all(evaluate(replace(shown, labels=labels), [gate("worst_slice_accuracy", 0.5, column="site")]))

    assert found.status == "not_evaluated"
    assert "300 images (site south) of 6 writers, in effect 5.5: too few" in found.reason


def test_a_gate_of_too_few_units_is_released_in_no_simulated_run() -> None:
    evaluation = evaluate(by_writer(np.arange(N) // 100), [gate("accuracy", 0.5)])

    found = simulation.simulate(power.of(evaluation), evaluation)

    assert (found.released, found.undecided, found.at_threshold) == (0.0, 1.0, None)


def test_a_share_of_units_that_even_all_units_cannot_show_is_refused_by_name() -> None:
    why = beyond_reach(gate("share_of_units", 0.999, reaching=0.9), by_writer(np.arange(N) // 4).data)

    assert why is not None
    assert "cannot be shown with 250 writers: a perfect score proves 98.81 %; it takes 2,995 writers" in why


@pytest.mark.parametrize("asked", [gate("worst_slice_accuracy", 0.9999, column="site"), gate("accuracy", 0.995)])
def test_what_perfect_answers_of_these_units_cannot_show_is_no_fault_of_the_harness(asked: Gate) -> None:
    evaluation = evaluate(by_writer(np.arange(N) // 4, NORTH_AND_SOUTH), [asked])

    _, reference = controls.findings(evaluation, ())
    assert reference.status == "passed"


@pytest.mark.parametrize(
    "asked",
    [
        gate("accuracy", 0.88),
        gate("f1", 0.8, digit=5),
        gate("macro_f1", 0.85),
        gate("worst_class_recall", 0.6),
        gate("log_loss", 0.6, "at_most"),
        gate("maximum_calibration_error", 0.3, "at_most"),
    ],
)
def test_a_gate_passes_with_the_design_effect_that_is_said_and_not_with_a_tenth_more(asked: Gate) -> None:
    evaluation = evaluate(samples.evidence((), n=N), [asked])
    estimate = evaluation.estimates[asked.id]

    said = sampling.of(evaluation, judge_all(evaluation)).tips_at

    assert said is not None
    for design, holds in ((said, True), (said + 0.1, False)):
        (low, high), _ = sampling.with_design(estimate, design).bounds(asked.confidence)
        assert (low >= asked.threshold if asked.rule == "at_least" else high <= asked.threshold) == holds


def test_one_image_a_unit_is_assumed_to_be_independent() -> None:
    alone, plain = by_writer(np.arange(N)).data, samples.evidence((), n=N).data

    assert power.before([gate("accuracy", 0.9)], alone) == power.before([gate("accuracy", 0.9)], plain)


def test_the_worst_of_shares_of_units_is_not_called_exact() -> None:
    found = evaluate(by_writer(np.arange(N) // 4), [gate("worst_class_recall", 0.5)])

    assert "exact" not in judge_all(found)[0].measurement.interval  # type: ignore[union-attr]


MANY = (
    gate("accuracy", 0.92),
    gate("recall", 0.8, digit=5),
    gate("f1", 0.85, digit=8),
    gate("worst_class_recall", 0.7),
    gate("macro_f1", 0.9),
    gate("log_loss", 0.35, "at_most"),
)


def of_successors(*, refuted: bool) -> Evaluation:
    """Gates of a shipped policy beside a baseline; unless ``refuted`` those alone that must be shown."""
    _, shown = samples.beside(samples.allowed())
    gates = policy.load(Path("embedded_successor")).gates
    return evaluate(shown, [one for one in gates if refuted or one.decide != "not-disproven"])


@pytest.mark.parametrize(
    ("made", "chance"),
    [
        pytest.param(lambda: evaluate(samples.evidence((), n=N), MANY), 0.24, id="images"),
        pytest.param(lambda: evaluate(by_writer(np.arange(N) // 4), MANY), 0.21, id="writers"),
        pytest.param(lambda: evaluate(by_writer(np.arange(N) // 100), MANY), 0, id="few writers"),
        pytest.param(lambda: of_successors(refuted=False), 0.86, id="beside a baseline"),
        pytest.param(lambda: of_successors(refuted=True), 0.86, id="unless refuted"),
    ],
)
def test_the_chance_of_a_release_is_that_of_the_whole_simulation(made: Callable[[], Evaluation], chance: float) -> None:
    evaluation = made()

    whole = simulation.simulate(power.of(evaluation), evaluation)

    assert simulation.released(evaluation) == whole.released == pytest.approx(chance, abs=0.02)


def test_warnings_alone_have_no_chance_of_a_release() -> None:
    assert simulation.released(evaluate(samples.evidence((), n=N), [replace(MANY[0], level="warning")])) is None
