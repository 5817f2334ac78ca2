"""Gates: three answers, each way to decide, what is no number, and many gates at once."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import metrics
from harness.corruptions import trial_at
from harness.evidence import baseline_file
from harness.judging import gates, power, simulation, verdict
from harness.judging.gates import judge, judge_all, not_evaluated
from harness.metrics import evaluate
from harness.records import (
    CLEAN,
    NO_ANSWER,
    Column,
    DataFacts,
    Decide,
    Evidence,
    Finding,
    Gate,
    Groups,
    Measurement,
    ModelFacts,
    Predictions,
    Rule,
    Scope,
    Status,
    Trial,
)
from harness.references import results
from harness.statistics import intervals
from tests.support import samples

DECIDES: tuple[Decide, ...] = get_args(Decide)
NAN = float("nan")


def at_least(threshold: float, decide: Decide = "proven") -> Gate:
    return Gate("g", "accuracy", "at_least", threshold, "a reason", decide=decide, file="p.toml", line=4)


def at_most(threshold: float, decide: Decide = "proven") -> Gate:
    return Gate("g", "largest_confusion", "at_most", threshold, "a reason", decide=decide)


def measured(low: float, value: float, high: float, hits: int | None = None) -> Measurement:
    return Measurement("accuracy", value, low, high, 400, hits=hits)


def evidence(wrong: int, n: int = 1000, *trials: Trial) -> Evidence:
    """``n`` digits, of which the first ``wrong`` are read wrongly, under every trial."""
    labels = (np.arange(n) % 10).astype(np.uint8)
    said = labels.astype(np.int8)
    said[:wrong] = (said[:wrong] + 1) % 10
    counts = tuple(np.bincount(labels, minlength=10).tolist())
    model = ModelFacts("m", "0", 1, "Sequential", (), (), 0, (), "harness.references.preprocessing")
    sure = np.eye(10, dtype=np.float32)[said]
    images = np.zeros((n, 28, 28), np.uint8)
    answers = dict.fromkeys((CLEAN, *trials), said)
    return Evidence(
        model, DataFacts("d", "npz", "0", n, 0, counts, 0, 0), images, labels, Predictions(answers, sure, 1), {}
    )


def in_units(shown: Evidence, size: int) -> Evidence:
    """The same images as those of writers, ``size`` images each, one after another."""
    codes = (np.arange(len(shown.labels)) // size).astype(np.int32)
    data = replace(shown.data, unit="writer", units=int(codes.max()) + 1)
    return replace(shown, data=data, groups=Groups("writer", codes))


def test_a_gate_reads_the_interval_not_the_point() -> None:
    lucky = measured(0.96, 0.98, 0.99)

    assert judge(lucky, at_least(0.97)).status == "inconclusive"


@pytest.mark.parametrize(
    ("low", "value", "high", "proven", "point", "not_disproven"),
    [
        (0.96, 0.97, 0.98, "passed", "passed", "passed"),
        (0.95, 0.97, 0.98, "passed", "passed", "passed"),  # the bound is the threshold: shown to meet it
        (0.94, 0.97, 0.98, "inconclusive", "passed", "passed"),
        (0.93, 0.95, 0.98, "inconclusive", "passed", "passed"),  # the value is the threshold
        (0.92, 0.94, 0.96, "inconclusive", "failed", "passed"),
        (0.90, 0.93, 0.95, "inconclusive", "failed", "passed"),  # the upper bound is the threshold: not shown to miss
        (0.90, 0.93, 0.94, "failed", "failed", "failed"),
    ],
)
def test_each_way_to_decide_has_its_answers(
    low: float, value: float, high: float, proven: Status, point: Status, not_disproven: Status
) -> None:
    answers = [judge(measured(low, value, high), at_least(0.95, decide)).status for decide in DECIDES]

    assert answers == [proven, point, not_disproven]


@pytest.mark.parametrize(
    ("low", "value", "high", "proven", "point", "not_disproven"),
    [
        (0.02, 0.03, 0.04, "passed", "passed", "passed"),
        (0.02, 0.03, 0.05, "passed", "passed", "passed"),
        (0.02, 0.03, 0.06, "inconclusive", "passed", "passed"),
        (0.02, 0.05, 0.06, "inconclusive", "passed", "passed"),
        (0.04, 0.06, 0.08, "inconclusive", "failed", "passed"),
        (0.05, 0.06, 0.08, "inconclusive", "failed", "passed"),
        (0.06, 0.07, 0.08, "failed", "failed", "failed"),
    ],
)
def test_each_way_to_decide_has_its_answers_for_what_must_be_small(
    low: float, value: float, high: float, proven: Status, point: Status, not_disproven: Status
) -> None:
    answers = [judge(measured(low, value, high), at_most(0.05, decide)).status for decide in DECIDES]

    assert answers == [proven, point, not_disproven]


@pytest.mark.parametrize("decide", DECIDES)
@pytest.mark.parametrize("make", [at_least, at_most])
@pytest.mark.parametrize("bad", [(NAN, 0.5, 0.6), (0.4, NAN, 0.6), (0.4, 0.5, NAN), (NAN, NAN, NAN), (0.6, 0.5, 0.4)])
def test_what_is_no_number_never_passes(
    bad: tuple[float, float, float], make: Callable[[float, Decide], Gate], decide: Decide
) -> None:
    generous = make(0.0001 if make is at_least else 0.9999, decide)

    assert judge(measured(*bad), generous).status == "not_evaluated"


@pytest.mark.parametrize("decide", DECIDES)
@pytest.mark.parametrize("threshold", [NAN, float("inf"), float("-inf")])
def test_a_threshold_that_is_no_number_never_passes(threshold: float, decide: Decide) -> None:
    assert judge(measured(0.9, 0.95, 1.0), at_least(threshold, decide)).status == "not_evaluated"


@pytest.mark.parametrize("decide", ["proven", "not-disproven"])
def test_an_adjusted_chance_that_is_no_number_saves_nothing(decide: Decide) -> None:
    assert judge(measured(0.5, 0.6, 0.7), at_least(0.95, decide), NAN).status == "failed"


@pytest.mark.parametrize(("chance", "status"), [(0.049, "failed"), (0.0501, "inconclusive")])
def test_a_failure_is_declared_on_the_adjusted_chance(chance: float, status: Status) -> None:
    assert judge(measured(0.90, 0.92, 0.94), at_least(0.95), chance).status == status


def test_a_chance_that_is_just_what_is_allowed_fails() -> None:
    assert judge(measured(0.90, 0.92, 0.94), replace(at_least(0.95), confidence=0.5), 0.5).status == "failed"


def test_the_adjusted_chance_cannot_make_a_pass() -> None:
    assert judge(measured(0.90, 0.92, 0.94), at_least(0.95), 1.0).status == "inconclusive"


@settings(deadline=None)
@given(
    numbers=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
    threshold=st.floats(0, 1),
    chance=st.none() | st.floats(0, 1),
)
def test_who_passes_when_it_must_be_proven_passes_by_every_rule(
    numbers: list[float], threshold: float, chance: float | None
) -> None:
    low, value, high = numbers
    answers = [judge(measured(low, value, high), at_least(threshold, decide), chance).status for decide in DECIDES]

    assert answers[0] != "passed" or answers == ["passed"] * 3


@settings(deadline=None)
@given(hits=st.integers(0, 400), threshold=st.floats(0.01, 0.99), decide=st.sampled_from(DECIDES))
def test_one_more_mistake_never_makes_an_answer_kinder(hits: int, threshold: float, decide: Decide) -> None:
    kindness = ["failed", "inconclusive", "passed"]
    fewer, more = (Measurement("accuracy", k / 401, *intervals.exact(k, 401), 401) for k in (hits, hits + 1))

    answers = [kindness.index(judge(one, at_least(threshold, decide)).status) for one in (fewer, more)]

    assert answers == sorted(answers)


def test_a_metric_that_cannot_be_measured_is_not_evaluated_by_name() -> None:
    gate = replace(at_least(0.5), scope=Scope(corruption="fog", severity=3))

    (finding,) = judge_all(evaluate(evidence(0), [gate]))

    assert (finding.status, finding.measurement) == ("not_evaluated", None)
    assert finding.reason == (
        "accuracy under fog at severity 3 was not evaluated: the evidence holds no answers under fog@3"
    )


@pytest.mark.parametrize("decide", DECIDES)
def test_a_digit_without_images_is_not_evaluated(decide: Decide) -> None:
    none = evidence(0, 9)  # digits 0 to 8
    gate = Gate("g", "recall", "at_least", 0.01, "x", Scope(digit=9), decide=decide)

    assert judge_all(evaluate(none, [gate]))[0].status == "not_evaluated"


def test_a_candidate_that_died_is_named_in_every_gate_it_left_open() -> None:
    dead = samples.answering(evidence(0), answers={}, fault="its process was killed by SIGKILL")

    (finding,) = judge_all(evaluate(dead, [at_least(0.5)]))

    assert finding.reason == "accuracy was not evaluated: its process was killed by SIGKILL"


def test_an_image_without_an_answer_counts_as_wrong() -> None:
    found = evidence(0)
    silent = samples.answering(found, answers={CLEAN: np.full(1000, NO_ANSWER, np.int8)})

    assert judge_all(evaluate(silent, [at_least(0.01)]))[0].status == "failed"


def many(threshold: float, amount: int, **changes: object) -> list[Gate]:
    """One gate at each severity of some corruptions."""
    names = ["fog", "snow", "frost", "gaussian_noise", "impulse_noise", "shot_noise"][: amount // 5]
    scopes = [Scope(corruption=name, severity=level) for name in names for level in range(1, 6)]
    return [replace(at_least(threshold), id=f"{s.corruption}-{s.severity}", scope=s, **changes) for s in scopes]  # type: ignore[arg-type]


def trials(gates: list[Gate]) -> list[Trial]:
    return [trial_at(str(gate.scope.corruption), gate.scope.severity or 0) for gate in gates]


def test_gates_that_are_missed_by_a_little_and_are_many_are_inconclusive_rather_than_failed() -> None:
    gates = many(0.95, 30)
    barely = evidence(63, 1000, *trials(gates))

    alone = judge_all(evaluate(barely, gates[:1]))
    together = judge_all(evaluate(barely, gates))

    assert [finding.status for finding in alone] == ["failed"]
    assert {finding.status for finding in together} == {"inconclusive"}


def test_a_gate_that_is_missed_by_far_fails_among_however_many() -> None:
    gates = many(0.95, 30)

    found = judge_all(evaluate(evidence(150, 1000, *trials(gates)), gates))

    assert {finding.status for finding in found} == {"failed"}


def test_warnings_do_not_count_among_the_many() -> None:
    gates = [*many(0.95, 5)[:1], *(replace(gate, level="warning") for gate in many(0.95, 30)[1:])]

    found = judge_all(evaluate(evidence(63, 1000, *trials(gates)), gates))

    assert {finding.status for finding in found} == {"failed"}


def test_bare_values_do_not_count_among_the_many() -> None:
    gates = [*many(0.95, 5)[:1], *(replace(gate, decide="point") for gate in many(0.95, 30)[1:])]

    assert judge_all(evaluate(evidence(63, 1000, *trials(gates)), gates))[0].status == "failed"


def test_a_gate_that_cannot_be_measured_does_not_count_among_the_many() -> None:
    gates = many(0.95, 30)

    assert judge_all(evaluate(evidence(63, 1000, *trials(gates[:1])), gates))[0].status == "failed"


def alone(shown: Evidence, gate: Gate) -> Finding:
    (finding,) = judge_all(evaluate(shown, [gate]))
    return finding


def test_mistakes_that_come_by_writer_prove_less() -> None:
    shown, gate = evidence(20, 1000), at_least(0.97)

    assert alone(shown, gate).status == "passed"
    assert alone(in_units(shown, 10), gate).status == "inconclusive"


def test_under_twenty_writers_in_effect_no_gate_is_evaluated_and_the_way_out_is_named() -> None:
    found = [alone(in_units(evidence(0, 1000), size), at_least(0.5)) for size in (53, 50)]

    assert [one.status for one in found] == ["not_evaluated", "passed"]
    assert "1,000 images of 19 writers, in effect 19.0: too few" in found[0].reason
    assert "--unit none" in found[0].reason


def test_up_to_58_writers_in_effect_the_finding_says_what_may_be_missing() -> None:
    missing = "a kind of writer that one in 20 is of may be missing"

    found = [missing in alone(in_units(evidence(0, 1000), size), at_least(0.5)).reason for size in (20, 10)]

    assert found == [True, False]


def test_an_undecided_gate_says_how_many_more_writers_would_tell() -> None:
    found = alone(in_units(evidence(20, 1000), 10), at_least(0.97))

    assert found.images_needed is not None
    assert found.units_needed == -(-found.images_needed // 10)
    assert (
        f"about {found.units_needed - 100:,} more writers like these (each some 10 images) would tell" in found.reason
    )


def test_the_share_of_writers_is_counted_in_writers() -> None:
    gate = replace(at_least(0.95), metric="share_of_units", scope=Scope(reaching=0.8))
    shown = in_units(evidence(20, 1000), 10)  # two writers with every image wrong

    found = alone(shown, gate)

    assert found.measurement is not None
    assert (found.measurement.hits, found.measurement.n) == (98, 100)
    assert "98.00 % on 100 writers" in found.reason
    assert alone(evidence(20, 1000), gate).reason.endswith("give --columns FILE.csv --unit NAME")


def test_a_column_of_the_data_is_a_gate_on_its_worst_value() -> None:
    shown = in_units(evidence(20, 1000), 1)
    site = Column(("north", "south"), (np.arange(1000) >= 500).astype(np.int32))
    shown = replace(shown, groups=replace(shown.groups or Groups("", None), columns={"site": site}))
    gate = replace(at_least(0.97), metric="worst_slice_accuracy", scope=Scope(column="site"))

    found = alone(shown, gate)

    assert found.measurement is not None
    assert (found.measurement.part, found.measurement.hits, found.measurement.n) == ("site north", 480, 500)
    other = alone(shown, replace(gate, scope=Scope(column="sites")))
    assert "have no column 'sites'; did you mean 'site'?" in other.reason


def test_other_test_sets_are_of_other_writers() -> None:
    """Forty mistakes by four writers: with other writers there may be eighty, with other images hardly sixty."""
    shown, gate = evidence(40, 1000), at_least(0.945, "point")

    released = []
    for each in (shown, in_units(shown, 10)):
        evaluation = evaluate(each, [gate])
        released.append(simulation.simulate(power.of(evaluation), evaluation).released)

    assert released[0] is not None
    assert released[1] is not None
    assert released[0] > 0.97
    assert released[1] < 0.9


def test_findings_come_in_the_order_of_the_gates() -> None:
    gates = many(0.95, 10)

    found = judge_all(evaluate(evidence(0, 1000, *trials(gates[::2])), gates))

    assert [finding.id for finding in found] == [f"gate/{gate.id}" for gate in gates]


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_a_model_that_is_always_wrong_passes_no_gate(metric: str) -> None:
    entry = metrics.METRICS[metric]
    scope = Scope(digit=0 if entry.each_digit else None)
    if entry.of == "space":
        scope = Scope(corruption="rotation", within=1)
    if entry.of == "corruption":
        scope = Scope(corruption="fog")
    if entry.of.startswith("slice"):
        scope = Scope(property="ink", slice=1 if entry.of == "slice" else None)
    if entry.of == "attack":
        scope = Scope(corruption="pgd_linf", severity=2)
    if entry.of == "units":
        scope = Scope(reaching=0.9)
    gate = Gate("g", metric, entry.rule, 0.01 if entry.rule == "at_least" else 0.5, "x", scope)

    trials = (*metrics.at_every_severity(metrics.MNIST_C), trial_at("rotation", -1), trial_at("rotation", 1))
    trials += (trial_at("fgsm", 2), trial_at("pgd_linf", 2))
    shown = evidence(1000, 1000, *trials)
    beside_the_panel = in_units(replace(shown, data=replace(shown.data, sha256=results.load().data_sha256)), 1)

    (finding,) = judge_all(evaluate(beside_the_panel, [gate]))

    assert finding.status != "passed"


@pytest.mark.parametrize(
    ("numbers", "rule", "threshold", "reason"),
    [
        ((0.97, 0.98, 0.99, 392), "at_least", 0.95, "98.00 %, must be at least 95.00 % (+3.00 pp, 12 images)"),
        ((0.90, 0.92, 0.94, 368), "at_least", 0.95, "92.00 %, must be at least 95.00 % (-3.00 pp, 12 images)"),
        ((0.90, 0.9475, 0.9499, 379), "at_least", 0.95, "94.75 %, must be at least 95.00 % (-0.25 pp, 1 image)"),
        ((0.90, 0.92, 0.94, None), "at_least", 0.95, "92.00 %, must be at least 95.00 % (-3.00 pp)"),
        ((0.10, 0.20, 0.30, None), "at_most", 0.05, "20.00 %, must be at most 5.00 % (-15.00 pp)"),
        (
            (0.94996, 0.96, 0.97, 384), "at_least", 0.95,
            "96.00 % on 400 images, but its lower bound 94.996 % does not show at least 95.00 %; "
            "about 1,332 images would tell",
        ),
        (
            (0.01, 0.03, 0.06, None), "at_most", 0.05,
            "3.00 % on 400 images, but its upper bound 6.00 % does not show at most 5.00 %",
        ),
    ],
)  # fmt: skip
def test_the_reason_says_the_value_the_rule_and_the_distance(
    numbers: tuple[float, float, float, int | None], rule: Rule, threshold: float, reason: str
) -> None:
    gate = replace(at_least(threshold), rule=rule)

    assert judge(measured(*numbers), gate).reason == f"accuracy is {reason}"


def test_the_images_that_would_tell_do_tell() -> None:
    few = Measurement("accuracy", 0.96, *intervals.exact(384, 400), 400, hits=384)
    needed = judge(few, at_least(0.95)).images_needed
    assert needed is not None

    more = round(0.96 * needed)
    enough = Measurement("accuracy", more / needed, *intervals.exact(more, needed), needed, hits=more)

    assert judge(enough, at_least(0.949)).status == "passed"


def test_a_finding_carries_the_gate_and_where_it_stands() -> None:
    gate = at_least(0.95)

    finding = judge(measured(0.96, 0.97, 0.98), gate)

    assert (finding.gate, finding.where, finding.because, finding.level) == (gate, "p.toml:4", "a reason", "required")


def test_what_was_not_evaluated_keeps_its_level() -> None:
    assert not_evaluated(replace(at_least(0.9), level="warning"), "no images").level == "warning"


# every comparison of the judge, changed by as little as one can

SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.GtE: ast.Gt,
    ast.Gt: ast.GtE,
    ast.LtE: ast.Lt,
    ast.Lt: ast.LtE,
    ast.Eq: ast.NotEq,
    ast.IsNot: ast.Is,
}
Case = tuple[float, float, float, Rule, Decide, float | None]


def cases() -> Iterator[Case]:
    """Bounds around a threshold of 0.9, on it, next to it and none; chances around 5 %."""
    places = (0.8, 0.9, 0.95)
    for low, value, high in itertools.product((*places, NAN), places, places):
        for rule, decide, chance in itertools.product(get_args(Rule), DECIDES, (None, 0.01, 1 - 0.95, 0.5)):
            yield low, value, high, rule, decide, chance


def stated(low: float, value: float, high: float, rule: Rule, decide: Decide, chance: float | None) -> str:
    """Judge a gate as the documentation says it, in other words than the judge's."""
    if not low <= value <= high:
        return "not_evaluated"
    signed = [value, low, high] if rule == "at_least" else [-value, -high, -low]
    value, worst, best = (one - (0.9 if rule == "at_least" else -0.9) for one in signed)
    refuted = best < 0 and (chance is None or chance <= 1 - 0.95)
    if decide == "point":
        return "failed" if value < 0 else "passed"
    if refuted and not (decide == "proven" and worst >= 0):
        return "failed"
    return "passed" if decide == "not-disproven" or worst >= 0 else "inconclusive"


