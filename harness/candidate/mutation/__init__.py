"""Faults to plant in a model that is good, one function an operator: of its weights, its images, its answers, the
labels and its preprocessing. Each takes what it changes, a strength and a seed, and returns a new one.
"""

from __future__ import annotations

from harness.candidate.mutation import answers, labels, pixels, preprocessing, weights
from harness.candidate.mutation.registry import FAMILIES, MUTATIONS, NotMutable, Operator, closest

__all__ = ["FAMILIES", "MUTATIONS", "NotMutable", "Operator", "closest"]

# Importing a family enters what it holds into the registry.
OF_FAMILIES = (labels, answers, weights, pixels, preprocessing)
