"""The suite is tested by what it must stop: every known fault is blocked, by a check or gate that names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import runfile
from harness.records import Run
from tests.faults import preprocessing

# fault -> words that the verdict's sentence must hold
MODELS = {
    "signs_flipped": "accuracy is",
    "classes_4_and_9_exchanged": "4 is said as 9, 9 is said as 4",
    "divides_again": "it divides by 255 itself",
    "logits": "logits",
    "nan_weight": "weights hold NaN",
    "constant": "its answer is constant",
    "transposes": "transposed",
    "inverts": "inverted",
    "sigmoid": "sigmoid",
    "log_probabilities": "logarithms",
    "eleven_classes": "answers with shape [(11,)]",
    "nine_classes": "answers with shape [(9,)]",
    "functional": "Functional",
    "two_outputs": "Functional",
    "small_input": "(14, 14, 1)",
    "depends_on_the_batch": "answers change",
    "softmax_over_the_batch": "rows do not sum to 1",
    "half_precision": "rows do not sum to 1",
    "untrained": "is",
    "never_says_7": "of 7",
    "sees_digits_shifted": "is",
    "sees_half_the_pixels": "is",
    "first_filters_lost": "is",
}


def judged(model: Path, out: Path, *options: str, folder: Path | None = None) -> tuple[int, Run, str]:
    """Run the command as a user does, on the embedded digits, with a policy of accuracy gates only."""
    policy = Path(__file__).parent / "faults" / "accuracy.toml"
    command = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()", "run", str(model)]
    command += ["--data", "embedded", "--policy", str(policy), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=dict(os.environ), timeout=300)
    assert (out / "run.json").exists(), done.stderr
    return done.returncode, runfile.load(out / "run.json"), done.stdout


@pytest.mark.parametrize("fault", MODELS)
def test_a_faulty_model_is_blocked_and_the_cause_is_named(
    fault: str, faulty_models: Path, tmp_path: Path, nursery: None
) -> None:
    code, run, printed = judged(faulty_models / f"{fault}.keras", tmp_path / "out")

    assert (code, run.verdict.word) == (1, "blocked")
    assert MODELS[fault] in run.verdict.sentence
    assert run.verdict.sentence in printed


@pytest.mark.parametrize("fault", preprocessing.FAULTS)
def test_faulty_preprocessing_is_blocked_and_the_cause_is_named(
    fault: str, reference_model: Path, tmp_path: Path, nursery: None
) -> None:
    text, words = preprocessing.FAULTS[fault]
    (tmp_path / "candidate_steps.py").write_text(text)

    code, run, _ = judged(reference_model, tmp_path / "out", "--preprocess", "candidate_steps", folder=tmp_path)

    assert (code, run.verdict.word) == (1, "blocked")
    assert words in run.verdict.sentence


@pytest.mark.parametrize("variant", preprocessing.CORRECT)
def test_correct_preprocessing_is_not_stopped(
    variant: str, reference_model: Path, tmp_path: Path, nursery: None
) -> None:
    (tmp_path / "candidate_steps.py").write_text(preprocessing.CORRECT[variant])

    _, run, _ = judged(reference_model, tmp_path / "out", "--preprocess", "candidate_steps", folder=tmp_path)

    assert only_the_digits_were_seen(run)


@pytest.mark.parametrize("variant", ["good.h5", "good_flat.keras", "good_square.keras", "good_compiled.keras"])
def test_a_correct_model_is_not_stopped(variant: str, faulty_models: Path, tmp_path: Path, nursery: None) -> None:
    _, run, _ = judged(faulty_models / variant, tmp_path / "out")

    assert only_the_digits_were_seen(run)


def only_the_digits_were_seen(run: Run) -> bool:
    """Every required finding passed, but the one that says these digits cannot judge a stranger's model."""
    open_ = [f.id for f in run.findings if f.level == "required" and f.status != "passed"]
    return open_ == ["check/test_data.py::test_the_candidate_has_not_seen_these_digits"]
