"""harness qualify from the command line: a model in its process, faults of every family, what is printed and left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.outputs import qualification_json
from harness.run import mutant
from tests.support.commands import ENTRY, python
from tests.support.folders import FAULTS

pytestmark = pytest.mark.usefixtures("fork_server")

POLICY = FAULTS / "accuracy.toml"
SOME = ("labels_wrong", "classes_mixed", "class_suppressed", "shifted_right", "minus_one_to_one", "normalize_by_256")
ONE_GATE = """format = 1
name = "one gate"

[[gate]]
metric = "accuracy"
at_least = 0.5
because = "better than a coin"
"""

KILLS = int(os.environ.get("HARNESS_KILLS", "2"))


def arguments(model: Path, policy: Path, out: Path, only: tuple[str, ...] = SOME) -> list[str]:
    words = [f"--only={name}" for name in only]
    return ["qualify", str(model), "--data=embedded", f"--policy={policy}", f"--out={out}", *words]


def qualified(model: Path, policy: Path, out: Path, *more: str, only: tuple[str, ...] = SOME) -> int:
    return main([*arguments(model, policy, out, only), *more])


@pytest.fixture(scope="module")
def asked_of_the_model() -> list[tuple[int, int]]:
    """Count the conditions of each request for the model's own answers, and those that are not known yet."""
    return []


@pytest.fixture(scope="module")
def whole(
    reference_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    fork_server: Path,
    asked_of_the_model: list[tuple[int, int]],
) -> Path:
    ask = mutant.Unmutated.ask

    def counted(self: mutant.Unmutated, subject: Any, blocks: Any, trials: Any) -> Any:
        asked_of_the_model.append((len(trials), len({*trials} - {*self.known})))
        return ask(self, subject, blocks, trials)

    out = tmp_path_factory.mktemp("qualified")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mutant.Unmutated, "ask", counted)
        assert qualified(reference_model, POLICY, out, "--anyway") == 0
    return out


def test_the_model_itself_is_not_asked_again_about_conditions_that_its_sweep_predicted(
    whole: Path, asked_of_the_model: list[tuple[int, int]]
) -> None:
    assert {unknown for _, unknown in asked_of_the_model} == {0}
    assert max(conditions for conditions, _ in asked_of_the_model) > 0


def test_wrong_labels_and_exchanged_digits_are_stopped(whole: Path) -> None:
    found = qualification_json.load(whole / "qualification.json")

    last = {one.operator: one.stopped[-1] for one in found.ladders}
    assert (last["labels_wrong"], last["classes_mixed"], last["normalize_by_256"]) == (1.0, 1.0, 1.0)
    assert len(found.ladders) == len(SOME)


