"""Error rate of one-sided 95 % bounds where MNIST's writers are drawn anew, with writers and without.

    python benchmarks/units.py

prints the tables of docs/explanation/error-rates.md from tests/golden/retrains.npz in some minutes: of two models each
bound by itself, and of all forty the lower bound by writer, of which the rates are computed for many test sets at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.records import CLASSES, CLEAN, Mask, Trial
from tests.statistical.test_units import THICK, answered, design, redrawn, released, writers
from tests.support import retrains

SETS = 20_000


def row(name: str, what: str, right: Mask, among: Mask) -> None:
    """Print one condition of one model."""
    codes = writers()[among]
    known, unknown = (redrawn(right[among], codes, grouped=grouped, sets=SETS) for grouped in (True, False))
    rates = (f"{each.low:.1f}, {each.high:.1f}" for each in (unknown, known))
    print(f"| {name} | {what} | {design(right[among], codes):.2f} | {' | '.join(rates)} |", flush=True)


def of_all_models() -> None:
    """Print the mean and the largest rate over the models of each architecture, and how many are over 7."""
    labels = retrains.labels()
    everything = np.ones(len(labels), np.bool_)
    conditions: dict[str, tuple[Trial, Mask]] = {
        "accuracy": (CLEAN, everything),
        "accuracy, thickening 2": (THICK, everything),
        **{f"recall of {digit}": (CLEAN, labels == digit) for digit in range(CLASSES)},
    }
    every: list[float] = []
    for what, (trial, among) in conditions.items():
        cells = []
        for arch in ("cnn", "mlp"):
            models = (answered(f"{arch}-{seed:02}", trial)[among] for seed in retrains.SEEDS)
            rates = [released(right, writers()[among], SETS) for right in models]
            cells.append(f"{np.mean(rates):.1f}, {max(rates):.1f}")
            every += rates
        print(f"| {what} | {' | '.join(cells)} |", flush=True)
    print(f"{sum(rate > 7 for rate in every)} of {len(every)} are over 7", flush=True)


if __name__ == "__main__":
    print("| of | cnn: mean, largest | mlp: mean, largest |\n|---|---|---|")
    of_all_models()
    print("| model | of | design effect | independent | by writer |\n|---|---|---|---|---|")
    labels = retrains.labels()
    everything = np.ones(len(labels), np.bool_)
    for name in ("cnn-03", "mlp-02"):
        for what, trial in (("accuracy", CLEAN), ("accuracy, thickening 2", THICK)):
            row(name, what, answered(name, trial), everything)
        for digit in range(10):
            row(name, f"recall of {digit}", answered(name, CLEAN), labels == digit)
