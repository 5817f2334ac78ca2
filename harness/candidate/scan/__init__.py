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
    try:
        members = archive.read(path)
    except Rejected as rejected:
        raise Rejected(f"{rejected}{keras2.written_by(_version(path))}") from rejected
    metadata = text.parse(members[archive.METADATA], archive.METADATA)
    model = text.parse(members[archive.CONFIG], archive.CONFIG)
    keras2.check_either(model, keras2.version_in(metadata))


def _version(path: Path) -> str:
    try:
        return keras2.version_in(text.parse(archive.metadata(path), archive.METADATA))
    except Rejected:
        return ""
