"""Talking to MLflow: the connection, models by address, versions and aliases. Settings are MLflow's own variables."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import read_whole
from harness.formatting import one_line

MOST = 1 << 29  # bytes of a model
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_ADDRESS = re.compile(r"models:/([^/@]+)(?:/([0-9]+)|@([\w-]+))")
_PASSWORD = re.compile(r"//[^/\s]*@")
_KIND = {"mlflow.experimentKind": "custom_model_development"}
_TOGETHER = 1000  # metrics that a server takes at a time
_FOLDERS = 20  # of a version that are searched for its model


def is_address(path: Path | str) -> bool:
    """Tell whether a path names a model of a registry."""
    return str(path).startswith("models:/")


@contextmanager
def connected() -> Iterator[Any]:
    """Give MLflow's client. UsageError, in one line, where the package is missing or MLflow raises in the block."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow
        except ImportError as error:
            raise UsageError(
                'MLflow is not installed; python -m pip install "digit-release-harness[mlflow]"'
            ) from error
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        try:
            yield mlflow.MlflowClient()
        except (mlflow.exceptions.MlflowException, OSError, ImportError) as error:
            where = one_line(re.sub(_PASSWORD, "//", mlflow.get_tracking_uri()), 120)
            raise UsageError(_explained(error, where)) from error


def _explained(error: Exception, where: str) -> str:
    """Say what MLflow could not do, and the way out."""
    text = re.sub(_PASSWORD, "//", str(error))
    if re.search(r"error code 40[13]\b", text):
        return (
            f"MLflow at {where} refuses the user; check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN"
        )
    if "failed with exception" in text:
        cause = one_line(text.rpartition(": ")[2].strip("'\")"), 120)
        return f"MLflow at {where} cannot be reached: {cause}; is it up, and is MLFLOW_TRACKING_URI right?"
    if isinstance(error, ImportError) or "unsupported URI" in text:
        return (
            f"MLflow at {where} needs more than mlflow-skinny; set MLFLOW_TRACKING_URI to the address of a server, or "
            "python -m pip install mlflow"
        )
    return f"MLflow at {where} refuses: {one_line(text, 300)}; mend that and run again"


def pinned(client: Any, address: str) -> tuple[str, str]:
    """Return name and version of the model at an address. UsageError where there is none."""
    shown = one_line(address, 200)
    if not (parts := _ADDRESS.fullmatch(address)):
        raise UsageError(f"{shown} is no address of a model; write models:/NAME/VERSION or models:/NAME@ALIAS")
    name, version, alias = parts.groups()
    model = find(client, name)
    if alias and alias not in model.aliases:
        there = ", ".join(sorted(model.aliases)) or "none"
        raise UsageError(f"{shown}: {one_line(name, 80)} has no alias {alias}; it has {one_line(there, 120)}")
    return name, version or str(model.aliases[alias])


def find(client: Any, name: str) -> Any:
    """Return a registered model. UsageError where there is none of that name."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        shown = one_line(name, 80)
        raise UsageError(
            f"there is no registered model {shown}; harness mlflow log OUT --register {shown} makes it"
        ) from error


def fetch(client: Any, name: str, version: str, folder: Path) -> Path:
    """Download the one .keras file of a version into a folder. UsageError where it has none or several."""
    import mlflow

    waiting, seen, models = [""], 0, []
    root = f"models:/{name}/{version}"
    while waiting and seen < _FOLDERS:
        seen += 1
        for entry in mlflow.artifacts.list_artifacts(f"{root}/{waiting.pop()}".rstrip("/")):
            if entry.is_dir:
                waiting.append(entry.path)
            elif entry.path.endswith(".keras"):
                models.append(entry)
    shown = one_line(root, 200)
    if len(models) != 1:
        raise UsageError(f"{shown} holds {len(models)} .keras files; a version with one can be judged")
    if (models[0].file_size or 0) > MOST:
        raise UsageError(f"{shown} is larger than {MOST >> 20} MiB; a digit model has a few MiB")
    local = Path(mlflow.artifacts.download_artifacts(f"{root}/{models[0].path}", dst_path=str(folder / "download")))
    plain = re.sub(r"[^\w.-]", "_", name)[:80]
    return local.rename(folder / f"{plain}-{version}.keras")


def model_hash(client: Any, name: str, version: str, folder: Path) -> str:
    """Compute the SHA-256 of the model file of a version."""
    return sha256(read_whole(fetch(client, name, version, folder), MOST)).hexdigest()


def version_of(client: Any, name: str, tags: Mapping[str, str]) -> str:
    """Return the version whose tags name the model of a run: of several that of this run, else the newest.

    Empty where there is none.
    """
    mark = "'" if '"' in name else '"'
    found = client.search_model_versions(f"name={mark}{name}{mark}")
    model, run = "harness.model_sha256", "harness.run_sha256"
    fitting = [
        (one.tags.get(run) == tags[run], int(one.version)) for one in found if one.tags.get(model) == tags[model]
    ]
    return str(max(fitting)[1]) if fitting else ""


def version() -> str:
    """Return the version of MLflow."""
    import mlflow

    return str(mlflow.__version__)


def experiment(client: Any, name: str | None) -> tuple[str, str]:
    """Return name and id of an experiment, which is made where it is not there; without a name MLflow's own choice."""
    if name is None:
        found = client.get_experiment(os.environ.get("MLFLOW_EXPERIMENT_ID", "0"))
        return str(found.name), str(found.experiment_id)
    if found := client.get_experiment_by_name(name):
        return str(found.name), str(found.experiment_id)
    return name, str(client.create_experiment(name, tags=_KIND))


def log_numbers(client: Any, run_id: str, numbers: Mapping[tuple[str, int], float], params: Mapping[str, str]) -> None:
    """Log metrics by name and step, and params, in as few requests as a server takes."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for (name, step), value in numbers.items()]
    client.log_batch(run_id, params=[Param(*each) for each in params.items()])
    for start in range(0, len(metrics), _TOGETHER):
        client.log_batch(run_id, metrics=metrics[start : start + _TOGETHER])


def log_dataset(client: Any, run_id: str, dataset: Mapping[str, str]) -> None:
    """Log the test images as the data set that a run evaluates on."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    used = [InputTag("mlflow.data.context", "evaluation")]
    client.log_inputs(run_id, [DatasetInput(Dataset(**dataset), used)])


def create_version(client: Any, name: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Make a version of a registered model, which is made where it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return str(client.create_model_version(name, source, run_id, tags=dict(tags)).version)


def tag_version(client: Any, name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    there = client.get_model_version(name, version).tags
    for key, value in tags.items():
        if there.get(key) != value:
            client.set_model_version_tag(name, version, key, value)
