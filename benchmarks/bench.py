"""What everything costs, side by side in one run, as ratios: ``tox -e bench`` or ``python benchmarks/bench.py``.

Uses the embedded digits, repeated to 10,000, and models trained on them: speed does not depend on the weights.
Writes docs/benchmark.md and docs/benchmark.svg. Times on shared machines drift: quote ratios and medians.
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
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from harness import digits, evidence, sweep
from harness.corruptions import CORRUPTIONS, corrupt, prepare
from harness.records import CLEAN, SEVERITIES, Dataset, Trial
from harness.subject import Subject

HERE = Path(__file__).parent
N = 10_000
SEED = 2026
MNIST_C = tuple(name for name, found in CORRUPTIONS.items() if found.mnist_c)
SETS = tuple(Trial(name, (severity,)) for name in MNIST_C for severity in SEVERITIES)


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def repeated(dataset: Dataset, n: int) -> Dataset:
    """The same digits over and over, up to ``n``."""
    index = np.resize(np.arange(len(dataset.labels)), n)
    facts = replace(dataset.facts, n=n)
    return replace(dataset, images=dataset.images[index], labels=dataset.labels[index], facts=facts)


def corruption_table(dataset: Dataset) -> tuple[float, dict[str, list[float]]]:
    """Seconds for all tables, and CPU milliseconds per 10,000 images: corruption -> by severity."""
    tables = timed(lambda: prepare(tuple(CORRUPTIONS)))
    table = {}
    for name in CORRUPTIONS:
        row = []
        for severity in SEVERITIES:
            began = time.process_time()
            corrupt(dataset.images, Trial(name, (severity,)), seed=SEED)
            row.append(1000 * (time.process_time() - began))
        table[name] = row
    return tables, table


def inference(model: Path, sets: int) -> dict[str, float]:
    """Seconds per 10,000 images, each way in a process of its own."""
    found: dict[str, float] = {}
    for way in ("threads", "function", "predict"):
        command = [sys.executable, str(HERE / "inference.py"), str(model), way, str(sets)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found |= json.loads(done.stdout)
    return found


def swept(model: Path, dataset: Dataset, trials: Sequence[Trial]) -> tuple[float, float]:
    """Seconds of a sweep with a child that has loaded, and peak megabytes of parent and child together."""
    with tempfile.TemporaryDirectory() as folder, Subject.start(model) as subject:
        subject.predict(dataset.images[:1000])
        store = evidence.Store(Path(folder) / "evidence", "bench")
        seconds = timed(lambda: sweep.measure(subject, dataset, trials, SEED, store, lambda done, total: None))
        return seconds, peak("self") + peak(str(subject.pid))


def peak(pid: str) -> float:
    """Largest resident memory of a process so far, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def commands(model: Path) -> dict[str, float]:
    """Seconds of the commands a user types, and the parts of ``harness run`` as it states them itself."""
    entry = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()"]

    def call(*words: str) -> None:
        subprocess.run([*entry, *words], capture_output=True, check=False)

    with tempfile.TemporaryDirectory() as folder:
        policy = next(path for path in (HERE.parent / "suites").glob("embedded.toml"))
        found = {"harness run": timed(lambda: call("run", str(model), "--data", "embedded", "--out", folder))}
        parts = json.loads(Path(folder, "session.json").read_text())["seconds"]
        found |= {f"of which {name}": seconds for name, seconds in parts.items()}
        found["harness gate"] = timed(lambda: call("gate", folder, "--policy", str(policy)))
        found["harness report"] = timed(lambda: call("report", folder))
        found["harness --help"] = timed(lambda: call("--help"))
    return found


def growth(model: Path, dataset: Dataset) -> list[tuple[str, float, float]]:
    """(what, seconds per 10,000 images and trial, peak megabytes) for more images and more trials."""
    rows = []
    for n in (10_000, 60_000, 600_000):
        seconds, memory = swept(model, repeated(dataset, n), [CLEAN, Trial("gaussian_noise", (3,))])
        rows.append((f"{n:,} images, 2 trials", seconds / 2 / n * N, memory))
    for trials in (15, 75, 150):
        plan = [Trial(name, (s,)) for name in CORRUPTIONS for s in SEVERITIES if name not in ("swelling", "fracture")]
        plan = [*plan, *(Trial("rotation", (degrees,)) for degrees in range(1, 41))][:trials]
        seconds, memory = swept(model, dataset, plan)
        rows.append((f"10,000 images, {len(plan)} trials", seconds / len(plan), memory))
    return rows


