"""Several accepted runs as one baseline: what is kept, what is refused by name, where the anchor comes from."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from harness import policy
from harness.cli import main
from harness.errors import UsageError
from harness.evidence import baseline_file, last_release
from harness.files import packed, unpacked
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import run_json
from harness.records import Baseline, Evidence
from harness.run.finished_run import open_finished
from harness.run.measure import beside_baseline
from harness.run.session import Session, default_policy
from tests.support import samples, successors
from tests.unit.evidence.test_baseline import finished

NAMES = ("mlp-00", "mlp-02", "mlp-04", "mlp-06", "mlp-08")


def told(name: str) -> Evidence:
    """Return a model's answers, each the largest probability also where only an eighth of its odds was kept."""
    return samples.agreeing(successors.evidence(name))


def run_of(folder: Path, shown: Evidence, word: str = "allowed") -> Path:
    """A folder as a run of this evidence leaves it."""
    run = samples.blocked()[0] if word == "blocked" else samples.allowed()[0]
    finished(folder, shown)
    last = shown.baseline.facts if shown.baseline else None
    run = replace(run, model=shown.model, data=shown.data, seed=shown.seed, baseline=last)
    (folder / "run.json").write_bytes(run_json.dump(run))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(run_of(tmp_path_factory.mktemp(name), told(name))) for name in NAMES]


def accept(*words: str | Path) -> int:
    return main(["baseline", "accept", *map(str, words), "--by", "Ada L.", "--because", "five seeds"])


def baselines() -> list[Baseline]:
    return [baseline_file.of(told(name)) for name in NAMES]


def same(first: Baseline, second: Baseline) -> bool:
    """Tell whether two baselines hold the same answers, to the last bit."""
    return baseline_file.dump(first) == baseline_file.dump(second)


