"""Stage 6 and its inverse: a run written to a folder, and a finished run opened again."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import policy
from harness.candidate.parent.cores import cores
from harness.errors import NotRecorded, UsageError
from harness.evidence import storage
from harness.files import file_hash, forget_drafts
from harness.formatting import one_line
from harness.judging import verdict
from harness.outputs import qualification_json, run_json
from harness.records import CLEAN, Evidence, Qualification, Run, SessionFacts
from harness.run.form_files import FILES

AGAIN = "again-"  # begins the name of a folder, in that of a run, with a decision by another policy
OUTPUTS = (
    "attestation.sigstore.json",
    "run.json",
    "junit.xml",
    "session.json",
    "qualification.json",
    "gitlab.json",
    "summary.md",
    "badge.json",
    *FILES.values(),
)


@dataclass(frozen=True)
class FinishedRun:
    """A run with the evidence that it was judged on, and when and where it was made."""

    run: Run
    evidence: Evidence
    session: SessionFacts | None
    qualification: Qualification | None = None  # of its policy, where that was asked for
    run_sha256: str = ""  # of run.json, where the run was opened
    evidence_sha256: str = ""  # of the manifest, which holds those of the other files of the evidence


def open_finished(folder: Path) -> FinishedRun:
    """Open a run folder. UsageError where a part is missing, damaged or not of the same run as the others."""
    run, evidence = run_json.load(folder / "run.json"), storage.read(folder / "evidence")
    check(run, evidence, folder)
    asked = folder / qualification_json.NAME
    qualified = qualification_json.load(asked) if asked.is_file() else None
    session = run_json.load_session(folder / "session.json")
    digests = (file_hash(folder / name) for name in ("run.json", f"evidence/{storage.MANIFEST}"))
    return FinishedRun(run, evidence, session, qualified, *digests)


def check(run: Run, evidence: Evidence, folder: Path) -> None:
    """Raise UsageError where the verdict is not that of the findings, or the evidence is of another run."""
    shown = one_line(str(folder))
    if verdict.of(run.findings, run.suspects) != run.verdict:
        raise UsageError(f"{shown}/run.json states a verdict that its findings do not give; run harness run again")
    _check_gates(run, shown)
    last = evidence.baseline.facts if evidence.baseline else None
    of_run = (run.model, run.data, run.seed, run.baseline, bool(run.confusion))
    if of_run != (evidence.model, evidence.data, evidence.seed, last, CLEAN in evidence.answers):
        raise UsageError(f"{shown} holds a run.json and evidence of different runs; run harness run again")


def own_policy(run: Run, folder: Path) -> policy.Policy:
    """Read the policy of a run from its record. UsageError where the record does not hold it whole."""
    try:
        return policy.parse(run.policy)
    except NotRecorded as error:
        shown = one_line(str(folder), 200)
        raise UsageError(f"{shown} cannot be judged by its own policy: {error}; --policy FILE") from error


def _check_gates(run: Run, shown: str) -> None:
    """Raise UsageError where the gates are not those of the policy, as far as its record can tell."""
    try:
        asked = {gate.id for gate in policy.parse(run.policy).gates}
    except NotRecorded:
        return
    except UsageError as error:
        raise UsageError(f"{shown}/run.json: {one_line(str(error), 200)}; run harness run again") from error
    if differing := sorted(asked ^ {one.gate.id for one in run.findings if one.gate is not None}):
        raise UsageError(
            f"{shown}/run.json holds other gates than its policy, such as {one_line(differing[0], 120)}; run harness "
            "run again"
        )


def write(finished: FinishedRun, out: Path, *, junit_times: bool = False) -> None:
    """Write session.json, junit.xml, report.html and, last, run.json; all are made before one is replaced."""
    from harness import report
    from harness.files import write_together
    from harness.outputs import junit

    session = finished.session or SessionFacts("", "", {}, 0.0)
    contents = {
        "session.json": run_json.dump_session(session),
        "junit.xml": junit.render(finished.run, session if junit_times else None),
        "report.html": report.render(finished.run, finished.evidence, session, finished.qualification).encode(),
        **(
            {qualification_json.NAME: qualification_json.dump(finished.qualification)} if finished.qualification else {}
        ),
        "run.json": run_json.dump(finished.run),
    }
    remove_outputs(out, [name for name in OUTPUTS if name not in contents])
    write_together({out / name: content for name, content in contents.items()})


def session_facts(seconds: Mapping[str, float], evidence: Evidence) -> SessionFacts:
    """Return when, where and how long, as of now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = f"{platform.system()} {platform.machine()}, {cores()} cores, Python {sys.version.split()[0]}"
    images = len(evidence.labels) * len(evidence.answers)
    per_image = seconds.get("sweep", 0.0) / images if images else 0.0
    return SessionFacts(now, machine, {name: round(value, 3) for name, value in seconds.items()}, per_image)


def remove_outputs(out: Path, names: Sequence[str] = OUTPUTS) -> None:
    """Remove the files that could be read as the verdict of a run that has none yet, and the drafts of a killed one."""
    forget_drafts(out, *names)
    for name in names:
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            shown = one_line(str(out / name), 200)
            raise UsageError(f"{shown} cannot be replaced: {error.strerror}; choose another --out") from error
