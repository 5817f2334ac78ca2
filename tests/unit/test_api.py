"""The public API on arrays, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

import harness
from harness.run import api
from harness.run.finished_run import FinishedRun
from tests.support import samples

LABELS = np.arange(500) % 10


def probabilities(wrong: int = 25) -> np.ndarray:
    """Answer the first images as the next digit, the others right."""
    rows = np.full((len(LABELS), 10), 0.01)
    rows[np.arange(len(LABELS)), np.where(np.arange(len(LABELS)) < wrong, (LABELS + 1) % 10, LABELS)] = 0.91
    return rows


def test_the_names_promised_are_these() -> None:
    assert harness.__all__ == [
        *(
            "CORRUPTIONS",
            "METRICS",
            "MUTATIONS",
            "Comparison",
            "Finding",
            "Measurement",
            "Measurements",
            "NotMeasurable",
        ),
        *("Result", "UsageError", "compare", "corrupt", "evaluate", "judge", "load", "measure", "qualify", "rejudge"),
    ]
    assert all(getattr(harness, name) is not None for name in harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'judges'"):
        _ = harness.judges


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; import harness; print({name.partition('.')[0] for name in sys.modules} & {'numpy', 'typing'})"
    code += "; print([name for name in sys.modules if name.startswith('harness')])"

    unwatched = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=unwatched, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n['harness']\n"


def test_qualify_declares_what_the_model_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(api, "_run", asked.append)

    with pytest.raises(harness.UsageError, match="cannot be read as a qualification"):
        harness.qualify("model.keras", data="embedded", trained_on="embedded")

    assert {"--data=embedded", "--trained-on=embedded"} <= {*asked[0]}


def test_evaluate_gives_every_metric_of_clean_images_with_its_interval() -> None:
    result = harness.evaluate(LABELS, probabilities())

    assert result["accuracy"].value == accuracy_score(LABELS, probabilities().argmax(1))
    recalls = recall_score(LABELS, probabilities().argmax(1), average=None)
    assert [result[f"recall[{digit}]"].value for digit in range(10)] == pytest.approx(recalls)
    whole = [name for name, one in harness.METRICS.items() if one.of in ("trial", "clean") and not one.each_digit]
    assert set(whole) <= set(result)
    assert all(one.low <= one.value <= one.high for one in result.values())
    assert sum(map(sum, result.confusion)) == len(LABELS)


def test_one_hot_labels_are_digits_too() -> None:
    assert harness.evaluate(np.eye(10)[LABELS], probabilities()) == harness.evaluate(LABELS, probabilities())


def test_measure_is_one_of_them() -> None:
    of_three = harness.measure("recall", LABELS, probabilities(), digit=3)

    assert of_three == harness.evaluate(LABELS, probabilities())["recall[3]"]


def test_measurements_show_themselves() -> None:
    result = harness.evaluate(LABELS, probabilities())

    assert repr(result).splitlines()[0].split()[:2] == ["accuracy", "95.00"]
    assert "<td>recall[3]</td>" in result._repr_html_()


@pytest.mark.parametrize(
    ("labels", "rows", "words"),
    [
        (LABELS, probabilities()[:10], "probabilities has shape"),
        (LABELS, probabilities() > 0.5, "probabilities has shape"),
        (LABELS + 5, probabilities(), "give digits 0..9"),
        (LABELS[:, None], probabilities(), "give digits 0..9"),
        (np.ones((500, 10)), probabilities(), "is not one-hot"),
    ],
)
def test_arrays_of_another_kind_are_refused_in_one_line(labels: np.ndarray, rows: np.ndarray, words: str) -> None:
    with pytest.raises(harness.UsageError, match=words) as refused:
        harness.evaluate(labels, rows)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("metric", "digit", "words"),
    [
        ("acuracy", None, "unknown metric 'acuracy'"),
        ("recall", None, "recall needs a digit; give digit=0..9"),
        ("accuracy", 3, "accuracy is not of one digit"),
        ("worst_case_accuracy", None, "is of space, not of clean images alone"),
    ],
)
def test_a_metric_that_arrays_do_not_have_is_refused_in_one_line(metric: str, digit: int | None, words: str) -> None:
    with pytest.raises(harness.UsageError, match=words):
        harness.measure(metric, LABELS, probabilities(), digit=digit)


def test_a_value_that_does_not_exist_is_no_number() -> None:
    threes = LABELS == 3

    with pytest.raises(harness.NotMeasurable):
        harness.measure("recall", LABELS[~threes], probabilities()[~threes], digit=3)
    with pytest.raises(harness.NotMeasurable, match="there is no measurement 'recall"):
        _ = harness.evaluate(LABELS[~threes], probabilities()[~threes])["recall[3]"]


def test_a_space_is_no_corruption_with_severities() -> None:
    with pytest.raises(harness.UsageError, match="no corruption with severities"):
        harness.corrupt(np.zeros((1, 28, 28), np.uint8), "shift", severity=1)


def result(sample: samples.Sample) -> harness.Result:
    return harness.Result(FinishedRun(*sample, samples.SESSION), None)


def test_a_result_shows_its_verdict_and_what_did_not_pass() -> None:
    blocked = result(samples.blocked())

    open_ = [finding for finding in blocked.findings if finding.status != "passed"]
    assert repr(blocked).startswith("✕ Blocked: ")
    assert repr(blocked).count("\n- ") == blocked._repr_html_().count("<li>") == len(open_) > 1
    assert len(blocked._repr_html_()) < 20_000
    assert not blocked.allowed


def test_a_result_is_not_true_or_false() -> None:
    with pytest.raises(TypeError, match="one of four"):
        bool(result(samples.allowed()))


def test_what_a_notebook_shows_of_hostile_text_is_text() -> None:
    shown = result(samples.hostile())._repr_html_()

    assert "<script" not in shown
    assert "<img" not in shown


def test_the_report_is_shown_in_a_frame_without_rights() -> None:
    shown = result(samples.blocked()).show(height=600)._repr_html_()

    assert shown.count("<iframe") == 1
    assert 'sandbox=""' in shown
    assert "&lt;base href=&quot;about:srcdoc&quot;&gt;" in shown
    assert "base-uri about:;" in shown
    assert "<script" not in shown


@pytest.mark.parametrize(
    ("groups", "said"),
    [([[1], [1, 2]] * 20, "groups is ragged"), ([""] * 40, "is blank"), ([None] * 40, "none missing")],
)
def test_groups_that_are_none_are_refused_in_one_line(groups: list[object], said: str) -> None:
    labels = np.arange(40) % 10

    with pytest.raises(harness.UsageError, match=said):
        harness.evaluate(labels, np.eye(10)[labels], groups=groups)  # type: ignore[arg-type]
