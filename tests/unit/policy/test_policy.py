"""Policies: every mistake has a file, a line and a way out; what is shipped loads; what nobody can pass is refused."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import metrics, policy
from harness.corruptions import SPACES, trial_at
from harness.errors import UsageError
from harness.files import shipped_folder
from harness.judging import gates
from harness.metrics import evaluate
from harness.records import CLEAN, LIGHT, DataFacts, Decide, Evidence, Gate, ModelFacts, Predictions, Scope
from harness.statistics import intervals

SHIPPED = ("release.toml", "robustness.toml", "embedded.toml")
HEAD = 'format = 1\nname = "a policy"\n\n'
ACCURACY = '[[gate]]\nmetric = "accuracy"\nat_least = 0.9\nbecause = "a reason"\n'
NOISE = ACCURACY + 'corruption = "gaussian_noise"\nseverity = 3\n'
SHIFT = (
    '[[gate]]\nmetric = "worst_case_accuracy"\nat_least = 0.9\nbecause = "a reason"\ncorruption = "shift"\nwithin = 2\n'
)
RECALL = '[[gate]]\nmetric = "recall"\nat_least = 0.9\nbecause = "a reason"\nclass = "each"\n'
GOOD = {"accuracy": ACCURACY, "noise": NOISE, "shift": SHIFT, "recall": RECALL}

# what is wrong -> (gate, what is replaced, by what, line from the top, words of the message)
MISTAKES: dict[str, tuple[str, str, str, int, str]] = {
    "unknown key": (ACCURACY, "because", "levle = 1\nbecause", 7, "unknown key 'levle'; did you mean 'level'?"),
    "python's name of a key": (RECALL, "class", "digit", 8, "unknown key 'digit'; known are at_least, at_most"),
    "key far from any": (ACCURACY, "because", "zzz = 1\nbecause", 7, "unknown key 'zzz'; known are at_least"),
    "unknown metric": (ACCURACY, "accuracy", "acuracy", 5, "unknown metric 'acuracy'; did you mean 'accuracy'?"),
    "auc": (ACCURACY, '"accuracy"', '"auc"', 5, "'auc' is defined for two classes and does not decide a ten-class"),
    "roc_auc": (ACCURACY, '"accuracy"', '"roc_auc"', 5, "use accuracy, recall, precision or f1 per class"),
    "class over 9": (RECALL, '"each"', "10", 8, "class = 10: input should be less than 10, or input should be 'each'"),
    "class under 0": (RECALL, '"each"', "-1", 8, "class = -1: input should be greater than or equal to 0"),
    "class in words": (RECALL, '"each"', '"seven"', 8, "class = 'seven': input should be a valid integer, or"),
    "class as a share": (RECALL, '"each"', "1.5", 8, "class = 1.5: input should be a valid integer"),
    "no class": (RECALL, 'class = "each"\n', "", 5, "recall needs a digit; add class = 0..9 or class = "),
    "class of the whole": (ACCURACY, "because", "class = 3\nbecause", 5, "accuracy is not of one digit"),
    "unknown corruption": (NOISE, "gaussian_noise", "gaussian_nois", 8, "did you mean gaussian_noise?"),
    "missing module": (NOISE, "gaussian_noise", "no_such_module:f", 8, "no_such_module"),
    "space as corruption": (NOISE, "gaussian_noise", "shift", 8, "accuracy needs a corruption with severities; 'shift"),
    "corruption as space": (SHIFT, '"shift"', '"fog"', 8, "worst_case_accuracy needs a finite space: shift"),
    "threshold in words": (ACCURACY, "0.9", '"0.9"', 6, "at_least = '0.9': input should be a valid number"),
    "threshold a bool": (ACCURACY, "0.9", "true", 6, "at_least = True: input should be a valid number"),
    "threshold NaN": (ACCURACY, "0.9", "nan", 6, "at_least = nan: input should be a finite number"),
    "threshold inf": (ACCURACY, "0.9", "inf", 6, "at_least = inf: input should be a finite number"),
    "threshold overflows": (ACCURACY, "0.9", "1e999", 6, "at_least = inf: input should be a finite number"),
    "threshold of 400 digits": (ACCURACY, "0.9", "9" * 400, 6, "at_least = 9999"),
    "threshold a list": (ACCURACY, "0.9", "[0.9]", 6, "at_least = [0.9]: input should be a valid number"),
    "threshold 0": (ACCURACY, "0.9", "0.0", 6, "at_least = 0 is out of range; accuracy lies between 0 and 1"),
    "threshold 1": (ACCURACY, "0.9", "1", 6, "at_least = 1 is out of range; accuracy lies between 0 and 1"),
    "threshold negative": (ACCURACY, "0.9", "-0.9", 6, "at_least = -0.9 is out of range"),
    "percent": (ACCURACY, "0.9", "98.5", 6, "at_least = 98.5 is out of range; accuracy lies between 0 and 1 (shares"),
    "wrong direction": (ACCURACY, "at_least", "at_most", 6, "accuracy is better when larger; use at_least"),
    "no threshold": (ACCURACY, "at_least = 0.9\n", "", 4, "neither at_least nor at_most is given; accuracy takes at_"),
    "two thresholds": (ACCURACY, "because", "at_most = 0.95\nbecause", 7, "both at_least and at_most are given; accur"),
    "no reason": (ACCURACY, 'because = "a reason"\n', "", 4, "the key 'because' is missing"),
    "blank reason": (ACCURACY, "a reason", "  ", 7, "because: is empty; say why"),
    "empty reason": (ACCURACY, "a reason", "", 7, "because: is empty; say why"),
    "no metric": (ACCURACY, 'metric = "accuracy"\n', "", 4, "the key 'metric' is missing"),
    "severity alone": (NOISE, 'corruption = "gaussian_noise"\n', "", 5, "needs a corruption and a severity together"),
    "corruption alone": (NOISE, "severity = 3\n", "", 5, "needs a corruption and a severity together"),
    "severity 6": (NOISE, "severity = 3", "severity = 6", 9, "severity = 6: input should be less than or equal to 5"),
    "severity 0": (NOISE, "severity = 3", "severity = 0", 9, "severity = 0: input should be greater than or equal to"),
    "severity a share": (NOISE, "severity = 3", "severity = 2.5", 9, "severity = 2.5: input should be a valid integer"),
    "within too large": (SHIFT, "within = 2", "within = 99", 9, "within = 99 is out of range; shift goes up to"),
    "within 0": (SHIFT, "within = 2", "within = 0", 9, "within = 0: input should be greater than or equal to 1"),
    "within of a severity": (NOISE, "severity", "within", 5, "accuracy has no value over a whole space; use worst_cas"),
    "severity of a space": (SHIFT, "within", "severity", 5, "worst_case_accuracy needs a corruption and within, and"),
    "unknown level": (ACCURACY, "because", 'level = "warn"\nbecause', 7, "input should be 'required' or 'warning'"),
    "unknown decide": (ACCURACY, "because", 'decide = "never"\nbecause', 7, "input should be 'proven', 'point' or"),
    "confidence 1": (ACCURACY, "because", "confidence = 1.0\nbecause", 7, "confidence = 1.0: input should be less tha"),
    "confidence in percent": (ACCURACY, "because", "confidence = 95\nbecause", 7, "confidence = 95: input should be l"),
    "confidence a coin": (ACCURACY, "because", "confidence = 0.4\nbecause", 7, "confidence = 0.4: input should be gre"),
    "key twice": (ACCURACY, "because", "at_least = 0.8\nbecause", 7, "is not TOML: Cannot overwrite a value"),
    "table in a gate": (ACCURACY, "because", "extra.deep = 1\nbecause", 7, "unknown key 'extra'"),
}  # fmt: skip

# what is wrong -> (whole file, line, words of the message)
FILES: dict[str, tuple[str, int, str]] = {
    "empty": ("", 1, "is empty; a policy holds format = 1, a name and a [[gate]] for each rule"),
    "no gate": (HEAD, 1, "holds no [[gate]]; a policy that asks nothing cannot allow anything"),
    "unknown format": (HEAD.replace("1", "2") + ACCURACY, 1, "format = 2: input should be 1"),
    "format in words": (HEAD.replace("1", '"1"') + ACCURACY, 1, "format = '1': input should be 1"),
    "no name": ("format = 1\n" + ACCURACY, 1, "the key 'name' is missing"),
    "name a number": (HEAD.replace('"a policy"', "3") + ACCURACY, 2, "name = 3: input should be a valid string"),
    "unknown key": (HEAD.replace("name", "includes = []\nname") + ACCURACY, 2, "unknown key 'includes'; did you mean"),
    "unknown table": (HEAD + "[gates]\n\n" + ACCURACY, 4, "unknown key 'gates'; did you mean 'gate'?"),
    "one gate, not a list": (HEAD + ACCURACY.replace("[[gate]]", "[gate]"), 4, "write each gate under a [[gate]] head"),
    "inline gates": (HEAD + "gate = [{metric = 'accuracy', at_least = 0.9, because = 'x'}]\n", 4, "under a [[gate]] h"),
    "numbers for gates": (HEAD + "gate = [1]\n", 4, "write each gate under a [[gate]] header"),
    "unknown limit": (HEAD + ACCURACY + "[limits]\nmetric = 3\n", 9, "unknown key 'metric'; known are answer_seconds"),
    "limit negative": (HEAD + "[limits]\nanswer_seconds = -1\n" + ACCURACY, 5, "answer_seconds = -1: input should be"),
    "limit a table": (HEAD + "[limits.deep]\nx = 1\n" + ACCURACY, 1, "unknown key 'deep'"),
    "includes itself": (HEAD.replace("name", 'include = ["p.toml"]\nname') + ACCURACY, 2, "p.toml includes itself; re"),
    "includes nothing": (HEAD.replace("name", 'include = ["q.toml"]\nname') + ACCURACY, 2, "q.toml is not a file"),
    "includes a folder": (HEAD.replace("name", 'include = ["."]\nname') + ACCURACY, 2, ". is not a file"),
    "includes no name": (HEAD.replace("name", 'include = ["a\\u0000b"]\nname') + ACCURACY, 2, "is not a file"),
    "includes a number": (HEAD.replace("name", "include = [3]\nname") + ACCURACY, 2, "include = 3: input should be a"),
    "not TOML": (HEAD + ACCURACY + "at_least = \n", 8, "is not TOML"),
    "ends too early": (HEAD + ACCURACY + 'x = """\nno end\n', 9, "is not TOML"),
    "nested too deeply": (HEAD + "x = " + "[" * 100_000, 1, "is nested too deeply or holds a number too long"),
    "a number of 10,000 digits": (HEAD + "x = " + "9" * 10_000, 1, "is nested too deeply or holds a number too long"),
    "over a megabyte": (HEAD + ACCURACY + "#" * (1 << 20), 1, "is over 1,048,576 bytes"),
    "duplicate": (HEAD + ACCURACY + ACCURACY, 8, "accuracy is already ruled at p.toml:4; keep one of the two"),
    "duplicate among digits": (HEAD + RECALL + RECALL.replace('"each"', "7"), 9, "recall of 7 is already ruled at p.t"),
    "gate in a string": (HEAD + ACCURACY.replace('"a reason"', '"""\n[[gate]]\n"""') + "x = 1\n", 10, "unknown key 'x"),
    "quote in a comment": (HEAD + '# """\n' + ACCURACY + "x = 1\n", 9, "unknown key 'x'"),
    "line ends of Windows": ((HEAD + ACCURACY + "x = 1\n").replace("\n", "\r\n"), 8, "unknown key 'x'"),
    "separators in a reason": (HEAD + ACCURACY.replace("a reason", "a \u2028 reason") + "x = 1\n", 8, "unknown key 'x"),
}  # fmt: skip


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        policy.load(path)
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_gate_has_its_line_and_a_way_out(mistake: str, tmp_path: Path) -> None:
    gate, right, wrong, line, words = MISTAKES[mistake]
    assert right in gate

    path = written(tmp_path, HEAD + gate.replace(right, wrong, 1))
    (said,) = refused(path).splitlines()

    assert said.startswith(f"{path}:{line}: ")
    assert words in said


