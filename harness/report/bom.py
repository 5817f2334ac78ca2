"""A run as a bill of materials: CycloneDX 1.6, the model as a component with its card."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from harness import __version__
from harness.formatting import one_line
from harness.metrics.display import title
from harness.records import Measurement, ModelFacts, Run, Scope, SessionFacts

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_PACKAGES = ("keras", "tensorflow", "numpy")


def render(run: Run, session: SessionFacts | None) -> str:
    """Write the model with its hash and its card, the data that it was judged on, and the packages that ran it."""
    tool = {"type": "application", "name": "digit-release-harness", "version": __version__}
    metadata = {**_moment(session), "tools": {"components": [tool]}, "component": _model(run)}
    data = {"type": "data", "bom-ref": "data", **_named(run.data.name, run.data.sha256)}
    packages = [_package(name, version) for name in _PACKAGES if (version := run.versions.get(name, ""))[:1].isdigit()]
    content = {"version": 1, "metadata": metadata, "components": [data, *packages]}
    head = {"$schema": _SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6"}
    number = uuid5(NAMESPACE_URL, json.dumps(content))
    return f"{json.dumps({**head, 'serialNumber': f'urn:uuid:{number}', **content}, indent=1)}\n"


def _model(run: Run) -> dict[str, Any]:
    found = {"verdict": run.verdict.word, "sentence": run.verdict.sentence, "policy": run.policy.sha256}
    found |= {"preprocessing": run.model.preprocess_sha256, "baseline": run.baseline.sha256 if run.baseline else ""}
    properties = [{"name": f"harness:{name}", "value": one_line(text, 2000)} for name, text in found.items() if text]
    card = {
        "modelParameters": _parameters(run.model),
        "quantitativeAnalysis": {"performanceMetrics": [_metric(one) for one in run.measurements]},
        "considerations": {
            "technicalLimitations": [one_line(one.reason) for one in run.findings if one.status != "passed"]
        },
    }
    named = _named(run.model.name, run.model.sha256)
    return {"type": "machine-learning-model", "bom-ref": "model", **named, "modelCard": card, "properties": properties}


def _parameters(model: ModelFacts) -> dict[str, Any]:
    shapes = {"inputs": model.inputs, "outputs": model.outputs}
    return {
        "approach": {"type": "supervised"},
        "task": "classification",
        "modelArchitecture": one_line(f"{model.kind}: {', '.join(layer.kind for layer in model.layers)}", 1000),
        "datasets": [{"ref": "data"}],
        **{name: [{"format": json.dumps(shape)} for shape in each] for name, each in shapes.items()},
    }


def _metric(one: Measurement) -> dict[str, Any]:
    of = {"slice": one_line(title(one.metric, one.scope))} if one.scope != Scope() else {}
    bounds = {"lowerBound": repr(one.low), "upperBound": repr(one.high)}
    return {"type": one_line(one.metric), "value": repr(one.value), **of, "confidenceInterval": bounds}


def _named(name: str, sha256: str) -> dict[str, Any]:
    """Return name and hash; a hash of another form, which a record may hold, is none."""
    whole = re.fullmatch("[0-9a-f]{64}", sha256)
    return {"name": one_line(name), **({"hashes": [{"alg": "SHA-256", "content": sha256}]} if whole else {})}


def _package(name: str, version: str) -> dict[str, str]:
    shown = one_line(version, 60)
    purl = f"pkg:pypi/{name}@{quote(shown, safe='')}"
    return {"type": "library", "bom-ref": name, "name": name, "version": shown, "purl": purl}


def _moment(session: SessionFacts | None) -> dict[str, str]:
    """Return when the model was judged; nothing where that is not known."""
    with suppress(ValueError):
        return {"timestamp": datetime.fromisoformat(session.when if session else "").isoformat()}
    return {}
