"""Orders to the system that reads the log: no text from outside gives any."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.cli import main
from harness.judging import verdict
from harness.policy import load
from harness.records import Evidence
from harness.run.finished_run import FinishedRun, write
from tests.support import samples
from tests.support.orders import ORDERS, obeyed

Said = pytest.CaptureFixture[str]
POLICY = 'format = 1\nname = {}\n\n[[gate]]\nmetric = "accuracy"\nat_least = 0.99\nbecause = {}\n'
NAMED = [text for text in ORDERS if "\0" not in text and "/" not in text]
UNREAD = [
    ["run", "{}.keras"], ["run", "{}", "b.keras"], ["run", "a.keras", "--data", "{}"], ["run", "--{}"], ["{}"],
    ["run", "a.keras", "--data", "embedded", "--policy", "{}.toml"], ["run", "a.keras", "--baseline", "{}"],
    ["run", "a.keras", "--data", "embedded", "--preprocess", "{}"], ["gate", "{}", "--policy", "p.toml"],
    ["report", "{}"], ["compare", "{}", "{}"], ["baseline", "show", "{}"], ["baseline", "accept", "{}", "--by", "{}"],
    ["policy", "check", "{}.toml"], ["policy", "{}"], ["power", "--policy", "{}", "--data", "embedded"],
    ["train", "--out", "{}"], ["demo", "--data", "{}", "--out", "o"], ["corruptions", "{}"],
]  # fmt: skip


def test_there_are_thirty_texts() -> None:
    assert len(set(ORDERS)) >= 30
    assert all(obeyed(text.replace("\0", "")) for text in ORDERS)


@pytest.mark.parametrize("words", UNREAD, ids=" ".join)
def test_a_name_that_cannot_be_used_gives_no_orders(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    said = ""
    for at, text in enumerate(NAMED):
        main([*(word.replace("{}", text) for word in words), *(["--json"] if at % 5 == 0 else [])])
        said += "".join(capfd.readouterr())

    assert said
    assert obeyed(said) == []


def finished(out: Path, text: str) -> None:
    """A run in which everything that a candidate or a user names is ``text``."""
    run, found = samples.blocked()
    findings = [replace(one, title=text, reason=text, because=text, where=text) for one in run.findings]
    model, data = replace(found.model, name=text, kind=text, preprocess=text), replace(found.data, name=text)
    named: Evidence = replace(found, model=model, data=data, fault=text)
    samples.keep_evidence(out, named)
    (out.parent / "p.toml").write_text(f'format = 1\nname = {json.dumps(text[:100])}\ninclude = ["release.toml"]\n')
    policy = load(out.parent / "p.toml").facts
    policy = replace(policy, file=text, files=(replace(policy.files[0], name=text), *policy.files[1:]))
    stated = replace(run, findings=tuple(findings), model=model, data=data, policy=policy, command=text)
    write(FinishedRun(replace(stated, verdict=verdict.of(findings, run.suspects)), named, samples.SESSION), out)


def test_a_finished_run_gives_no_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said) -> None:
    monkeypatch.chdir(tmp_path)
    said = ""
    every = " ".join(ORDERS)
    for at, text in enumerate((ORDERS[0], ORDERS[15], every)):
        out = tmp_path / f"{at} ::error::x ##[error]"
        finished(out, text)
        shutil.copytree(out, copy := tmp_path / f"::{at}")
        policy = tmp_path / f"::error::{at}##vso[task.complete]x.toml"
        policy.write_text(POLICY.format(json.dumps(text), json.dumps(text)))
        for words in (
            ["report", out], ["gate", out, "--policy", policy], ["gate", out, "--policy", policy, "--json"],
            ["compare", copy, out], ["compare", copy, out, "--json"], ["policy", "check", policy],
            ["baseline", "accept", copy, "--by", text, "--because", text, "--out", "::b##[x]"],
            ["gate", copy, "--policy", policy, "-q"], ["power", "--policy", policy, "--data", "embedded"],
        ):  # fmt: skip
            main([str(word) for word in words])
            said += "".join(capfd.readouterr())

    assert "Blocked" in said
    assert obeyed(said) == []


def test_json_for_a_log_holds_the_text_as_it_was(tmp_path: Path, capsys: Said) -> None:
    finished(tmp_path / "out", "##vso[task.complete]")
    (tmp_path / "p.toml").write_text(POLICY.format("'x'", "'x'"))

    main(["gate", str(tmp_path / "out"), "--policy", str(tmp_path / "p.toml"), "--json"])

    assert json.loads(capsys.readouterr().out)["model"]["name"] == "##vso[task.complete]"


def test_the_traceback_of_a_fault_of_our_own_gives_no_orders(monkeypatch: pytest.MonkeyPatch, capfd: Said) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("\x1b[31m" + "\n".join(ORDERS))

    monkeypatch.setattr(cli.root, "main", fail)

    assert main(["doctor"]) == 3
    said = capfd.readouterr().err
    assert obeyed(said) == []
    assert "\x1b" not in said


def test_a_hostile_preprocessing_gives_no_orders(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("steps.py").write_text(
        f"from harness.references.preprocessing import one_hot\nTEXTS = {ORDERS!r}\ncalls = []\n"
        "def normalize(images):\n    calls.append(1)\n    print(chr(10).join(TEXTS))\n"
        "    raise ValueError(TEXTS[len(calls) % len(TEXTS)] + ' '.join(TEXTS))\n"
    )
    Path("p.toml").write_text(POLICY.format("'x'", "'x'"))

    code = main(["run", str(reference_model), "--data", "embedded", "--policy", "p.toml", "--preprocess", "steps"])

    said = "".join(capfd.readouterr())
    assert code == 1, said
    assert obeyed(said) == []
