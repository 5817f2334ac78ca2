"""Findings -> Verdict: the one function that headline, exit code, summary line and JUnit counts come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from harness.formatting import count
from harness.metrics.display import counted, difference
from harness.records import Finding, Status, Suspects, Verdict, Word

EXIT_CODES: dict[Word, int] = {"allowed": 0, "allowed_with_warnings": 0, "blocked": 1, "no_verdict": 5}
_MANY = 200_000  # labelled images nobody will collect for one gate

HEADLINES: dict[Word, str] = {
    "allowed": "✓ Release allowed",
    "allowed_with_warnings": "! Allowed with warnings",
    "blocked": "✕ Blocked",
    "no_verdict": "? No verdict",
}


def of(findings: Sequence[Finding], suspects: Suspects | None = None) -> Verdict:
    """Blocked if any required finding failed; else no verdict unless every one passed; else allowed.

    Labels in doubt change no word: the advice says what hangs on them.
    """
    broken = [finding for finding in findings if finding.kind == "control" and finding.status == "inconclusive"]
    findings = [finding for finding in findings if finding.kind != "control"]
    waived = [finding for finding in findings if finding.waived]
    required = [finding for finding in findings if finding.level == "required" and not finding.waived]
    warnings = [finding for finding in findings if finding.level == "warning" and finding.status != "passed"]
    failed = [finding for finding in required if finding.status == "failed"]
    open_ = [finding for finding in required if finding.status in ("not_evaluated", "inconclusive")]
    word: Word
    if broken:
        word, sentence = "no_verdict", f"The harness is broken: {_closed(broken[0].reason)}"
        advice = "Believe nothing that this run says, and report it to whoever keeps the harness."
        return Verdict(word, sentence, advice, EXIT_CODES[word], _counts([*required, *broken], warnings, waived))
    if failed:
        word, sentence, advice = "blocked", _blocked(failed, open_, required), _mend(failed, open_)
    elif open_ or not required:
        word, sentence, advice = "no_verdict", _undecided(open_, required), _settle(open_)
    elif waived:
        word, sentence = "allowed_with_warnings", _set_aside(waived, required, warnings)
        advice = "Read what is waived, and why, before you release."
    elif warnings:
        word = "allowed_with_warnings"
        first = _closed(worst(warnings).reason)
        sentence = f"{_all_passed(required)} {count(len(warnings), 'warning')}; first: {first}"
        advice = "Read each warning before you release."
    else:
        word, sentence = "allowed", f"{_all_passed(required)} {_tightest(required)}".strip()
        advice = "Release it, and keep run.json and the evidence with the release."
    if suspects is not None and suspects.turned:
        advice += f" {_hangs(suspects)}"
    return Verdict(word, sentence, advice, EXIT_CODES[word], _counts(required, warnings, waived))


def worst(findings: Sequence[Finding]) -> Finding:
    """Choose the finding to name first: a check, since it names a cause, then the gate with the largest miss."""
    checks = [finding for finding in findings if finding.kind == "check"]
    if checks:
        return checks[0]
    return min(findings, key=lambda finding: (finding.margin is None, finding.margin or 0.0))


def _counts(
    required: Sequence[Finding], warnings: Sequence[Finding], waived: Sequence[Finding]
) -> dict[Status | Literal["warned", "waived"], int]:
    seen = Counter(finding.status for finding in required)
    statuses: tuple[Status, ...] = ("passed", "failed", "inconclusive", "not_evaluated")
    counts: dict[Status | Literal["warned", "waived"], int] = {status: seen[status] for status in statuses}
    counts["warned"] = len(warnings)
    if waived:
        counts["waived"] = len(waived)
    return counts


def _set_aside(waived: Sequence[Finding], required: Sequence[Finding], warnings: Sequence[Finding]) -> str:
    first = worst(waived)
    until = f"until {first.waiver.until}" if first.waiver else ""
    are = "finding that did not pass is" if len(waived) == 1 else "findings that did not pass are"
    also = f" {count(len(warnings), 'warning')} besides." if warnings else ""
    return f"{_kinds(required)} passed. {len(waived)} {are} waived; first, {until}: {_closed(first.reason)}{also}"


def _kinds(findings: Sequence[Finding]) -> str:
    amounts = Counter(finding.kind for finding in findings)
    parts = [count(amounts[kind], kind) for kind in ("gate", "check") if amounts[kind]]
    return " and ".join(parts)


def _all_passed(required: Sequence[Finding]) -> str:
    first = "gate" if any(finding.kind == "gate" for finding in required) else "check"
    several = sum(finding.kind == first for finding in required) > 1
    return f"{'All ' if several else ''}{_kinds(required)} passed."


def _tightest(required: Sequence[Finding]) -> str:
    gates = [finding for finding in required if finding.gate and finding.margin is not None]
    if not gates:
        return ""
    tight = min(gates, key=lambda finding: finding.margin or 0.0)
    assert tight.gate is not None
    assert tight.margin is not None
    images = "" if tight.margin_images is None else f" ({_of_images(tight)})"
    return f"Tightest: {tight.title}, {difference(tight.gate.metric, tight.margin)}{images}."


def _of_images(finding: Finding) -> str:
    n, noun = (finding.measurement.n, counted(finding.measurement.metric)) if finding.measurement else (0, "image")
    return f"{count(abs(finding.margin_images or 0), noun)} of {n:,}"


def _blocked(failed: Sequence[Finding], open_: Sequence[Finding], required: Sequence[Finding]) -> str:
    first = worst(failed)
    of_kind = [finding for finding in required if finding.kind == first.kind]
    same = [finding for finding in failed if finding.kind == first.kind]
    lead = "Worst" if first.kind == "gate" else "First"
    others = len(failed) - len(same)
    also = f" {count(others, 'gate')} failed too." if others and first.kind == "check" else ""
    amount = f"{len(same)} of {count(len(of_kind), f'required {first.kind}')}"
    stopped = f"{amount} failed. {lead}: {_closed(first.reason)}{also}"
    doubt = _doubt(failed, open_)
    return f"{doubt[:1].upper()}{_closed(doubt[1:])} Besides, {stopped}" if doubt else stopped


def _doubt(failed: Sequence[Finding], open_: Sequence[Finding]) -> str:
    """Say why the digits cannot tell, where nothing but gates on them failed."""
    doubts = [finding.reason for finding in open_ if finding.kind == "check" and finding.status == "inconclusive"]
    return doubts[0] if doubts and worst(failed).kind == "gate" else ""


def _closed(reason: str) -> str:
    return reason if reason.endswith(("?", ".", "…")) else f"{reason}."


def _hangs(suspects: Suspects) -> str:
    gates, first = len(suspects.turned), suspects.turned[0]
    which = f"{first} hangs" if gates == 1 else f"{gates} gates, first {first}, hang"
    images = count(len(suspects.images), "image")
    doubt = "label is" if len(suspects.images) == 1 else "labels are"
    return f"{which[:1].upper()}{which[1:]} on {images} whose {doubt} in doubt: look at them first (Mistakes)."


def _mend(failed: Sequence[Finding], open_: Sequence[Finding]) -> str:
    first = worst(failed)
    if _doubt(failed, open_):
        return "Do not release. Settle that doubt first; then look at the mistakes behind the failed gates."
    if first.kind == "check":
        return f"Do not release. Mend the cause ({first.where}), then judge the model again."
    return "Do not release. Look at the mistakes behind the failed gates, retrain, then judge the new model."


def _undecided(open_: Sequence[Finding], required: Sequence[Finding]) -> str:
    if not required:
        return "Nothing was checked, so nothing can be said."
    kinds = " and ".join(f"{kind}s" for kind in ("gate", "check") if any(found.kind == kind for found in required))
    return f"{len(open_)} of {len(required)} {kinds} could not be decided. First: {_closed(worst(open_).reason)}"


def _settle(open_: Sequence[Finding]) -> str:
    if not open_ or not all(finding.status == "inconclusive" and finding.gate for finding in open_):
        return "Do not release yet. Remove what kept it from being decided, then run again."
    most = max(open_, key=lambda finding: finding.images_needed or _MANY + 1)
    if not most.images_needed or most.images_needed > _MANY:
        return "Do not release yet. The model sits too close to a threshold for these images: improve it or the rule."
    digit = most.gate.scope.digit if most.gate else None
    like = "like these" if digit is None else f"of digit {digit}"
    if most.units_needed and most.measurement and most.measurement.units:
        more = max(1, most.units_needed - most.measurement.units)
        return f"Do not release yet. Labelled images {like} of about {more:,} more units would settle it."
    noun = f"labelled {counted(most.gate.metric if most.gate else '')}s"
    return f"Do not release yet. About {most.images_needed:,} {noun} {like} would settle it."
