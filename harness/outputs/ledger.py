"""The ledger of releases: a line of JSON for each verdict, only ever appended, each with the hash of a line before.

A line whose hash is missing names a removed line. Two branches may be merged line by line (git's ``union``): each line
follows some line above. The removal of the last lines is not noticed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.formatting import legible, one_line
from harness.records import Baseline, Finding, Ledger, LedgerEntry, Run, Scope, Uses

MOST = 1 << 26  # bytes that are read
_WAIT = 60  # seconds for other writers
_CLOSEST = 3


_ENTRY = TypeAdapter(LedgerEntry)


def read(path: Path) -> Ledger:
    """Read a ledger; an empty one where there is no file. UsageError where a line is no entry.

    Half a line at the end, which a killed writer leaves, is no entry.
    """
    lines, _ = _lines(path)
    entries, broken = [], []
    hashes = {""}
    for number, line in enumerate(lines, 1):
        try:
            entry = _ENTRY.validate_json(line, strict=False)
        except ValidationError as error:
            raise UsageError(
                f"{legible(path)}:{number} is no line of a ledger; take the file back from version control"
            ) from error
        if entry.prev not in hashes or (entry.prev == "" and number > 1):
            broken.append(f"line {number} follows a line that is not there: one before it was removed or changed")
        hashes.add(sha256(line).hexdigest())
        entries.append(entry)
    return Ledger(tuple(entries), tuple(broken))


def append(path: Path, entry: LedgerEntry) -> None:
    """Append an entry after the last whole line and flush it to the disk; other writers wait.

    UsageError where the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_WAIT):
            lines, whole = _lines(path)
            prev = sha256(lines[-1]).hexdigest() if lines else ""
            content = json.dumps(_ENTRY.dump_python(replace(entry, prev=prev), mode="json"), allow_nan=False)
            with path.open("r+b" if path.exists() else "xb") as file:
                file.truncate(whole)
                file.seek(whole)
                file.write(f"{content}\n".encode())
                file.flush()
                os.fsync(file.fileno())
    except Timeout as error:
        raise UsageError(f"{legible(path)} is locked by another run for over {_WAIT} s; run again") from error
    except OSError as error:
        raise UsageError(f"{legible(path)} cannot be written: {error.strerror}; name another --ledger") from error


def entry_of(run: Run, content: bytes, when: str, folder: str) -> LedgerEntry:
    """Make the entry of a run; ``content``: its run.json; ``folder``: where it lies, seen from the ledger."""
    accuracy = next((one for one in run.measurements if one.metric == "accuracy" and one.scope == Scope()), None)
    gates = [one for one in run.findings if one.gate and one.measurement and one.margin is not None]
    limit = (
        one.gate.threshold
        for one in gates
        if one.gate and (one.gate.metric, one.gate.scope, one.gate.against) == ("accuracy", Scope(), "")
    )
    closest = sorted(gates, key=_closeness)[:_CLOSEST]
    return LedgerEntry(
        kind="verdict",
        when=when,
        name=one_line(run.model.name, 120),
        model=run.model.sha256,
        data=run.data.sha256,
        policy=run.policy.sha256,
        baseline=run.baseline.sha256 if run.baseline else "",
        run=sha256(content).hexdigest(),
        seed=run.seed,
        verdict=run.verdict.word,
        exit_code=run.verdict.exit_code,
        accuracy=(accuracy.value, accuracy.low, accuracy.high) if accuracy else None,
        threshold=next(limit, None),
        closest=tuple(one.id for one in closest),
        folder=folder,
        url=_job(),
    )


def entry_of_accepted(baseline: Baseline, now: datetime) -> LedgerEntry:
    """Make the entry of a baseline that was accepted."""
    facts = baseline.facts
    return LedgerEntry(
        kind="accepted",
        when=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        name=one_line(facts.model, 120),
        model=facts.sha256,
        data=facts.data_sha256,
        by=facts.accepted_by,
        because=facts.because,
        anchor=facts.anchor[0].sha256 if facts.anchor else "",
    )


def uses(entries: Sequence[LedgerEntry], *, data: str, model: str, policy: str) -> Uses:
    """Count how often test images have decided, this decision on ``model`` by ``policy`` included; all are hashes."""
    same = [one for one in entries if one.kind == "verdict" and one.data == data]
    released = {one.model for one in same if one.exit_code == 0}
    policies = {one.policy for one in same if one.model == model} | {policy}
    return Uses(
        models=len({one.model for one in same} | {model}),
        released=len(released),
        since=min((one.when for one in same), default=""),
        policies=len(policies),
    )


def _closeness(finding: Finding) -> float:
    """Return the margin in widths of the interval."""
    measured, margin = finding.measurement, finding.margin
    if measured is None or margin is None or measured.high <= measured.low:
        return float("inf")
    return abs(margin) / (measured.high - measured.low)


def _lines(path: Path) -> tuple[list[bytes], int]:
    """Return the whole lines and how many bytes they take."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST else None
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise UsageError(f"{legible(path)} cannot be read: {error.strerror}; name another --ledger") from error
    if content is None:
        raise UsageError(f"{legible(path)} has over {MOST:,} bytes, which is no ledger; name another --ledger")
    whole = content.rfind(b"\n") + 1
    return content[:whole].splitlines(), whole


def _job() -> str:
    """Return the address of the CI job that runs this, from the variables that GitHub, GitLab and Jenkins set."""
    given = os.environ
    if given.get("GITHUB_ACTIONS") and given.get("GITHUB_RUN_ID"):
        server = given.get("GITHUB_SERVER_URL", "https://github.com")
        return one_line(f"{server}/{given.get('GITHUB_REPOSITORY', '')}/actions/runs/{given['GITHUB_RUN_ID']}", 300)
    return one_line(given.get("CI_JOB_URL") or given.get("BUILD_URL") or "", 300)
