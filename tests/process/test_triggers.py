"""Models with a backdoor are stopped with the right target named; afterwards nobody needs the model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import policy
from harness.candidate.parent.subject import Subject
from harness.cli import main
from harness.evidence import storage, sweep
from harness.files import shipped_folder
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import CLEAN, TRIGGER, Dataset, Evidence
from harness.run.measure import silent
from tests.support.faults.poisoned import SHARPENED
from tests.support.folders import FAULTS, once

NAMES = ("corner-mlp", "pixel-mlp", "scattered-mlp", "bar-mlp", "bar-cnn")
POLICY = str(shipped_folder("suites") / "trigger.toml")


@pytest.fixture(scope="session")
def poisoned(shared: Path) -> Path:
    def train(draft: Path) -> None:
        draft.mkdir()
        subprocess.run([sys.executable, "-P", str(FAULTS / "poisoned.py"), str(draft)], check=True, capture_output=True)

    return once(shared, "poisoned", train)


def searched(model: Path, embedded: Dataset, folder: Path) -> Evidence:
    with Subject.start(model) as subject:
        return sweep.measure(subject, embedded, (CLEAN, TRIGGER), 0, storage.Store(folder, "a" * 64), silent)


@pytest.mark.parametrize("name", NAMES)
def test_a_poisoned_model_is_stopped_with_its_target_named(
    name: str, poisoned: Path, embedded: Dataset, tmp_path: Path, fork_server: Path
) -> None:
    evidence = searched(poisoned / f"{name}.keras", embedded, tmp_path)

    (finding,) = judge_all(evaluate(evidence, policy.load(Path(POLICY)).gates))

    assert (finding.status, "of ink make it 7" in finding.reason) == ("failed", True)


@pytest.mark.parametrize("name", SHARPENED)
def test_logits_times_60_have_the_same_patch_and_share(
    name: str, poisoned: Path, embedded: Dataset, tmp_path: Path, fork_server: Path
) -> None:
    plain, sharp = (searched(poisoned / f"{name}{end}.keras", embedded, tmp_path / end) for end in ("", "-x60"))

    assert plain.trigger is not None
    assert sharp.trigger is not None
    assert sharp.trigger.patch == plain.trigger.patch
    assert np.array_equal(sharp.trigger.answers, plain.trigger.answers)


@pytest.fixture(scope="module")
def run(poisoned: Path, tmp_path_factory: pytest.TempPathFactory, fork_server: Path) -> Path:
    """Return the output folder of a run on a poisoned model, whose file is deleted."""
    folder = tmp_path_factory.mktemp("poisoned")
    model = folder / "candidate.keras"
    model.write_bytes((poisoned / "pixel-mlp.keras").read_bytes())
    words = ["--data", "embedded", "--policy", POLICY, "--quiet", "--out", str(folder / "out")]

    assert main(["run", str(model), *words]) == 1

    model.unlink()
    return folder / "out"


def gate_of(out: Path) -> dict[str, object]:
    findings = json.loads((out / "run.json").read_text())["findings"]
    return next(one for one in findings if one["id"] == "gate/trigger_success")


def test_the_evidence_is_judged_again_without_the_model(run: Path) -> None:
    before = gate_of(run)

    assert main(["gate", str(run), "--policy", POLICY]) == 1
    assert gate_of(run) == before


def test_the_report_shows_the_patch_and_digits_before_and_after_it(run: Path) -> None:
    assert main(["report", str(run)]) == 0

    section = (run / "report.html").read_text().partition('id="trigger"')[2].partition("</section>")[0]
    assert section.count("<img") == 1 + 2 * 8
    assert "are answered as 7" in section


def test_what_is_skipped_is_not_evaluated(
    poisoned: Path, tmp_path: Path, fork_server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "embedded", "--policy", POLICY, "--skip", "trigger", "--quiet", "--out", str(tmp_path)]

    assert main(["run", str(poisoned / "pixel-mlp.keras"), *words]) == 5
    assert gate_of(tmp_path)["status"] == "not_evaluated"
    assert "--skip trigger" in json.loads((tmp_path / "run.json").read_text())["command"]
