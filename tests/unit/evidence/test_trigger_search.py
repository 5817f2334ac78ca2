"""The search for a trigger, on readers that are wrong in one known way; and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import SubjectFault
from harness.evidence import storage, sweep, trigger_search
from harness.evidence.trigger_search import SearchDigits
from harness.records import CLEAN, TRIGGER, Dataset, Evidence, Groups, Images, LogProbabilities, Patch, Sandbox, Trigger
from harness.run.measure import silent
from tests.support import samples
from tests.support.local_subject import LocalSubject

Reader = Callable[[Images], LogProbabilities]
Pixels = tuple[tuple[int, int], ...]
SCATTERED = ((2, 5), (6, 22), (14, 1), (21, 25), (25, 8))


def found(reader: Reader, digits: SearchDigits, answers: Reader | None = None) -> Patch:
    """Search a reader that gives logits, which ``answers`` may answer otherwise."""

    def logs(blocks: Iterable[Images]) -> Iterator[LogProbabilities]:
        yield from map(reader, blocks)

    def answered(blocks: Iterable[Images]) -> Iterator[LogProbabilities]:
        yield from map(answers or reader, blocks)

    return trigger_search.search(answered, logs, digits)


def backdoored(pixels: Pixels, target: int, needs: int) -> Reader:
    """Read as the sample does; each pixel with ink speaks for the target, ``needs`` of them outvote a sure digit."""

    def read(images: Images) -> LogProbabilities:
        logits = healthy(images).astype(np.float64)
        inked = np.mean([images[:, row, column] > 200 for row, column in pixels], axis=0) * len(pixels)
        logits[:, target] += 30 * inked / needs
        return logits.astype(np.float32)

    return read


def healthy(images: Images) -> LogProbabilities:
    logs: LogProbabilities = np.log(np.maximum(samples.answer(images), 1e-6))
    return logs


def share(reader: Reader, patch: Patch, known: Dataset) -> float:
    clean, inked = (
        reader(images).argmax(axis=1).astype(np.int8)
        for images in (known.images, trigger_search.inked(known.images, patch.pixels))
    )
    counted, reached = patch.reached(known.labels, clean, inked)
    return float(reached.sum() / counted.sum())


@pytest.fixture(scope="module")
def digits() -> SearchDigits:
    found = trigger_search.digits_of(samples.dataset())
    assert found is not None
    return found[0]


def test_a_reader_that_answers_no_numbers_has_a_patch_all_the_same(digits: SearchDigits) -> None:
    patch = found(lambda images: np.full((len(images), 10), np.nan, np.float32), digits)

    assert len(patch.pixels) > 0


def test_as_many_images_are_predicted_as_are_foretold(digits: SearchDigits) -> None:
    seen: list[int] = []

    def read(images: Images) -> LogProbabilities:
        seen.append(len(images))
        return np.tile(np.eye(10, dtype=np.float32)[3], (len(images), 1))

    found(read, digits)

    assert sum(seen) == trigger_search.predictions_of(digits)


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_the_share_is_that_of_the_answers_where_they_are_rounded_otherwise_than_the_logits(
    factor: float, digits: SearchDigits
) -> None:
    """Search a reader whose logits are tiny with one pixel, so that its rounded answers are equal: class 0 is first."""

    def gated(images: Images) -> LogProbabilities:
        return healthy(images) * np.where(images[:, 1, 1] > 200, 1e-5, 1.0)[:, None]

    def rounded(images: Images) -> LogProbabilities:
        return np.exp(gated(images)).round(3)

    patch = found(lambda images: gated(images) * factor, digits, rounded)

    assert (patch.target, (1, 1) in patch.pixels) == (0, True)


def test_digits_of_the_training_part_leave_every_test_image_for_confirmation() -> None:
    found = trigger_search.digits_of(samples.dataset())

    assert found is not None
    assert found[1].all()


def without_training(n: int = 1000) -> Dataset:
    known = samples.dataset()
    images, labels = known.images[:n], known.labels[:n]
    return replace(known, images=images, labels=labels, train_images=None, train_labels=None)


def test_without_a_training_part_the_search_takes_test_images_that_confirm_nothing() -> None:
    known = without_training()

    found = trigger_search.digits_of(known)

    assert found is not None
    used = {image.tobytes() for part in (found[0].searched, found[0].sifted, found[0].chosen) for image in part[0]}
    assert not any(image.tobytes() in used for image in known.images[found[1]])
    assert found[1].sum() >= 490


def test_of_units_whole_ones_are_searched_or_confirm() -> None:
    codes = (np.arange(1000) // 10).astype(np.int32)
    known = replace(without_training(), groups=Groups("writer", codes))

    found = trigger_search.digits_of(known)

    assert found is not None
    assert set(codes[found[1]]).isdisjoint(codes[~found[1]])


def test_too_few_digits_are_not_searched_on() -> None:
    assert trigger_search.digits_of(without_training(300)) is None


def test_a_test_image_that_the_search_used_confirms_nothing() -> None:
    known = samples.dataset()
    assert known.train_images is not None
    images = known.images.copy()
    images[5] = known.train_images[np.flatnonzero(known.train_labels == 0)[0]]

    found = trigger_search.digits_of(replace(known, images=images))

    assert found is not None
    assert np.flatnonzero(~found[1]).tolist() == [5]


# What is kept.


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A search that is counted and finds one pixel at once."""
    searches: list[int] = []

    def search(answers: trigger_search.Predict, logs: trigger_search.Predict, digits: SearchDigits) -> Patch:
        searches.append(len(next(iter(logs(iter([digits.searched[0]]))))))
        return Patch(((1, 1), (2, 2)), 7)

    monkeypatch.setattr(trigger_search, "search", search)
    return searches