def test_five_runs_are_one_file_that_is_read_back(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "last.npz"

    assert accept(*runs, "--release", runs[2], "--out", out) == 0

    said = capsys.readouterr().out
    kept = baseline_file.read(out)
    assert (kept.facts.model, len(kept.facts.pool), len(kept.pool)) == ("mlp-04.keras", 4, 4)
    assert "leave one out: 5 of 5 would be released beside the others" in said
    assert "margin = 3.5 x spread x sqrt(1 + 1/5)" in said
    assert "anchor: these runs themselves" in said
    assert len(kept.margins) == 34
    assert same(baseline_file.read(out), kept)
    assert main(["baseline", "show", str(out)]) == 0
    assert "mlp-04.keras" in (shown := capsys.readouterr().out)
    assert "accepted by Ada L." in shown


def test_one_run_says_what_is_assumed(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accept(runs[0], "--out", tmp_path / "one.npz") == 0

    assert "is assumed; 2 more runs of the recipe would measure it" in capsys.readouterr().out


def test_a_run_is_added_and_margins_are_made_anew(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "last.npz"
    accept(runs[0], runs[1], "--release", runs[0], "--out", out)
    before = baseline_file.read(out).margins

    assert main(["baseline", "add", str(out), runs[2]]) == 0

    after = baseline_file.read(out)
    assert "leave one out: 3 of 3" in capsys.readouterr().out
    assert [len(one.margin.losses) for one in after.margins] == [3] * len(before)
    assert {one.margin.value for one in after.margins} != {one.margin.value for one in before}


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    said = capsys.readouterr().err
    assert code == 4
    assert said.count("\n") == 1
    return said


def test_a_broken_member_is_named(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = run_of(tmp_path / "broken", told("labels wrong 10%-mlp"))

    code = accept(*runs[:3], broken, "--release", runs[0], "--out", tmp_path / "b.npz")

    assert "labels wrong 10%-mlp.keras is blocked beside the other 3" in refused(capsys, code)
    assert not (tmp_path / "b.npz").exists()


def test_of_two_runs_a_broken_one_is_named(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = run_of(tmp_path / "broken", told("labels wrong 10%-mlp"))

    code = accept(runs[0], broken, "--release", runs[0], "--out", tmp_path / "b.npz")

    assert "labels wrong 10%-mlp.keras is blocked beside the other 1 run" in refused(capsys, code)


def beside(folder: Path, candidate: Evidence, *given: Baseline) -> Baseline:
    """The baseline that a candidate is judged beside, of several that are given."""
    finished(folder, candidate)
    rules = policy.load(default_policy(candidate.data, succeeds=True))
    session = cast(Session, SimpleNamespace(baseline=given, out=folder, policy=rules))
    found = beside_baseline(session, candidate).baseline
    assert found is not None
    return found


@pytest.mark.parametrize("renamed", [False, True])
def test_a_candidate_is_not_held_against_itself(renamed: bool, tmp_path: Path) -> None:
    bad, first, second = told("labels wrong 10%-mlp"), *baselines()[:2]
    itself = baseline_file.of(bad)
    if renamed:
        itself = replace(itself, facts=replace(itself.facts, sha256="0" * 64))

    found = beside(tmp_path, bad, first, itself, second)

    assert [one.model for one in baseline_file.runs_of(found)] == ["mlp-00.keras", "mlp-02.keras"]
    assert len(found.pool) == 1


def test_several_runs_that_do_not_carry_each_other_are_refused(tmp_path: Path) -> None:
    bad = baseline_file.of(told("labels wrong 10%-mlp"))

    with pytest.raises(UsageError, match="is blocked beside the other 2 runs"):
        beside(tmp_path, told("mlp-10"), *baselines()[:2], bad)


def test_margins_of_fewer_runs_are_forgotten(runs: list[str], tmp_path: Path) -> None:
    accept(runs[0], "--out", tmp_path / "one.npz")
    first = baseline_file.read(tmp_path / "one.npz")

    assert first.margins
    assert beside(tmp_path / "same", told("mlp-10"), first).margins == first.margins
    assert beside(tmp_path / "more", told("mlp-10"), first, baselines()[1]).margins == ()


def test_a_blocked_run_is_not_accepted(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = run_of(tmp_path / "blocked", told("mlp-10"), "blocked")

    code = accept(*runs[:2], blocked, "--release", runs[0], "--out", tmp_path / "b.npz")

    assert "was blocked; leave it out" in refused(capsys, code)


def test_the_same_run_twice_is_refused(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = accept(runs[0], runs[0], "--release", runs[0], "--out", tmp_path / "b.npz")

    assert "mlp-00.keras" in (said := refused(capsys, code))
    assert "is there twice" in said


def test_without_a_release_several_are_refused(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--release is missing" in refused(capsys, accept(*runs[:2]))
    assert "is none of the runs" in refused(capsys, accept(*runs[:2], "--release", "elsewhere"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_sha256": "0" * 64}, "was judged on other digits"),
        ({"seed": 7}, "were drawn with seed 7, not 2026"),
    ],
)
def test_runs_that_answered_other_images_are_refused(change: dict[str, object], words: str) -> None:
    first, second, *_ = baselines()
    other = replace(second, facts=replace(second.facts, **change))  # type: ignore[arg-type]

    with pytest.raises(UsageError, match=words):
        baseline_file.with_pool(first, [other])


def test_a_run_of_another_policy_is_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = run_of(tmp_path / "other", told("mlp-10"))
    (tmp_path / "p.toml").write_text('format = 1\nname = "another"\ninclude = ["release.toml"]\n')
    run = replace(run_json.load(other / "run.json"), policy=policy.load(tmp_path / "p.toml").facts)
    (other / "run.json").write_bytes(run_json.dump(run))

    code = accept(runs[0], other, "--release", runs[0], "--out", tmp_path / "b.npz")

    assert "another policy than" in refused(capsys, code)


def test_a_run_with_fewer_trials_is_refused() -> None:
    first, second, *_ = baselines()
    fewer = dict(list(second.predictions.drawn.items())[1:])

    with pytest.raises(UsageError, match="it answered other corruptions"):
        baseline_file.with_pool(first, [replace(second, predictions=replace(second.predictions, drawn=fewer))])


def test_the_anchor_is_that_of_the_baseline_that_the_release_was_judged_beside(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accept(runs[0], "--out", tmp_path / "first.npz")
    second = replace(told("mlp-10"), baseline=baseline_file.read(tmp_path / "first.npz"))
    accept(run_of(tmp_path / "second", second), "--out", tmp_path / "second.npz")
    third = replace(told("mlp-08"), baseline=baseline_file.read(tmp_path / "second.npz"))
    folder = run_of(tmp_path / "third", third)

    accept(folder, "--out", tmp_path / "third.npz")
    accept(folder, "--new-anchor", "--out", tmp_path / "moved.npz")

    kept, moved = (baseline_file.read(tmp_path / name) for name in ("third.npz", "moved.npz"))
    assert [one.model for one in kept.facts.anchor] == ["mlp-00.keras"]
    assert len(kept.anchor) == 1
    assert (moved.facts.anchor, moved.anchor, moved.facts.anchor_because) == ((), (), "five seeds")
    assert open_finished(folder).evidence.baseline is not None


def test_a_file_of_format_1_is_still_read(tmp_path: Path) -> None:
    last = baselines()[0]
    arrays = unpacked(baseline_file.dump(last))
    content = json.loads(arrays["facts"].tobytes())
    old = {"format": 1, "facts": content["facts"], "trials": content["trials"][""]}
    for name in ("pool", "anchor", "anchor_because"):
        del old["facts"][name]
    arrays["facts"] = np.frombuffer(json.dumps(old, sort_keys=True).encode(), np.uint8)
    (tmp_path / "old.npz").write_bytes(packed(arrays, level=9))

    assert same(baseline_file.read(tmp_path / "old.npz"), last)


def test_answers_to_fewer_images_than_are_named_are_one_line() -> None:
    last = baselines()[0]
    half = last.subset(np.arange(10_000) < 5_000)

    with pytest.raises(UsageError, match="holds answers to 5,000 of the 10,000 images that it names; it is damaged"):
        last_release.check(half, told("mlp-00").data)


def test_a_file_whose_pool_lacks_a_part_is_no_baseline(tmp_path: Path) -> None:
    pool = baseline_file.with_pool(baselines()[0], baselines()[1:3])
    arrays = unpacked(io.BytesIO(baseline_file.dump(pool)).getvalue())
    del arrays["pool-1-answers"]
    (tmp_path / "b.npz").write_bytes(packed(arrays, level=9))

    with pytest.raises(UsageError, match="is no baseline"):
        baseline_file.read(tmp_path / "b.npz")


def test_a_margin_that_was_widened_by_hand_is_not_judged_by(runs: list[str], tmp_path: Path) -> None:
    accept(*runs[:3], "--release", runs[0], "--out", tmp_path / "last.npz")
    last = baseline_file.read(tmp_path / "last.npz")
    wide = tuple(replace(one, margin=replace(one.margin, value=5.0)) for one in last.margins)

    gates = [gate for gate in successors.gates_of("successor.toml") if gate.margin]
    findings = [
        judge_all(evaluate(replace(told("mlp-10"), baseline=held), gates))
        for held in (last, replace(last, margins=wide))
    ]

    assert [{one.status for one in found} & {"passed", "not_evaluated"} for found in findings] == [
        {"passed"},
        {"not_evaluated"},
    ]
