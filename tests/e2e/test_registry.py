"""Candidates that come from a registry, judged beside its champion."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from harness.cli import main
from tests.support.left_runs import leave, take_registry


def test_candidates_of_a_registry_are_judged_beside_its_champion_and_told_by_their_addresses(
    tmp_path: Path,
    reference_model: Path,
    fork_server: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    take_registry((tmp_path / "mlruns").as_uri(), monkeypatch)
    leave(Path("out"), reference_model)
    assert main(["mlflow", "log", "out", "--register", "digits"]) == 0
    assert main(["mlflow", "promote", "out", "--name", "digits"]) == 0
    champion = "models:/digits@champion"
    judged = ["--data", "embedded", "--policy", "out/policy.toml", "--baseline", champion, "--out", "many", "-q"]
    capsys.readouterr()

    main(["run", str(reference_model), champion, *judged])
    said = capsys.readouterr().out
    record = json.loads(Path("many/digits@champion/run.json").read_text("utf-8"))

    assert f": {champion}\n" in said
    assert "harness-candidate" not in said + Path("many/index.html").read_text("utf-8")
    assert record["command"].startswith("harness run models:/digits/1 --data embedded ")
    assert " --baseline models:/digits/1 " in record["command"]
    assert (record["model"]["name"], record["baseline"]["model"]) == ("digits-1.keras", "digits-1.keras")
    assert record["baseline"]["sha256"] == sha256(reference_model.read_bytes()).hexdigest()
