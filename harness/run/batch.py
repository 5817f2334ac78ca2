"""The stages for many candidates: each corrupted image is made once for all, and none of them stops the others."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import policy
from harness.candidate.parent.fork_server import fork_server
from harness.errors import UsageError
from harness.evidence import backends
from harness.evidence.shared_batches import SharedBlocks
from harness.evidence.sweep import Progress
from harness.files import write_whole
from harness.formatting import one_line
from harness.records import Baseline, Dataset, Evidence, Run
from harness.run.judge import judge_evidence, timed_checks
from harness.run.measure import beside_baseline, measure_candidate
from harness.run.session import Request, Session, claim, digits, open_session, with_files

TOGETHER = 8  # candidates that are loaded at a time


@dataclass(frozen=True)
class Outcome:
    """The run of one candidate with its verdict, or the reason why there is none."""

    model: Path
    out: Path
    run: Run | None = None
    error: str = ""
    code: int = 3

    @property
    def exit_code(self) -> int:
        """Return the exit code of a run of this candidate alone."""
        return self.run.verdict.exit_code if self.run else self.code


def write_index(outcomes: Sequence[Outcome], out: Path) -> None:
    """Write ``index.html``, a page with a line for each candidate, beside their folders."""
    from harness import report

    names = [one.run.model.name if one.run else one.model.name for one in outcomes]
    judged = [report.Judged(name, one.out.name, one.run, one.error) for name, one in zip(names, outcomes, strict=True)]
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "index.html", report.render_index(judged).encode())


def judge_many(requests: Sequence[Request], progress: Progress) -> list[Outcome]:
    """Judge each candidate into the folder that its request names; the baseline is swept once for all.

    UsageError where the digits or the policy, which all share, cannot be used.
    """
    first = requests[0]
    dataset = digits(first)
    if requests[0].policy:
        rules = policy.load(requests[0].policy)
        policy.check_against(rules, dataset.facts)
        policy.check_waivers(rules, requests[0].today)
    outcomes: list[Outcome] = []
    swept: dict[Path, Baseline] = {}
    with fork_server() as address, with_files(replace(first, model=Path())) as shared:
        for start in range(0, len(requests), TOGETHER):
            some = [
                replace(request, fork_server=address, baseline=shared.baseline, addresses=shared.addresses)
                for request in requests[start : start + TOGETHER]
            ]
            bars = _together(progress, len(outcomes), len(some), len(requests))
            with ExitStack() as stack:
                outcomes += _Group(some, dataset, bars, swept, stack).outcomes()
    return outcomes


class _Group:
    """The candidates that are loaded together."""

    def __init__(
        self,
        requests: Sequence[Request],
        dataset: Dataset,
        bars: Sequence[Progress],
        swept: dict[Path, Baseline],
        stack: ExitStack,
    ) -> None:
        self._swept = swept  # baselines of model files, once they are swept
        self._requests, self._dataset, self._bars, self._stack = requests, dataset, bars, stack
        self._sessions: dict[int, Session] = {}
        self._evidence: dict[int, Evidence] = {}
        self._failed: dict[int, Outcome] = {}
        self._stopped = False

    def outcomes(self) -> list[Outcome]:
        """Start all, sweep all at once, then judge one after another."""
        for number, request in enumerate(self._requests):
            with self._alone(number):
                self._sessions[number] = self._stack.enter_context(open_session(request, self._dataset))
        for number, session in self._sessions.items():
            with self._alone(number):
                self._stack.enter_context(claim(session))
        self._sweep()
        for number in sorted(self._evidence):  # not in the order in which the sweeps ended
            self._add_baseline(number)
        return [self._judged(number) for number in range(len(self._requests))]

    def _sweep(self) -> None:
        """Sweep on the same images, each candidate in a thread; an engine has its own workers and takes one by one."""
        running = [number for number in self._sessions if number not in self._failed]
        if not running or self._requests[0].engine != backends.LOCAL:
            for number in running:
                with self._alone(number):
                    self._evidence[number] = measure_candidate(self._sessions[number], self._bars[number])
            return
        first = self._sessions[running[0]]
        shared = SharedBlocks(self._dataset, first.policy.trials(), first.request.seed, len(running))

        def sweep(place: int) -> None:
            number = running[place]
            try:
                with self._alone(number):
                    evidence = measure_candidate(self._sessions[number], self._bars[number], shared.reader(place))
                    self._evidence[number] = evidence
            finally:
                shared.leave(place)

        _in_threads(sweep, len(running), self._stop)

    def _add_baseline(self, number: int) -> None:
        session, evidence = self._sessions[number], self._evidence[number]
        with self._alone(number):
            self._evidence[number] = beside_baseline(session, evidence, swept=self._swept)

    def _judged(self, number: int) -> Outcome:
        if number not in self._failed:
            with self._alone(number):
                session = self._sessions[number]
                run = judge_evidence(session, self._evidence[number], timed_checks(session)).run
                return Outcome(self._requests[number].model, session.out, run)
        return self._failed[number]

    def _stop(self) -> None:
        """End the candidates, and with them the threads that wait for their predictions."""
        self._stopped = True
        for session in self._sessions.values():
            session.subject.close()

    @contextmanager
    def _alone(self, number: int) -> Iterator[None]:
        """Let a candidate fail alone."""
        request = self._requests[number]
        out = request.out or Path()
        try:
            yield
        except UsageError as error:
            self._failed[number] = Outcome(request.model, out, error=one_line(str(error), 400), code=4)
        except Exception as error:
            if self._stopped:
                return
            traceback.print_exc()
            reason = one_line(f"the harness failed: {type(error).__name__}: {error}", 400)
            self._failed[number] = Outcome(request.model, out, error=reason)


def _in_threads(task: Callable[[int], None], many: int, stop: Callable[[], None]) -> None:
    """Run the task for each number in a thread of its own; ``stop`` is called where one is interrupted."""
    with ThreadPoolExecutor(many) as pool:
        try:
            list(pool.map(task, range(many)))
        except BaseException:
            stop()
            raise


def _together(bar: Progress, before: int, together: int, every: int) -> list[Progress]:
    """Return a progress for each of the candidates loaded ``together``, shown as one over ``every`` candidate."""
    counts = dict.fromkeys(range(together), 0)
    lock = threading.Lock()

    def of(number: int) -> Progress:
        def report(done: int, total: int) -> None:
            with lock:
                counts[number] = done
                bar(before * total + sum(counts.values()), every * total)

        return report

    return [of(number) for number in range(together)]
