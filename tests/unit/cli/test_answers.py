"""Answers of the commands to a newcomer: why, with which digits and policy, and the way on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import policy
from harness.cli import main, power, show
from harness.corruptions import sheet
from harness.data import keras_mnist, sources
from harness.errors import UsageError
from harness.evidence import baseline_file
from harness.run import api
from harness.run.batch import Outcome
from harness.run.candidates import named
from harness.run.finished_run import FinishedRun
from harness.run.result import Result
from tests.support import samples

Said = pytest.CaptureFixture[str]


@pytest.fixture
def nothing_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    def cached() -> bytes:
        raise UsageError("not there")

    monkeypatch.setattr(keras_mnist, "cached", cached)


def left(folder: Path) -> Path:
    (folder / "evidence").mkdir(parents=True)
    (folder / "run.json").touch()
    return folder


def test_the_folder_of_a_run_is_no_candidate_and_its_model_is_named(tmp_path: Path) -> None:
    out = left(tmp_path / "my out")
    (out / "reference.keras").touch()

    with pytest.raises(UsageError, match="is what a run left, not a model") as refused:
        named([out])
    assert f"harness report '{out}' shows it again" in str(refused.value)
    assert str(refused.value).endswith(f"to judge its model anew: harness run '{out}/reference.keras'")


def test_a_folder_of_models_beside_folders_of_runs_is_one_of_candidates(tmp_path: Path) -> None:
    left(tmp_path / "out")
    (tmp_path / "a.keras").touch()

    assert named([tmp_path]) == [tmp_path / "a.keras"]


def test_the_table_of_several_is_followed_by_why_each_was_not_allowed(capsys: Said) -> None:
    runs = {"good.keras": samples.allowed()[0], "bad.keras": samples.blocked()[0]}

    show.outcomes([Outcome(Path(name), Path(name), run) for name, run in runs.items()], as_json=False, quiet=False)

    lines = capsys.readouterr().out.splitlines()
    assert f"bad.keras: {runs['bad.keras'].verdict.sentence}" in lines
    assert [line for line in lines if line.startswith("good.keras: ")] == []


def test_the_verdict_as_json_has_the_accuracy_with_its_interval_the_policy_and_the_baseline(capsys: Said) -> None:
    run = samples.beside(samples.allowed())[0]

    show.verdict(run, Path("out"), as_json=True, quiet=False)

    told = json.loads(capsys.readouterr().out)
    assert run.baseline is not None
    assert told["accuracy"].keys() == told["change_of_accuracy"].keys() == {"value", "low", "high", "n"}
    assert told["accuracy"]["low"] < told["accuracy"]["value"] < told["accuracy"]["high"]
    assert told["policy"]["sha256"] == run.policy.sha256
    assert told["baseline"] == {"name": run.baseline.model, "sha256": run.baseline.sha256}


def test_where_gates_cannot_be_shown_the_shipped_policy_for_the_digits_is_named() -> None:
    release, digits = policy.load(Path("release")), sources.load("embedded").facts

    with pytest.raises(UsageError, match="cannot be shown") as refused:
        policy.check_against(release, digits)
    assert str(refused.value).splitlines()[-1].endswith("is embedded: --policy embedded")


def test_runs_on_different_digits_are_told_by_these() -> None:
    before, after = samples.allowed()
    other = replace(before, data=replace(before.data, name="others", sha256="f" * 64))

    results = [Result(FinishedRun(run, after, None), None) for run in (other, before)]

    with pytest.raises(UsageError, match=r"\Athe runs were judged on different digits, others \(") as refused:
        api.compare(*results)
    assert "baseline" not in str(refused.value)


def test_the_table_of_power_says_first_which_policy_which_digits_and_how_sure() -> None:
    said = power.asked(policy.load(Path("embedded")), sources.load("embedded").facts)

    assert said.startswith("policy embedded.toml, ")
    assert said.endswith("on embedded MNIST digits, 1,000 images; confidence 95 % a gate")


def test_the_check_of_a_policy_ends_with_its_amount_and_that_it_is_good(nothing_cached: None, capsys: Said) -> None:
    assert main(["policy", "check", "embedded"]) == 0

    *_, amount, end = capsys.readouterr().out.splitlines()
    rules = policy.load(Path("embedded"))
    required = sum(gate.level == "required" for gate in rules.gates)
    assert amount.startswith(f"{len(rules.gates)} gates, {required} required, ")
    assert (
        end == "good; a perfect score could pass each gate on embedded MNIST digits, 1,000 images, the digits at hand"
    )


def test_a_policy_for_other_digits_than_those_at_hand_is_good_with_a_note(nothing_cached: None, capsys: Said) -> None:
    assert main(["policy", "check", "release"]) == 0

    end = capsys.readouterr().out.splitlines()[-1]
    assert end.startswith("good as it is written; not on the digits at hand (embedded MNIST digits, 1,000 images)")


def test_a_contact_sheet_says_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []

    sheet.contact_sheet(
        sources.load("embedded").images[:1],
        ("gaussian_noise", "inversion"),
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )

    assert told == [(0, 2), (1, 2)]


def test_an_accepted_baseline_says_when(tmp_path: Path, capsys: Said) -> None:
    baseline = baseline_file.of(samples.allowed()[1], accepted_by="Ada", because="first", accepted_on="2026-11-28")
    (tmp_path / "b.npz").write_bytes(baseline_file.dump(baseline))

    assert main(["baseline", "show", str(tmp_path / "b.npz")]) == 0
    assert "accepted by Ada on 2026-11-28\n" in capsys.readouterr().out