@pytest.mark.parametrize("mistake", FILES)
def test_a_mistake_in_a_file_has_its_line_and_a_way_out(mistake: str, tmp_path: Path) -> None:
    text, line, words = FILES[mistake]

    said = refused(written(tmp_path, text))

    assert re.match(rf"(\S*/)?p\.toml:{line}: ", said)
    assert words in said


@pytest.mark.parametrize("gate", GOOD)
def test_each_gate_of_these_tables_loads_when_it_holds_no_mistake(gate: str, tmp_path: Path) -> None:
    loaded = policy.load(written(tmp_path, HEAD + GOOD[gate]))

    assert {found.line for found in loaded.gates} == {4}


def test_a_space_may_be_exhausted_to_its_end(tmp_path: Path) -> None:
    largest = SPACES["shift"].largest

    loaded = policy.load(written(tmp_path, HEAD + SHIFT.replace("within = 2", f"within = {largest}")))

    assert loaded.gates[0].scope.within == largest


@pytest.mark.parametrize(
    ("gate", "hint"),
    [
        (ACCURACY.replace("0.9", "-0.9"), "percent"),
        (ACCURACY.replace('"accuracy"\nat_least = 0.9', '"log_loss"\nat_most = -3'), "percent"),
        (ACCURACY + "class = 3\n", "add class"),
        (RECALL + 'corruption = "fog"\n', "add class"),
    ],
)
def test_a_way_out_is_named_only_where_it_is_one(gate: str, hint: str, tmp_path: Path) -> None:
    assert hint not in refused(written(tmp_path, HEAD + gate))


