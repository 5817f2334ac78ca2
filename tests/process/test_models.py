"""The reference models are those of Keras's example, train the same way twice, and are good enough to refer to."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from harness.data import sources
from harness.errors import UsageError
from harness.records import Dataset
from harness.references.models import BATCH, Arch, Step, build, train
from harness.references.preprocessing import normalize


@pytest.fixture(scope="module")
def embedded() -> Dataset:
    return sources.load("embedded")


@pytest.fixture(scope="module")
def few(embedded: Dataset) -> Dataset:
    """200 images to train on and 100 to test."""
    assert embedded.train_images is not None
    assert embedded.train_labels is not None
    return replace(
        embedded,
        images=embedded.images[:100],
        labels=embedded.labels[:100],
        train_images=embedded.train_images[:200],
        train_labels=embedded.train_labels[:200],
    )


def weights_of(path: Path) -> str:
    content = hashlib.sha256()
    for weight in keras.saving.load_model(path).get_weights():
        content.update(weight.tobytes())
    return content.hexdigest()


@pytest.mark.parametrize(
    ("arch", "inputs", "parameters"), [("mlp", (None, 28, 28), 101_770), ("cnn", (None, 28, 28, 1), 34_826)]
)
def test_a_reference_model_is_sequential_and_answers_with_probabilities(
    arch: Arch, inputs: tuple[Any, ...], parameters: int
) -> None:
    model = build(arch)

    answers = model(np.zeros((3, *inputs[1:]), np.float32)).numpy()

    assert type(model) is keras.Sequential
    assert model.input_shape == inputs
    assert model.count_params() == parameters
    assert answers.shape == (3, 10)
    assert np.allclose(answers.sum(axis=1), 1)


def test_an_unknown_architecture_is_refused() -> None:
    arch: Any = "rnn"

    with pytest.raises(UsageError, match="arch='rnn' is unknown; give mlp or cnn"):
        build(arch)


@pytest.mark.parametrize("arch", ["mlp", "cnn"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, few: Dataset, arch: Arch) -> None:
    first, again, other = (tmp_path / f"{name}.keras" for name in ("first", "again", "other"))
    for path, seed in ((first, 3), (again, 3), (other, 4)):
        train(arch, few, path, seed, epochs=2)

    assert weights_of(first) == weights_of(again)
    assert weights_of(first) != weights_of(other)


def test_training_leaves_the_images_alone(tmp_path: Path, few: Dataset) -> None:
    before = few.train_images.copy() if few.train_images is not None else None

    train("cnn", few, tmp_path / "model.keras", 0, epochs=1)

    assert np.array_equal(few.train_images, before)  # type: ignore[arg-type]


def test_the_saved_model_has_the_accuracy_that_was_measured(tmp_path: Path, few: Dataset) -> None:
    trained = train("mlp", few, tmp_path / "model.keras", 0, epochs=3)

    answers = keras.saving.load_model(trained.path)(normalize(few.images)).numpy().argmax(axis=1)

    assert trained.n == 100
    assert trained.epochs == 3
    assert trained.accuracy == pytest.approx((answers == few.labels).mean())
    assert np.isfinite(trained.loss)


def test_progress_is_told_batch_by_batch(tmp_path: Path, few: Dataset) -> None:
    steps: list[Step] = []

    train("mlp", few, tmp_path / "model.keras", 0, epochs=2, progress=steps.append)

    batches = -(-200 // BATCH)
    expected = [(epoch, batch) for epoch in (1, 2) for batch in range(1, batches + 1)]
    assert [(step.epoch, step.batch) for step in steps] == expected
    assert {(step.epochs, step.batches) for step in steps} == {(2, batches)}
    assert all(np.isfinite(step.loss) and 0 <= step.accuracy <= 1 for step in steps)


def test_data_without_a_training_part_is_refused(tmp_path: Path, few: Dataset) -> None:
    blind = replace(few, train_images=None, train_labels=None)

    with pytest.raises(
        UsageError, match="no training part in embedded MNIST digits; give data with x_train and y_train"
    ):
        train("mlp", blind, tmp_path / "model.keras", 0)


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_training_at_all_is_refused(tmp_path: Path, few: Dataset, epochs: int) -> None:
    with pytest.raises(UsageError, match=f"epochs={epochs} must be at least 1"):
        train("mlp", few, tmp_path / "model.keras", 0, epochs=epochs)


def test_a_place_that_cannot_be_written_is_refused_before_the_training(tmp_path: Path, few: Dataset) -> None:
    (tmp_path / "file").write_bytes(b"")
    steps: list[Step] = []

    with pytest.raises(UsageError, match=r"cannot write into .*file: .*; choose another --out"):
        train("mlp", few, tmp_path / "file" / "model.keras", 0, progress=steps.append)

    assert not steps


def test_a_folder_is_not_overwritten_by_a_model(tmp_path: Path, few: Dataset) -> None:
    (tmp_path / "model.keras").mkdir()

    with pytest.raises(UsageError, match="is a folder; choose another --out"):
        train("mlp", few, tmp_path / "model.keras", 0)


@pytest.mark.parametrize("name", ["model.h5", "model", "model.keras.txt"])
def test_a_model_is_only_written_as_a_keras_file(tmp_path: Path, few: Dataset, name: str) -> None:
    with pytest.raises(UsageError, match=r"must end in \.keras"):
        train("mlp", few, tmp_path / name, 0)

    assert not list(tmp_path.iterdir())


def test_a_training_that_is_interrupted_leaves_the_old_model(tmp_path: Path, few: Dataset) -> None:
    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "model.keras"
    path.write_bytes(b"the old model")

    with pytest.raises(KeyboardInterrupt):
        train("mlp", few, path, 0, epochs=1, progress=interrupt)

    assert path.read_bytes() == b"the old model"
    assert list(tmp_path.iterdir()) == [path]


def test_importing_and_training_write_nothing_on_the_terminal(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.data import sources\n"
        "from harness.references.models import train\n"
        "train('mlp', sources.load('embedded'), Path(sys.argv[1]), 0, epochs=1)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "model.keras")]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("", "")


def test_the_cnn_reads_the_embedded_digits(tmp_path: Path, embedded: Dataset) -> None:
    trained = train("cnn", embedded, tmp_path / "model.keras", 0)

    assert trained.accuracy >= 0.965
    assert trained.parameters == 34_826
