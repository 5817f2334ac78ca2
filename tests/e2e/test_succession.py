"""A release after a release, from the command line: model file, folder and accepted file say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.evidence import baseline_file
from harness.evidence.storage import read
from harness.files import shipped_folder
from harness.outputs import run_json
from harness.records import Finding

pytestmark = pytest.mark.usefixtures("fork_server")


def judged(model: Path, out: Path, *more: str) -> tuple[Finding, ...]:
    main(["run", str(model), "--data", "embedded", "--out", str(out), "-q", *more])
    return run_json.load(out / "run.json").findings


def against(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    return [vars(one) for one in findings if one.gate is not None and one.gate.against]


@pytest.fixture(scope="module")
def first(reference_model: Path, tmp_path_factory: pytest.TempPathFactory, fork_server: Path) -> Path:
    """The run of a first release, judged as its successor will be."""
    out = tmp_path_factory.mktemp("first")
    judged(reference_model, out, "--baseline", str(reference_model))
    return out


def test_a_model_is_no_worse_than_itself_and_is_not_swept_twice(first: Path) -> None:
    found = against(run_json.load(first / "run.json").findings)

    assert found
    assert {one["status"] for one in found} == {"passed"}
    assert not (first / "baseline-0").exists()


def test_a_folder_and_a_file_as_baseline_say_what_the_model_says(
    first: Path, reference_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.npz").write_bytes(baseline_file.dump(baseline_file.of(read(first / "evidence"))))

    by_folder = judged(reference_model, tmp_path / "one", "--baseline", str(first))
    by_file = judged(reference_model, tmp_path / "two", "--baseline", str(tmp_path / "b.npz"))

    said = [json.dumps(against(one), default=vars) for one in (by_folder, by_file)]
    assert said == [json.dumps(against(run_json.load(first / "run.json").findings), default=vars)] * 2


def test_another_model_as_baseline_is_swept_once_and_kept(
    first: Path, faulty_models: Path, reference_model: Path, tmp_path: Path
) -> None:
    other = faulty_models / "first_filters_lost.keras"
    judged(reference_model, tmp_path, "--baseline", str(other))
    swept = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "baseline-0").glob("trial-*"))

    judged(reference_model, tmp_path, "--baseline", str(other))

    assert swept
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "baseline-0").glob("trial-*")) == swept


def test_evidence_is_judged_again_and_shown_again_without_the_baseline_at_hand(first: Path) -> None:
    before = run_json.load(first / "run.json")

    main(["gate", str(first), "--policy", str(shipped_folder("suites") / "embedded_successor.toml")])

    after = run_json.load(first / "run.json")
    assert main(["report", str(first)]) == 0
    assert (after.findings, after.baseline, after.changes) == (before.findings, before.baseline, before.changes)


def test_a_baseline_that_is_not_there_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "no.keras", "--baseline", str(tmp_path / "gone"), "--out", str(tmp_path / "out")])

    assert code == 4
    assert "does not exist; give a model file, a run's output folder or a file" in capsys.readouterr().err
