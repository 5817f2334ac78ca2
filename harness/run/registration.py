"""A finished run logged in MLflow, and its model registered."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import read_whole, write_whole
from harness.formatting import one_line
from harness.outputs import mlflow, mlflow_client
from harness.records import Run
from harness.report import markdown
from harness.run.fetch import fetched
from harness.run.finished_run import open_finished
from harness.sandbox.temporary import temporary

ARTIFACTS = ("run.json", "report.html", "junit.xml", "session.json")


@dataclass(frozen=True)
class Logged:
    """Experiment, run and version that a run was logged as."""

    experiment: str
    run_id: str
    numbers: int
    version: str  # of the registered model; empty where none was asked for


def log(out: Path, experiment: str | None, register: str | None) -> Logged:
    """Log the finished run in ``out``; ``register``: the name under which its model becomes a version.

    UsageError where MLflow raises, or the model file is no longer the judged one. A run that was begun is then FAILED.
    """
    finished = open_finished(out)
    run = finished.run
    with ExitStack() as stack:
        content, judged = _judged(run, out, stack) if register else (b"", "")
        folder = stack.enter_context(temporary())
        client = stack.enter_context(mlflow_client.connected())
        name, experiment_id = mlflow_client.experiment(client, experiment)
        tags = mlflow.tags(run, finished.run_sha256)
        note = {"mlflow.note.content": markdown.render(run, limit=mlflow.NOTE)}
        begun = client.create_run(experiment_id, run_name=one_line(run.model.name, 200), tags={**tags, **note})
        run_id = str(begun.info.run_id)
        stack.enter_context(_ended(client, run_id))
        numbers = mlflow.metrics(run)
        mlflow_client.log_numbers(client, run_id, numbers, mlflow.params(run))
        mlflow_client.log_dataset(client, run_id, mlflow.dataset(run))
        for path in (out / each for each in ARTIFACTS):
            if path.is_file():
                client.log_artifact(run_id, str(path), "harness")
        client.log_artifacts(run_id, str(out / "evidence"), "harness/evidence")
        version = ""
        if register and judged.startswith(f"models:/{register}/"):
            version = judged.rpartition("/")[2]
            mlflow_client.tag_version(client, register, version, tags)
        elif register:
            for place, part in mlflow.model_files(run, content, run_id, mlflow_client.version()).items():
                (folder / place).parent.mkdir(exist_ok=True)
                write_whole(folder / place, part)
            client.log_artifacts(run_id, str(folder), "model")
            version = mlflow_client.create_version(client, register, f"{begun.info.artifact_uri}/model", run_id, tags)
    return Logged(name, run_id, len(numbers), version)


@contextmanager
def _ended(client: Any, run_id: str) -> Iterator[None]:
    """End a run at the end of a block: as FAILED where that raises."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _judged(run: Run, out: Path, stack: ExitStack) -> tuple[bytes, str]:
    """Return the bytes of the judged model and, where it came from a registry, its address.

    UsageError where no file at the places where it may be has the judged hash.
    """
    words = shlex.split(run.command)
    named = Path(words[2] if words[:2] == ["harness", "run"] else run.model.name)
    files = stack.enter_context(fetched([named]))
    file, address = files.get(named, (named, ""))
    for path in (file, out / run.model.name, out.parent / run.model.name):
        with suppress(OSError):
            content = read_whole(path, mlflow_client.MOST)
            if sha256(content).hexdigest() == run.model.sha256:
                if content[:2] != b"PK":
                    raise UsageError(f"{one_line(str(path), 200)} is no .keras file, which alone is registered")
                return content, address
    raise UsageError(
        f"{one_line(str(named), 200)} is no longer the judged model {run.model.sha256[:10]}, or not here; log the run "
        "from the folder where it was judged, or judge the model anew"
    )
