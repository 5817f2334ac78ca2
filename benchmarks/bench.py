"""Measure all costs side by side in one run, against bars: ``tox -e bench`` or ``python benchmarks/bench.py``.

Uses the embedded digits, moved copies up to the numbers needed, and models trained on them: speed does not depend on
the weights. Writes benchmark.md and benchmark.svg in docs/reference. Times on shared machines drift: every ratio is of
two times from one repeat, and every number the median of the repeats. ``--quick`` takes a fifth of the sets, two
repeats and a tenth of the images, and only prints; it shows that all rows can be measured, and its verdicts mean
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from harness.corruptions import CORRUPTIONS, corrupt, prepare
from harness.data.sources import load
from harness.records import SEVERITIES, Images, Severity

HERE = Path(__file__).parent
N, SEED, SETS = 10_000, 2026, 75
# MNIST-C's reference code took 750 s to corrupt 10,000 digits in 15 ways at 5 severities on a machine with 2 cores on
# which the convnet's best inference on the 75 sets took 19.4 s. It cannot be installed any more: scaled by that here.
REFERENCE_INFERENCES = 750.0 / 19.4
MNIST_C = tuple(name for name, found in CORRUPTIONS.items() if found.mnist_c)


@dataclass(frozen=True)
class Row:
    """One bar of the table: what was measured in each repeat, and what it must not be over (or under)."""

    what: str
    values: Sequence[float]
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def value(self) -> float:
        """Return the median of the repeats."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Return whether the bar is met; empty where there is none."""
        if self.bar is None:
            return ""
        return "met" if (self.value >= self.bar if self.at_least else self.value <= self.bar) else "MISSED"

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{'≥' if self.at_least else '≤'} {self.bar:g}"
        spread = f"{min(self.values):.3g} to {max(self.values):.3g}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {spread} | {bar} | {self.verdict} |"


def timed(work: Callable[[], object]) -> float:
    """Time one call in seconds of the wall clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def script(name: str, *words: object) -> dict[str, Any]:
    """Run a benchmark in a process of its own and return what it prints as its last line."""
    command = [sys.executable, str(HERE / name), *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def corruption_costs(images: Images) -> dict[str, list[float]]:
    """Time each corruption by severity: CPU ms per 10,000 images on one core, tables built before."""
    table = {}
    for name in CORRUPTIONS:
        row = []
        for severity in SEVERITIES:
            others = np.roll(images, severity, axis=0)  # so that nothing kept from an earlier severity helps
            began = time.process_time()
            corrupt(others, Severity(name, severity), seed=SEED)
            row.append(1000 * (time.process_time() - began) * N / len(images))
        table[name] = row
    return table


def against_inference(arch: str, model: Path, repeats: int, sets: int, n: int, convnet: list[float]) -> Iterator[Row]:
    """Compare the sweep with the model's own inference and the reference pipeline, from the same repeats.

    ``convnet`` is filled with the cnn's best inferences, which come first.
    """
    sweeps, best, predicts, references = [], [], [], []
    report = sklearn_report(n)
    for _ in range(repeats):
        ways: dict[str, float] = {}
        for way in ("threads", "function", "predict"):
            ways |= script("inference.py", model, way, 3)
        scale = sets * n / N
        best.append(min(ways["threads"], ways["function"]) * scale)
        predicts.append(ways["predict"] * scale)
        if arch == "cnn":
            convnet.append(best[-1])
        references.append(REFERENCE_INFERENCES * median(convnet) + predicts[-1] + report * sets)
        sweeps.append(script("sweeping.py", model, n, sets)["seconds"])
    pairs = list(zip(sweeps, best, predicts, references, strict=True))
    yield Row(f"{arch}: sweep of {sets} sets", sweeps, "s", 4.5 if arch == "mlp" else None)
    yield Row(f"{arch}: best pure inference", best, "s")
    yield Row(f"{arch}: sweep / best inference", [s / b for s, b, _, _ in pairs], "", 1.15 if arch == "cnn" else None)
    yield Row(f"{arch}: sweep / model.predict", [s / p for s, _, p, _ in pairs], "")
    bar = 150 if arch == "mlp" else 30
    yield Row(f"{arch}: reference pipeline / sweep", [r / s for s, _, _, r in pairs], "", bar, at_least=True)


def sklearn_report(n: int) -> float:
    """Time scikit-learn's report on the answers to one set, in seconds."""
    from sklearn.metrics import classification_report, confusion_matrix

    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 10, n), rng.integers(0, 10, n)
    return timed(lambda: (classification_report(labels, answers), confusion_matrix(labels, answers)))


