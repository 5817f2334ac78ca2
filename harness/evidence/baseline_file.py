"""What the last release answered, as one file: compact, whole, and equal bytes for equal answers.

Axes: t trials, clean first; n images. Answers are kept as they differ from the first trial's, probabilities exactly.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from harness.corruptions import trial_at
from harness.errors import UsageError
from harness.files import packed, read_whole, unpacked
from harness.formatting import one_line
from harness.records import CLASSES, CLEAN, NO_ANSWER, Baseline, BaselineFacts, Evidence, Predictions

FORMAT = 1
MOST_BYTES = 1 << 28  # unpacked; 10,000 images under 500 trials take 6 MB
_FACTS = TypeAdapter(BaselineFacts)


def of(evidence: Evidence, *, accepted_by: str = "", because: str = "") -> Baseline:
    """Make a finished sweep the one that a later candidate is held against."""
    model, data = evidence.model, evidence.data
    facts = BaselineFacts(model.name, model.sha256, data.sha256, evidence.seed, accepted_by, because)
    return Baseline(facts, evidence.predictions)


def dump(baseline: Baseline) -> bytes:
    """Encode a baseline as the content of its file."""
    of = baseline.predictions
    trials = sorted(of.answers, key=lambda trial: (trial != CLEAN, trial))
    classes = np.array([of.answers[trial] for trial in trials], dtype=np.int8).reshape(len(trials), of.n)
    classes[1:] -= classes[:1]
    facts = {
        "format": FORMAT,
        "facts": asdict(baseline.facts),
        "trials": [[trial.name, trial.point, of.drawn[trial]] for trial in trials],
    }
    floats = np.ascontiguousarray(of.probabilities, dtype="<f4")
    arrays = {
        "facts": np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8),
        "answers": classes,
        "probabilities": floats.view(np.uint8).reshape(-1, 4).T,  # bytes of like weight together pack better
    }
    return packed(arrays, level=9)


def read(path: Path) -> Baseline:
    """Read such a file. UsageError where it is none."""
    shown = one_line(str(path), 200)
    way_out = "harness baseline accept writes one, and a run's folder or a model file will do"
    try:
        content = read_whole(path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_BYTES:
                raise UsageError(f"{shown} unpacks to over {MOST_BYTES >> 20} MB and is no baseline; {way_out}")
        return _baseline(unpacked(content))
    except OSError as error:
        raise UsageError(f"{shown} cannot be read as a baseline: {error.strerror or error}; {way_out}") from error
    except (zipfile.BadZipFile, ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{shown} is no baseline ({one_line(str(error), 100)}); {way_out}") from error


def _baseline(arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    content = json.loads(arrays["facts"].tobytes())
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']}, not {FORMAT}")
    facts = _FACTS.validate_python(content["facts"])
    trials = [trial_at(str(name), *map(int, point)) for name, point, _ in content["trials"]]
    classes = arrays["answers"].astype(np.int8, casting="safe", copy=True)
    classes[1:] += classes[:1]
    if classes.min(initial=0) < NO_ANSWER or classes.max(initial=0) >= CLASSES:
        raise ValueError("it holds answers that are no digits")
    floats = np.ascontiguousarray(arrays["probabilities"].T).view("<f4").reshape(-1, CLASSES)
    drawn = {trial: str(mark) for trial, (_, _, mark) in zip(trials, content["trials"], strict=True)}
    answers = dict(zip(trials, classes, strict=True))
    return Baseline(facts, Predictions(answers, floats.astype(np.float32, copy=False), facts.seed, drawn))
