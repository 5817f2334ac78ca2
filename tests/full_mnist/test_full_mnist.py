"""On the full MNIST, where HARNESS_MNIST names its .npz file: the bars of the reference models, and the main job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import policy
from harness.evidence import storage
from harness.judging import label_issues
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import run_json
from harness.records import Evidence, Run
from tests.support import samples
from tests.support.commands import ENTRY, python
from tests.support.folders import FAULTS, ROOT, once

pytestmark = pytest.mark.timeout(1800)  # a slow machine trains and sweeps for minutes

# fault -> words that the verdict's sentence must hold
NAMED = {
    "classes_4_and_9_exchanged": "4 is said as 9, 9 is said as 4",
    "divides_again": "it divides by 255 itself",
    "logits": "logits",
    "nan_weight": "weights hold NaN",
    "constant": "its answer is constant",
}


@pytest.fixture(scope="session")
def mnist() -> str:
    path = os.environ.get("HARNESS_MNIST")
    return path or pytest.skip("needs the full MNIST: set HARNESS_MNIST to its .npz file")


@pytest.fixture(scope="session")
def cnn(mnist: str, shared: Path) -> Path:
    def train(draft: Path) -> None:
        done = subprocess.run(
            [*python(ENTRY), "train", "--data", mnist, "--out", str(draft)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        draft.with_suffix(".txt").write_text(done.stdout)

    return once(shared, "cnn.keras", train)


@pytest.fixture(scope="session")
def faulty(cnn: Path, shared: Path) -> Path:
    def build(draft: Path) -> None:
        draft.mkdir()
        script = FAULTS / "models.py"
        subprocess.run([sys.executable, "-P", str(script), str(cnn), str(draft)], check=True)

    return once(shared, "faulty-full", build)


def judged(model: Path, mnist: str, policy: str, out: Path, *options: str) -> tuple[int, Run]:
    command = [*python(ENTRY), "run", str(model), "--data", mnist, "--policy", policy, "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert (out / "run.json").exists(), done.stderr
    return done.returncode, run_json.load(out / "run.json")


def test_the_release_policy_allows_the_reference_cnn(cnn: Path, mnist: str, tmp_path: Path) -> None:
    (tmp_path / "candidate.keras").symlink_to(cnn)
    (tmp_path / "mnist.npz").symlink_to(mnist)
    command = [
        *python(ENTRY),
        *["run", "candidate.keras", "--data", "mnist.npz", "--policy", "release", "--out", "out/"],
    ]

    code = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=900).returncode
    run = run_json.load(tmp_path / "out" / "run.json")
    accuracy = next(found for found in run.measurements if found.metric == "accuracy" and not found.scope.corruption)

    assert (code, run.verdict.word) == (0, "allowed")
    assert accuracy.value >= 0.988
    assert run.sampling is not None
    assert (run.sampling.unit, run.sampling.units) == ("writer", 297)
    assert accuracy.effect is not None
    assert 1.2 < accuracy.effect < 3

    again = [*python(ENTRY), "gate", "out", "--policy", "writers"]
    assert subprocess.run(again, cwd=tmp_path, capture_output=True, timeout=300).returncode == 0


@pytest.mark.parametrize("fault", NAMED)
def test_a_fault_is_blocked_and_named(fault: str, faulty: Path, mnist: str, tmp_path: Path, fork_server: Path) -> None:
    """Without the sweep, which such faults do not need to be found."""
    accuracy_only = tmp_path / "release.toml"
    text = (ROOT / "suites" / "release.toml").read_text()
    accuracy_only.write_text(re.sub(r"^include = .*\n", "", text, flags=re.MULTILINE))

    code, run = judged(faulty / f"{fault}.keras", mnist, str(accuracy_only), tmp_path / "out")

    assert (code, run.verdict.word) == (1, "blocked")
    assert NAMED[fault] in run.verdict.sentence


def test_flipped_signs_that_clean_digits_hardly_show_are_blocked(
    faulty: Path, mnist: str, tmp_path: Path, fork_server: Path
) -> None:
    """Without the search for a trigger, which takes as long as the sweep."""
    policy, model = ROOT / "suites" / "release.toml", faulty / "signs_of_5_percent_flipped.keras"

    code, run = judged(model, mnist, str(policy), tmp_path / "out", "--skip", "trigger")

    assert (code, run.verdict.word) == (1, "blocked")
    assert "must be at least" in run.verdict.sentence


def test_the_mlp_reads_97_and_a_half_percent(mnist: str, tmp_path: Path) -> None:
    words = ["train", "--arch", "mlp", "--data", mnist, "--out", str(tmp_path / "mlp.keras")]
    done = subprocess.run([*python(ENTRY), *words], capture_output=True, text=True)

    assert float(done.stdout.split("accuracy ")[1].split(" ")[0]) >= 97.5


@pytest.mark.parametrize("arch", ["cnn", "mlp"])
def test_what_was_trained_on_the_test_digits_alone_is_named_first(arch: str, mnist: str, tmp_path: Path) -> None:
    """Name contamination before any other fault of the model."""
    with np.load(mnist) as whole:
        trained_on = {"x_train": whole["x_test"], "y_train": whole["y_test"]}
        np.savez(tmp_path / "a.npz", x_test=whole["x_train"][:1000], y_test=whole["y_train"][:1000], **trained_on)
    words = ["train", "--arch", arch, "--data", str(tmp_path / "a.npz"), "--out", str(tmp_path / "m.keras")]
    subprocess.run([*python(ENTRY), *words], check=True, capture_output=True)
    (tmp_path / "p.toml").write_text(strict("accuracy", 0.999))

    code, run = judged(tmp_path / "m.keras", mnist, str(tmp_path / "p.toml"), tmp_path / "out")

    assert (code, run.verdict.word) == (1, "blocked")
    assert run.verdict.sentence.startswith("Seen before? ")
    assert (
        "Judge it on digits that it cannot have been trained on. Besides, 1 of 1 required gate" in run.verdict.sentence
    )


def strict(metric: str, least: float) -> str:
    return f'format = 1\nname = "one"\n[[gate]]\nmetric = "{metric}"\nat_least = {least}\nbecause = "x"\n'


@pytest.fixture(scope="session")
def answered(cnn: Path, mnist: str, shared: Path) -> Evidence:
    """Return the reference cnn's evidence of the clean digits."""

    def run(draft: Path) -> None:
        draft.mkdir()
        policy_file = draft / "clean.toml"
        policy_file.write_text(strict("accuracy", 0.9))
        judged(cnn, mnist, str(policy_file), draft / "out")

    return storage.read(once(shared, "answered", run) / "out" / "evidence")


@pytest.mark.parametrize("by", [1, 6, 0.25])
def test_a_confidence_that_was_multiplied_is_not_released(answered: Evidence, by: float) -> None:
    """Multiply the logits of the reference, whose own confidence is released."""
    logits = np.log(np.maximum(answered.probabilities.astype(np.float64), 1e-38)) * by
    rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    told = samples.answering(answered, probabilities=(rows / rows.sum(axis=1, keepdims=True)).astype(np.float32))
    rules = policy.load(ROOT / "suites" / "release.toml").gates
    ruled = [gate for gate in rules if gate.metric == "expected_calibration_error"]

    (found,) = judge_all(evaluate(told, ruled))

    assert (found.level, found.status == "passed") == ("required", by == 1)


def test_labels_that_a_majority_of_people_rejected_are_among_the_first_suspects(answered: Evidence) -> None:
    rejected = {947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729}

    found = [one.index for one in label_issues.find(answered)][:60]

    assert len(rejected & set(found)) >= 10
