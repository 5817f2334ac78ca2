"""The predictions on disk, keyed by content; each file whole or not at all, the manifest last.

A folder whose manifest is missing or of another key holds no evidence. Trials already measured under the same key are
kept, so that a killed run or a changed policy repeats nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from harness import __version__
from harness.corruptions import source, trial_at
from harness.errors import UsageError
from harness.evidence import baseline_file
from harness.files import file_hash, forget_drafts, read_whole, unpacked, write_arrays, write_whole
from harness.formatting import legible, one_line
from harness.records import (
    CLASSES,
    CLEAN,
    LIGHT,
    NO_ANSWER,
    SIDE,
    TRIGGER,
    Baseline,
    Classes,
    Column,
    DataFacts,
    Evidence,
    Groups,
    Images,
    ModelFacts,
    Patch,
    Predictions,
    Probabilities,
    Sandbox,
    Trial,
    Trigger,
)

FORMAT = 1
MANIFEST = "manifest.json"
BASELINE = "baseline.npz"
GROUPS = "groups.npz"
_OURS = ("key", MANIFEST, "digits.npz", BASELINE, GROUPS, "trial-*.npz")
_MODEL, _DATA = TypeAdapter(ModelFacts), TypeAdapter(DataFacts)
Measured: TypeAlias = tuple[Predictions, dict[Trial, Images], dict[Trial, Probabilities], Trigger | None]
_SANDBOX: TypeAdapter[Sandbox | None] = TypeAdapter(Sandbox | None)


def key(model: ModelFacts, data: DataFacts, seed: int, versions: Mapping[str, str]) -> str:
    """Hash everything that could change a prediction."""
    parts = [FORMAT, __version__, model.sha256, model.preprocess, model.preprocess_sha256, data.sha256, seed]
    contract: list[object] = [asdict(model.contract)] if model.contract else []
    contract += [model.keras] if model.keras else []
    return sha256(json.dumps([parts, sorted(versions.items()), *contract]).encode()).hexdigest()


class Store:
    """The folder of one sweep's trials. Opening it under another key, or not to reuse, removes what a sweep left there.

    What something else left there is never touched.
    """

    def __init__(self, folder: Path, content_key: str, *, reuse: bool = True) -> None:
        self.folder = folder
        self.key = content_key
        marker = folder / "key"
        try:
            forget_drafts(folder, *_OURS)
            if not reuse or not marker.is_file() or marker.read_bytes() != content_key.encode():
                _forget(folder)
            (folder / MANIFEST).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{legible(folder)} cannot be cleared: {error.strerror}; choose another --out") from error
        write_whole(marker, content_key.encode())

    def get(self, trial: Trial) -> dict[str, NDArray[Any]] | None:
        """Return what was measured before, or None."""
        path = self._path(trial)
        if not path.is_file():
            return None
        try:
            return unpacked(read_whole(path))
        except (UsageError, OSError):
            path.unlink(missing_ok=True)
            return None

    def put(self, trial: Trial, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep one trial."""
        write_arrays(self._path(trial), arrays)

    def finish(self, evidence: Evidence) -> None:
        """Write the digits and, last, the manifest that makes the folder readable."""
        write_arrays(self.folder / "digits.npz", {"images": evidence.images, "labels": evidence.labels})
        searched = [TRIGGER] if evidence.trigger else []
        trials = {trial: self._path(trial) for trial in sorted([*evidence.answers, *searched])}
        manifest = {
            "format": FORMAT,
            "key": self.key,
            "seed": evidence.seed,
            "fault": evidence.fault,
            "sandbox": asdict(evidence.sandbox) if evidence.sandbox else None,
            "model": asdict(evidence.model),
            "data": asdict(evidence.data),
            "digits": file_hash(self.folder / "digits.npz"),
            "baseline": None,
            "trials": [
                {"corruption": trial.name, "point": trial.point, "file": path.name, "sha256": file_hash(path)}
                for trial, path in trials.items()
            ],
        }
        (self.folder / GROUPS).unlink(missing_ok=True)
        if evidence.groups is not None:
            manifest["groups"] = _write_groups(self.folder, evidence.groups)
        _write_manifest(self.folder, manifest)
        if evidence.baseline is not None:
            add_baseline(self.folder, evidence.baseline)

    def _path(self, trial: Trial) -> Path:
        named = trial.key + source(trial.name)
        return self.folder / f"trial-{sha256(named.encode()).hexdigest()[:24]}.npz"


def _forget(folder: Path) -> None:
    for name in _OURS:
        for path in folder.glob(name):
            path.unlink(missing_ok=True)


def add_baseline(folder: Path, baseline: Baseline) -> None:
    """Write the baseline's predictions beside those of a finished sweep."""
    manifest = json.loads(read_whole(folder / MANIFEST))
    write_whole(folder / BASELINE, baseline_file.dump(baseline))
    _write_manifest(folder, {**manifest, "baseline": file_hash(folder / BASELINE)})


def _write_groups(folder: Path, groups: Groups) -> dict[str, Any]:
    """Write the codes of units and slices, never the names of units; return what the manifest says of them."""
    codes = {} if groups.codes is None else {"unit": groups.codes}
    slices = {f"column-{at}": column.codes for at, column in enumerate(groups.columns.values())}
    write_arrays(folder / GROUPS, {**codes, **slices})
    columns = [{"name": name, "values": column.values} for name, column in groups.columns.items()]
    return {"unit": groups.unit, "columns": columns, "sha256": file_hash(folder / GROUPS)}


