"""Run in the form of MLflow: metrics, params, tags, and the files of a model that others can load."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from harness.formatting import one_line
from harness.records import Run, Scope

NOTE = 8000  # characters of a tag that every server takes
_NAME = 250  # characters of a name


def metrics(run: Run) -> dict[tuple[str, int], float]:
    """Return every number by name and step; the step is the severity, the largest step or the slice."""
    numbers: dict[tuple[str, int], float] = {}
    for measurement in run.measurements:
        where = _where(measurement.metric, measurement.scope)
        numbers.setdefault(where, measurement.value)
        if where == ("accuracy", 0):
            numbers |= {("accuracy low", 0): measurement.low, ("accuracy high", 0): measurement.high}
    for finding in run.findings:
        if finding.gate and finding.margin is not None:
            numbers.setdefault((_named("margin", finding.gate.id), 0), finding.margin)
    return {where: value for where, value in numbers.items() if math.isfinite(value)}


def params(run: Run) -> dict[str, str]:
    """Return what the run was made with."""
    beside = {"baseline": f"{one_line(run.baseline.model, 120)} {run.baseline.sha256[:10]}"} if run.baseline else {}
    given = {
        "policy": run.policy.name,
        "seed": str(run.seed),
        "data": run.data.name,
        "images": str(run.data.n),
        **beside,
        **{_named(f"version.{name}"): version for name, version in run.versions.items()},
    }
    return {name: one_line(text, 500) for name, text in given.items()}


def tags(run: Run, run_sha256: str) -> dict[str, str]:
    """Return the verdict and what it is of; of a run as of a model version. ``run_sha256``: of run.json."""
    given = {
        "verdict": run.verdict.word,
        "exit_code": str(run.verdict.exit_code),
        "sentence": run.verdict.sentence,
        "model_sha256": run.model.sha256,
        "policy_sha256": run.policy.sha256,
        "data_sha256": run.data.sha256,
        "run_sha256": run_sha256,
    }
    return {f"harness.{name}": one_line(text, 2000) for name, text in given.items()}


def dataset(run: Run) -> dict[str, str]:
    """Return the test images as MLflow names a data set."""
    name = one_line(run.data.name, 200)
    source = json.dumps({"uri": name})
    return {"name": name, "digest": run.data.sha256[:36], "source_type": "local", "source": source}


def model_files(run: Run, content: bytes, run_id: str, mlflow_version: str) -> Mapping[str, bytes]:
    """Return the files of a model that ``mlflow.keras`` and ``mlflow.pyfunc`` load; ``content``: the judged file."""
    keras, tensorflow, python = (run.versions.get(name, "") for name in ("keras", "tensorflow", "python"))
    flavors = {
        "keras": {
            "data": "data",
            "keras_version": keras,
            "keras_backend": "tensorflow",
            "save_exported_model": False,
        },
        "python_function": {
            "loader_module": "mlflow.keras",
            "env": {"virtualenv": "python_env.yaml"},
            "python_version": python,
        },
    }
    described = {"artifact_path": "model", "flavors": flavors, "mlflow_version": mlflow_version, "run_id": run_id}
    needed = f"mlflow=={mlflow_version}\nkeras=={keras}\ntensorflow=={tensorflow}\n"
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": _yaml(described),
        "data/model.keras": content,
        "data/keras_module.txt": b"keras",
        "python_env.yaml": _yaml(environment),
        "requirements.txt": needed.encode(),
    }


def _where(metric: str, scope: Scope) -> tuple[str, int]:
    step = next((each for each in (scope.severity, scope.within, scope.slice) if each is not None), 0)
    first = "robustness" if metric == "accuracy" and scope.corruption else metric
    parts = (scope.digit, scope.corruption, scope.property, scope.column, scope.reaching)
    return _named(first, *(str(part) for part in parts if part is not None)), step


def _named(*parts: str) -> str:
    """Make a name that MLflow takes: a path of letters, digits and a few signs."""
    clean = (re.sub(r"[^\w\-. :/]", "_", part, flags=re.ASCII) for part in "/".join(parts).split("/"))
    return "/".join(part if part.strip(". ") else "_" for part in clean)[:_NAME].rstrip("/")


def _yaml(content: object) -> bytes:
    return f"{json.dumps(content, indent=1)}\n".encode()  # JSON is YAML
