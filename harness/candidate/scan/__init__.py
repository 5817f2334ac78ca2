"""A model file read without loading it: what it holds, what it names, how large it is. The list decides."""

from __future__ import annotations

from pathlib import Path

from harness.candidate.scan import archive, config, sizes, text
from harness.candidate.scan.budget import Rejected

__all__ = ["Rejected", "keras_file"]


def keras_file(path: Path) -> None:
    """Rejected unless ``path`` is a whole .keras file whose configuration names nothing but what is allowed."""
    members = archive.read(path)
    text.parse(members[archive.METADATA], archive.METADATA)
    model = text.parse(members[archive.CONFIG], archive.CONFIG)
    config.check(model)
    sizes.check(model)
