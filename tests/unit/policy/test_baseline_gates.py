"""Gates against the last release, from the policy's text; and thresholds that finished runs suggest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import metrics, policy
from harness.cli import main
from harness.corruptions import trial_at
from harness.errors import UsageError
from harness.judging import power, simulation
from harness.metrics import changes, evaluate
from harness.metrics.display import requirement, title_of
from harness.policy import suggestion
from harness.records import CLEAN, DataFacts, Gate, Scope
from harness.run.session import default_policy
from harness.statistics.paired import WorstPairs
from tests.support import retrains, samples
from tests.unit.evidence.test_baseline import finished

HEAD = 'format = 1\nname = "a policy"\n\n'
GATE = '[[gate]]\nmetric = "accuracy"\nno_worse_than = "baseline"\nmargin = 0.004\nbecause = "a reason"\n'
FULL = DataFacts(
    "MNIST", "npz", "0" * 64, 10_000, 60_000, (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009), 0, 0
)


def loaded(folder: Path, text: str) -> policy.Policy:
    path = folder / "p.toml"
    path.write_text(HEAD + text)
    return policy.load(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_a_margin_is_a_threshold_of_the_difference(tmp_path: Path) -> None:
    accuracy, loss = loaded(tmp_path, GATE + GATE.replace("accuracy", "log_loss")).gates

    assert (accuracy.rule, accuracy.threshold, accuracy.against) == ("at_least", -0.004, "baseline")
    assert (loss.rule, loss.threshold) == ("at_most", 0.004)
    assert title_of(accuracy) == "accuracy against the baseline"
    assert requirement(accuracy) == "≥ -0.40 pp, proven at 95 %"
    assert requirement(loss) == "≤ +0.0040, proven at 95 %"


def test_a_floor_and_a_margin_of_one_metric_stand_side_by_side(tmp_path: Path) -> None:
    floor = '[[gate]]\nmetric = "accuracy"\nat_least = 0.97\nbecause = "a floor"\n'

    assert [gate.id for gate in loaded(tmp_path, GATE + floor).gates] == ["accuracy-baseline", "accuracy"]


def test_a_gate_against_the_baseline_asks_for_its_trial(tmp_path: Path) -> None:
    found = loaded(tmp_path, GATE + 'corruption = "fog"\nseverity = 2\n')

    assert found.trials()[-1] == trial_at("fog", 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("margin = 0.004\n", "", 6, "the margin is missing: how much worse may it be"),
        ('no_worse_than = "baseline"\n', "", 6, 'add no_worse_than = "baseline", or drop the margin'),
        ("0.004", "0.0", 7, "margin = 0 is out of range; it lies between 0 and 1 (equal models differ by chance"),
        ("0.004", "-0.01", 7, "margin = -0.01 is out of range"),
        ("0.004", "1.0", 7, "margin = 1 is out of range; it lies between 0 and 1 (0.002 is 0.2 points)"),
        ("0.004", "2", 7, "margin = 2 is out of range"),
        ("0.004", '"0.1"', 7, 'margin = \'0.1\' is no margin; give a number, "25 %" or "retraining"'),
        ("0.004", "nan", 7, "margin = nan: input should be a finite number"),
        ('"baseline"', '"basline"', 6, "no_worse_than = 'basline': input should be 'baseline'"),
        ("margin = 0.004", "margin = 0.004\nat_least = 0.9", 8, "both at_least and no_worse_than are given"),
        ("margin = 0.004", "margin = 0.004\nat_most = 0.9", 8, "both at_most and no_worse_than are given"),
        ('"accuracy"', '"largest_confusion"', 5, "the largest of 100 shares may be another one in each model"),
        ('"accuracy"', '"maximum_calibration_error"', 5, "each model has bins of its own"),
    ],
)
def test_every_mistake_has_its_line_and_a_way_out(old: str, new: str, line: int, words: str, tmp_path: Path) -> None:
    message = refused(tmp_path, GATE.replace(old, new))

    assert words in message
    assert message.startswith(f"{tmp_path / 'p.toml'}:{line}: ")


def test_a_margin_that_equal_models_could_not_prove_is_refused_with_the_images_it_takes(tmp_path: Path) -> None:
    text = GATE.replace("0.004", "0.002").replace("accuracy", "recall") + "class = 5\n"

    with pytest.raises(UsageError, match=r"recall of 5 against the baseline within a margin of 0\.20 %") as caught:
        policy.check_against(loaded(tmp_path, text), FULL)
    assert "892 images: two models that never differ prove -0.30 pp; it takes 1,351 images" in str(caught.value)


def test_the_worst_recall_against_the_baseline_is_held_to_the_digit_with_fewest_images(tmp_path: Path) -> None:
    text = GATE.replace("0.004", "0.002").replace("accuracy", "worst_class_recall")

    with pytest.raises(UsageError, match=r"892 images: two models that never differ prove -0\.30 pp"):
        policy.check_against(loaded(tmp_path, text), FULL)


def test_the_worst_recall_changed_as_the_digit_that_lost_most_did() -> None:
    _, shown = samples.beside(samples.allowed())
    digits = [changes.difference(shown, "recall", Scope(digit)) for digit in range(10)]

    found = changes.difference(shown, "worst_class_recall", Scope())
    assert isinstance(found, WorstPairs)

    lost_most = min(digits, key=lambda one: one.value)
    assert lost_most.value < 0
    assert (found.value, found.part) == (lost_most.value, f"digit {digits.index(lost_most)}")
    assert found.bounds(0.95)[0][0] == min(one.bounds(0.95)[0][0] for one in digits)
    assert found.worst == lost_most


def test_the_chances_of_a_worst_recall_against_the_baseline_are_counted_image_by_image() -> None:
    _, shown = samples.beside(samples.allowed())
    gate = Gate("g", "worst_class_recall", "at_least", -0.9, "x", against="baseline")
    evaluation = evaluate(shown, [gate])

    told = simulation.simulate(power.of(evaluation), evaluation).gates[0]

    assert (told.stopped, told.failed) == (0.0, 0.0)


@pytest.mark.parametrize(("origin", "name"), [("npz", "successor"), ("embedded", "embedded-successor")])
def test_a_release_with_a_baseline_has_a_policy_of_its_own_that_its_data_can_prove(origin: str, name: str) -> None:
    data = FULL if origin == "npz" else replace(FULL, origin="embedded", n=1_000, counts=(100,) * 10)
    found = policy.load(default_policy(data, succeeds=True))

    policy.check_against(found, data)

    assert found.facts.name == name
    told = [gate for gate in found.gates if gate.metric not in ("trigger_success", "selective_accuracy")]
    assert {gate.against for gate in told} == {"baseline", "anchor"}


@pytest.mark.parametrize(("n", "factor"), [(2, 26.260), (3, 7.656), (5, 4.203), (10, 2.911), (20, 2.396)])
def test_the_tolerance_factors_are_those_of_odeh_and_owen_1980(n: int, factor: float) -> None:
    assert suggestion.tolerance_factor(n) == pytest.approx(factor, abs=2e-3)


def test_one_run_suggests_its_bound_and_as_far_again_below_it(tmp_path: Path) -> None:
    _, shown = samples.allowed()
    (tmp_path / "s.toml").write_text(suggestion.toml([shown]))

    found = {gate.id: gate for gate in policy.load(tmp_path / "s.toml").gates}

    right = (shown.answers[CLEAN] == shown.labels).mean()
    low = metrics.measure(shown, "accuracy", Scope(), 0.95).low
    assert found["accuracy"].threshold == pytest.approx(2 * low - right, abs=1e-4)
    assert found["accuracy"].threshold <= 2 * low - right


def test_the_suggesting_run_passes_every_gate_that_it_suggests(tmp_path: Path) -> None:
    from harness.judging.gates import judge_all

    _, shown = samples.allowed()
    (tmp_path / "s.toml").write_text(suggestion.toml([shown]))

    assert {one.status for one in judge_all(evaluate(shown, policy.load(tmp_path / "s.toml").gates))} == {"passed"}


def test_suggestions_are_printed_or_written_and_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(finished(tmp_path / "run"))

    assert main(["policy", "suggest", run]) == 0
    printed = capsys.readouterr().out
    assert main(["policy", "suggest", run, run, "--out", str(tmp_path / "s.toml")]) == 0
    assert printed.startswith("# Suggested by digits-mlp-1.4.0.keras on ")
    assert "2 runs prove" in (tmp_path / "s.toml").read_text()
    assert main(["policy", "check", str(tmp_path / "s.toml")]) == 0


def test_runs_of_different_data_suggest_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, shown = samples.allowed()
    data = replace(shown.data, sha256="f" * 64)
    one = finished(tmp_path / "one")
    two = finished(tmp_path / "two", replace(shown, data=data))
    from harness.outputs.run_json import dump

    (two / "run.json").write_bytes(dump(replace(run, data=data)))

    assert main(["policy", "suggest", str(one), str(two)]) == 4
    assert "the runs were judged on different data" in capsys.readouterr().err


RETRAINED = GATE.replace("0.004", '"retraining"')
EACH = RETRAINED.replace('"baseline"', '"baseline"\nkind = "guard"')


def test_a_gate_of_each_corruption_slice_or_digit_is_one_gate_each(tmp_path: Path) -> None:
    text = EACH + 'corruption = "each"\ncorruptions = ["fog@2", "shear@1"]\n\n'
    text += EACH.replace("accuracy", "slice_accuracy") + 'property = "slant"\nslice = "each"\n'

    found = loaded(tmp_path, text)

    scopes = [(gate.scope.corruption, gate.scope.severity, gate.scope.slice) for gate in found.gates]
    assert scopes == [("fog", 2, None), ("shear", 1, None), *((None, None, fifth) for fifth in range(1, 6))]
    assert {(gate.kind, gate.decide, gate.margin) for gate in found.gates} == {
        ("guard", "not-disproven", "retraining")
    }  # fmt: skip
    assert {trial.key for trial in found.trials()} >= {"fog@2", "shear@1"}
    assert title_of(found.gates[2]) == "accuracy of the most left-slanted fifth against the baseline"


def test_the_mean_over_listed_corruptions_is_one_gate(tmp_path: Path) -> None:
    text = RETRAINED.replace("accuracy", "mean_corruption_accuracy") + 'corruptions = ["fog@2", "shear@1"]\n'

    (gate,) = loaded(tmp_path, text).gates

    assert gate.scope.corruptions == ("fog@2", "shear@1")
    assert requirement(gate) == "within what retraining does, proven at 95 %"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RETRAINED.replace("accuracy", "macro_f1"), "how much retraining moves macro_f1 is not known"),
        (GATE.replace("0.004", '"0 %"'), "it lies between 0 and 1000 %"),
        (GATE.replace("0.004", '"half"'), "is no margin"),
        (GATE.replace("0.004", '"\\n25 %"'), "is no margin"),
        (GATE.replace("0.004", '"25 %"').replace("accuracy", "macro_f1"), "it has no share of mistakes"),
        (EACH + 'corruption = "each"\n', "needs the list of them"),
        (EACH + 'corruption = "each"\nseverity = 2\ncorruptions = ["fog@2", "shear@1"]\n', "a severity of its own"),
        (EACH + 'corruption = "each"\ncorruptions = ["fog", "shear@1"]\n', "'fog' is no corruption at a severity"),
        (EACH + 'corruption = "each"\ncorruptions = ["fog@2", "fog@2"]\n', "names a corruption twice"),
        (EACH + 'corruption = "each"\ncorruptions = ["fog@2", "shift@1"]\n', "needs a corruption with severities"),
        (EACH + 'corruptions = ["fog@2", "shear@1"]\n', 'write corruption = "each" for a gate on each of them'),
        (EACH + 'decide = "point"\n', "kind = 'guard' says already how the gate decides"),
        (RETRAINED.replace("accuracy", "slice_accuracy") + 'property = "slant"\n', "needs a slice, 1..5"),
        (RETRAINED + "slice = 2\n", "accuracy takes no slice"),
    ],
)
def test_mistakes_of_kinds_margins_and_lists_have_a_way_out(text: str, words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, text)


def test_trials_are_predicted_for_another_policy_that_is_beside_it_or_shipped(tmp_path: Path) -> None:
    (tmp_path / "next.toml").write_text(HEAD + GATE + 'corruption = "fog"\nseverity = 2\n')
    named = 'predict_for = ["next.toml", "successor.toml"]\n'

    (tmp_path / "p.toml").write_text(HEAD.replace("name", f"{named}name") + GATE)
    found = policy.load(tmp_path / "p.toml")

    assert len(found.gates) == 1
    assert {trial.key for trial in found.trials()} >= {"fog@2", "thinning@2"}


@pytest.mark.parametrize(
    ("names", "words"), [(["é" * 200], "cannot be read: File name too long"), (["a"] * 101, "at most 100 items")]
)
def test_policies_to_predict_for_that_cannot_be_read_are_mistakes(names: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        f'format = 1\nname = "a"\npredict_for = {json.dumps(names, ensure_ascii=False)}\n{GATE}'
    )

    with pytest.raises(UsageError, match=words):
        policy.load(tmp_path / "p.toml")


def test_a_policy_to_predict_for_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('format = 1\nname = "a"\npredict_for = ["gone.toml"]\n' + GATE)

    with pytest.raises(UsageError, match=r"p\.toml:3: gone\.toml is not a file"):
        policy.load(tmp_path / "p.toml")


def test_the_shipped_policies_predict_for_their_successor() -> None:
    writers = retrains.by_writer(retrains.evidence("cnn-00")).data
    for data in (FULL, replace(FULL, origin="embedded"), writers):
        first, next_ = (policy.load(default_policy(data, succeeds=beside)) for beside in (False, True))

        assert set(next_.trials()) <= set(first.trials())


def test_the_check_of_a_policy_explains_shown_and_not_refuted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(tmp_path, EACH)

    assert main(["policy", "check", str(tmp_path / "p.toml")]) == 0

    said = capsys.readouterr().out
    assert "accuracy against the baseline within what retraining does, not refuted at 95 %" in said
    assert "not refuted: no miss is proven" in said
