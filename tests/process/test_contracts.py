"""Input of a candidate in its own process: as declared, as its module says, and in the type that it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.parent.preprocessing import CONTRACTS, named
from harness.candidate.parent.subject import Subject
from harness.corruptions.attacks import ATTACKS
from harness.errors import Refused, Unattackable
from harness.evidence import storage
from harness.records import Dataset, InputContract, InputKind

STEPS = "def normalize(images):\n    return (images / 127.5 - 1).astype('float32')\n"


@pytest.fixture(scope="session")
def whole_numbers(shared: Path, reference_model: Path) -> Path:
    """A folder with the reference model behind an input of uint8, as ``.keras`` and as a SavedModel."""
    import keras

    from tests.support.folders import once

    def build(draft: Path) -> None:
        draft.mkdir()
        base = keras.saving.load_model(reference_model)
        grey = keras.Input(base.input_shape[1:], dtype="uint8")
        model = keras.Sequential([grey, keras.layers.Rescaling(1 / 255), *base.layers])
        model.save(draft / "model.keras")
        model.export(draft / "saved", verbose=False)

    return once(shared, "whole_numbers", build)


@pytest.mark.parametrize("name", ["model.keras", "saved"])
def test_a_model_of_whole_numbers_gets_them_under_raw(
    name: str, whole_numbers: Path, reference_model: Path, fork_server: Path, embedded: Dataset
) -> None:
    raw = named("raw")
    with Subject.start(reference_model) as usual:
        expected = usual.predict(embedded.images[:50])

    with Subject.start(whole_numbers / name, preprocess=raw.module, contract=raw.contract) as subject:
        pixels, answers = subject.normalize(embedded.images[:50]).values, subject.predict(embedded.images[:50])

        assert subject.contract == replace(InputContract.of("raw"), dtype="uint8")
    assert pixels.dtype == np.uint8
    assert np.allclose(answers, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["raw", "symmetric", "inverted", "l2"])
def test_another_contract_can_be_tried_on_a_loaded_model(
    kind: InputKind, reference_model: Path, fork_server: Path, embedded: Dataset
) -> None:
    other = named(kind)
    with Subject.start(reference_model) as usual:
        tried = usual.predict(embedded.images[:50], under=kind)

    with Subject.start(reference_model, preprocess=other.module, contract=other.contract) as subject:
        assert np.array_equal(tried, subject.predict(embedded.images[:50]))


def test_a_module_states_its_range_and_may_leave_labels_alone(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.py").write_text(f"RANGE = (-1, 1)\n{STEPS}")

    with Subject.start(reference_model, preprocess=named("./raw").module) as subject:
        assert subject.contract == InputContract("own", -1.0, 1.0, one_hot=False)
        with pytest.raises(Refused, match="the preprocessing has no one_hot"):
            subject.one_hot(np.zeros(3, np.uint8))


def test_a_module_that_states_nothing_is_held_to_x_over_255(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(f"from harness.references.preprocessing import one_hot\n{STEPS}")

    with Subject.start(reference_model, preprocess="steps") as subject:
        assert subject.facts().contract is None


def test_what_one_contract_gave_is_not_read_for_another(
    reference_model: Path, fork_server: Path, embedded: Dataset
) -> None:
    ours, other = named("standardised", 0.5, 0.5), named("standardised", 0.5, 0.25)
    with Subject.start(reference_model, preprocess=CONTRACTS, contract=ours.contract) as subject:
        facts = subject.facts()
        assert subject.hashed

    keys = {storage.key(replace(facts, contract=each.contract), embedded.facts, 0, {}) for each in (ours, other)}

    assert len(keys) == 2


def test_attacks_follow_a_linear_contract(reference_model: Path, fork_server: Path, embedded: Dataset) -> None:
    attack, images = ATTACKS["fgsm"], embedded.images[:20]
    linear, l2 = named("symmetric"), named("l2")
    with Subject.start(reference_model, preprocess=linear.module, contract=linear.contract) as subject:
        moved = subject.attacked(images, attack, 3)

    with (
        Subject.start(reference_model, preprocess=l2.module, contract=l2.contract) as subject,
        pytest.raises(Unattackable, match="how its pixels are made"),
    ):
        subject.attacked(images, attack, 3)
    assert not np.array_equal(moved, images)
