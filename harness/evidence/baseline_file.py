"""File of the accepted runs' predictions: compact, whole, and equal bytes for equal predictions.

Axes: t trials, clean first; n images. Answers are kept as they differ from the first trial's, probabilities exactly.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from harness.corruptions import trial_at
from harness.errors import UsageError
from harness.files import packed, read_whole, unpacked
from harness.formatting import one_line
from harness.records import (
    CLASSES,
    CLEAN,
    NO_ANSWER,
    AcceptedMargin,
    AcceptedRun,
    Baseline,
    BaselineFacts,
    Evidence,
    Predictions,
)

FORMAT = 2
MOST_BYTES = 1 << 28  # unpacked; 10,000 images under 500 trials take 6 MB
_DAMAGES = (  # RuntimeError: encrypted, packed otherwise or nested too deeply
    *(zipfile.BadZipFile, zlib.error, ValidationError, ValueError, OverflowError),
    *(KeyError, TypeError, AttributeError, RuntimeError),
)
_FACTS, _MARGINS = TypeAdapter(BaselineFacts), TypeAdapter(tuple[AcceptedMargin, ...])


def of(evidence: Evidence, *, accepted_by: str = "", because: str = "", accepted_on: str = "") -> Baseline:
    """Make a finished sweep the one that a later candidate is held against."""
    model, data = evidence.model, evidence.data
    facts = BaselineFacts(model.name, model.sha256, data.sha256, evidence.seed, accepted_by, because)
    facts = replace(facts, accepted_on=accepted_on)
    return Baseline(facts, evidence.predictions)


def with_pool(release: Baseline, others: Sequence[Baseline]) -> Baseline:
    """Add other accepted runs of the recipe. UsageError where one is there twice or answered other images."""
    runs = list(runs_of(release))
    predictions = list(release.accepted)
    for other in others:
        name, first = one_line(other.facts.model, 80), one_line(release.facts.model, 80)
        if other.facts.data_sha256 != release.facts.data_sha256:
            raise UsageError(
                f"{name} was judged on other digits than {first}; judge all accepted runs on the same data"
            )
        if other.facts.seed != release.facts.seed:
            seeds = f"{other.facts.seed}, not {release.facts.seed}"
            raise UsageError(f"the corruptions of {name} were drawn with seed {seeds}; judge all with the same --seed")
        for run, answers in zip(runs_of(other), other.accepted, strict=True):
            if run.sha256 in {each.sha256 for each in runs}:
                shown = f"{one_line(run.model, 80)} ({run.sha256[:10]})"
                raise UsageError(f"{shown} is there twice; a pool needs models that were trained with different seeds")
            if answers.drawn != release.predictions.drawn:
                raise UsageError(
                    f"{one_line(run.model, 80)} was judged by another policy than {first}: it answered other "
                    "corruptions; judge all accepted runs by the same policy, with the same version"
                )
            runs.append(run)
            predictions.append(answers)
    return _of_runs(release, runs[1:], predictions[1:])


def without(baseline: Baseline, candidate: Evidence) -> Baseline:
    """Leave a candidate out of the accepted runs beside the release, so that it is not held against itself."""
    others = [
        (run, answers)
        for run, answers in zip(baseline.facts.pool, baseline.pool, strict=True)
        if run.sha256 != candidate.model.sha256
        and not np.array_equal(answers.probabilities, candidate.predictions.probabilities)
    ]
    if len(others) == len(baseline.pool):
        return baseline
    return _of_runs(baseline, [run for run, _ in others], [answers for _, answers in others])


def _of_runs(release: Baseline, runs: Sequence[AcceptedRun], answers: Sequence[Predictions]) -> Baseline:
    """Put these runs beside the release; drop margins that were fixed for others."""
    return replace(release, facts=replace(release.facts, pool=tuple(runs)), pool=tuple(answers), margins=())


def runs_of(baseline: Baseline) -> tuple[AcceptedRun, ...]:
    """Name every accepted run, the release first."""
    return AcceptedRun(baseline.facts.model, baseline.facts.sha256), *baseline.facts.pool


def dump(baseline: Baseline) -> bytes:
    """Encode a baseline as the content of its file."""
    runs = {"": baseline.predictions}
    runs |= {f"pool-{at}-": run for at, run in enumerate(baseline.pool)}
    runs |= {f"anchor-{at}-": run for at, run in enumerate(baseline.anchor)}
    encoded = {name: _encoded(run) for name, run in runs.items()}
    facts = {
        "format": FORMAT,
        "facts": asdict(baseline.facts),
        "margins": _MARGINS.dump_python(baseline.margins, mode="json"),
        "trials": {name: trials for name, (trials, _) in encoded.items()},
    }
    arrays = {f"{name}{part}": array for name, (_, parts) in encoded.items() for part, array in parts.items()}
    return packed(
        {"facts": np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8), **arrays}, level=6
    )


def _encoded(run: Predictions) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Return the trials of a run, and its arrays."""
    trials = sorted(run.answers, key=lambda trial: (trial != CLEAN, trial))
    classes = np.array([run.answers[trial] for trial in trials], dtype=np.int8).reshape(len(trials), run.n)
    classes[1:] -= classes[:1]
    floats = np.ascontiguousarray(run.probabilities, dtype="<f4")
    by_byte = floats.view(np.uint8).reshape(-1, 4).T  # bytes of like weight together pack better
    names = [[trial.name, trial.point, run.drawn[trial]] for trial in trials]
    return names, {"answers": classes, "probabilities": by_byte}


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
    except _DAMAGES as error:
        raise UsageError(f"{shown} is no baseline ({one_line(str(error), 100)}); {way_out}") from error


def _baseline(arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    content = json.loads(arrays["facts"].tobytes())
    if content["format"] not in (1, FORMAT):
        raise ValueError(f"its format is {content['format']}, not {FORMAT}")
    facts = _FACTS.validate_python(content["facts"])
    trials = content["trials"] if content["format"] == FORMAT else {"": content["trials"]}

    def decoded(name: str) -> Predictions:
        return _decoded(trials[name], arrays[f"{name}answers"], arrays[f"{name}probabilities"], facts.seed)

    pool = tuple(decoded(f"pool-{at}-") for at in range(len(facts.pool)))
    anchor = tuple(decoded(f"anchor-{at}-") for at in range(len(facts.anchor)))
    return Baseline(facts, decoded(""), pool, anchor, _MARGINS.validate_python(content.get("margins", [])))


def _decoded(named: Any, answers: NDArray[Any], by_byte: NDArray[Any], seed: int) -> Predictions:
    trials = [trial_at(str(name), *map(int, point)) for name, point, _ in named]
    classes = answers.astype(np.int8, casting="safe", copy=True)
    classes[1:] += classes[:1]
    if classes.min(initial=0) < NO_ANSWER or classes.max(initial=0) >= CLASSES:
        raise ValueError("it holds answers that are no digits")
    floats = np.ascontiguousarray(by_byte.T).view("<f4").reshape(-1, CLASSES)
    drawn = {trial: str(mark) for trial, (_, _, mark) in zip(trials, named, strict=True)}
    return Predictions(dict(zip(trials, classes, strict=True)), floats.astype(np.float32, copy=False), seed, drawn)
