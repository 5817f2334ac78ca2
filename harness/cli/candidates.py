"""Many candidates in one run: each corrupted image is made once for all, and none of them stops the others."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness import policy
from harness.candidate.parent.fork_server import fork_server
from harness.cli import show
from harness.cli.run import check_out, suites
from harness.data import sources
from harness.errors import UsageError
from harness.evidence import backends
from harness.evidence.shared_batches import SharedBlocks
from harness.evidence.sweep import Progress
from harness.files import read_whole
from harness.formatting import one_line
from harness.records import Dataset, Run
from harness.run.inspection import Inspection, Request

TOGETHER = 8  # candidates that are loaded at a time
WORST_FIRST = (3, 4, 1, 5, 0)  # exit codes: the harness failed, unusable, blocked, no verdict, allowed


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate: a run with its verdict, or the reason why there is none."""

    model: Path
    out: Path
    run: Run | None = None
    error: str = ""
    code: int = 3

    @property
    def exit_code(self) -> int:
        return self.run.verdict.exit_code if self.run else self.code


def named(words: Sequence[Path]) -> list[Path] | None:
    """The candidates that the words name, in order; None where they name one alone, which is judged by itself.

    ``@list.txt`` names a file with a path on each line, and a folder that is no model the models in it.
    """
    found: list[Path] = []
    for word in words:
        if str(word).startswith("@") and not word.exists():
            found += _listed(Path(str(word)[1:]))
        elif models := _inside(word):
            found += models
        else:
            found.append(word)
    return None if found == list(words) and len(found) == 1 else found


def judge(requests: Sequence[Request], *, as_json: bool, quiet: bool) -> int:
    """Judge each candidate into a folder of its own under ``out``; the exit code is the worst of theirs."""
    first = requests[0]
    assert first.out is not None
    check_out(first.out)
    dataset = sources.load(first.data)  # what all share is refused once, before any candidate starts
    if first.policy:
        policy.check_against(policy.load(first.policy), dataset.facts)
    outcomes: list[Outcome] = []
    with fork_server() as address, show.progress("predicting") as bar:
        for start in range(0, len(requests), TOGETHER):
            some = [replace(request, fork_server=address) for request in requests[start : start + TOGETHER]]
            outcomes += _Group(some, dataset, _of_all(bar, len(outcomes), len(some), len(requests))).outcomes()
    show.outcomes(outcomes, as_json=as_json, quiet=quiet)
    return min((outcome.exit_code for outcome in outcomes), key=WORST_FIRST.index)


def folders(request: Request, models: Sequence[Path]) -> list[Request]:
    """A request a model, each with a folder of its own: the model's name, and a number where that is taken."""
    assert request.out is not None
    taken: set[str] = set()
    requests = []
    for model in models:
        name, number = model.stem or "model", 1
        while (unique := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        taken.add(unique)
        requests.append(replace(request, model=model, out=request.out / unique))
    return requests


class _Group:
    """The candidates that are loaded together."""

    def __init__(self, requests: Sequence[Request], dataset: Dataset, bars: Sequence[Progress]) -> None:
        self._requests, self._dataset, self._bars = requests, dataset, bars
        self._failed: dict[int, Outcome] = {}
        self._open: dict[int, Inspection] = {}
        self._stopped = False

    def outcomes(self) -> list[Outcome]:
        """Start all, sweep all at once, then judge one after another."""
        try:
            for number, request in enumerate(self._requests):
                with self._guarded(number):
                    self._open[number] = Inspection(request, self._bars[number], self._dataset)
            for number, inspection in self._open.items():
                with self._guarded(number):
                    inspection.model  # noqa: B018 - waits until it is loaded
                    inspection.claim()
            self._sweep()
            return [self._failed.get(number) or self._judged(number) for number in range(len(self._requests))]
        finally:
            for inspection in self._open.values():
                inspection.close()

    def _sweep(self) -> None:
        running = [number for number in self._open if number not in self._failed]
        if not running or self._requests[0].engine != backends.LOCAL:
            return  # an engine has its own workers; each candidate is swept there when it is judged
        first = self._open[running[0]]
        assert first.policy is not None
        shared = SharedBlocks(self._dataset, first.policy.trials(), first.request.seed, len(running))

        def sweep(place: int) -> None:
            inspection = self._open[running[place]]
            inspection.blocks = shared.reader(place)
            try:
                with self._guarded(running[place]):
                    inspection.evidence = inspection.measured()
            finally:
                shared.leave(place)

        with ThreadPoolExecutor(len(running)) as pool:
            try:
                list(pool.map(sweep, range(len(running))))
            except BaseException:  # interrupted: without their candidates the threads end, and are waited for
                self._stopped = True
                for number in running:
                    self._open[number].close()
                raise

    def _judged(self, number: int) -> Outcome:
        inspection = self._open[number]
        with self._guarded(number):
            code = suites(inspection)
            if code == 2:
                raise KeyboardInterrupt
            if inspection.broken is not None:
                raise inspection.broken
            if inspection.run is None:
                raise RuntimeError(f"pytest ended with code {code} and no verdict")
            return Outcome(inspection.request.model, inspection.out, inspection.run)
        return self._failed[number]

    @contextlib.contextmanager
    def _guarded(self, number: int) -> Iterator[None]:
        """Let a candidate fail alone."""
        request = self._requests[number]
        assert request.out is not None
        try:
            yield
        except UsageError as error:
            self._failed[number] = Outcome(request.model, request.out, error=one_line(str(error), 400), code=4)
        except Exception as error:
            if self._stopped:
                return
            traceback.print_exc()
            told = one_line(f"the harness failed: {type(error).__name__}: {error}", 400)
            self._failed[number] = Outcome(request.model, request.out, error=told)


def _listed(path: Path) -> list[Path]:
    shown = one_line(str(path), 200)
    try:
        lines = read_whole(path, 1 << 20).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or one_line(str(error), 120)
        raise UsageError(
            f"@{shown} is no list of candidates: {why}; give a text file with one path on each line"
        ) from error
    found = [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise UsageError(f"@{shown} names no candidate; write one path on each line")
    return found


def _inside(folder: Path) -> list[Path]:
    """The model files of a folder that is itself no model."""
    try:
        if not folder.is_dir() or any((folder / part).exists() for part in ("saved_model.pb", "config.json")):
            return []
        return sorted(path for path in folder.iterdir() if path.suffix in (".keras", ".h5"))
    except OSError:  # a folder that may not be entered is refused as a model is
        return []


def _of_all(bar: Progress, before: int, together: int, every: int) -> list[Progress]:
    """A progress for each of the candidates that are loaded ``together``, shown as one over ``every`` candidate."""
    counts = dict.fromkeys(range(together), 0)
    lock = threading.Lock()

    def of(number: int) -> Progress:
        def told(done: int, total: int) -> None:
            with lock:
                counts[number] = done
                bar(before * total + sum(counts.values()), every * total)

        return told

    return [of(number) for number in range(together)]
