"""docs/reference/metrics.md: every entry of METRICS as Markdown."""

from __future__ import annotations

from harness.metrics import METRICS, Metric
from harness.metrics.own import __doc__ as own

_OF = {
    "trial": "clean images, or a corruption at a severity",
    "clean": "clean images",
    "space": "every point of a finite space (`within`)",
    "corruption": "a corruption, over its five severities",
    "family": "the 15 corruptions of MNIST-C, or a list (`corruptions`)",
    "slices": "fifths of the clean images by a property, or values of a column of the data (`column`)",
    "units": "sampling units of the clean images, by their accuracy (`reaching`)",
    "slice": "one fifth of the clean images by a property (`slice`)",
    "attack": "an attack at a severity",
    "trigger": "the test images with one patch of ink",
}


def render() -> str:
    """Render the page, which docs/reference.py writes."""
    head = "# Metrics\n\nWhat a `[[gate]]` may name. Made by `python docs/reference.py`.\n"
    mine = f"## `package.module:function`\n\n{(own or '').strip()}\n"
    return "\n".join([head, *map(_entry, sorted(METRICS.values(), key=lambda entry: entry.name)), mine])


def _entry(entry: Metric) -> str:
    low, high = entry.legal
    compared = "" if entry.change is None else "; compared with a baseline"
    of = _OF[entry.of] + (", of one digit (`class`)" if entry.each_digit else "")
    facts = f"`{entry.rule}`, {low:g} to {high:.4g} ({entry.unit}), of {of}{compared}"
    return f"## `{entry.name}`\n\n{entry.meaning}\n\n{facts}.\n"