def test_a_mistake_is_one_line_whatever_the_text_holds(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + ACCURACY.replace('"accuracy"', '"a\\nb\\u001b[31m' + "c" * 150 + '"'))

    assert len(refused(path).splitlines()) == 1
    assert refused(path).isprintable()


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(HEAD + SHIFT.replace("shift", "shoft"))
    gates = [ACCURACY.replace("0.9", "true"), RECALL.replace("recall", "recal"), NOISE.replace("3", "9"), ACCURACY]
    path = written(tmp_path, HEAD.replace("\n\n", '\ninclude = ["q.toml"]\n') + "".join(gates))

    lines = [line.split(": ")[0].removeprefix(f"{tmp_path}/") for line in refused(path).splitlines()]

    assert lines == ["p.toml:6", "p.toml:9", "p.toml:18", "q.toml:8"]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "unreadable"])
def test_what_is_no_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "unreadable":
        path.symlink_to(path)

    assert re.fullmatch(r".*p\.toml (is not a file|cannot be read).*", refused(path))


def test_bytes_that_are_no_text_are_refused_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes((HEAD + "# ").encode() + b"\xff\n" + ACCURACY.encode())

    assert refused(path) == f"{path}:4: is not UTF-8 text; save it as UTF-8"


def test_a_gate_names_its_file_as_seen_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.toml").write_text(HEAD + ACCURACY)
    places = {tmp_path: "policies/p.toml", tmp_path / "policies": "p.toml", Path("/"): None}

    for folder, name in places.items():
        monkeypatch.chdir(folder)
        (gate,) = policy.load(tmp_path / "policies" / "p.toml").gates
        assert gate.file == (name or (tmp_path / "policies" / "p.toml").relative_to("/").as_posix())[:119]


