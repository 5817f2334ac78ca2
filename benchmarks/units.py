"""Error rate of one-sided 95 % bounds where MNIST's writers are drawn anew, with writers and without.

    python benchmarks/units.py

prints the tables of docs/explanation/error-rates.md from tests/golden/retrains.npz in some minutes: of two models each
bound by itself, and of all forty the lower bound by writer, of which the rates are computed for many test sets at once,
also with more standard errors of the design effect added than the one that the program adds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.records import CLASSES, CLEAN, Mask, Trial
from tests.statistical.test_units import THICK, answered, by_unit, design, lower_bounds, redrawn, released, writers
from tests.support import retrains

SETS = 20_000
ARCHITECTURES = ("cnn", "mlp")
FEWER = 4_000  # test sets a condition, where standard errors are compared


def row(name: str, what: str, right: Mask, among: Mask) -> None:
    """Print one condition of one model."""
    codes = writers()[among]
    known, unknown = (redrawn(right[among], codes, grouped=grouped, sets=SETS) for grouped in (True, False))
    rates = (f"{each.low:.1f}, {each.high:.1f}" for each in (unknown, known))
    print(f"| {name} | {what} | {design(right[among], codes):.2f} | {' | '.join(rates)} |", flush=True)


def conditions() -> dict[str, tuple[Trial, Mask]]:
    """Return accuracy, accuracy under thickening, and the recall of each digit: the trial and the images of each."""
    labels = retrains.labels()
    everything = np.ones(len(labels), np.bool_)
    recalls = {f"recall of {digit}": (CLEAN, labels == digit) for digit in range(CLASSES)}
    return {"accuracy": (CLEAN, everything), "accuracy, thickening 2": (THICK, everything), **recalls}


def models(arch: str, trial: Trial, among: Mask) -> Iterator[Mask]:
    """Yield which of some images each model of an architecture reads right."""
    return (answered(f"{arch}-{seed:02}", trial)[among] for seed in retrains.SEEDS)


def of_all_models() -> None:
    """Print the mean and the largest rate over the models of each architecture, and how many are over 7."""
    every: list[float] = []
    for what, (trial, among) in conditions().items():
        cells = []
        for arch in ARCHITECTURES:
            rates = [released(right, writers()[among], SETS) for right in models(arch, trial, among)]
            cells.append(f"{np.mean(rates):.1f}, {max(rates):.1f}")
            every += rates
        print(f"| {what} | {' | '.join(cells)} |", flush=True)
    print(f"{sum(rate > 7 for rate in every)} of {len(every)} are over 7", flush=True)


def of_more_errors(errors: float) -> None:
    """Print how many rates are over 7, the largest, and how much wider intervals of accuracy are."""
    rates, wider = [], dict[str, list[float]]()
    for what, (trial, among) in conditions().items():
        for arch in ARCHITECTURES:
            for right in models(arch, trial, among):
                codes = writers()[among]
                rates.append(released(right, codes, FEWER, errors))
                counts = [each[None] for each in by_unit(right, codes)]
                one, more = (float(right.mean() - lower_bounds(*counts, each)[0]) for each in (1.0, errors))
                wider.setdefault(what, []).append(more / one - 1)
    widths = (f"{np.mean(wider[what]):.0%}" for what in ("accuracy", "accuracy, thickening 2"))
    over = sum(rate > 7 for rate in rates)
    print(f"| {errors:g} | {over} of {len(rates)} | {max(rates):.1f} | {' | '.join(widths)} |", flush=True)


if __name__ == "__main__":
    print("| of | cnn: mean, largest | mlp: mean, largest |\n|---|---|---|")
    of_all_models()
    print("| standard errors | over 7 | largest | clean accuracy wider by | thickened |\n|---|---|---|---|---|")
    for errors in (1.0, 1.645, 2.0, 2.5, 3.0):
        of_more_errors(errors)
    print("| model | of | design effect | independent | by writer |\n|---|---|---|---|---|")
    for name in ("cnn-03", "mlp-02"):
        for what, (trial, among) in conditions().items():
            row(name, what, answered(name, trial), among)