def growth(model: Path, repeats: int, n: int) -> Iterator[Row]:
    """Sweep the same few sets of ever more images, each in a process of its own."""
    shapes = ((n, 6), (6 * n, 6), (60 * n, 6))
    runs = {size: [script("sweeping.py", model, size, sets, "alike") for _ in range(repeats)] for size, sets in shapes}
    each = {size: [run["seconds"] / size / sets * N for run in runs[size]] for size, sets in shapes}
    for size, sets in shapes:
        yield Row(f"{size:,} images, {sets} sets: per 10,000 images and set", each[size], "s")
    ratios = [large / small for small, large in zip(each[n], each[60 * n], strict=True)]
    yield Row(f"{n:,} -> {60 * n:,} images: time over linear", ratios, "", 1.05)

    def beyond(size: int) -> list[float]:
        """Compute the megabytes of both processes beyond the images."""
        return [run["parent_mb"] + run["child_mb"] - run["data_mb"] for run in runs[size]]

    more = [large / small for small, large in zip(beyond(n), beyond(60 * n), strict=True)]
    yield Row(f"{n:,} -> {60 * n:,} images: memory beyond the data, ratio", more, "", 1.05)


def memory_and_start(model: Path, repeats: int, n: int) -> Iterator[Row]:
    """Measure peaks at 15 and 150 sets, and what the parent does while the child starts."""
    for sets in (15, 150):
        runs = [script("sweeping.py", model, n, sets) for _ in range(repeats if sets == 15 else 1)]
        peaks = [(run["parent_mb"] + run["child_mb"]) / 1024 for run in runs]
        yield Row(f"peak memory, both processes, {sets} sets", peaks, "GB", 1.6)
        if sets == 15:
            yield Row("start: this process has data and tables", [run["ready"] for run in runs], "s")
            yield Row("start: the child has the model", [run["loaded"] for run in runs], "s")
            yield Row("start: own time over the child's", [run["ready"] / run["loaded"] for run in runs], "", 1.0)


def together(model: Path, repeats: int, n: int, sets: int) -> Iterator[Row]:
    """Compare four candidates on the same images with four sweeps of one."""
    four = [script("sweeping.py", ",".join([str(model)] * 4), n, sets)["seconds"] for _ in range(repeats)]
    one = [script("sweeping.py", model, n, sets)["seconds"] for _ in range(repeats)]
    yield Row("four candidates together / one by one", [f / 4 / o for f, o in zip(four, one, strict=True)], "", 0.9)


def corrupted_alone(costs: Sequence[dict[str, list[float]]]) -> Iterator[Row]:
    """Summarise the three bars on corrupting over the repeats."""
    yield Row(
        "corrupted images alone, 75 sets, one core",
        [sum(sum(run[name]) for name in MNIST_C) / 1000 for run in costs], "CPU s", 4,
    )  # fmt: skip
    slowest = {name: median(max(run[name]) for run in costs) for name in CORRUPTIONS}
    name = max(slowest, key=lambda one: slowest[one])
    yield Row(f"slowest corruption ({name}) per 10,000", [max(run[name]) for run in costs], "CPU ms", 350)
    middle = [median(cost for row in run.values() for cost in row) for run in costs]
    yield Row("median corruption per 10,000", middle, "CPU ms", 20)


def commands(model: Path) -> Iterator[Row]:
    """Time the commands a user types, and the parts of ``harness run`` as it states them itself; once."""
    entry = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()"]

    def call(*words: str) -> None:
        subprocess.run([*entry, *words], capture_output=True, check=False)

    with tempfile.TemporaryDirectory() as folder:
        suite = str(HERE.parent / "suites" / "embedded.toml")
        whole = timed(lambda: call("run", str(model), "--data", "embedded", "--out", folder))
        yield Row("harness run, embedded digits", [whole], "s")
        parts = json.loads(Path(folder, "session.json").read_text())["seconds"]
        yield from (Row(f"of which {name}", [seconds], "s") for name, seconds in parts.items())
        yield Row("harness gate", [timed(lambda: call("gate", folder, "--policy", suite))], "s")
        yield Row("harness report", [timed(lambda: call("report", folder))], "s")
        yield Row("harness --help", [timed(lambda: call("--help"))], "s")