def test_two_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(HEAD.replace("name", 'include = ["p.toml"]\nname') + NOISE)
    path = written(tmp_path, HEAD.replace("name", 'include = ["q.toml"]\nname') + ACCURACY)

    assert refused(path) == f"{tmp_path}/q.toml:2: p.toml includes itself; remove the include"


def test_limits_of_an_included_policy_are_refused_since_they_would_not_hold(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(HEAD + "[limits]\nanswer_seconds = 5.0\n\n" + NOISE)
    path = written(tmp_path, HEAD.replace("name", 'include = ["q.toml"]\nname') + ACCURACY)

    assert "q.toml:4: limits of an included policy do not hold" in refused(path)


def test_a_file_included_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "noise.toml").write_text(HEAD + NOISE)
    (tmp_path / "q.toml").write_text(HEAD.replace("name", 'include = ["noise.toml"]\nname') + SHIFT)
    path = written(tmp_path, HEAD.replace("name", 'include = ["q.toml", "noise.toml"]\nname') + ACCURACY)

    assert [gate.metric for gate in policy.load(path).gates] == ["accuracy", "worst_case_accuracy", "accuracy"]


def test_too_many_gates_are_refused(tmp_path: Path) -> None:
    reasons = [f'[[gate]]\nmetric = "recall"\nclass = "each"\nat_least = 0.9\nbecause = "{i}"\n' for i in range(201)]

    assert "at most 2,000 can be judged together" in refused(written(tmp_path, HEAD + "".join(reasons)))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_loads_and_every_gate_knows_its_line(name: str) -> None:
    loaded = policy.load(shipped_folder("suites") / name)

    assert all(
        (shipped_folder("suites") / gate.file).read_text().splitlines()[gate.line - 1] == "[[gate]]"
        for gate in loaded.gates
    )


def test_a_class_for_each_digit_makes_ten_gates(tmp_path: Path) -> None:
    loaded = policy.load(written(tmp_path, HEAD + RECALL))

    assert [gate.id for gate in loaded.gates] == [f"recall-{digit}" for digit in range(10)]


