"""The decision of a finished run made again from its evidence, and held against its record, number by number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import run_json
from harness.policy import Policy
from harness.run.build_run import build_run
from harness.run.finished_run import FinishedRun

TOLERANCE = 1e-9  # of a number, relative and absolute: libraries of other versions round otherwise
FACTS = ("command", "sandbox", "versions")  # of the run, which no evidence gives


def difference(finished: FinishedRun, rules: Policy) -> str:
    """Name the first thing in the record that the evidence does not give under the policy; empty where all agree.

    Checks were made with the model, and stand as recorded; so do power and label issues, which take longest.
    """
    run, evidence = finished.run, finished.evidence
    checks = [one for one in run.findings if one.kind == "check"]
    evaluation = evaluate(evidence, rules.gates)
    again = build_run(evaluation, rules, [*checks, *judge_all(evaluation)], run.command, run.uses, run)
    made, recorded = (json.loads(run_json.dump(one)) for one in (again, run))
    for name in FACTS:
        made.pop(name, None)
        recorded.pop(name, None)
    return next(_differences("", made, recorded), "")


def _differences(place: str, made: Any, recorded: Any) -> Iterator[str]:
    """Yield each place where two contents of JSON differ by more than rounding."""
    if isinstance(made, dict) and isinstance(recorded, dict):
        for name in sorted(made.keys() | recorded.keys()):
            yield from _differences(f"{place}.{name}".lstrip("."), made.get(name), recorded.get(name))
    elif isinstance(made, list) and isinstance(recorded, list) and len(made) == len(recorded):
        for at, pair in enumerate(zip(made, recorded, strict=True)):
            yield from _differences(f"{place}[{at}]", *pair)
    elif isinstance(made, float) and isinstance(recorded, float):
        if not math.isclose(made, recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place} is {recorded!r}, and {made!r} by the evidence"
    elif made != recorded:
        yield f"{place} is {_shown(recorded)}, and {_shown(made)} by the evidence"


def _shown(content: Any) -> str:
    if isinstance(content, list):
        return f"a list of {len(content)}"
    return "an object" if isinstance(content, dict) else repr(content)
