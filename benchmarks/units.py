"""Error rate of one-sided 95 % bounds where MNIST's writers are drawn anew, with writers and without.

    python benchmarks/units.py

prints the tables of docs/explanation/error-rates.md from tests/golden/retrains.npz in some minutes: of two models each
bound by itself, and of all forty the lower bound by writer, of which the rates are computed for many test sets at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtr, stdtrit

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.records import CLASSES, CLEAN, Codes, Mask, Severity, Trial
from harness.statistics.estimates import Share
from harness.statistics.grouping import NO_MISTAKE, of_share
from tests.statistical.test_units import answered, design, redrawn, writers
from tests.support import retrains

SETS = 20_000
AT_ONCE = 2_000
THICK = Severity("thickening", 2)
Counts = NDArray[np.float64]


def row(name: str, what: str, right: Mask, among: Mask) -> None:
    """Print one condition of one model."""
    codes = writers()[among]
    known, unknown = (redrawn(right[among], codes, grouped=grouped, sets=SETS) for grouped in (True, False))
    rates = (f"{each.low:.1f}, {each.high:.1f}" for each in (unknown, known))
    print(f"| {name} | {what} | {design(right[among], codes):.2f} | {' | '.join(rates)} |", flush=True)


def lower_bounds(images: Counts, wrong: Counts) -> Counts:
    """Compute the lower bound of a share for each row of units (sets, units), as ``grouping.effect`` and Share do."""
    n, units = images.sum(1), images.shape[1]
    missed = wrong.sum(1) / n
    hit = 1 - missed
    sums = (images - wrong) * missed[:, None] - wrong * hit[:, None]
    squares = (images - wrong) * missed[:, None] ** 2 + wrong * hit[:, None] ** 2
    total, size = squares.sum(1), (images**2).sum(1) / n
    with np.errstate(invalid="ignore", divide="ignore"):  # without any mistake
        jackknife = (n - 1) / n * (units - 1) / units * ((sums / (1 - images / n[:, None])) ** 2).sum(1) / total
        most = np.maximum(hit, missed)
        error = np.sqrt(((sums**2 - squares) ** 2).sum(1) + (2 * most**2) ** 2) / total
        first = np.maximum(1, jackknife)
        effect = np.minimum(first + error, np.maximum(size, first))
    effect = np.where(total > 0, effect, np.minimum(NO_MISTAKE, size))
    level = stdtr(n - 1, stdtrit(n / size - 1, 0.05))
    told = n / effect
    bounds: Counts = betaincinv(hit * told, missed * told + 1, level)
    return bounds


def released(right: Mask, codes: Codes) -> float:
    """Count in how many of 100 test sets the lower bound by writer lies above the truth."""
    present = np.flatnonzero(np.bincount(codes))
    images, wrong = (np.bincount(codes, weights)[present] for weights in (np.ones(len(codes)), ~right))
    share = Share(int(right.sum()), len(right), of_share(right, codes))
    assert np.isclose(lower_bounds(images[None], wrong[None])[0], share.bounds(0.95)[0][0])
    rng, above = np.random.Generator(np.random.Philox(key=7)), 0
    for _ in range(SETS // AT_ONCE):
        drawn = rng.integers(0, len(present), (AT_ONCE, len(present)))
        above += int((lower_bounds(images[drawn], wrong[drawn]) > right.mean()).sum())
    return 100 * above / SETS


def of_all_models() -> None:
    """Print the mean and the largest rate over the models of each architecture, and how many are over 7."""
    labels = retrains.labels()
    conditions: dict[str, tuple[Trial, Mask]] = {}
    everything = np.ones(len(labels), np.bool_)
    conditions |= {"accuracy": (CLEAN, everything), "accuracy, thickening 2": (THICK, everything)}
    conditions |= {f"recall of {digit}": (CLEAN, labels == digit) for digit in range(CLASSES)}
    rates: dict[str, dict[str, list[float]]] = {what: {} for what in conditions}
    for what, (trial, among) in conditions.items():
        for arch in ("cnn", "mlp"):
            models = (answered(f"{arch}-{seed:02}", trial)[among] for seed in retrains.SEEDS)
            rates[what][arch] = [released(right, writers()[among]) for right in models]
        cells = (f"{np.mean(each):.1f}, {max(each):.1f}" for each in rates[what].values())
        print(f"| {what} | {' | '.join(cells)} |", flush=True)
    every = [rate for by_arch in rates.values() for each in by_arch.values() for rate in each]
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