def test_the_same_rule_may_be_required_and_stricter_as_a_warning(tmp_path: Path) -> None:
    stricter = ACCURACY.replace("0.9", "0.99") + 'level = "warning"\n'

    assert len(policy.load(written(tmp_path, HEAD + ACCURACY + stricter)).gates) == 2


def test_the_trials_of_a_policy_are_each_predicted_once_and_clean_first(tmp_path: Path) -> None:
    spaces = SHIFT.replace("within = 2", "within = 1")
    loaded = policy.load(written(tmp_path, HEAD + ACCURACY + NOISE + SHIFT + spaces))

    trials = loaded.trials()

    assert trials[:4] == (CLEAN, *LIGHT, trial_at("gaussian_noise", 3))
    assert len(trials) == len(set(trials)) == 4 + (5 * 5 - 1)


def test_limits_are_read_from_the_policy(tmp_path: Path) -> None:
    loaded = policy.load(written(tmp_path, HEAD + "[limits]\nanswer_seconds = 7.5\n" + ACCURACY))

    assert loaded.limits.answer_seconds == 7.5


def test_the_text_of_all_files_is_kept_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(HEAD + NOISE)
    text = HEAD.replace("name", 'include = ["q.toml"]\nname') + ACCURACY

    before = policy.load(written(tmp_path, text)).facts
    (tmp_path / "q.toml").write_text(HEAD + NOISE.replace("0.9", "0.8"))
    after = policy.load(tmp_path / "p.toml").facts

    assert [file.text for file in before.files] == [text, HEAD + NOISE]
    assert before.files[0].includes == (before.files[1].sha256,)
    assert before.sha256 != after.sha256


# a score that nobody can reach


def facts(each: int = 100) -> DataFacts:
    counts = (each, *[each + 50] * 9)
    return DataFacts("digits", "npz", "0", sum(counts), 0, counts, 0, 0)


def perfect(each: int) -> Evidence:
    labels = np.repeat(np.arange(10), facts(each).counts).astype(np.uint8)
    model = ModelFacts("m", "0", 1, "Sequential", (), (), 0, (), "harness.references.preprocessing")
    clear = np.eye(10, dtype=np.float32)[labels]
    images = np.zeros((len(labels), 28, 28), np.uint8)
    return Evidence(model, facts(each), images, labels, Predictions({CLEAN: labels.astype(np.int8)}, clear, 1), {})


def ruled(metric: str, threshold: float, digit: int | None = None) -> Gate:
    return Gate("g", metric, metrics.METRICS[metric].rule, threshold, "x", Scope(digit=digit), file="p.toml", line=4)


def asked(*rules: Gate) -> policy.Policy:
    return replace(policy.load(shipped_folder("suites") / "release.toml"), gates=rules)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ruled("accuracy", 0.999), "accuracy at least 99.90 % cannot be shown with 1,450 images: a perfect score prov"),
        (ruled("recall", 0.98, 0), "recall of 0 at least 98.00 % cannot be shown with 100 images: a perfect score pro"),
        (ruled("precision", 0.98, 0), "it takes 149 images, or another threshold"),
        (ruled("f1", 0.99, 0), "it takes 150 images, or another threshold"),
        (ruled("worst_class_recall", 0.98), "it takes 149 images, or another threshold"),
        (
            replace(ruled("worst_slice_accuracy", 0.99), scope=Scope(property="slant")),
            "worst slice accuracy by slant at least 99.00 % cannot be shown with 290 images",
        ),
        (ruled("selective_accuracy", 0.999), "cannot be shown with 1,378 images: a perfect score proves 99.78 %"),
        (ruled("largest_confusion", 0.02), "largest confusion at most 2.00 % cannot be shown with 100 images"),
    ],
)  # fmt: skip
def test_a_gate_that_a_perfect_score_cannot_pass_is_refused_with_the_images_it_takes(rule: Gate, words: str) -> None:
    with pytest.raises(UsageError, match=r"^p\.toml:4: ") as caught:
        policy.check_against(asked(rule), facts())

    assert words in str(caught.value)


def test_every_gate_out_of_reach_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        policy.check_against(asked(ruled("accuracy", 0.999), ruled("accuracy", 0.5), ruled("recall", 0.98, 0)), facts())

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("decide", ["point", "not-disproven"])
def test_a_rule_that_needs_no_proof_is_within_reach(decide: Decide) -> None:
    policy.check_against(asked(replace(ruled("accuracy", 0.999), decide=decide)), facts(1))