def said(judge: Callable[..., Finding], case: Case) -> str:
    low, value, high, rule, decide, chance = case
    gate = replace(at_least(0.9, decide) if rule == "at_least" else at_most(0.9, decide), confidence=0.95)
    try:
        finding = judge(measured(low, value, high), gate, chance)
    except TypeError as error:
        return repr(error)
    return finding.status


def mutants() -> Iterator[tuple[str, Callable[..., Finding]]]:
    source = inspect.getsource(judge)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    for number, node in enumerate(found):
        if "status" in ast.unparse(node):  # it has been decided by then
            continue
        for at in range(len(node.ops)):
            tree = ast.parse(source)
            changed = [one for one in ast.walk(tree) if isinstance(one, ast.Compare)][number]
            changed.ops[at] = SWAPPED[type(changed.ops[at])]()
            space = dict(vars(gates))
            exec(compile(tree, "mutant", "exec"), space)
            yield ast.unparse(changed), space["judge"]


def test_a_gate_decides_as_it_is_documented() -> None:
    for case in cases():
        assert said(judge, case) == stated(*case), case


@pytest.mark.parametrize(("change", "mutant"), [*mutants()])
def test_no_comparison_of_the_judge_could_be_another(change: str, mutant: Callable[..., Finding]) -> None:
    assert any(said(mutant, case) != stated(*case) for case in cases())


