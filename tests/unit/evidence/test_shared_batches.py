"""Blocks shared by many candidates: each made once, the same as alone, held by nobody longer than needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.corruptions import trial_at
from harness.data import sources
from harness.evidence import shared_batches, storage, sweep
from harness.evidence.shared_batches import SharedBlocks
from harness.records import CLEAN, Dataset, Evidence, Images, Trial
from tests.unit.evidence.test_sweep import TRIALS, Counting

PLAN = (*TRIALS, trial_at("rotation", 5), trial_at("fog", 1))


def some(n: int = 250) -> Dataset:
    known = sources.load("embedded")
    images, labels = known.images[:n], known.labels[:n]
    return replace(known, images=images, labels=labels, facts=replace(known.facts, n=n))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Trial, int]]:
    """Record the blocks that are made, in their order; of 20 images each."""
    monkeypatch.setattr(sweep, "BLOCK", 20)
    calls, real = [], sweep.block

    def noted(images: Images, trial: Trial, seed: int, start: int) -> Images:
        calls.append((trial, start))
        return real(images, trial, seed, start)

    monkeypatch.setattr(sweep, "block", noted)
    return calls


def swept(folder: Path, plans: Sequence[Sequence[Trial]], subjects: Sequence[Any]) -> list[Evidence]:
    """All subjects at once, each on its own trials of PLAN."""
    dataset = some()
    shared = SharedBlocks(dataset, PLAN, 1, len(subjects))

    def one(number: int) -> Evidence:
        store = storage.Store(folder / str(number), "key")
        predicted = sweep.predict_locally(subjects[number], dataset, shared.reader(number))
        try:
            return sweep.measure(
                subjects[number], dataset, plans[number], 1, store, lambda done, total: None, predicted=predicted
            )
        finally:
            shared.leave(number)

    with ThreadPoolExecutor(len(subjects)) as pool:
        return list(pool.map(one, range(len(subjects))))


def test_every_block_is_made_once_for_all(made: list[tuple[Trial, int]], tmp_path: Path) -> None:
    found = swept(tmp_path, [PLAN] * 3, [Counting() for _ in range(3)])

    assert len(made) == len(set(made)) == len(PLAN) * 13
    assert all(len(one.answers) == len(PLAN) for one in found)


@settings(max_examples=10, deadline=None)
@given(left_out=st.lists(st.sets(st.sampled_from(PLAN), max_size=5), min_size=1, max_size=4), block=st.integers(7, 300))
def test_each_candidate_gets_what_it_would_get_alone(
    left_out: list[set[Trial]], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plans = [[trial for trial in PLAN if trial not in without] for without in left_out]
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "BLOCK", block)
        found = swept(folder, plans, [Counting() for _ in plans])
    store = storage.Store(folder / "alone", "key")
    subject: Any = Counting()
    alone = sweep.measure(subject, some(), PLAN, 1, store, lambda done, total: None)

    for plan, one in zip(plans, found, strict=True):
        assert set(one.answers) == set(plan)
        assert all(np.array_equal(one.answers[trial], alone.answers[trial]) for trial in plan)
        assert all(np.array_equal(one.specimens[trial], alone.specimens[trial]) for trial in plan)


def test_a_candidate_that_dies_holds_up_nobody(made: list[tuple[Trial, int]], tmp_path: Path) -> None:
    found = swept(tmp_path, [PLAN] * 2, [Counting(faulty_after=40), Counting()])

    assert "it died" in found[0].fault
    assert set(found[1].answers) == set(PLAN)


def test_no_reader_gets_far_ahead_of_the_slowest(made: list[tuple[Trial, int]]) -> None:
    shared = SharedBlocks(some(), PLAN, 1, 2)
    quick: Iterator[Images] = iter(shared.reader(0)(PLAN))
    taken = threading.Semaphore(0)

    def take() -> None:
        for _ in quick:
            taken.release()

    runner = threading.Thread(target=take)
    runner.start()
    for _ in range(shared_batches.AHEAD):
        assert taken.acquire(timeout=30)
    more = taken.acquire(timeout=0.3)
    shared.leave(1)
    runner.join()

    assert not more
    assert len(made) == len(PLAN) * 13


def test_a_corruption_that_raises_is_told_to_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(images: Images, trial: Trial, seed: int, start: int) -> Images:
        raise ZeroDivisionError("in the user's corruption")

    monkeypatch.setattr(sweep, "block", broken)
    shared = SharedBlocks(some(), (CLEAN,), 1, 2)

    for number in range(2):
        with pytest.raises(ZeroDivisionError):
            next(iter(shared.reader(number)((CLEAN,))))
