"""A baseline as a person names it: a model file, the output folder of a run, or an accepted file; one or several."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.evidence import baseline_file, storage
from harness.formatting import one_line
from harness.records import Baseline, DataFacts

MODELS = (".keras", ".h5", ".hdf5", ".tflite")


def find(path: Path) -> Baseline | Path:
    """Return what a baseline answered or, of a model file, which must be swept first, the path.

    UsageError where it cannot be read.
    """
    shown = one_line(str(path), 200)
    try:
        if path.is_dir():
            return baseline_file.of(storage.read(path / "evidence"))
        if not path.is_file():
            raise UsageError(f"the baseline {shown} does not exist; give a model file, a run's output folder or a file")
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UsageError(f"the baseline {shown} cannot be read: {error.strerror}; check its permissions") from error
    return path if path.suffix.lower() in MODELS else baseline_file.read(path)


def check(baseline: Baseline, data: DataFacts) -> None:
    """Raise UsageError where a baseline names these digits and holds answers to another number of images."""
    sizes = {run.n for run in (*baseline.accepted, *baseline.anchor)}
    if baseline.facts.data_sha256 == data.sha256 and sizes != {data.n}:
        answers = " and ".join(f"{size:,}" for size in sorted(sizes - {data.n}))
        raise UsageError(
            f"the baseline of {one_line(baseline.facts.model, 80)} holds answers to {answers} of the {data.n:,} images "
            "that it names; it is damaged: accept it again from its run"
        )