def beside(fell: int, gate: Gate) -> Finding:
    """A gate on a candidate that lost so many of 1,000 images that its baseline reads."""
    shown = evidence(fell + 20)
    last = baseline_file.of(evidence(20))
    (finding,) = judge_all(evaluate(replace(shown, baseline=last), [gate]))
    return finding


GUARD = Gate("g", "accuracy", "at_least", -0.01, "x", decide="not-disproven", against="baseline", kind="guard")
PRIMARY = replace(GUARD, decide="proven", kind="primary")


@pytest.mark.parametrize(
    ("fell", "status", "level", "answer"),
    [
        (0, "passed", "required", "not refuted"),
        (12, "inconclusive", "warning", "not refuted"),
        (40, "failed", "required", "refuted"),
    ],
)
def test_a_guard_stands_unless_it_is_refuted_and_warns_beyond_its_margin(
    fell: int, status: str, level: str, answer: str
) -> None:
    found = beside(fell, GUARD)

    assert (found.status, found.level, found.answer) == (status, level, answer)
    assert ("beyond its margin" in found.reason) == (level == "warning")


@pytest.mark.parametrize(
    ("fell", "status", "answer"),
    [(0, "passed", "shown"), (8, "inconclusive", "not shown"), (40, "failed", "refuted")],
)
def test_a_primary_gate_must_be_shown(fell: int, status: str, answer: str) -> None:
    found = beside(fell, PRIMARY)

    assert (found.status, found.level, found.answer) == (status, "required", answer)


