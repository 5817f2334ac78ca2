"""Responses of the child, made into records and lines: checked, shortened and printable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.candidate.parent import keras_release
from harness.candidate.protocol import wire
from harness.candidate.scan import keras2
from harness.errors import SubjectFault
from harness.formatting import one_line
from harness.records import CLASSES, Probabilities

_EITHER = "unit, raw, symmetric, standardised, inverted, l2, or a module with normalize"


def probabilities(header: wire.Header, arrays: wire.Arrays, n: int) -> Probabilities:
    """Check the response to ``n`` images and return float32 (n, 10). SubjectFault where shape or dtype differ."""
    if len(arrays) != 1 or arrays[0].shape != (n, CLASSES):
        shape = arrays[0].shape if arrays else None
        hint = "does its last layer have 10 units?"
        raise SubjectFault(f"it answers {n} images with shape {shape}; a digit model answers ({n}, 10): {hint}")
    if arrays[0].dtype.kind != "f":
        raise SubjectFault(f"it answers with {arrays[0].dtype}; a digit model answers with probabilities, float32")
    with np.errstate(over="ignore"):  # more than float32 holds is infinite, which is no probability
        return arrays[0].astype(np.float32, copy=False)


def why_not(name: str, header: Mapping[str, Any]) -> str:
    """Explain in one line why a candidate did not load."""
    kind, text = one_line(str(header["raised"]), 80), str(header.get("text", ""))
    if kind == "NoPreprocessing":
        reason = one_line(text, 240)
        return f"the preprocessing cannot be used: {reason}; --preprocess names {_EITHER}"
    version = one_line(str(header.get("written_by", "")), 20)
    written = keras2.written_by(version)
    if kind == "Rejected":
        shown = one_line(text, 360)
        return f"{one_line(name)}: {shown}{'' if version in shown else written}"
    cause = _cause(text)
    if kind in ("MemoryError", "ResourceExhaustedError") or "failed to map segment" in text:
        return f"{one_line(name)} takes more memory than memory_mb under [limits] of the policy allows ({cause})"
    if kind == "BrokenInstallation":
        return (
            f"Keras and TensorFlow cannot be used here, whatever the model: {one_line(text, 240)}; install them again "
            "(python -m pip install --force-reinstall keras tensorflow); harness doctor tries them"
        )
    way_out = keras_release.way_out(version)
    if match := re.search(r"Example error message for object <(\w+) name=(\w+)", text):
        layer = f"the weights in it are not those of its layer {match[2]} ({match[1]})"
        return f"{one_line(name)}: {one_line(layer)}: {cause}{written}; {way_out}"
    return f"{one_line(name)}: Keras cannot make a model of it ({kind}: {cause}){written}; {way_out}"


def _cause(text: str) -> str:
    """Find the sentence of a Keras message that names the cause, without the configurations and arrays it quotes."""
    text = text.rpartition("Exception encountered: ")[2]
    text = re.sub(r"^A total of \d+ objects could not be loaded.*?:\n+", "", text, flags=re.DOTALL)
    text = re.split(r"List of objects|Target variable:|Full object config:|\bconfig=\{", text)[0]
    sentences = re.split(r"\.\s", one_line(text, 2000).strip().rstrip("."))
    longer = [sentence for sentence in sentences[1:2] if re.match("Received|Expected|variable.shape", sentence)]
    return one_line(". ".join([sentences[0], *longer]), 200)
