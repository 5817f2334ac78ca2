"""The ledger of releases: what it holds, what it notices, and how often a test set has decided."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import policy, report
from harness.cli import main
from harness.errors import UsageError
from harness.evidence import storage
from harness.evidence.sweep import answers_to_block, arrays_of
from harness.files import shipped_folder
from harness.outputs import ledger
from harness.records import CLEAN
from harness.records import LedgerEntry as Entry
from harness.report import facts
from harness.run import session, uses
from harness.run.finished_run import FinishedRun
from harness.statistics.estimates import Share
from tests.support import samples
from tests.unit.evidence.test_baseline import finished


def entry(model: str = "m", data: str = "d", exit_code: int = 0, policy: str = "p", when: str = "2026-05-03") -> Entry:
    return Entry("verdict", when, f"{model}.keras", model, data, policy, verdict="allowed", exit_code=exit_code)


def written(path: Path, *entries: Entry) -> Path:
    for one in entries:
        ledger.append(path, one)
    return path


def test_lines_come_back_in_order_each_with_the_hash_of_the_line_before(tmp_path: Path) -> None:
    path = written(tmp_path / "sub" / "l.jsonl", entry("a"), entry("b"), entry("c"))

    found = ledger.read(path)

    assert [one.model for one in found.entries] == ["a", "b", "c"]
    assert found.entries[0].prev == ""
    assert len({one.prev for one in found.entries}) == 3
    assert found.broken == ()


@pytest.mark.parametrize("removed", [0, 1])
def test_a_removed_line_is_noticed_at_the_line_after_it(tmp_path: Path, removed: int) -> None:
    path = written(tmp_path / "l.jsonl", *map(entry, "abcd"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:removed] + lines[removed + 1 :]))

    assert [one.split(" follows")[0] for one in ledger.read(path).broken] == [f"line {removed + 1}"]


def test_a_changed_line_is_noticed_at_the_line_after_it(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", entry("a", exit_code=1), entry("b"))
    path.write_bytes(path.read_bytes().replace(b'"exit_code": 1', b'"exit_code": 0'))

    assert len(ledger.read(path).broken) == 1


def test_two_branches_merged_line_by_line_are_sound(tmp_path: Path) -> None:
    base = written(tmp_path / "base", entry("a"), entry("b")).read_bytes()
    added = []
    for name in "xy":
        branch = tmp_path / name
        branch.write_bytes(base)
        added.append(written(branch, entry(name), entry(name * 2)).read_bytes()[len(base) :])
    merged = tmp_path / "merged"
    merged.write_bytes(base + added[0] + added[1])

    assert ledger.read(written(merged, entry("after"))).broken == ()
    assert len(ledger.read(merged).entries) == 7


def test_half_a_line_is_no_entry_and_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", entry("a"))
    path.write_bytes(path.read_bytes() + b'{"kind": "verd')

    assert len(ledger.read(path).entries) == 1
    assert [one.model for one in ledger.read(written(path, entry("b"))).entries] == ["a", "b"]
    assert ledger.read(path).broken == ()


@pytest.mark.parametrize("content", [b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"kind": "other"}\n', b"\n"])
def test_a_file_that_is_no_ledger_is_one_line_with_its_place(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "l.jsonl").write_bytes(content)

    with pytest.raises(UsageError, match=r"\A[^\n]*l\.jsonl:1 is no line of a ledger; take[^\n]*\Z"):
        ledger.read(tmp_path / "l.jsonl")


def test_a_ledger_in_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=r"\A[^\n]*cannot be (read|written)[^\n]*name another --ledger\Z"):
        ledger.append(tmp_path / "file" / "l.jsonl", entry())


def test_the_uses_of_a_test_set_count_models_once_and_other_digits_not() -> None:
    entries = [
        entry("a", exit_code=0, when="2026-05-04"), entry("a", exit_code=0), entry("b", exit_code=1),
        entry("c", data="other"), entry("n", policy="q"), Entry("accepted", "2026-01-01", "z", "z", "d"),
    ]  # fmt: skip

    counted = ledger.uses(entries, data="d", model="n", policy="p")

    assert (counted.models, counted.released, counted.since, counted.policies) == (3, 2, "2026-05-03", 2)


def test_an_entry_says_what_a_run_decided() -> None:
    run, _ = samples.blocked()

    made = ledger.entry_of(run, b"{}", "2026-11-28T01:02:03Z", "../out")

    assert (made.verdict, made.exit_code, made.model, made.data) == ("blocked", 1, run.model.sha256, run.data.sha256)
    assert made.accuracy is not None
    assert made.accuracy[0] == pytest.approx(0.939)
    assert made.threshold == 0.2
    assert len(made.closest) == 3
    gates = {one.id: one for one in run.findings if one.gate}
    closest = [abs(gates[one].margin or 0) for one in made.closest]
    assert max(closest) < 0.02


def recorded(path: Path, folder: Path) -> None:
    """Write the clean answers of a sample, as those of another model, to a folder, and its verdict to a ledger."""
    run, evidence = samples.allowed()
    other = replace(run, model=replace(run.model, sha256="1" * 64))
    clean = samples.answering(evidence, answers={CLEAN: evidence.answers[CLEAN]}, specimens={})
    store = storage.Store(folder / "evidence", "key")
    rows = answers_to_block(CLEAN, evidence.probabilities)
    store.put(CLEAN, arrays_of(CLEAN, [rows], evidence.images[:1]))
    samples.keep_trigger(store, clean)
    store.finish(replace(clean, model=other.model))
    uses.record(path, FinishedRun(other, clean, samples.SESSION), folder)


def test_the_runs_at_hand_are_resampled_and_others_are_taken_for_independent(tmp_path: Path) -> None:
    path, rules = tmp_path / "l.jsonl", policy.load(shipped_folder("suites") / "embedded.toml")
    recorded(path, tmp_path / "other")
    _, evidence = samples.allowed()

    near = uses.uses_of(path, evidence, rules)
    (tmp_path / "other").rename(tmp_path / "moved")
    far = uses.uses_of(path, evidence, rules)

    assert (near.models, near.runs) == (2, 2)
    assert (far.models, far.runs) == (2, 0)
    assert near.luck < far.luck == pytest.approx(1 - 0.95**2)
    assert near.best < far.best


def test_a_run_that_is_not_at_hand_makes_the_models_independent(tmp_path: Path) -> None:
    path, rules = tmp_path / "l.jsonl", policy.load(shipped_folder("suites") / "embedded.toml")
    recorded(path, tmp_path / "other")
    ledger.append(path, entry("gone", samples.allowed()[0].data.sha256))

    counted = uses.uses_of(path, samples.allowed()[1], rules)

    assert (counted.models, counted.runs) == (3, 0)
    assert counted.luck == pytest.approx(1 - 0.95**3)


def test_a_verdict_that_no_ledger_can_remember_is_not_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, rules = finished(tmp_path / "run"), by_uses(tmp_path, 1)
    ledger.append(tmp_path / "l.jsonl", entry())
    (tmp_path / "l.jsonl.lock").unlink(missing_ok=True)
    (tmp_path / "l.jsonl.lock").mkdir()
    before = (folder / "run.json").read_bytes()

    code = main(["gate", str(folder), "--policy", str(rules), "--ledger", str(tmp_path / "l.jsonl"), "-q"])

    assert code == 4
    assert "name another --ledger" in capsys.readouterr().err
    assert (folder / "run.json").read_bytes() == before


def test_the_report_says_how_often_the_digits_have_decided() -> None:
    run, evidence = samples.allowed()
    counted = ledger.uses(
        [entry(model, run.data.sha256) for model in "abc"], data=run.data.sha256, model="n", policy="p"
    )
    used = replace(run, uses=replace(counted, best=0.0014, best_most=0.0030, luck=0.18, runs=3))

    html = report.render(used, evidence, samples.SESSION)

    assert "have decided 4 candidates since 2026-05-03, this one included; 3 of those before were released" in html
    assert "look 0.14\N{NO-BREAK SPACE}pp better than it is (0.30\N{NO-BREAK SPACE}pp at most" in html
    assert "by luck with 18\N{NO-BREAK SPACE}% (resampled from 3 runs at hand)" in html
    assert 'id="uses"' not in report.render(run, evidence, samples.SESSION)
    assert "for the first time" in facts.used(ledger.uses([], data="d", model="m", policy="p"))


def by_uses(folder: Path, amount: int) -> Path:
    gate = '[[gate]]\nmetric = "{}"\nat_least = 0.9\nbecause = "b"\n'
    gates = gate.format("accuracy") + gate.format("macro_f1")
    (folder / "u.toml").write_text(f'format = 1\nname = "u"\nuses = {amount}\n{gates}level = "warning"\n')
    return folder / "u.toml"


def test_a_policy_shares_its_error_level_among_the_candidates(tmp_path: Path) -> None:
    accuracy, warning = policy.load(by_uses(tmp_path, 20)).gates

    assert accuracy.confidence == pytest.approx(1 - 0.05 / 20)
    assert warning.confidence == 0.95


def test_the_candidate_after_the_last_use_gets_no_verdict(tmp_path: Path) -> None:
    rules = policy.load(by_uses(tmp_path, 2))
    counted = [ledger.uses([entry(one) for one in "ab"], data="d", model=model, policy="p") for model in "bc"]

    again, third = (uses.used_up(rules, one) for one in counted)

    assert (again.status, again.level) == ("passed", "required")
    assert third.status == "not_evaluated"
    assert "used up: these digits have decided 3 candidates, of 2 that the policy allows" in third.reason
    assert third.where.endswith("u.toml:3")


def test_a_policy_that_counts_uses_needs_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\A[^\n]*u\.toml:3: uses = 20 counts[^\n]*--ledger releases\.jsonl\Z"):
        session.check_ledger(policy.load(by_uses(tmp_path, 20)), None)


def test_at_least_one_of_twenty_candidates_at_a_threshold_passes_rarely_with_uses(tmp_path: Path) -> None:
    gate = policy.load(by_uses(tmp_path, 20)).gates[0]
    hits = np.random.default_rng(3).binomial(2000, gate.threshold, (2000, 20))
    passes = {
        k: Share(k, 2000).bounds(gate.confidence)[0][0] >= gate.threshold for k in range(hits.min(), hits.max() + 1)
    }

    lucky = np.vectorize(passes.get)(hits).any(1).mean()

    assert lucky <= 0.05


def test_the_history_is_a_page_without_script_that_names_a_removed_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "<script>alert(1)</script>"
    path = written(
        tmp_path / "l.jsonl",
        *(replace(entry(one), accuracy=(0.98, 0.977, 0.983), threshold=0.975, closest=("recall-5",)) for one in "abc"),
        replace(entry("d", exit_code=1), verdict="blocked", name=hostile, accuracy=(0.11, 0.1, 0.12)),
        Entry("accepted", "2026-06-01", "a.keras", "a", "d", by="Ada", because="first"),
    )

    sound = main(["history", "--ledger", str(path), "--to", str(tmp_path / "h.html")])
    page = (tmp_path / "h.html").read_text("utf-8")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    broken = main(["history", "--ledger", str(path), "--to", str(tmp_path / "h.html"), "--json"])
    said = json.loads(capsys.readouterr().out.split("history: ")[1].split("\n", 1)[1])

    assert (sound, broken) == (0, 1)
    assert "<script" not in page
    assert page.count("<circle") == 4
    assert "accepted by Ada: first" in page
    assert re.search(r"<code>d</code></th><td class=\"num\">4</td><td class=\"num\">3</td>", page)
    assert said["broken"] == ["line 2 follows a line that is not there: one before it was removed or changed"]
    assert "The chain is broken" in (tmp_path / "h.html").read_text("utf-8")


def test_a_history_without_a_ledger_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_LEDGER", raising=False)

    assert main(["history"]) == 4
    assert main(["history", "--ledger", str(tmp_path / "none.jsonl")]) == 4
    assert capsys.readouterr().err.splitlines() == [
        "harness: harness history needs a ledger; name the file: --ledger releases.jsonl",
        f"harness: {tmp_path}/none.jsonl does not exist; harness run --ledger FILE begins it",
    ]


def test_evidence_that_is_judged_again_is_counted_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = finished(tmp_path / "run"), tmp_path / "l.jsonl"
    by = ["--policy", str(by_uses(tmp_path, 1)), "-q"]

    without = main(["gate", str(folder), *by])
    refused = capsys.readouterr().err
    ledger.append(path, entry("another", samples.allowed()[0].data.sha256))
    code = main(["gate", str(folder), *by, "--ledger", str(path)])

    assert without == 4
    assert "uses = 1 counts the candidates" in refused
    assert code == 5
    assert [one.exit_code for one in ledger.read(path).entries] == [0, 5]
    (again,) = folder.glob("again-*")
    assert "this test set is used up" in (again / "report.html").read_text("utf-8")
