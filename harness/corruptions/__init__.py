"""Corruptions at five severities, and finite spaces of changes to be exhausted."""

from __future__ import annotations

from harness.corruptions import blur, digital, edges, geometry, light, noise, overlay, spaces, stroke, weather
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
    source,
    trial_at,
    trial_named,
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
    "prepare",
    "source",
    "trial_at",
    "trial_named",
]

# Importing a family enters what it holds into the registry.
FAMILIES = (blur, digital, edges, geometry, light, noise, overlay, spaces, stroke, weather)
