"""The last release as a person names it: its model file, the output folder of its run, or an accepted file."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.evidence import baseline_file, storage
from harness.formatting import one_line
from harness.records import Baseline

MODELS = (".keras", ".h5")


def find(path: Path) -> Baseline | Path:
    """What it answered; of a model file, which must be asked first, the path."""
    shown = one_line(str(path), 200)
    try:
        if path.is_dir():
            return baseline_file.of(storage.read(path / "evidence"))
        if not path.is_file():
            raise UsageError(f"the baseline {shown} does not exist; give a model file, a run's output folder or a file")
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UsageError(f"the baseline {shown} cannot be read: {error.strerror}; check its permissions") from error
    return path if path.suffix.lower() in MODELS else baseline_file.read(path)
