"""Model files that people have: judged, or named in one line with a way out that works for that very file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.parent.subject import Subject
from harness.errors import UsageError
from tests.support.faults import older
from tests.support.folders import FAULTS, once


@pytest.fixture(scope="session")
def older_models(shared: Path) -> Path:
    """A folder of files that Keras 1 and 2 wrote."""

    def build(draft: Path) -> None:
        script = [sys.executable, "-P", str(FAULTS / "older.py"), str(draft)]
        subprocess.run(script, check=True, capture_output=True)

    return once(shared, "older", build)


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught, Subject.start(path) as subject:
        subject.facts()
    text = str(caught.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize("name", [*older.JUDGED, "hard.h5"])
def test_a_file_of_keras_2_answers_as_in_keras_2(name: str, older_models: Path, fork_server: Path) -> None:
    expected = np.load(older_models / "answers.npz")[Path(name).stem]

    with Subject.start(older_models / name) as subject:
        facts, answers = subject.facts(), subject.predict(older.IMAGES)

    assert facts.keras.startswith("2.")
    assert np.allclose(answers, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sequential.h5", "softmax_inside.keras", "softmax_inside.h5"])
def test_a_file_of_keras_2_that_keras_3_reads_alike_is_left_to_it(
    name: str, older_models: Path, fork_server: Path
) -> None:
    expected = np.load(older_models / "answers.npz")[Path(name).stem]

    with Subject.start(older_models / name) as subject:
        facts, answers = subject.facts(), subject.predict(older.IMAGES)

    assert facts.keras == ""
    assert np.allclose(answers, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["model", "m.model", "m.hdf5", "m.keras"])
def test_an_hdf5_file_of_any_name_is_judged(name: str, older_models: Path, fork_server: Path, tmp_path: Path) -> None:
    shutil.copy(older_models / "sequential.h5", tmp_path / name)

    with Subject.start(tmp_path / name) as subject:
        assert subject.facts().kind == "Sequential"


def test_a_keras_file_of_another_name_is_judged(reference_model: Path, fork_server: Path, tmp_path: Path) -> None:
    shutil.copy(reference_model, tmp_path / "model.zip")

    with Subject.start(tmp_path / "model.zip") as subject:
        assert subject.facts().parameters == 34_826


@pytest.mark.parametrize("name", ["saved", "bare"])
def test_a_savedmodel_of_keras_2_is_judged(name: str, older_models: Path, fork_server: Path) -> None:
    expected = np.load(older_models / "answers.npz")["sequential"]

    with Subject.start(older_models / name) as subject:
        answers = subject.predict(older.IMAGES)

    assert np.allclose(answers, expected, rtol=0, atol=1e-5)


REFUSED = {
    "served": "is a folder of TensorFlow Serving; its model is 10: give that path",
    "mlflow": "is a folder of MLflow; its model is data/model.keras: give that path",
    "only.h5": "weights only, and no model (written by Keras 2.21.0)",
    "only.weights.h5": "model.load_weights(this file); model.save('model.keras')",
    "lambda.h5": "Python code",
    "writing.h5": "layer 1 calls io.write_file, which is not on the list",
    "imported.keras": "layer 1 is antigravity.fly, which is not on the list",
    "of_keras_1.h5": "layer 1 is Convolution2D, which is not on the list",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_judged_is_named_and_runs_nothing(name: str, older_models: Path, fork_server: Path) -> None:
    assert REFUSED[name] in refusal(older_models / name)
    assert not (older_models / "mark").exists()