def test_a_warning_of_a_guard_keeps_no_release_back() -> None:
    found = verdict.of([beside(12, GUARD), beside(0, replace(PRIMARY, id="p"))])

    assert (found.word, found.exit_code) == ("allowed_with_warnings", 0)


def test_guards_and_other_gates_are_families_of_their_own() -> None:
    shown = replace(evidence(48), baseline=baseline_file.of(evidence(20)))
    guards = [replace(GUARD, id=f"g{at}", threshold=-0.015) for at in range(200)]
    alone = replace(GUARD, id="other", kind="", threshold=-0.015)

    found = judge_all(evaluate(shown, [*guards, alone]))

    assert {one.status for one in found[:-1]} == {"inconclusive"}
    assert found[-1].status == "failed"


def test_a_margin_from_retraining_says_what_it_is_made_of() -> None:
    found = beside(0, replace(PRIMARY, threshold=0.0, margin="retraining"))

    assert found.gate is not None
    assert found.retraining is not None
    assert found.gate.threshold == -found.retraining.value
    assert found.retraining.losses == (0.02,)


def test_a_share_of_the_mistakes_is_a_margin() -> None:
    found = beside(0, replace(PRIMARY, threshold=0.0, margin="25 %"))

    assert found.gate is not None
    assert found.gate.threshold == pytest.approx(-0.005)


def test_without_a_baseline_a_margin_from_retraining_is_not_evaluated() -> None:
    (found,) = judge_all(evaluate(evidence(20), [replace(PRIMARY, threshold=0.0, margin="retraining")]))

    assert (found.status, "needs a baseline" in found.reason) == ("not_evaluated", True)
