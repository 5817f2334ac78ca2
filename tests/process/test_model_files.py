"""Model files that people have: judged, or named in one line with a way out that works for that very file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.checks import diagnosis
from harness.errors import SubjectFault, UsageError
from harness.records import Dataset, LogProbabilities, Probabilities
from tests.support.faults import older, uncommon
from tests.support.faults.hostile import members, packed
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


@pytest.mark.parametrize(
    ("name", "answering"), [("saved", "sequential"), ("bare", "sequential"), ("saved_recurrent", "saved_recurrent")]
)
def test_a_savedmodel_of_keras_2_is_judged(name: str, answering: str, older_models: Path, fork_server: Path) -> None:
    expected = np.load(older_models / "answers.npz")[answering]

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
    "imported.keras": "give module:function --allow-code (written by Keras 2.21.0)",
    "of_keras_1.h5": "Keras 2.3.1 is the last that reads such a file: load it there and save it again",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_judged_is_named_and_runs_nothing(name: str, older_models: Path, fork_server: Path) -> None:
    assert REFUSED[name] in refusal(older_models / name)
    assert not (older_models / "mark").exists()


def edited(path: Path, reference_model: Path, version: str, **settings: Any) -> None:
    """Write the reference model with settings of its last layer that Keras does not know, as another release's file."""
    found = members(reference_model)
    config = json.loads(found["config.json"])
    config["config"]["layers"][-1]["config"] |= settings
    if path.suffix == ".keras":
        metadata = json.dumps({"keras_version": version}).encode()
        packed(path, {**found, "metadata.json": metadata, "config.json": json.dumps(config).encode()})
        return
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), version
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")


WAYS_OUT = {
    "3.999.0": "(written by Keras 3.999.0); python -m pip install 'keras>=3.999.0,<4'",
    "3.4.1": "(written by Keras 3.4.1); load it where it was trained, and there model.export('folder')",
}


