"""Scan of a model file without loading it: its content, the names in it and its size, against a list of what is
allowed.
"""

from __future__ import annotations

from pathlib import Path

from harness.candidate.scan import archive, keras2, text
from harness.candidate.scan.budget import Rejected

__all__ = ["Rejected", "keras_file"]


def keras_file(path: Path) -> None:
    """Raise Rejected unless ``path`` is a whole .keras file whose configuration names only what is allowed."""
    members = archive.read(path)
    metadata = text.parse(members[archive.METADATA], archive.METADATA)
    model = text.parse(members[archive.CONFIG], archive.CONFIG)
    keras2.check_either(model, keras2.version_in(metadata))
