"""A real run beside a ledger: its line, its report, the candidate after the last use; writers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from harness.outputs import ledger

KILLS = int(os.environ.get("HARNESS_KILLS", "4"))
WRITER = """
import sys
from pathlib import Path
from harness.outputs import ledger
from harness.records import LedgerEntry
for number in range(int(sys.argv[3])):
    ledger.append(Path(sys.argv[1]), LedgerEntry("verdict", "2026-11-28", f"{sys.argv[2]}-{number}", "m", "d"))
    print(number, flush=True)
"""
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


def test_three_writers_that_are_killed_lose_nothing_but_half_a_line(tmp_path: Path) -> None:
    path, said = tmp_path / "l.jsonl", 0
    rng = np.random.default_rng(1)
    for at in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(path), str(at), "1000"]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        first = running[0].stdout
        assert first is not None
        first.readline()  # until one of them writes
        time.sleep(float(rng.uniform(0.01, 0.3)))
        for one in running:
            one.send_signal(signal.SIGKILL)
        said += 1 + sum(len(one.communicate()[0].splitlines()) for one in running)

    found = ledger.read(path)

    assert said <= len(found.entries) <= said + 3 * KILLS  # a killed writer may have written what it did not yet say
    assert found.broken == ()
