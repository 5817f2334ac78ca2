"""Error rate of one-sided 95 % bounds where MNIST's writers are drawn anew, with writers and without.

    python benchmarks/units.py

prints the table of docs/explanation/error-rates.md from tests/golden/retrains.npz in some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.records import CLEAN, Mask, Severity
from tests.statistical.test_units import answered, design, redrawn, writers
from tests.support import retrains

SETS = 20_000


def row(name: str, what: str, right: Mask, among: Mask) -> None:
    """Print one condition of one model."""
    codes = writers()[among]
    known, unknown = (redrawn(right[among], codes, grouped=grouped, sets=SETS) for grouped in (True, False))
    rates = (f"{each.low:.1f}, {each.high:.1f}" for each in (unknown, known))
    print(f"| {name} | {what} | {design(right[among], codes):.2f} | {' | '.join(rates)} |", flush=True)


if __name__ == "__main__":
    print("| model | of | design effect | independent | by writer |\n|---|---|---|---|---|")
    labels = retrains.labels()
    everything = np.ones(len(labels), np.bool_)
    for name in ("cnn-03", "mlp-02"):
        for what, trial in (("accuracy", CLEAN), ("accuracy, thickening 2", Severity("thickening", 2))):
            row(name, what, answered(name, trial), everything)
        for digit in range(10):
            row(name, f"recall of {digit}", answered(name, CLEAN), labels == digit)
