"""Models that are made by code of the user's: good ones are judged as files are, and each misbehaviour is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from harness.cli import main
from harness.errors import UsageError
from harness.outputs import run_json
from harness.records import Run
from tests.e2e.test_faults import only_the_digits_were_seen
from tests.support.folders import FAULTS

Judged = Callable[[str], tuple[int, Run]]

HEAD = """
from pathlib import Path
import keras
from keras import layers as k, ops

GOOD = keras.saving.load_model(Path(__file__).with_name("kept.keras"))


def stack(*layers, shape=(28, 28, 1)):
    return keras.Sequential([keras.Input(shape), *layers])


class Changed(k.Layer):
    '''The good model, with its answers changed.'''

    def __init__(self, change):
        super().__init__()
        self.good, self.change = GOOD, change

    def call(self, pixels):
        return self.change(self.good(pixels), pixels)


def changed(change):
    return stack(Changed(change))


def model():
    return """

FAULTY = {
    "two inputs": (
        "(lambda a, b: keras.Model([a, b], GOOD(k.Add()([a, b]))))(*(keras.Input((28, 28, 1)) for _ in 'ab'))",
        "Functional",
    ),
    "an answer for each pixel": ("stack(k.Conv2D(10, 1, activation='softmax'))", "[(28, 28, 10)]"),
    "labels": ("changed(lambda said, seen: ops.cast(ops.round(said), 'int32'))", "int32"),
    "nothing but nan": ("changed(lambda said, seen: said * float('nan'))", "hold NaN or infinity"),
    "bfloat16": ("changed(lambda said, seen: ops.cast(said, 'bfloat16'))", "rows do not sum to 1"),
    "dropout left on": (
        "(lambda dropout: changed(lambda said, seen: GOOD(dropout(seen, training=True))))(k.Dropout(0.3))",
        "when asked twice",
    ),
    "batch statistics left on": (
        "(lambda norm: changed(lambda said, seen: GOOD(norm(seen, training=True))))(k.BatchNormalization())",
        "in batches of 1",
    ),
    "another at each load": (
        "stack(k.Flatten(), k.Dense(10, 'softmax', kernel_initializer='glorot_normal'))",
        "when the file is loaded again",
    ),
}


@pytest.fixture
def judged(tmp_path: Path, reference_model: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Judge the model that an expression makes."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(reference_model, "kept.keras")
    policy = str(FAULTS / "accuracy.toml")

    def judge(expression: str) -> tuple[int, Run]:
        Path("made.py").write_text(HEAD + expression + "\n")
        code = main(["run", "made:model", "--allow-code", "--data", "embedded", "--policy", policy, "--out", "out"])
        return code, run_json.load(Path("out", "run.json"))

    return judge


def test_a_good_model_is_judged_as_its_file_would_be(judged: Judged) -> None:
    code, run = judged("GOOD")

    assert (code, only_the_digits_were_seen(run)) == (5, True)
    assert (run.model.name, run.model.kind, run.model.parameters) == ("made:model", "Sequential", 34_826)
    assert "--allow-code" in run.command


def test_what_is_recorded_of_it_is_its_module(judged: Judged, tmp_path: Path) -> None:
    _, first = judged("GOOD")
    _, second = judged("stack(*GOOD.layers)")

    assert first.model.sha256 != second.model.sha256
    assert second.model.size == (tmp_path / "made.py").stat().st_size


def test_answers_of_code_are_never_kept_for_the_next_run(judged: Judged, tmp_path: Path) -> None:
    """Change a file that the module reads, while the module stays."""
    judged("GOOD if not Path(__file__).with_name('worse').exists() else stack(k.Flatten(), k.Dense(10, 'softmax'))")
    (tmp_path / "worse").touch()

    code, run = judged(
        "GOOD if not Path(__file__).with_name('worse').exists() else stack(k.Flatten(), k.Dense(10, 'softmax'))"
    )

    assert (code, run.verdict.word) == (1, "blocked")


def no_number(text: str) -> NoReturn:
    raise AssertionError(f"{text} stands in run.json")


def test_a_model_that_does_not_say_what_it_takes_is_refused(judged: Judged, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        judged("keras.Sequential([k.Flatten(), k.Dense(10)])")

    assert "begin the model with keras.Input((28, 28, 1))" in capfd.readouterr().err


@pytest.mark.parametrize("name", FAULTY)
def test_what_breaks_the_contract_is_blocked_and_named(name: str, judged: Judged, tmp_path: Path) -> None:
    expression, said = FAULTY[name]

    code, run = judged(expression)

    assert (code, run.verdict.word) == (1, "blocked")
    assert any(said in finding.reason for finding in run.findings if finding.status == "failed")
    assert json.loads((tmp_path / "out" / "run.json").read_text(), parse_constant=no_number)
