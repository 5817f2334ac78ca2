"""The functions of the public API."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness import metrics
from harness.corruptions import corrupt as corrupted
from harness.corruptions import find
from harness.corruptions.registry import Corruption
from harness.data.groups import numbered
from harness.data.npz import check_groups
from harness.errors import NotMeasurable, UsageError
from harness.evidence import baseline_file, storage
from harness.formatting import one_line
from harness.outputs import qualification_json
from harness.records import (
    CLASSES,
    CLEAN,
    SIDE,
    DataFacts,
    Evidence,
    Groups,
    Images,
    Measurement,
    ModelFacts,
    Predictions,
    Qualification,
    Scope,
    Severity,
)
from harness.run import rejudge as rejudging
from harness.run.finished_run import open_finished
from harness.run.result import Comparison, Measurements, Result, by_name, compared
from harness.run.session import SEED

Location = str | os.PathLike[str]


def judge(
    model: Location,
    *,
    data: Location | None = None,
    columns: Location | None = None,
    unit: str | None = None,
    policy: Location | None = None,
    baseline: Location | Result | Sequence[Location | Result] | None = None,
    out: Location | None = None,
    preprocess: str | None = None,
    seed: int = SEED,
    resize: bool = False,
    trained_on: Location | None = None,
    require_sandbox: bool = False,
) -> Result:
    """Judge a model as ``harness run`` does, in a process of its own.

    ``columns``: a CSV file with a row a test image; ``unit``: its column drawn at random. ``trained_on``: the
    digits that the model was trained on, as declared. ``baseline``: the last
    release, as a file, a folder or a Result; or several accepted runs of its recipe, the release first. Without ``out``
    no output is left. UsageError where anything given cannot be used; RuntimeError where the harness itself failed. A
    blocked release is a Result.
    """
    with tempfile.TemporaryDirectory() as temporary:
        several = baseline if isinstance(baseline, list | tuple) else [] if baseline is None else [baseline]
        accepted = [_as_file(each, Path(temporary) / f"baseline-{at}.npz") for at, each in enumerate(several)]
        folder = Path(out) if out is not None else Path(temporary) / "out"
        options = {"data": data, "columns": columns, "unit": unit, "policy": policy, "preprocess": preprocess}
        options["trained-on"] = trained_on
        words = [f"--{name}={os.fspath(value)}" for name, value in options.items() if value is not None]
        words += [f"--baseline={os.fspath(each)}" for each in accepted]
        strict = [f"--{name}" for name, asked in (("resize", resize), ("require-sandbox", require_sandbox)) if asked]
        command = ["run", *words, *strict, "--quiet", f"--seed={seed}", f"--out={folder}", "--", os.fspath(model)]
        _run(command)
        return Result(open_finished(folder), folder if out is not None else None)


def _run(command: Sequence[str]) -> None:
    """Run a command in a process of its own. Raises what its exit code stands for."""
    done = subprocess.run([sys.executable, "-P", "-m", "harness", *command], capture_output=True, text=True)
    if done.returncode == 2:
        raise KeyboardInterrupt
    if done.returncode == 4:
        raise UsageError(done.stderr.strip().removeprefix("harness: "))
    if done.returncode not in (0, 1, 5):
        raise RuntimeError(done.stderr.strip() or f"the run ended with exit code {done.returncode}")


def qualify(
    model: Location,
    *,
    policy: Location | None = None,
    data: Location | None = None,
    baseline: Location | Result | Sequence[Location | Result] | None = None,
    only: Sequence[str] = (),
    minutes: float = 10.0,
    anyway: bool = False,
    out: Location | None = None,
    trained_on: Location | None = None,
) -> Qualification:
    """Plant faults in a good model and say which of them a policy notices, as ``harness qualify`` does.

    ``only``: names of MUTATIONS; ``anyway``: also of a model that is not allowed itself; ``trained_on``: the digits
    that it was trained on, as declared. UsageError where nothing can be learned.
    """
    with tempfile.TemporaryDirectory() as temporary:
        several = baseline if isinstance(baseline, list | tuple) else [] if baseline is None else [baseline]
        accepted = [_as_file(each, Path(temporary) / f"baseline-{at}.npz") for at, each in enumerate(several)]
        folder = Path(out) if out is not None else Path(temporary) / "out"
        options = {"policy": policy, "data": data, "trained-on": trained_on}
        words = [f"--{name}={os.fspath(value)}" for name, value in options.items() if value]
        words += [f"--baseline={os.fspath(each)}" for each in accepted]
        words += [f"--only={name}" for name in only]
        words += ["--anyway"] if anyway else []
        _run(["qualify", *words, f"--minutes={minutes:g}", f"--out={folder}", "--", os.fspath(model)])
        return qualification_json.load(folder / qualification_json.NAME)


def _as_file(baseline: Location | Result, path: Path) -> Location:
    if not isinstance(baseline, Result):
        return baseline
    path.write_bytes(baseline_file.dump(baseline_file.of(baseline.finished.evidence)))
    return path


def load(out: Location) -> Result:
    """Open the folder of a finished run. UsageError where it holds none."""
    return Result(open_finished(Path(out)), Path(out))


def rejudge(out: Location, policy: Location | None = None) -> Result:
    """Judge the evidence of a finished run again, by its own policy or by another, whose outputs get a folder of their
    own in it.
    """
    return Result(*rejudging.rejudge(Path(out), Path(policy) if policy else None, datetime.now(UTC).date()))


def compare(before: Location | Result, after: Location | Result) -> Comparison:
    """Compare two finished runs image by image; differences are ``after`` minus ``before``."""
    first, second = (each if isinstance(each, Result) else load(each) for each in (before, after))
    ours, theirs = second.run.data, first.run.data
    if ours.sha256 != theirs.sha256:
        digits = " and ".join(f"{one_line(one.name, 80)} ({one.sha256[:10]})" for one in (theirs, ours))
        raise UsageError(f"the runs were judged on different digits, {digits}; run both on the same data")
    try:
        return compared(first, second)
    except NotMeasurable as error:
        names = " and ".join(one_line(str(each.out or each.run.model.name), 200) for each in (first, second))
        raise UsageError(f"{names} have nothing in common: {error}; run both on the same data") from error


def evaluate(y_true: ArrayLike, probabilities: ArrayLike, *, groups: ArrayLike | None = None) -> Measurements:
    """Measure every metric of clean images from arrays, each with its two-sided 95 % interval.

    ``y_true``: (n,) digits or (n, 10) one-hot; ``probabilities``: (n, 10); ``groups``: (n,) the unit that each image
    was drawn with, such as its writer. Measurements that do not exist are left out.
    """
    evidence = _evidence(y_true, probabilities, groups)
    measured: dict[str, Measurement] = {}
    for name, metric in sorted(metrics.METRICS.items(), key=lambda item: item[1].of != "trial"):
        for scope in [Scope(digit=digit) for digit in range(CLASSES)] if metric.each_digit else [Scope()]:
            if metric.of in ("trial", "clean"):
                measured |= _measured(evidence, name, scope)
    return Measurements(measured, metrics.confusion_matrix(evidence.labels, evidence.answers[CLEAN]))


def measure(
    metric: str,
    y_true: ArrayLike,
    probabilities: ArrayLike,
    *,
    digit: int | None = None,
    groups: ArrayLike | None = None,
) -> Measurement:
    """Measure one metric from arrays, with its two-sided 95 % interval. NotMeasurable where it has no value."""
    entry = metrics.find(metric)
    scope = Scope(digit=digit)
    if entry.of not in ("trial", "clean"):
        raise UsageError(f"{metric} is of {entry.of}, not of clean images alone; judge a model to measure it")
    if why := entry.why_not_applicable(scope):
        raise UsageError(f"{why}; give digit=0..9" if digit is None else why)
    return metrics.show(_evidence(y_true, probabilities, groups), metric, scope)


def corrupt(images: Images, name: str, *, severity: int, seed: int = 0) -> Images:
    """Corrupt images (n, 28, 28) uint8 at a severity of 1 to 5; returns a new array."""
    found = find(name)
    if not isinstance(found, Corruption):
        raise UsageError(f"{one_line(name, 60)} is no corruption with severities; harness.CORRUPTIONS lists them")
    return corrupted(images, Severity(name, severity), seed=seed)


def _measured(evidence: Evidence, name: str, scope: Scope) -> dict[str, Measurement]:
    try:
        return by_name((metrics.show(evidence, name, scope),))
    except NotMeasurable:
        return {}


def _evidence(y_true: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None) -> Evidence:
    """Make evidence of clean images from arrays. UsageError where they are no labels or no probabilities."""
    labels, rows = np.asarray(y_true), np.asarray(probabilities)
    if labels.ndim == 2 and labels.shape[1:] == (CLASSES,):
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise UsageError("y_true has 10 columns but is not one-hot; give one 1 in each row, or digits (n,)")
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or not np.isin(labels, range(CLASSES)).all():
        raise UsageError(f"y_true has shape {labels.shape}; give digits 0..9 as (n,), or one-hot as (n, 10)")
    if rows.shape != (len(labels), CLASSES) or rows.dtype.kind not in "fiu":
        raise UsageError(
            f"probabilities has shape {rows.shape}; give ({len(labels)}, 10) numbers, a row for each label"
        )
    labels, rows = labels.astype(np.uint8), rows.astype(np.float32)
    images = np.zeros((len(labels), SIDE, SIDE), np.uint8)
    counts = tuple(np.bincount(labels, minlength=CLASSES).tolist())
    data = DataFacts("arrays", "npz", "", len(labels), 0, counts, 0, 0)
    model = ModelFacts("arrays", "", 0, "", (), (), 0, (), "")
    predictions = Predictions({CLEAN: storage.classes_of(rows)}, rows, seed=0)
    units = None if groups is None else Groups("group", numbered(_names(groups, len(labels)).tolist()))
    return Evidence(model, data, images, labels, predictions, {CLEAN: images[:1]}, groups=units)


def _names(groups: ArrayLike, n: int) -> NDArray[Any]:
    """Return the unit of each image (n,). UsageError where there is none of some image."""
    try:
        names = np.asarray(groups)
    except ValueError as error:
        raise UsageError(f"groups is ragged; give ({n},) integers or text") from error
    if names.shape != (n,) or names.dtype.kind not in "iuU":
        raise UsageError(
            f"groups has shape {names.shape} and holds {names.dtype}; give ({n},) integers or text, none missing "
            "(then .astype(str))"
        )
    check_groups(names, n, "groups")
    return names
