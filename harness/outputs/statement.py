"""Run -> in-toto Statement v1 with the predicate test-result v0.1: what was judged, by what, and the verdict.

Source: https://github.com/in-toto/attestation, spec/predicates/test-result.md. ``digitReleaseHarness`` is an extension
field, which readers of the predicate pass over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness import __version__
from harness.records import Finding, Run, Word

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS: Mapping[Word, str] = {
    "allowed": "PASSED", "allowed_with_warnings": "WARNED", "blocked": "FAILED", "no_verdict": "FAILED"
}  # fmt: skip


def statement(run: Run, run_sha256: str, evidence_sha256: str, url: str = "") -> dict[str, Any]:
    """Describe a finished run as a statement about its model file; ``url``: of the build that judged it."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": run.model.name, "digest": {"sha256": run.model.sha256}}],
        "predicateType": PREDICATE,
        "predicate": predicate(run, run_sha256, evidence_sha256, url),
    }


def predicate(run: Run, run_sha256: str, evidence_sha256: str, url: str = "") -> dict[str, Any]:
    """Describe verdict, configuration and findings; digests of ``run.json`` and of the evidence's manifest."""
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for finding in run.findings:
        tests[_list_of(finding)].append(finding.id)
    return {
        "result": RESULTS[run.verdict.word],
        "configuration": _configuration(run),
        **({"url": url} if url else {}),
        **tests,
        "digitReleaseHarness": {
            "version": __version__,
            "verdict": run.verdict.word,
            "exitCode": run.verdict.exit_code,
            "sentence": run.verdict.sentence,
            "seed": run.seed,
            "run": {"name": "run.json", "digest": {"sha256": run_sha256}},
            "evidence": {"name": "evidence/manifest.json", "digest": {"sha256": evidence_sha256}},
        },
    }


def dump(content: Mapping[str, Any]) -> bytes:
    """Encode as JSON; equal content gives equal bytes."""
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _list_of(finding: Finding) -> str:
    if finding.status == "passed":
        return "passedTests"
    return "warnedTests" if finding.level == "warning" or finding.waived else "failedTests"


def _configuration(run: Run) -> list[dict[str, Any]]:
    """List what else the verdict depends on, each by its SHA-256."""
    resources = [_resource(run.policy.file, run.policy.sha256, "policy files")]
    resources.append(_resource(run.data.name, run.data.sha256, "shapes, images and labels"))
    if run.model.preprocess_sha256:
        resources.append(_resource(run.model.preprocess, run.model.preprocess_sha256, "preprocessing module"))
    if run.baseline is not None:
        resources.append(_resource(run.baseline.model, run.baseline.sha256, "model file of the baseline"))
    return resources


def _resource(name: str, digest: str, of: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}, "annotations": {"digestOf": of}}