def _groups(folder: Path, about: Mapping[str, Any] | None) -> Groups | None:
    if about is None:
        return None
    arrays = _checked(folder / GROUPS, about["sha256"])
    columns = {
        str(one["name"]): Column(tuple(map(str, one["values"])), arrays[f"column-{at}"])
        for at, one in enumerate(about["columns"])
    }
    return Groups(str(about["unit"]), arrays.get("unit"), columns)


def _check_groups(groups: Groups | None, data: DataFacts) -> None:
    """Raise ValueError where units are not those of the data: without them images would pass for independent."""
    codes = None if groups is None else groups.codes
    units = np.arange(0) if codes is None else np.unique(codes)
    columns = groups.columns.values() if groups else ()
    fits = all(set(np.unique(one.codes)) <= set(range(len(one.values))) for one in columns)
    if (data.unit != "") != (codes is not None) or units.tolist() != list(range(data.units)) or not fits:
        raise ValueError("its units are not those of its digits")


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())


def read(folder: Path) -> Evidence:
    """Read the evidence of a finished sweep. UsageError where anything is missing or not what was written."""
    try:
        manifest = json.loads(read_whole(folder / MANIFEST))
        if manifest["format"] != FORMAT:
            raise UsageError(
                f"{legible(folder)} has evidence of format {manifest['format']}, not {FORMAT}; run harness run again"
            )
        digits = _checked(folder / "digits.npz", manifest["digits"])
        images, labels = digits["images"], digits["labels"]
        if images.shape[1:] != (SIDE, SIDE):
            raise ValueError("its arrays do not belong together")
        images.setflags(write=False)
        entries = ((trial_at(one["corruption"], *one["point"]), one) for one in manifest["trials"])
        arrays = {trial: _checked(folder / one["file"], one["sha256"]) for trial, one in entries}
        model = _MODEL.validate_python(manifest["model"])
        data = _DATA.validate_python(manifest["data"])
        predictions, specimens, light, trigger = measured(arrays, int(manifest["seed"]))
        sandbox = _SANDBOX.validate_python(manifest["sandbox"])
        clean = predictions.answers.get(CLEAN)
        if clean is not None and not np.array_equal(clean, classes_of(predictions.probabilities)):
            raise ValueError("its clean answers are not those of its probabilities")
        last = _baseline(folder, manifest["baseline"])
        groups = _groups(folder, manifest.get("groups"))
        _check_groups(groups, data)
        fault = str(manifest["fault"])
        return Evidence(
            model, data, images, labels, predictions, specimens, fault, last, sandbox, light, groups, trigger
        )
    except FileNotFoundError as error:
        raise UsageError(f"{legible(folder)} holds no finished evidence; run harness run first") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        reason = one_line(str(error), 100)
        raise UsageError(f"{legible(folder)} is damaged ({reason}); run harness run again") from error


def measured(arrays: Mapping[Trial, Mapping[str, NDArray[Any]]], seed: int) -> Measured:
    """Sort the arrays of trials, as they are stored, into the parts of evidence."""
    trials = {trial: each for trial, each in arrays.items() if trial != TRIGGER}
    specimens = {trial: each["specimen"] for trial, each in trials.items()}
    predictions = Predictions(
        {trial: each["answers"] for trial, each in trials.items()},
        trials[CLEAN]["probabilities"] if CLEAN in trials else np.zeros((0, CLASSES), np.float32),
        seed,
        drawn(specimens),
    )
    light = {trial: trials[trial]["probabilities"] for trial in LIGHT if "probabilities" in trials.get(trial, {})}
    return predictions, specimens, light, trigger_of(arrays[TRIGGER]) if TRIGGER in arrays else None


def trigger_arrays(trigger: Trigger, digits: str) -> dict[str, NDArray[Any]]:
    """Return what is kept of a search for a trigger; ``digits``: SHA-256 of those that it was made on."""
    target = NO_ANSWER if trigger.patch.target is None else trigger.patch.target
    return {
        "answers": trigger.answers,
        "unseen": trigger.unseen,
        "pixels": np.array(trigger.patch.pixels, np.uint8),
        "target": np.array([target], np.int8),
        "digits": np.frombuffer(digits.encode(), np.uint8),
    }


def trigger_of(arrays: Mapping[str, NDArray[Any]]) -> Trigger:
    """Read what a search for a trigger has left."""
    pixels = tuple((int(row), int(column)) for row, column in arrays["pixels"])
    target = int(arrays["target"][0])
    return Trigger(Patch(pixels, None if target == NO_ANSWER else target), arrays["answers"], arrays["unseen"])


def classes_of(probabilities: Probabilities) -> Classes:
    """Return the class of each row; NO_ANSWER where a row holds anything but finite numbers."""
    classes: Classes = probabilities.argmax(axis=1).astype(np.int8)
    classes[~np.isfinite(probabilities).all(axis=1)] = NO_ANSWER
    return classes


def drawn(specimens: Mapping[Trial, Images]) -> dict[Trial, str]:
    """Return the SHA-256 of each specimen."""
    return {trial: sha256(image.tobytes()).hexdigest() for trial, image in specimens.items()}


def _baseline(folder: Path, expected: str | None) -> Baseline | None:
    if expected is None:
        return None
    _held(folder / BASELINE, expected)
    return baseline_file.read(folder / BASELINE)


def _checked(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    return unpacked(_held(path, expected))


def _held(path: Path, expected: str) -> bytes:
    content = read_whole(path)
    if sha256(content).hexdigest() != expected:
        raise UsageError(f"{legible(path)} is not the file that was written; run harness run again")
    return content