@given(
    rule=st.sampled_from(["accuracy", "recall", "precision", "f1", "worst_class_recall", "largest_confusion"]),
    each=st.integers(1, 200),
    strict=st.floats(0.5, 0.999),
)
@settings(max_examples=60, deadline=None)
def test_what_is_refused_is_exactly_what_a_perfect_model_would_not_pass(rule: str, each: int, strict: float) -> None:
    metric = metrics.METRICS[rule]
    threshold = strict if metric.rule == "at_least" else 1 - strict
    gate = ruled(rule, threshold, 0 if metric.each_digit else None)
    (finding,) = gates.judge_all(evaluate(perfect(each), [gate]))

    if finding.status == "passed":
        policy.check_against(asked(gate), facts(each))
    else:
        with pytest.raises(UsageError):
            policy.check_against(asked(gate), facts(each))


@pytest.mark.parametrize("n", [1, 58, 59, 1000])
def test_the_images_it_takes_are_the_fewest_that_would_do(n: int) -> None:
    threshold = 0.05 ** (1 / n) * (1 - 1e-12)

    assert intervals.smallest_n_for_perfect(threshold) == n


@pytest.mark.parametrize(("name", "each"), [("release.toml", 892), ("embedded.toml", 100)])
def test_the_shipped_policies_are_within_reach_of_the_data_they_are_for(name: str, each: int) -> None:
    policy.check_against(policy.load(shipped_folder("suites") / name), facts(each))


SEVERAL = {
    "a value out of range beside an unknown key": (ACCURACY, {"0.9": "95", "because": "becuase"}, {6, 7}),
    "a corruption without its severity beside an unknown level": (
        NOISE,
        {"severity = 3\n": 'level = "warn"\n'},
        {5, 9},
    ),
    "a range, a metric and an empty reason": (
        ACCURACY,
        {"0.9": "95", "accuracy": "acuracy", "a reason": ""},
        {5, 6, 7},
    ),
    "a class out of range beside a metric that is none": (RECALL, {'"each"': "12", "recall": "recal"}, {5, 8}),
    "a space beside a wrong within": (SHIFT, {"shift": "shoft", "within = 2": "within = 0"}, {8, 9}),
}


@pytest.mark.parametrize("several", SEVERAL)
def test_all_mistakes_of_one_gate_are_told_in_one_round(several: str, tmp_path: Path) -> None:
    gate, changes, lines = SEVERAL[several]
    for right, wrong in changes.items():
        assert right in gate
        gate = gate.replace(right, wrong, 1)

    said = refused(written(tmp_path, HEAD + gate)).splitlines()

    assert [line for line in lines if sum(f"p.toml:{line}: " in one for one in said) != 1] == []
    assert len(said) == len(lines)


def test_mistakes_of_a_file_its_gates_and_its_exceptions_are_told_in_one_round(tmp_path: Path) -> None:
    check = '[[check]]\nid = "check/none"\nlevel = "off"\nbecause = "x"\n'
    waiver = '[[waiver]]\nfinding = "gate/none"\nuntil = 9999-01-01\nby = ""\nbecause = "x"\n'
    text = HEAD.replace("format = 1", "format = 3\nnane = 2") + ACCURACY.replace("0.9", "9") + check + waiver

    said = refused(written(tmp_path, text)).splitlines()

    where = [int(line.split(":")[1]) for line in said]
    assert sorted(where) == [1, 2, 7, 10, 11, 16]


def test_a_waiver_of_a_gate_that_could_not_be_read_is_no_second_mistake(tmp_path: Path) -> None:
    waiver = '[[waiver]]\nfinding = "gate/accuracy"\nuntil = 9999-01-01\nby = "A"\nbecause = "x"\n'

    (said,) = refused(written(tmp_path, HEAD + ACCURACY.replace("0.9", "9") + waiver)).splitlines()

    assert "at_least = 9" in said


def test_a_misspelt_key_is_not_missing_too(tmp_path: Path) -> None:
    (said,) = refused(written(tmp_path, HEAD + ACCURACY.replace("because", "becuase"))).splitlines()

    assert said.endswith("unknown key 'becuase'; did you mean 'because'?")


def test_a_misspelt_level_is_told_the_nearest(tmp_path: Path) -> None:
    assert refused(written(tmp_path, HEAD + ACCURACY + 'level = "warn"\n')).endswith("did you mean 'warning'?")
