"""Corrupted images made once and handed to every candidate of a sweep over many."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from harness.evidence import sweep
from harness.records import Dataset, Images, Trial

AHEAD = 16  # blocks that the quickest reader may be ahead of the slowest, which bounds what is held


class SharedBlocks:
    """The blocks of a plan, each made by whoever needs it first and dropped when every reader has passed it."""

    def __init__(self, dataset: Dataset, plan: Sequence[Trial], seed: int, readers: int) -> None:
        self._dataset, self._seed = dataset, seed
        self._starts = sweep.starts(dataset)
        self._order = {trial: number * len(self._starts) for number, trial in enumerate(plan)}
        self._at: dict[int, float] = dict.fromkeys(range(readers), 0)  # the block that each waits for or holds
        self._made: dict[int, Future[Images]] = {}
        self._moved = threading.Condition()

    def reader(self, number: int) -> sweep.Blocks:
        """Return one candidate's blocks; of the plan, it may leave out trials but not change their order."""

        def blocks(trials: Sequence[Trial]) -> Iterator[Images]:
            for trial in trials:
                for place, start in enumerate(self._starts, self._order[trial]):
                    task, mine = self._reached(number, place)
                    if task is None:
                        return
                    if mine:
                        self._make(task, trial, start)
                    yield task.result()
            self.leave(number)

        return blocks

    def leave(self, number: int) -> None:
        """Let a reader leave: nobody waits for it any more, and it waits for nobody."""
        with self._moved:
            self._at[number] = math.inf
            self._drop()

    def _reached(self, number: int, place: int) -> tuple[Future[Images] | None, bool]:
        """Return the block at this place, and whether this reader must make it; None for a reader that has left."""
        with self._moved:
            if self._at[number] < math.inf:
                self._at[number] = place
            self._drop()
            self._moved.wait_for(lambda: place < min(self._at.values()) + AHEAD or self._at[number] == math.inf)
            if self._at[number] == math.inf:
                return None, False
            mine = place not in self._made
            return self._made.setdefault(place, Future()), mine

    def _make(self, task: Future[Images], trial: Trial, start: int) -> None:
        try:
            task.set_result(sweep.block(self._dataset.images, trial, self._seed, start))
        except BaseException as error:  # every reader that waits for the block is told
            task.set_exception(error)

    def _drop(self) -> None:
        slowest = min(self._at.values())
        for place in [place for place in self._made if place < slowest]:
            del self._made[place]
        self._moved.notify_all()
