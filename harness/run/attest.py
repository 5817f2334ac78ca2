"""A verdict signed, and later verified: that it is of this file, of this evidence, and what the evidence gives."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__, policy
from harness.candidate.parent.candidate_file import copy_candidate
from harness.errors import UsageError
from harness.files import file_hash, read_whole, write_whole
from harness.formatting import legible, one_line
from harness.judging.verdict import EXIT_CODES
from harness.outputs import attestation, statement
from harness.policy import Policy
from harness.records import Run, Word
from harness.run import replay
from harness.run.finished_run import FinishedRun, open_finished, own_policy

MAX_BYTES = 1 << 24  # of a key or an attestation


@dataclass(frozen=True)
class Verified:
    """A verdict that an attestation proves: of this file, and, where the run was at hand, by its evidence."""

    model: str
    verdict: Word
    exit_code: int
    sentence: str
    run: Run | None  # what was replayed


def attest(out: Path, key: Path | None, url: str = "", rules: Path | None = None) -> Path:
    """Sign the verdict of a finished run with a private key, by default that in HARNESS_KEY; return the bundle's path.

    ``rules``: the policy that the run was judged by, where its record does not hold it whole. UsageError where the
    record is not what its evidence gives, so that nothing is signed that would not verify.
    """
    check_installed()
    content, shown = _private(key)
    finished = open_finished(out)
    if differing := _replayed(finished, rules, out):
        raise UsageError(f"{legible(out)}/run.json: {differing}; judge it again: harness gate {legible(out)}")
    said = statement.statement(finished.run, finished.run_sha256, finished.evidence_sha256, url)
    path = out / attestation.NAME
    password = os.environ.get("HARNESS_KEY_PASSWORD", "")
    write_whole(path, attestation.signed(statement.dump(said), content, password, shown))
    return path


def verify(model: Path, bundle: Path, public: Path, out: Path | None = None, rules: Path | None = None) -> Verified:
    """Verify signature, subject and statement and, of the run in ``out``, digests, record and decision.

    ``rules``: the policy that the run must have been judged by. UsageError where anything does not hold.
    """
    check_installed()
    attested = attestation.opened(_read(bundle), _read(public), legible(bundle), legible(public))
    try:
        (subject,) = attested["subject"]
        digest, words = subject["digest"]["sha256"], attested["predicate"]["digitReleaseHarness"]
        claim = Verified(str(subject["name"]), words["verdict"], int(words["exitCode"]), str(words["sentence"]), None)
        if (attested["_type"], attested["predicateType"]) != (statement.STATEMENT, statement.PREDICATE):
            raise ValueError("it is of another kind")
        results = attested["predicate"]["result"], claim.exit_code
        if results != (statement.RESULTS[claim.verdict], EXIT_CODES[claim.verdict]):
            raise ValueError("its result is not that of its verdict")
    except (KeyError, TypeError, ValueError) as error:
        reason = one_line(f"no {error}" if isinstance(error, KeyError) else str(error), 120)
        raise UsageError(
            f"{legible(bundle)} states no verdict of this program: {reason}; run harness attest"
        ) from error
    actual = _sha256(model)
    if actual != digest:
        raise UsageError(
            f"{legible(model)} is not the file that was judged: its SHA-256 begins with {actual[:10]}, that in "
            f"{legible(bundle)} with {one_line(str(digest), 10)}; judge it: harness run {legible(model)}"
        )
    if out is None:
        return claim
    return _of_run(claim, attested, out, rules, bundle)


def _sha256(model: Path) -> str:
    """Compute what a run records as the SHA-256 of a model: of a file its own."""
    if model.is_file():
        return file_hash(model)
    with tempfile.TemporaryDirectory() as folder:
        return copy_candidate(model, Path(folder), allow_code=True).sha256


def _of_run(claim: Verified, attested: dict[str, Any], out: Path, rules: Path | None, bundle: Path) -> Verified:
    """Hold the statement against the run, and the run against its evidence."""
    finished = open_finished(out)
    predicate = attested["predicate"]
    stated = predicate["digitReleaseHarness"]
    for name, actual in (("run", finished.run_sha256), ("evidence", finished.evidence_sha256)):
        if actual not in json.dumps(stated.get(name)):
            raise UsageError(
                f"{legible(bundle)} is of another {name} than that in {legible(out)}; give the folder that it is of"
            )
    own = statement.statement(
        finished.run, finished.run_sha256, finished.evidence_sha256, str(predicate.get("url", ""))
    )
    own["predicate"]["digitReleaseHarness"]["version"] = stated.get("version")
    if own != attested:
        raise UsageError(f"{legible(bundle)} states other than run.json in {legible(out)}; do not release by it")
    if differing := _replayed(finished, rules, out):
        made, way = finished.run.versions.get("harness", ""), "do not release by it"
        if made != __version__:
            made = one_line(made, 40)
            way = f"it was made by version {made} of the harness, and this is {__version__}: verify with that"
        raise UsageError(f"{legible(out)}/run.json: {differing}; {way}")
    return Verified(claim.model, claim.verdict, claim.exit_code, claim.sentence, finished.run)


def _replayed(finished: FinishedRun, rules: Path | None, out: Path) -> str:
    """Say where record and evidence differ under the policy of the run, or ``rules``, which must be the same."""
    return one_line(replay.difference(finished, _policy(finished.run, rules, out)), 300)


def _policy(run: Run, rules: Path | None, out: Path) -> Policy:
    if rules is None:
        return own_policy(run, out)
    given = policy.load(rules)
    if given.facts.sha256 != run.policy.sha256:
        raise UsageError(
            f"{legible(out)} was judged by another policy ({one_line(run.policy.file, 80)}) than {legible(rules)}; "
            f"judge it by that: harness gate {legible(out)} --policy {legible(rules)}"
        )
    return given


def check_installed() -> None:
    """Raise UsageError where the extra ``attest`` is not installed."""
    if importlib.util.find_spec("securesystemslib") is None:
        raise UsageError("attestations need a library; install it: pip install 'digit-release-harness[attest]'")


def _private(key: Path | None) -> tuple[bytes, str]:
    if key is not None:
        return _read(key), legible(key)
    if text := os.environ.get("HARNESS_KEY"):
        return text.encode(), "HARNESS_KEY"
    raise UsageError(f"no key; give --key FILE, or its text in HARNESS_KEY. A new one: {attestation.MAKE_KEY}")


def _read(path: Path) -> bytes:
    try:
        return read_whole(path, MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{legible(path)} cannot be read: {error.strerror}; is the path right?") from error
