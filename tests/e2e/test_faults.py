"""Whole runs of what must be stopped: a fault of each kind is blocked, by a check or gate that names it.

More faults that the checks alone must stop are in tests/process/test_checks.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.outputs import run_json
from harness.records import Run
from tests.support.faults import preprocessing
from tests.support.folders import FAULTS

Judged = Callable[..., tuple[int, Run]]

# fault -> words that the verdict's sentence must hold
MODELS = {
    "signs_flipped": "must be at least",
    "divides_again": "it divides by 255 itself",
    "logits": "logits",
    "nan_weight": "weights hold NaN",
    "eleven_classes": "answers with shape [(11,)]",
    "functional": "Functional",
    "two_outputs": "Functional",
    "half_precision": "rows do not sum to 1",
    "untrained": "must be at least",
    "never_says_7": "of 7",
    "sees_digits_shifted": "must be at least",
    "sees_half_the_pixels": "must be at least",
    "first_filters_lost": "must be at least",
}


@pytest.fixture
def judged(tmp_path: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Judge a model on the embedded digits by a policy of accuracy gates only, with preprocessing if any is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)

    def judge(model: Path, preprocess: str | None = None) -> tuple[int, Run]:
        options = ["--data", "embedded", "--policy", str(FAULTS / "accuracy.toml"), "--out", "out"]
        if preprocess is not None:
            Path("candidate_steps.py").write_text(preprocess)
            options += ["--preprocess", "candidate_steps"]
        code = main(["run", str(model), *options])
        assert os.environ["PYTEST_ADDOPTS"] == "--no-such-option"
        assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ
        return code, run_json.load(Path("out", "run.json"))

    return judge


@pytest.mark.parametrize("fault", MODELS)
def test_a_faulty_model_is_blocked_and_the_cause_is_named(
    fault: str, faulty_models: Path, judged: Judged, capfd: pytest.CaptureFixture[str]
) -> None:
    code, run = judged(faulty_models / f"{fault}.keras")

    assert (code, run.verdict.word) == (1, "blocked")
    assert MODELS[fault] in run.verdict.sentence
    assert run.verdict.sentence in capfd.readouterr().out


@pytest.mark.parametrize("fault", ["divided_by_256", "one_hot_wraps"])
def test_faulty_preprocessing_is_blocked_and_the_cause_is_named(
    fault: str, reference_model: Path, judged: Judged
) -> None:
    text, words = preprocessing.FAULTS[fault]

    code, run = judged(reference_model, text)

    assert (code, run.verdict.word) == (1, "blocked")
    assert words in run.verdict.sentence


def test_correct_preprocessing_is_not_stopped(reference_model: Path, judged: Judged) -> None:
    _, run = judged(reference_model, preprocessing.CORRECT["looped"])

    assert only_the_digits_were_seen(run)


GOOD = ("good.h5", "good_flat.keras", "good_square.keras", "good_compiled.keras", "good_folder", "good_saved")


@pytest.mark.parametrize("variant", GOOD)
def test_a_correct_model_is_not_stopped(variant: str, faulty_models: Path, judged: Judged) -> None:
    _, run = judged(faulty_models / variant)

    assert only_the_digits_were_seen(run)


def only_the_digits_were_seen(run: Run) -> bool:
    """Tell whether all required findings passed but the one that these digits cannot judge a stranger's model."""
    open_ = [f.id for f in run.findings if f.level == "required" and f.status != "passed"]
    return open_ == ["check/test_data.py::test_the_candidate_has_not_seen_these_digits"]
