"""The last release as a person names it: its model file, the output folder of its run, or an accepted file."""

from __future__ import annotations

from pathlib import Path

from harness import evidence
from harness.evidence import baseline
from harness.records import Baseline, Unusable
from harness.words import one_line

MODELS = (".keras", ".h5")


def find(path: Path) -> Baseline | Path:
    """What it answered; of a model file, which must be asked first, the path."""
    shown = one_line(str(path), 200)
    try:
        if path.is_dir():
            return baseline.of(evidence.read(path / "evidence"))
        if not path.is_file():
            raise Unusable(f"the baseline {shown} does not exist; give a model file, a run's output folder or a file")
    except OSError as error:  # a name too long, a folder that may not be entered
        raise Unusable(f"the baseline {shown} cannot be read: {error.strerror}; check its permissions") from error
    return path if path.suffix.lower() in MODELS else baseline.read(path)
