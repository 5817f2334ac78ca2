"""The ledger beside a run: how often its test images have decided, before; and the line that the run adds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UsageError
from harness.evidence import storage
from harness.formatting import count, one_line
from harness.judging import reuse
from harness.outputs import ledger, run_json
from harness.policy import Policy
from harness.records import CLEAN, Baseline, Evidence, Finding, Ledger, LedgerEntry, Uses
from harness.run.finished_run import FinishedRun

USED_UP = "check/ledger::uses"
_MOST_RUNS = 20  # at hand, the newest first


def uses_of(path: Path, evidence: Evidence, policy: Policy) -> Uses:
    """Count how often the images have decided, and estimate what that does to the best of the candidates."""
    entries = ledger.read(path).entries
    model, data = evidence.model.sha256, evidence.data.sha256
    counted = ledger.uses(entries, data=data, model=model, policy=policy.facts.sha256)
    if counted.models < 2 or CLEAN not in evidence.answers:
        return counted
    return reuse.with_luck(counted, evidence, tuple(_others(path, entries, evidence)))


def used_up(policy: Policy, counted: Uses) -> Finding:
    """Make the check that the test set has decided no more candidates than the policy allows."""
    passed = counted.models <= policy.uses
    uses = f"these digits have decided {count(counted.models, 'candidate')}, of {policy.uses} that the policy allows"
    return Finding(
        id=USED_UP,
        kind="check",
        title="the test set is not used up",
        status="passed" if passed else "not_evaluated",
        reason=uses if passed else f"this test set is used up: {uses}; take digits that have decided nothing yet",
        because="each candidate that is judged on the same digits makes a lucky one likelier",
        where=policy.uses_at,
    )


def record(path: Path, finished: FinishedRun, out: Path) -> None:
    """Append the verdict of a finished run to the ledger."""
    when = finished.session.when if finished.session else ""
    folder = os.path.relpath(out.absolute(), path.absolute().parent)
    ledger.append(path, ledger.entry_of(finished.run, run_json.dump(finished.run), when, folder))


def record_accepted(path: Path, baseline: Baseline) -> None:
    """Append to the ledger that a baseline was accepted."""
    ledger.append(path, ledger.entry_of_accepted(baseline, datetime.now(UTC)))


def history(path: Path) -> tuple[Ledger, bytes]:
    """Read a ledger and render the page with all of its verdicts. UsageError where there is none."""
    from harness import report

    if not path.exists():
        raise UsageError(f"{one_line(str(path), 200)} does not exist; harness run --ledger FILE begins it")
    found = ledger.read(path)
    return found, report.render_history(found).encode()


def _others(path: Path, entries: Sequence[LedgerEntry], evidence: Evidence) -> Iterator[Evidence]:
    """Yield the evidence of each other model, of the newest runs that are at hand."""
    taken = {evidence.model.sha256}
    for entry in reversed(entries):
        if len(taken) > _MOST_RUNS:
            return
        if entry.kind != "verdict" or entry.data != evidence.data.sha256 or entry.model in taken or not entry.folder:
            continue
        try:
            other = storage.read(path.absolute().parent / entry.folder / "evidence")
        except UsageError:
            continue
        if (other.model.sha256, other.data.sha256) == (entry.model, entry.data) and CLEAN in other.answers:
            taken.add(entry.model)
            yield other