def trained(folder: Path) -> dict[str, Path]:
    """Train the reference models, one epoch each."""
    models = {}
    for arch in ("cnn", "mlp"):
        models[arch] = folder / f"{arch}.keras"
        words = ["train", "--arch", arch, "--data", "embedded", "--epochs", "1", "--out", str(models[arch])]
        command = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()", *words]
        subprocess.run(command, check=True, capture_output=True)
    return models


def rows(repeats: int, sets: int, n: int, costs: list[dict[str, list[float]]]) -> Iterator[Row]:
    """List every row of the table, in order; ``costs`` is filled on the way."""
    known = load("embedded")
    assert known.train_images is not None
    digits = np.concatenate([known.train_images, known.images])
    images = np.concatenate([digits, np.roll(digits, (1, 2), (1, 2))])[:n]
    with tempfile.TemporaryDirectory() as folder:
        models = trained(Path(folder))
        convnet: list[float] = []
        for arch, model in models.items():
            yield from against_inference(arch, model, repeats, sets, n, convnet)
        yield Row("tables and banks of all corruptions, once", [timed(lambda: prepare(tuple(CORRUPTIONS)))], "s")
        costs += [corruption_costs(images) for _ in range(repeats)]
        yield from corrupted_alone(costs)
        yield from memory_and_start(models["mlp"], repeats, n)
        yield from growth(models["mlp"], repeats, n)
        yield from together(models["mlp"], repeats, n, sets)
        yield from commands(models["cnn"])


def main(repeats: int, quick: bool) -> None:
    """Measure, then write the page and the picture."""
    began = time.perf_counter()
    sets, n = (SETS // 5, N // 10) if quick else (SETS, N)
    costs: list[dict[str, list[float]]] = []
    lines = ["| what | median | from, to | bar | result |", "|---|---|---|---|---|"]
    for row in rows(repeats, sets, n, costs):
        print(row, flush=True)
        lines.append(str(row))
    minutes = (time.perf_counter() - began) / 60
    head = [
        "# Benchmark",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; {n:,} images, {sets} sets, {repeats} repeats, {minutes:.0f} minutes. "
        "Made by `tox -e bench`.",
        "",
        "The reference pipeline is MNIST-C's reference code, which takes as long as "
        f"{REFERENCE_INFERENCES:.1f} times the cnn's best inference (750 s and 19.4 s, on one other machine), and "
        "`model.predict` and scikit-learn's report as measured here.",
        "",
    ]
    medians = {name: [median(run[name][at] for run in costs) for at in range(5)] for name in CORRUPTIONS}
    table = [
        "",
        "## Corruptions",
        "",
        "![Cost of each corruption, mean of five severities](benchmark.svg)",
        "",
        f"CPU ms per {N:,} images on one core, severities 1 to 5; medians.",
        "",
    ]
    table += ["| corruption | 1 | 2 | 3 | 4 | 5 |", "|---|---|---|---|---|---|"]
    table += [f"| {name} | " + " | ".join(f"{cost:.0f}" for cost in row) + " |" for name, row in medians.items()]
    if quick:
        return
    docs = HERE.parent / "docs" / "reference"
    (docs / "benchmark.md").write_text("\n".join([*head, *lines, *table]) + "\n")
    (docs / "benchmark.svg").write_text(chart(medians))


def chart(costs: dict[str, list[float]]) -> str:
    """Draw a bar per corruption: its mean CPU ms per 10,000 images."""
    means = sorted(((sum(row) / len(row), name) for name, row in costs.items()), reverse=True)
    widest = means[0][0]
    rows = "".join(
        f'<text x="140" y="{20 * i + 15}" text-anchor="end">{name}</text>'
        f'<rect x="150" y="{20 * i + 4}" width="{max(400 * value / widest, 1):.1f}" height="14" fill="#2a6fb0"/>'
        f'<text x="{156 + 400 * value / widest:.1f}" y="{20 * i + 15}">{value:.0f}</text>'
        for i, (value, name) in enumerate(means)
    )
    height = 20 * len(means) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="620" height="{height}" '
        f'font-family="sans-serif" font-size="12">'
        f"<title>CPU ms per 10,000 images, mean of five severities</title>{rows}</svg>\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer sets, images and repeats")
    given = parser.parse_args()
    main(2 if given.quick else given.repeats, given.quick)
