"""A real run beside a ledger: its line, its report, and the candidate after the last use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.outputs import ledger

POLICY = """format = 1
name = "counted"
uses = 1
[[gate]]
metric = "accuracy"
at_least = 0.5
because = "better than a coin"
"""


def test_the_second_model_on_digits_that_may_decide_one_gets_no_verdict(
    tmp_path: Path, reference_model: Path, faulty_models: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_LEDGER", raising=False)
    Path("p.toml").write_text(POLICY)
    common = ["--data", "embedded", "--policy", "p.toml", "--ledger", "l.jsonl", "-q"]

    main(["run", str(reference_model), *common, "--out", "one"])
    again = main(["run", str(reference_model), *common, "--out", "again"])
    second = main(["run", str(faulty_models / "good_compiled.keras"), *common, "--out", "two"])
    uses = [json.loads(Path(name, "run.json").read_text())["uses"] for name in ("one", "again", "two")]

    assert [one["models"] for one in uses] == [1, 1, 2]
    assert second == 5
    assert again in (0, 5)
    assert "this test set is used up" in Path("two/report.html").read_text("utf-8")
    entries = ledger.read(Path("l.jsonl")).entries
    assert [one.folder for one in entries] == ["one", "again", "two"]
    assert [one.exit_code for one in entries] == [again, again, second]
