"""run.json: the only meeting point of judging and showing. One record type, one JSON form, strict both ways."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.files import read_whole
from harness.formatting import one_line
from harness.records import CLASSES, Run, SessionFacts

FORMAT = 3
_RENAMED = {"shortfall": "detectable_below", "headroom": "detectable_above"}  # of a gate's power, in format 3
OPTIONAL = frozenset(  # left out where they say nothing
    ("unit", "units", "unit_sizes", "shared_units", "effect", "effective", "effective_units", "units_needed", "uses")
) | {
    "column",
    "reaching",
    "sampling",
    "tips_at",
    "tips_first",
    "contract",
    "lowered",
    "waiver",
    "keras",
    "precision",
    "meaning",
}
OPTIONAL |= {"trained_on", "trained_on_sha256", "accepted_on", "meaning"}
_RUN, _SESSION = TypeAdapter(Run), TypeAdapter(SessionFacts)


def dump(run: Run) -> bytes:
    """Encode the Run as JSON, keys in order, no NaN: equal runs give equal bytes."""
    return _json(_content(run))


def _content(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = _without_absent({"format": FORMAT, **_RUN.dump_python(run, mode="json")})
    return content


def _without_absent(content: Any) -> Any:
    """Leave out the fields that say nothing of this run: no sampling units, no exception of the policy."""
    if isinstance(content, dict):
        return {
            name: _without_absent(value)
            for name, value in content.items()
            if name not in OPTIONAL or value not in (None, "", 0, [])
        }
    return [_without_absent(value) for value in content] if isinstance(content, list) else content


def load(path: Path) -> Run:
    """Read a run.json. UsageError where it is not one."""
    try:
        content = json.loads(read_whole(path), parse_constant=_no_number)
        if not isinstance(content, dict) or content.get("format") not in (1, 2, FORMAT):
            raise UsageError(f"{one_line(str(path))} is no run.json of format 1 to {FORMAT}; run harness run again")
        content = _of_format_3(_of_format_2(content))
        run = _RUN.validate_python({name: value for name, value in content.items() if name != "format"})
        json.dumps(content, allow_nan=False)  # refuses 1e999, which Python reads as infinity
        if _content(run) != content:
            raise ValueError("it holds more or other than a run")
        if run.confusion and [len(row) for row in run.confusion] != [CLASSES + 1] * CLASSES:
            raise ValueError(f"confusion is no table of {CLASSES} rows and {CLASSES + 1} columns")
    except FileNotFoundError as error:
        raise UsageError(f"{one_line(str(path))} does not exist; run harness run first") from error
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or str(error), 120)
        raise UsageError(f"{one_line(str(path))} cannot be read as a run: {reason}; run harness run again") from error
    return run


def _of_format_2(content: dict[str, Any]) -> dict[str, Any]:
    """Give a run of format 1 the form of format 2: there the policy was the text of all its files."""
    policy = content.get("policy")
    if content["format"] != 1 or not isinstance(policy, dict) or not isinstance(policy.get("text"), str):
        return content
    known = {name: value for name, value in policy.items() if name != "text"}
    text = policy["text"]
    file = {"name": policy.get("file"), "sha256": sha256(text.encode()).hexdigest(), "text": text, "includes": []}
    return {**content, "policy": {**known, "files": [file]}}


def _of_format_3(content: dict[str, Any]) -> dict[str, Any]:
    """Give a run of format 1 or 2 the names of format 3."""
    if content["format"] == FORMAT:
        return content
    return {name: _renamed(value) if name == "power" else value for name, value in content.items()} | {"format": FORMAT}


def _renamed(content: Any) -> Any:
    if isinstance(content, dict):
        return {_RENAMED.get(name, name): _renamed(value) for name, value in content.items()}
    return [_renamed(value) for value in content] if isinstance(content, list) else content


def dump_session(session: SessionFacts) -> bytes:
    """Encode the SessionFacts as JSON, its parts in the order in which they took their time."""
    return _json(_SESSION.dump_python(session, mode="json"), in_order=False)


def load_session(path: Path) -> SessionFacts | None:
    """Read a session.json; None where there is none."""
    try:
        return _SESSION.validate_json(read_whole(path))
    except (OSError, ValidationError):
        return None


def schema() -> dict[str, Any]:
    """Describe run.json in JSON Schema, each field by the string under it; harness/run.schema.json is this."""
    described = TypeAdapter(tuple[Run], config=ConfigDict(use_attribute_docstrings=True))
    records = described.json_schema(mode="serialization")["$defs"]
    run = {**records.pop("Run"), "$defs": records}
    run["properties"] = {
        "format": {"const": FORMAT, "description": "Number of this format."},
        **run["properties"],
    }
    run["required"] = ["format", *run["required"]]
    for record in (run, *run["$defs"].values()):
        if "properties" in record:
            record["additionalProperties"] = False
            record["required"] = [name for name in record.get("required", []) if name not in OPTIONAL]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **run}


def _json(content: Any, *, in_order: bool = True) -> bytes:
    text = json.dumps(content, indent=1, sort_keys=in_order, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")
