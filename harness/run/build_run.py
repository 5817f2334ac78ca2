"""Stage 5: findings and evidence made into the Run that every output shows."""

from __future__ import annotations

from collections.abc import Sequence

from harness import metrics
from harness.errors import UsageError
from harness.formatting import one_line
from harness.judging import contamination, controls, label_issues, power, sampling, simulation, verdict
from harness.metrics import Evaluation
from harness.metrics.diagnostics import diagnostics
from harness.metrics.own import own_sources
from harness.policy import Policy
from harness.records import CLEAN, Finding, Matrix, Run, Uses
from harness.run.session import versions


def build_run(
    evaluation: Evaluation,
    policy: Policy,
    findings: Sequence[Finding],
    command: str,
    uses: Uses | None = None,
    recorded: Run | None = None,
) -> Run:
    """Add controls, validity, label issues, power and the verdict to the findings of checks and gates.

    ``command``: the command line that repeats the run; ``uses``: how often the test images have decided;
    ``recorded``: a run whose power and label issues, which take longest, are taken over.
    """
    evidence = evaluation.evidence
    confusion: Matrix = ()
    if CLEAN in evidence.answers:
        confusion = metrics.confusion_matrix(evidence.labels, evidence.answers[CLEAN])
    seen = contamination.finding(evidence)
    findings = [*(one for one in findings if seen is None or one.id != seen.id), *([seen] if seen else [])]
    findings = [one.ruled(policy.lowered, policy.waivers) for one in findings]
    _check_waivers(policy, findings)
    issues = recorded.suspects if recorded else label_issues.assess(evidence, findings)
    findings = [*findings, *controls.findings(evaluation, policy.trials())]
    return Run(
        model=evidence.model,
        data=evidence.data,
        policy=policy.facts,
        seed=evidence.seed,
        versions={**versions(), **own_sources(policy.gates)},
        command=command,
        verdict=verdict.of(findings, issues),
        findings=tuple(findings),
        measurements=metrics.table(evaluation),
        confusion=confusion,
        sandbox=evidence.sandbox,
        power=recorded.power if recorded else simulation.simulate(power.of(evaluation), evaluation),
        baseline=evidence.baseline.facts if evidence.baseline else None,
        changes=metrics.change_table(evaluation),
        suspects=issues,
        diagnostics=diagnostics(evidence),
        sampling=sampling.of(evaluation, findings),
        uses=uses,
    )


def _check_waivers(policy: Policy, findings: Sequence[Finding]) -> None:
    """Raise UsageError where a waiver waives nothing: its finding passed, only warns or is not there."""
    open_ = {one.id for one in findings if one.status != "passed" and one.level == "required"}
    for finding, waiver in policy.waivers.items():
        if finding not in open_:
            name = one_line(finding, 120)
            raise UsageError(f"{waiver.where}: the waiver of {name} matches nothing that did not pass; remove it")