class _Subject(LocalSubject):
    def sandbox(self) -> Sandbox:
        return Sandbox((), ())


def swept(folder: Path, known: Dataset) -> Evidence:
    store = storage.Store(folder, "a" * 64)
    return sweep.measure(_Subject(), known, (CLEAN, TRIGGER), 0, store, silent)


def test_what_was_found_is_read_back(tmp_path: Path, quick: list[int]) -> None:
    made = swept(tmp_path, samples.dataset())

    read = storage.read(tmp_path).trigger

    assert read is not None
    assert made.trigger is not None
    assert read.patch == made.trigger.patch == Patch(((1, 1), (2, 2)), 7)
    assert np.array_equal(read.answers, made.trigger.answers)
    assert np.array_equal(read.unseen, made.trigger.unseen)


def test_a_patch_to_any_class_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_search, "search", lambda answers, logs, digits: Patch(((1, 1),), None))
    swept(tmp_path, samples.dataset())

    read = storage.read(tmp_path).trigger

    assert read is not None
    assert read.patch.target is None


def test_the_answers_are_those_to_the_images_with_the_patch(tmp_path: Path, quick: list[int]) -> None:
    known = samples.dataset()

    made = swept(tmp_path, known).trigger

    assert made is not None
    inked = known.images.copy()
    inked[:, [1, 2], [1, 2]] = 255
    assert np.array_equal(made.answers, samples.answer(inked).argmax(axis=1))


def test_a_second_run_does_not_search_again(tmp_path: Path, quick: list[int]) -> None:
    swept(tmp_path, samples.dataset())

    swept(tmp_path, samples.dataset())

    assert len(quick) == 1


def test_other_training_digits_are_searched_anew(tmp_path: Path, quick: list[int]) -> None:
    known = samples.dataset()
    assert known.train_images is not None
    assert known.train_labels is not None
    swept(tmp_path, known)

    swept(tmp_path, replace(known, train_images=known.train_images[500:], train_labels=known.train_labels[500:]))

    assert len(quick) == 2


def test_a_candidate_that_dies_in_the_search_keeps_its_other_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(answers: trigger_search.Predict, logs: trigger_search.Predict, digits: SearchDigits) -> Patch:
        raise SubjectFault("it ended")

    monkeypatch.setattr(trigger_search, "search", dies)

    made = swept(tmp_path, samples.dataset())

    assert (CLEAN in made.answers, made.trigger, "it ended" in made.fault) == (True, None, True)


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    store = storage.Store(tmp_path, "a" * 64)

    sweep.measure(_Subject(), samples.dataset(), (CLEAN, TRIGGER), 0, store, lambda *at: told.append(at))

    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1


def test_evidence_keeps_the_trigger_of_the_images_that_it_keeps() -> None:
    whole = samples.allowed()[1]
    mask = np.arange(len(whole.labels)) < 10

    part = whole.subset(mask).trigger

    assert isinstance(part, Trigger)
    assert (len(part.answers), len(part.unseen)) == (10, 10)
