"""Ways of spoiling digits: corruptions at five severities, and finite spaces to be exhausted."""

from __future__ import annotations

from harness.corruptions import noise, spaces
from harness.corruptions.randomness import Rng
from harness.corruptions.registry import (
    CORRUPTIONS,
    SPACES,
    Corruption,
    Parameter,
    Space,
    corrupt,
    corruption,
    find,
    prepare,
)

__all__ = [
    "CORRUPTIONS",
    "SPACES",
    "Corruption",
    "Parameter",
    "Rng",
    "Space",
    "corrupt",
    "corruption",
    "find",
    "noise",
    "prepare",
    "spaces",
]
