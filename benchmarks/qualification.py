"""Qualification of the shipped policies: faults planted in a good model, and judged by each.

    python benchmarks/qualification.py model.keras --data mnist.npz --policy release --policy successor \
        --baseline other.keras --out out/

prints a table for docs/explanation/qualification.md; policies about the last release need the baselines. What is
finished lies in a folder a policy and is not judged again.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from harness.records import Ladder, Qualification
from harness.run.qualify import Options, qualify
from harness.run.session import Request


def cells(ladder: Ladder) -> str:
    """Write from where on an operator is stopped, and what is let through below."""
    if not ladder.mutants:
        return ladder.note
    words = f"{ladder.said} or less" if ladder.from_first else ladder.said or "nothing"
    gone = ladder.unnoticed
    if gone is None or gone.accuracy is None or gone.worst_recall is None:
        return words
    costs = f"{gone.accuracy:.2%}, {gone.worst_recall:.1%} of {gone.worst_digit}".replace("%", " %")
    return f"{words} ({ladder.below}: {costs})"


def head(name: str, found: Qualification) -> str:
    """Write the score and the false alarms of a policy."""
    score = found.score
    share = f"{score.value:.0%} ({score.low:.0%} to {score.high:.0%})" if score else "nothing"
    stopped = sum(bool(one.by) for one in found.retrainings)
    chance = "" if found.chance is None else f", itself with probability {found.chance:.0%}"
    return f"{name}: {share} of mutants stopped; {stopped} of {len(found.retrainings)} retrainings{chance}"


def main() -> None:
    """Qualify each policy and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--policy", action="append", type=Path, required=True)
    parser.add_argument("--baseline", action="append", type=Path, default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--anyway", action="store_true")
    asked = parser.parse_args()
    found = {}
    for policy in asked.policy:
        where, baseline = asked.out / policy.stem, tuple(asked.baseline)
        request = Request(asked.model, asked.data, policy, where, baseline=baseline, today=date.today())
        found[policy.stem] = qualify(request, Options(minutes=60, anyway=asked.anyway, resume=True))
    print("\n".join(head(name, one) for name, one in found.items()))
    print(f"\n| fault | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    rows = {name: {one.operator: cells(one) for one in whole.ladders} for name, whole in found.items()}
    for operator in next(iter(rows.values())):
        print(f"| `{operator}` | {' | '.join(each[operator] for each in rows.values())} |")


if __name__ == "__main__":
    main()
