"""Finished runs of a model file, as a run leaves them, without a model that is run; and MLflow in a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from harness import policy
from harness.evidence import baseline_file
from harness.evidence.storage import Store
from harness.formatting import command_line
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import mlflow_client, run_json
from harness.records import CLEAN, Evidence
from harness.run.build_run import build_run
from tests.support import samples

GATE = """format = 1
name = "{name}"
[[gate]]
metric = "accuracy"
at_least = {least}
because = "it is a test"
"""
LEAST = {"allowed": 0.5, "blocked": 0.99, "no_verdict": 0.94, "allowed_with_warnings": 0.5}
WARNING = GATE.partition("[[gate]]")[1] + GATE.partition("[[gate]]")[2].format(least=0.99) + 'level = "warning"\n'


@cache
def _evidence() -> Evidence:
    shown = samples.agreeing(samples.evidence((), n=300))
    return samples.answering(
        replace(shown, specimens={CLEAN: shown.specimens[CLEAN]}), answers={CLEAN: shown.answers[CLEAN]}
    )


def leave(
    folder: Path, model: Path, word: str = "allowed", *, baseline: str = "", command: str = "", name: str = "gate"
) -> Path:
    """Leave a run of a model file in ``folder``, judged to ``word`` by a policy of that name.

    ``baseline``: hash of the model of the last release.
    """
    shown = _evidence()
    shown = replace(shown, model=replace(shown.model, name=model.name, sha256=sha256(model.read_bytes()).hexdigest()))
    if baseline:
        last = baseline_file.of(shown)
        shown = replace(shown, baseline=replace(last, facts=replace(last.facts, model="last.keras", sha256=baseline)))
    folder.mkdir(parents=True, exist_ok=True)
    text = GATE.format(name=name, least=LEAST[word]) + (WARNING if word == "allowed_with_warnings" else "")
    (folder / "policy.toml").write_text(text)
    rules = policy.load(folder / "policy.toml")
    evaluation = evaluate(shown, rules.gates)
    said = command or command_line(["harness", "run", str(model), "--out", str(folder)])
    run = build_run(evaluation, rules, judge_all(evaluation), said)
    assert run.verdict.word == word, run.verdict
    keep(folder, shown)
    (folder / "report.html").write_text("<p>the report</p>")
    (folder / "run.json").write_bytes(run_json.dump(run))
    return folder


def keep(folder: Path, shown: Evidence) -> None:
    """Keep what was answered to the clean images as the evidence of a run."""
    clean: dict[str, NDArray[Any]] = {
        "answers": shown.answers[CLEAN],
        "probabilities": shown.probabilities,
        "specimen": shown.specimens[CLEAN],
    }
    store = Store(folder / "evidence", "key", reuse=False)
    store.put(CLEAN, clean)
    store.finish(shown)


def take_registry(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow keep its runs and models at an address, which may be of a folder, whatever the caller has set."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    for name, value in mlflow_client.DEFAULTS.items():
        monkeypatch.setenv(name, value)  # as the harness does, but taken back
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