def test_the_same_again_makes_the_same_bytes_and_judges_nothing_anew(
    whole: Path, reference_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (whole / "qualification.json").read_bytes()
    mutants = {path.name: path.stat().st_ino for path in (whole / "mutants").iterdir()}

    code = qualified(reference_model, POLICY, whole, "--anyway", "--resume", "--json", "--at-least=0.99")

    assert (whole / "qualification.json").read_bytes() == before
    assert {path.name: path.stat().st_ino for path in (whole / "mutants").iterdir()} == mutants
    assert code == 1  # its score is lower
    assert json.loads(capsys.readouterr().out) == json.loads(before)


def ended(model: Path, out: Path, mutants: int, how: signal.Signals, *, after: float = 0.0) -> tuple[int, str]:
    """Qualify in a process of its own and end it once so many mutants are finished, or a little later."""
    command = [*python(ENTRY), *arguments(model, POLICY, out), "--anyway"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also where the tests are a background job
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while process.poll() is None and len(list(out.glob("mutants/*.json"))) < mutants:
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.timeout(300 + 60 * KILLS)
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(whole: Path, reference_model: Path, tmp_path: Path) -> None:
    """HARNESS_KILLS says how many moments."""
    expected, moments = (whole / "qualification.json").read_bytes(), random.Random(20261128)
    mutants = len(list(whole.glob("mutants/*.json")))
    for number in range(KILLS):
        out = tmp_path / f"{number}"
        code, _ = ended(
            reference_model, out, number * mutants // KILLS, signal.SIGKILL, after=moments.uniform(0, 4 / (1 + number))
        )

        assert code in (-signal.SIGKILL, 0)
        assert (out / "qualification.json").exists() == (code == 0)
        assert qualified(reference_model, POLICY, out, "--anyway", "--resume") == 0
        assert (out / "qualification.json").read_bytes() == expected, number


def test_interrupted_it_keeps_what_is_done_and_goes_on_from_there(
    whole: Path, reference_model: Path, tmp_path: Path
) -> None:
    code, said = ended(reference_model, tmp_path, 3, signal.SIGINT)

    kept = {path: path.stat().st_ino for path in tmp_path.glob("mutants/*.json")}
    assert code == 2
    assert said.endswith(f"harness: interrupted; {len(kept)} mutants are kept, and --resume goes on from there\n")
    assert qualified(reference_model, POLICY, tmp_path, "--anyway", "--resume") == 0
    assert (tmp_path / "qualification.json").read_bytes() == (whole / "qualification.json").read_bytes()
    assert {path: path.stat().st_ino for path in kept} == kept


def test_a_policy_of_one_gate_stops_little_and_its_survivors_are_named(
    reference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.toml").write_text(ONE_GATE)
    only = ("labels_wrong", "classes_mixed", "class_suppressed", "logits_sharpened", "dead_units", "quantise")

    code = qualified(reference_model, tmp_path / "one.toml", tmp_path / "out", "--anyway", only=only)

    found = qualification_json.load(tmp_path / "out" / "qualification.json")
    assert code == 0
    assert found.score is not None
    assert found.score.value < 0.3
    said = capsys.readouterr().out
    assert "4 and 9 mixed by 1" in said
    assert "nothing on its ladder" in said


def test_a_model_that_is_not_allowed_itself_is_refused_in_one_line(
    reference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qualified(reference_model, POLICY, tmp_path / "out") == 4

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "is not allowed itself, so its mutants would teach nothing: " in said[0]


def test_a_model_that_passes_no_gate_is_refused_in_one_line_whatever_is_asked(
    reference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hard.toml").write_text(ONE_GATE.replace("0.5", "0.996"))

    assert qualified(reference_model, tmp_path / "hard.toml", tmp_path / "out", "--anyway") == 4

    assert "passes no required gate of hard.toml, so that none is left" in capsys.readouterr().err


def test_what_it_was_trained_on_is_declared_and_uses_are_remembered_as_by_a_run(
    reference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "uses.toml").write_text(ONE_GATE.replace("[[gate]]", "uses = 5\n[[gate]]"))
    declared = ["--trained-on=embedded", "--minutes=0.001"]

    refused = qualified(reference_model, tmp_path / "uses.toml", tmp_path / "out", *declared)
    said = capsys.readouterr().err
    code = qualified(reference_model, tmp_path / "uses.toml", tmp_path / "out", *declared, f"--ledger={tmp_path / 'l'}")

    assert (refused, code) == (4, 0)
    assert "harness qualify remember them: --ledger" in said
    assert len((tmp_path / "l").read_text().splitlines()) == 1


def test_a_policy_that_only_warns_is_refused_in_one_line(
    reference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "soft.toml").write_text(ONE_GATE + 'level = "warning"\n')

    assert qualified(reference_model, tmp_path / "soft.toml", tmp_path / "out") == 4

    assert "soft.toml holds no required gate, so that it stops nothing" in capsys.readouterr().err


def test_an_ordinary_run_in_the_folder_leaves_no_qualification_of_another(whole: Path, reference_model: Path) -> None:
    kept: dict[str, Any] = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}

    main(["run", str(reference_model), "--data=embedded", f"--policy={POLICY}", f"--out={whole}", "-q"])
    gone = not (whole / "qualification.json").exists()
    for name, content in kept.items():
        (whole / name).write_bytes(content)

    assert gone