def trained(folder: Path) -> dict[str, Path]:
    """Reference models, one epoch each."""
    models = {}
    for arch in ("mlp", "cnn"):
        models[arch] = folder / f"{arch}.keras"
        words = ["train", "--arch", arch, "--data", "embedded", "--epochs", "1", "--out", str(models[arch])]
        command = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()", *words]
        subprocess.run(command, check=True, capture_output=True)
    return models


def main(repeats: int, quick: bool) -> None:
    """Measure, then write the page and the picture."""
    dataset = repeated(digits.load("embedded"), N)
    sets = SETS[::5] if quick else SETS
    lines = [
        "# Benchmark",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {N:,} images, {repeats} run(s), medians; "
        f"{'every fifth set only (--quick)' if quick else 'all sets'}. Made by `tox -e bench`.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        models = trained(Path(folder))
        tables, costs = corruption_table(dataset)
        lines += ["## The sweep against the model's own inference", "", f"{len(sets)} sets of {N:,} images.", ""]
        lines += ["| model | sweep | best inference | ratio | `model.predict` | ratio | peak MB, both processes |"]
        lines += ["|---|---|---|---|---|---|---|"]
        ratios = {}
        for arch, model in models.items():
            pairs = [(inference(model, 3), *swept(model, dataset, sets)) for _ in range(repeats)]
            best = [min(way["threads"], way["function"]) * len(sets) for way, _, _ in pairs]
            predict = [way["predict"] * len(sets) for way, _, _ in pairs]
            spent, memory = [seconds for _, seconds, _ in pairs], max(megabytes for _, _, megabytes in pairs)
            against = median(s / b for s, b in zip(spent, best, strict=True))
            ratios[arch] = against
            usual = median(s / p for s, p in zip(spent, predict, strict=True))
            lines += [
                f"| {arch} | {median(spent):.2f} s | {median(best):.2f} s | {against:.2f} | {median(predict):.2f} s "
                f"| {usual:.2f} | {memory:.0f} |"
            ]
        lines += ["", "## Growth", "", "Peaks of later rows include what earlier rows of the same process needed.", ""]
        lines += ["| what | s per 10,000 images and trial | peak MB |", "|---|---|---|"]
        lines += [f"| {what} | {s:.3f} | {mb:.0f} |" for what, s, mb in growth(models["mlp"], dataset)]
        lines += ["", "## Commands", "", "Embedded digits, shipped policy.", "", "| what | s |", "|---|---|"]
        lines += [f"| {what} | {seconds:.2f} |" for what, seconds in commands(models["cnn"]).items()]
    every = [cost for row in costs.values() for cost in row]
    mnist_c = [cost for name in MNIST_C for cost in costs[name]]
    lines += ["", "## Corruptions", ""]
    lines += [f"CPU ms per {N:,} images on one core, severities 1 to 5. Tables, once: {tables:.2f} s."]
    lines += [f"MNIST-C, 75 sets: {sum(mnist_c) / 1000:.2f} s; median of all {median(every):.0f} ms.", ""]
    lines += ["| corruption | 1 | 2 | 3 | 4 | 5 |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | " + " | ".join(f"{cost:.0f}" for cost in row) + " |" for name, row in costs.items()]
    docs = HERE.parent / "docs"
    (docs / "benchmark.md").write_text("\n".join(lines) + "\n")
    (docs / "benchmark.svg").write_text(chart(costs))
    print("\n".join(lines))


def chart(costs: dict[str, list[float]]) -> str:
    """A bar per corruption: its mean CPU ms per 10,000 images."""
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
    parser.add_argument("--quick", action="store_true", help="every fifth set only")
    given = parser.parse_args()
    main(given.repeats, given.quick)
