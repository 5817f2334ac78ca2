"""A plan of trials becomes evidence: the same whatever the blocks, complete, kept, and honest about what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.corruptions import trial_at
from harness.errors import SubjectFault, UsageError
from harness.evidence import storage, sweep
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import CLEAN, NO_ANSWER, Dataset, Gate, Groups, Images, ModelFacts, Probabilities, Scope, Trial

TRIALS = (CLEAN, trial_at("gaussian_noise", 3), trial_at("shift", 1, -1), trial_at("impulse_noise", 2))
GATES = tuple(
    Gate(f"gate {level}", "accuracy", "at_least", 0.1, "by chance", Scope(corruption=name, severity=level))
    for name, level in (("gaussian_noise", 3), ("impulse_noise", 2))
)
FACTS = ModelFacts("counting.keras", "0" * 64, 1, "Sequential", (), (), 0, (), "harness.references.preprocessing")


class Counting:
    """A subject whose answer is a function of each image alone; ``faulty_after`` images it dies."""

    def __init__(self, faulty_after: int | None = None) -> None:
        self.seen = 0
        self.faulty_after = faulty_after

    def facts(self) -> ModelFacts:
        return FACTS

    def sandbox(self) -> None:
        return None

    def stream(
        self, blocks: Iterable[Images], *, under: str | None = None, logs: bool = False
    ) -> Iterator[Probabilities]:
        for block in blocks:
            self.seen += len(block)
            if self.faulty_after is not None and self.seen > self.faulty_after:
                raise SubjectFault("it died")
            ink = block.reshape(len(block), -1).astype(np.int64) @ (np.arange(784) % 89)
            yield np.eye(10, dtype=np.float32)[ink % 10]


def measured(subject: Any, dataset: Dataset, folder: Path, trials: tuple[Trial, ...] = TRIALS, seed: int = 1) -> Any:
    return sweep.measure(subject, dataset, trials, seed, storage.Store(folder, "key"), lambda done, total: None)


@pytest.fixture
def few(embedded: Dataset) -> Dataset:
    chosen = slice(0, 1000, 4)
    images, labels = embedded.images[chosen], embedded.labels[chosen]
    return replace(embedded, images=images, labels=labels, facts=replace(embedded.facts, n=len(labels)))


def test_every_trial_has_an_answer_for_every_image(few: Dataset, tmp_path: Path) -> None:
    found = measured(Counting(), few, tmp_path / "e")

    assert set(found.answers) == set(TRIALS) == set(found.specimens)
    assert {len(said) for said in found.answers.values()} == {len(few.labels)}
    assert found.probabilities.shape == (len(few.labels), 10)


def test_the_units_of_the_images_go_with_their_answers_and_are_read_again(few: Dataset, tmp_path: Path) -> None:
    groups = Groups("writer", (np.arange(len(few.labels)) // 10).astype(np.int32))

    by_writer = replace(few, groups=groups, facts=replace(few.facts, unit="writer", units=len(few.labels) // 10))

    found = measured(Counting(), by_writer, tmp_path / "e")

    for one in (found, storage.read(tmp_path / "e")):
        assert one.groups is not None
        assert one.groups.unit == "writer"
        assert one.codes is not None
        assert one.codes.tolist() == [at // 10 for at in range(len(few.labels))]
    assert measured(Counting(), few, tmp_path / "e").groups is None
    assert not (tmp_path / "e" / "groups.npz").exists()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.integers(1, 300), order=st.permutations(TRIALS))
def test_block_size_and_order_of_trials_change_no_image_and_no_finding(
    block: int, order: list[Trial], few: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    usual = measured(Counting(), few, tmp_path_factory.mktemp("usual"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "BLOCK", block)
        other = measured(Counting(), few, tmp_path_factory.mktemp("other"), tuple(order))

    assert all(np.array_equal(usual.answers[trial], other.answers[trial]) for trial in TRIALS)
    assert all(np.array_equal(usual.specimens[trial], other.specimens[trial]) for trial in TRIALS)
    assert judge_all(evaluate(usual, GATES)) == judge_all(evaluate(other, GATES))


def test_a_row_without_finite_numbers_is_no_answer() -> None:
    rows = np.eye(10, dtype=np.float32)[[3, 4, 5]]
    rows[1, 0], rows[2, 9] = np.nan, np.inf

    assert storage.classes_of(rows).tolist() == [3, NO_ANSWER, NO_ANSWER]


def test_what_was_measured_is_not_measured_again(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e", TRIALS[:3])
    again = Counting()

    found = measured(again, few, tmp_path / "e")

    assert again.seen == len(few.labels)
    assert set(found.answers) == set(TRIALS)


def test_another_key_forgets_everything(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e")
    again: Any = Counting()

    sweep.measure(again, few, TRIALS, 1, storage.Store(tmp_path / "e", "another"), lambda done, total: None)

    assert again.seen == len(TRIALS) * len(few.labels)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    note, deeper = tmp_path / "e" / "notes.txt", tmp_path / "e" / "mine" / "trial-1.npz"
    deeper.parent.mkdir(parents=True)
    for path in (note, deeper):
        path.write_text("somebody's")

    storage.Store(tmp_path / "e", "key")

    assert [path.read_text() for path in (note, deeper)] == ["somebody's"] * 2


def test_drafts_of_a_killed_sweep_are_forgotten_with_it(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e")
    (tmp_path / "e" / ".trial-0123.npz.x_y01234").write_bytes(b"half")

    storage.Store(tmp_path / "e", "another")

    assert [path.name for path in (tmp_path / "e").iterdir()] == ["key"]


def test_a_store_that_is_not_to_reuse_forgets_everything(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e")

    store = storage.Store(tmp_path / "e", "key", reuse=False)

    assert store.get(CLEAN) is None


@pytest.mark.parametrize("name", ["e", "e/key", "e/manifest.json"])
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    if name == "e":
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir(parents=True)

    with pytest.raises(UsageError, match="choose another --out"):
        storage.Store(tmp_path / "e", "key")


def test_a_key_that_is_no_text_is_of_another_sweep(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "key").write_bytes(b"\xff\xfe")

    storage.Store(tmp_path / "e", "key")

    assert (tmp_path / "e" / "key").read_text() == "key"


def test_a_candidate_that_dies_leaves_its_trials_out_and_says_why(few: Dataset, tmp_path: Path) -> None:
    found = measured(Counting(faulty_after=2 * len(few.labels)), few, tmp_path / "e")

    assert set(found.answers) == set(TRIALS[:2])
    assert "it died" in found.fault


def test_progress_counts_every_image_once(few: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    store = storage.Store(tmp_path / "e", "key")
    subject: Any = Counting()
    sweep.measure(subject, few, TRIALS, 1, store, lambda done, total: seen.append((done, total)))

    assert seen[0] == (0, 1000)
    assert seen[-1] == (1000, 1000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_evidence_read_back_is_what_was_measured(few: Dataset, tmp_path: Path) -> None:
    found = measured(Counting(), few, tmp_path / "e")

    back = storage.read(tmp_path / "e")

    assert (back.model, back.data, back.seed, back.fault) == (found.model, found.data, found.seed, found.fault)
    assert np.array_equal(back.images, found.images)
    assert all(np.array_equal(back.answers[trial], found.answers[trial]) for trial in TRIALS)
    assert np.array_equal(back.probabilities, found.probabilities)


def test_equal_sweeps_leave_equal_files(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "a")
    measured(Counting(), few, tmp_path / "b")

    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def remove_a_trial(folder: Path) -> None:
    next(folder.glob("trial-*.npz")).unlink()


def change_a_byte(folder: Path) -> None:
    path = next(folder.glob("trial-*.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut_the_digits(folder: Path) -> None:
    path = folder / "digits.npz"
    path.write_bytes(path.read_bytes()[:-10])


def remove_the_manifest(folder: Path) -> None:
    (folder / storage.MANIFEST).unlink()


def garble_the_manifest(folder: Path) -> None:
    (folder / storage.MANIFEST).write_text('{"format": 1, "trials": 7}')


def date_the_manifest(folder: Path) -> None:
    path = folder / storage.MANIFEST
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))


@pytest.mark.parametrize(
    "harm",
    [remove_a_trial, change_a_byte, cut_the_digits, remove_the_manifest, garble_the_manifest, date_the_manifest],
)
def test_damaged_evidence_is_refused_in_one_line(harm: Any, few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e")
    harm(tmp_path / "e")

    with pytest.raises(UsageError, match="run harness run") as caught:
        storage.read(tmp_path / "e")

    assert "\n" not in str(caught.value)


def test_a_damaged_trial_is_measured_again(few: Dataset, tmp_path: Path) -> None:
    measured(Counting(), few, tmp_path / "e")
    (tmp_path / "e" / storage.Store(tmp_path / "e", "key")._path(CLEAN).name).write_bytes(b"half")
    again = Counting()

    found = measured(again, few, tmp_path / "e")

    assert again.seen == len(few.labels)
    assert storage.read(tmp_path / "e").answers.keys() == found.answers.keys()


@pytest.mark.parametrize("change", ["model", "preprocess", "data", "seed", "version"])
def test_whatever_could_change_a_prediction_is_in_the_key(change: str, embedded: Dataset) -> None:
    usual = SimpleNamespace(model=FACTS, data=embedded.facts, seed=1, versions={"keras": "3"})
    other = SimpleNamespace(**vars(usual))
    match change:
        case "model":
            other.model = replace(FACTS, sha256="1" * 64)
        case "preprocess":
            other.model = replace(FACTS, preprocess_sha256="1")
        case "data":
            other.data = replace(embedded.facts, sha256="1" * 64)
        case "seed":
            other.seed = 2
        case "version":
            other.versions = {"keras": "4"}

    def key(of: SimpleNamespace) -> str:
        return storage.key(of.model, of.data, of.seed, of.versions)

    assert key(usual) == key(usual)
    assert key(usual) != key(other)