@pytest.mark.parametrize("version", WAYS_OUT)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_that_keras_cannot_read_names_the_keras_that_wrote_it(
    version: str, suffix: str, reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"model{suffix}"
    edited(path, reference_model, version, flavour=1)

    assert refusal(path).endswith(WAYS_OUT[version])


def test_weights_of_another_release_name_it(reference_model: Path, fork_server: Path, tmp_path: Path) -> None:
    edited(tmp_path / "model.keras", reference_model, "3.4.1", units=11)

    assert refusal(tmp_path / "model.keras").endswith(WAYS_OUT["3.4.1"])


@pytest.mark.parametrize(("name", "within"), [("float", 1e-4), ("fixed", 1e-4), ("dynamic", 0.3), ("uint8", 0.3)])
def test_a_tflite_file_answers_as_its_keras_model(
    name: str, within: float, lite_models: Path, embedded: Dataset, fork_server: Path
) -> None:
    expected = np.load(lite_models / "answers.npy")

    with Subject.start(lite_models / f"{name}.tflite") as subject:
        answers, unfit = subject.predict(embedded.images[:300]), subject.unfit_weights()

    assert np.abs(answers - expected).max() <= within
    assert (answers.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.98
    assert not unfit


@pytest.mark.parametrize("name", ["loop", "masked", "fused"])
def test_a_recurrent_tflite_file_answers_as_its_keras_model_whatever_was_asked_before(
    name: str, lite_models: Path, embedded: Dataset, fork_server: Path
) -> None:
    expected = np.load(lite_models / f"{name}.npy")

    with Subject.start(lite_models / f"{name}.tflite") as subject:
        answers, again = (subject.predict(embedded.images[:300]) for _ in range(2))
        unfit = subject.unfit_weights()

    assert np.abs(answers - expected).max() <= 1e-4
    assert np.array_equal(answers, again)
    assert not unfit


def test_a_weight_within_a_loop_that_is_not_finite_is_named(lite_models: Path, fork_server: Path) -> None:
    with Subject.start(lite_models / "unfit.tflite") as subject:
        (unfit,) = subject.unfit_weights()

    assert unfit.endswith("(1 of its values)")


def test_a_loop_without_an_end_is_ended(lite_models: Path, embedded: Dataset, fork_server: Path) -> None:
    with (
        Subject.start(lite_models / "endless.tflite", limits=Limits(answer_seconds=2.0)) as subject,
        pytest.raises(SubjectFault, match="it gave no answer within 2 s"),
    ):
        subject.predict(embedded.images[:1])


def test_a_tflite_file_says_what_it_computes_in(lite_models: Path, fork_server: Path) -> None:
    found = {}
    for name in ("float", "dynamic", "int8"):
        with Subject.start(lite_models / f"{name}.tflite") as subject:
            found[name] = subject.facts().precision

    assert found == {"float": "", "dynamic": "", "int8": "int8"}


LITE = {
    "custom": "it runs Mine, an operation of its own",
    "outside": "a tensor that is not there",
    "short": "it is a damaged .tflite file",
    "huge": "one image becomes 1,073,741,824 numbers",
    "unlisted": "it runs ARG_MAX of TensorFlow Lite, which is not on the list",
    "several": "it holds 2 graphs; a digit model has one, and those of its loops",
    "branching": "a loop or branch without graphs",
    "elsewhere": "a graph that is not there",
    "before": "a graph that is not there",
    "swapped": "a loop or branch that does not fit its graphs",
    "itself": "a graph that runs itself",
    "flex": "convert keras.Sequential([keras.Input(batch_shape=(1, 28, 28)), *model.layers]) with built-ins only",
}


@pytest.mark.parametrize("name", LITE)
def test_a_tflite_file_that_is_damaged_or_runs_more_is_refused(name: str, lite_models: Path, fork_server: Path) -> None:
    assert LITE[name] in refusal(lite_models / f"{name}.tflite")


@pytest.fixture(scope="session")
def uncommon_models(shared: Path, reference_model: Path) -> Path:
    """A folder of models that are built, saved or quantised in less common ways."""

    def build(draft: Path) -> None:
        script = [sys.executable, "-P", str(FAULTS / "uncommon.py"), str(reference_model), str(draft)]
        subprocess.run(script, check=True, capture_output=True)

    return once(shared, "uncommon", build)


@pytest.mark.parametrize(
    "name", ["convolutional.keras", "normalised.keras", "normalised.h5", "quantised.keras", "mixed.keras", "exported"]
)
def test_an_uncommon_model_answers_as_keras_does(name: str, uncommon_models: Path, fork_server: Path) -> None:
    expected = np.load(uncommon_models / "answers.npz")[Path(name).stem]

    with Subject.start(uncommon_models / name) as subject:
        answers = subject.predict(uncommon.IMAGES)

    assert answers.shape == (70, 10)
    assert np.allclose(answers[: len(expected)], expected, rtol=0, atol=0.03 if "mixed" in name else 1e-5)


def asked_twice(path: Path) -> tuple[Probabilities, LogProbabilities]:
    """Ask for probabilities, and for their logarithms."""
    with Subject.start(path) as subject:
        (answers,), (logs,) = (list(subject.stream([uncommon.IMAGES], logs=logs)) for logs in (False, True))
    return answers, logs


@pytest.mark.parametrize("name", ["normalised.h5", "mixed.keras", "convolutional.keras", "exported", "whole.keras"])
def test_log_probabilities_are_those_of_the_probabilities(name: str, uncommon_models: Path, fork_server: Path) -> None:
    answers, logs = asked_twice(uncommon_models / name)

    assert np.allclose(np.exp(logs), answers, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["dense", "layer", "reshaped", "cast"])
def test_of_a_last_softmax_no_log_probability_is_rounded(name: str, uncommon_models: Path, fork_server: Path) -> None:
    answers, logs = asked_twice(uncommon_models / f"sharp_{name}.keras")

    assert np.allclose(np.exp(logs), answers, rtol=0, atol=2e-3 if name == "cast" else 1e-5)
    assert logs.min() < -150  # the logarithm of the least float32 is -103


def test_nor_in_keras_2(older_models: Path, fork_server: Path) -> None:
    answers, logs = asked_twice(older_models / "sharp.keras")

    assert np.allclose(np.exp(logs), answers, rtol=0, atol=1e-5)
    assert logs.min() < -150


def test_a_probability_of_nil_has_a_logarithm_where_the_logits_are_not_to_be_had(
    uncommon_models: Path, fork_server: Path
) -> None:
    answers, logs = asked_twice(uncommon_models / "sharp_exported")

    assert answers.min() == 0
    assert np.log(answers.max()) - logs.min() == pytest.approx(87.3, abs=0.1)


def test_mixed_precision_is_said(uncommon_models: Path, fork_server: Path) -> None:
    with Subject.start(uncommon_models / "mixed.keras") as subject:
        assert subject.facts().precision == "bfloat16"


def test_a_layer_that_keeps_state_is_named_where_answers_change(uncommon_models: Path, fork_server: Path) -> None:
    with Subject.start(uncommon_models / "stateful.keras") as subject:
        facts, first, second = subject.facts(), subject.predict(uncommon.IMAGES), subject.predict(uncommon.IMAGES)

    assert diagnosis.moved(first, second, facts).any()
    assert "its layer lstm keeps state" in diagnosis.state(facts)


def test_a_signature_that_takes_texts_is_refused(uncommon_models: Path, fork_server: Path) -> None:
    assert "its signature takes string; a digit model takes float32" in refusal(uncommon_models / "worded")


def test_relative_paths_of_a_function_mean_the_working_folder(
    uncommon_models: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(uncommon_models / "normalised.keras", tmp_path / "kept.keras")
    (tmp_path / "steps.py").write_text(
        "import keras\n\ndef model():\n    return keras.saving.load_model('kept.keras')\n"
    )
    monkeypatch.chdir(tmp_path)

    with Subject.start(Path("steps:model"), allow_code=True) as subject:
        assert subject.facts().kind == "Sequential"


def test_an_own_layer_is_pointed_to_a_function(reference_model: Path, tmp_path: Path) -> None:
    def own(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {"module": "digits.layers", "registered_name": "digits>Swirl"}
        config["config"]["layers"][1] |= {"class_name": "Swirl"}

    path = tmp_path / "own.keras"
    found = members(reference_model)
    config = json.loads(found["config.json"])
    own(config)
    packed(path, {**found, "config.json": json.dumps(config).encode()})

    assert "names digits>Swirl, a custom object" in refusal(path)
    assert "module:function --allow-code" in refusal(path)


def test_a_slow_model_has_as_much_time_as_its_images_need(
    reference_model: Path, fork_server: Path, embedded: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time\nfrom harness.references import preprocessing\n\n\ndef normalize(images):\n"
    slow += "    time.sleep(0.004 * len(images))\n    return preprocessing.normalize(images)\n"
    (tmp_path / "slow.py").write_text(slow)
    monkeypatch.chdir(tmp_path)
    limits = Limits(answer_seconds=5.0)

    with Subject.start(reference_model, preprocess="slow", limits=limits) as subject:
        answers = subject.predict(np.tile(embedded.images[:500], (3, 1, 1)))  # 6 s of sleep

    assert answers.shape == (1500, 10)
