"""The candidates that the words of a command name, and a folder for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError
from harness.evidence.last_release import MODELS
from harness.files import decoded, read_whole
from harness.formatting import command_line, one_line
from harness.outputs import mlflow_client
from harness.run.session import Request


def named(words: Sequence[Path]) -> list[Path] | None:
    """Return the candidates that the words name, in order; None where they name one alone, which is judged by itself.

    ``@list.txt`` names a file with a path on each line, and a folder that is no model the models in it.
    """
    candidates: list[Path] = []
    for word in words:
        if str(word).startswith("@") and not word.exists():
            candidates += _listed(Path(str(word)[1:]))
        elif _is_output(word):
            raise UsageError(_of_output(word))
        elif models := _inside(word):
            candidates += models
        else:
            candidates.append(word)
    return None if candidates == list(words) and len(candidates) == 1 else candidates


def requests_for(request: Request, models: Sequence[Path], out: Path) -> list[Request]:
    """Return a request a model, each with a folder of its own in ``out``: the model's name, numbered where taken."""
    taken: set[str] = set()
    requests = []
    for model in models:
        name, number = _folder_name(model), 1
        while (unique := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        taken.add(unique)
        requests.append(replace(request, model=model, out=out / unique))
    return requests


def _folder_name(model: Path) -> str:
    if mlflow_client.is_address(model):
        return str(model).removeprefix("models:/").replace("/", "-")
    return model.stem or "model"


def _listed(path: Path) -> list[Path]:
    shown = one_line(str(path), 200)
    try:
        lines = decoded(read_whole(path, 1 << 20)).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or one_line(str(error), 120)
        raise UsageError(
            f"@{shown} is no list of candidates: {why}; give a text file with one path on each line"
        ) from error
    paths = [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not paths:
        raise UsageError(f"@{shown} names no candidate; write one path on each line")
    return paths


def _is_output(folder: Path) -> bool:
    """Tell whether a run left its outputs in a folder."""
    try:
        return (folder / "run.json").is_file() and (folder / "evidence").is_dir()
    except OSError:  # a folder that may not be entered is refused as a model is
        return False


def _of_output(folder: Path) -> str:
    again, models = command_line(["harness", "report", str(folder)]), _inside(folder)
    judged = command_line(["harness", "run", str(models[0])]) if models else "give the model's file"
    left = f"{one_line(str(folder), 200)} is what a run left, not a model"
    return f"{left}; {again} shows it again; to judge its model anew: {judged}"


def _inside(folder: Path) -> list[Path]:
    """List the model files of a folder that is itself no model."""
    return [path for path in _models(folder) if not _is_hidden(path)]


def left_out(words: Sequence[Path]) -> list[Path]:
    """List the hidden files in folders of models, such as those that a Mac leaves; they are no candidates."""
    return [path for word in words for path in _models(word) if _is_hidden(path)]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _models(folder: Path) -> list[Path]:
    try:
        if not folder.is_dir() or any((folder / part).exists() for part in ("saved_model.pb", "config.json")):
            return []
        return sorted(path for path in folder.iterdir() if path.suffix in MODELS)
    except OSError:  # a folder that may not be entered is refused as a model is
        return []
