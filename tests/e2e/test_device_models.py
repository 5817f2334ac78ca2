"""Models for devices, judged against the Keras model that they were made of."""

from __future__ import annotations

from pathlib import Path

from harness.cli import main
from harness.outputs import run_json
from harness.records import Run
from tests.e2e.test_faults import only_the_digits_were_seen
from tests.support.folders import ROOT


def judged(path: Path, baseline: Path, out: Path, policy: str) -> Run:
    rules = str(ROOT / "suites" / policy)
    main(["run", str(path), "--data", "embedded", "--policy", rules, "--baseline", str(baseline), "--out", str(out)])
    return run_json.load(out / "run.json")


def test_weights_in_eight_bits_are_no_worse_than_what_they_were_made_of(
    lite_models: Path, reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    run = judged(lite_models / "dynamic.tflite", reference_model, tmp_path, "embedded_successor.toml")

    assert only_the_digits_were_seen(run)


def test_answers_in_eight_bits_are_measured_under_every_gate(
    lite_models: Path, reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    run = judged(lite_models / "uint8.tflite", reference_model, tmp_path, "successor.toml")

    assert {one.status for one in run.findings} <= {"passed", "inconclusive"}
