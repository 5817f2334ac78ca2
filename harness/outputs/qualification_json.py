"""qualification.json: which faults a policy noticed; and the finished mutants that it is made of, a file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.files import read_whole
from harness.formatting import one_line
from harness.records import Mutant, Qualification

FORMAT = 2
_READ = (1, FORMAT)  # the first: every mutant was asked about every gate
NAME = "qualification.json"
_WHOLE, _MUTANT = TypeAdapter(Qualification), TypeAdapter(Mutant)


def dump(found: Qualification) -> bytes:
    """Encode a qualification as JSON, keys in order, no NaN: equal ones give equal bytes."""
    return _json({"format": FORMAT, **_WHOLE.dump_python(found, mode="json")})


def load(path: Path) -> Qualification:
    """Read a qualification.json. UsageError where it is not one."""
    shown = one_line(str(path))
    try:
        content = json.loads(read_whole(path))
        if not isinstance(content, dict) or content.pop("format", None) not in _READ:
            raise UsageError(f"{shown} is no qualification.json of format {FORMAT}; run harness qualify again")
        return _WHOLE.validate_python(content)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or str(error), 120)
        raise UsageError(f"{shown} cannot be read as a qualification: {reason}; run harness qualify again") from error


def dump_mutant(mutant: Mutant) -> bytes:
    """Encode a finished mutant."""
    return _json(_MUTANT.dump_python(mutant, mode="json"))


def load_mutant(path: Path) -> Mutant | None:
    """Read a finished mutant; None where there is none, or a damaged one."""
    try:
        return _MUTANT.validate_json(read_whole(path))
    except (OSError, ValidationError):
        return None


def schema() -> dict[str, Any]:
    """Describe qualification.json in JSON Schema; harness/qualification.schema.json is this."""
    described = TypeAdapter(tuple[Qualification], config=ConfigDict(use_attribute_docstrings=True))
    records = described.json_schema(mode="serialization")["$defs"]
    whole = {**records.pop("Qualification"), "$defs": records}
    whole["properties"] = {"format": {"const": FORMAT, "description": "Number of this format."}, **whole["properties"]}
    whole["required"] = ["format", *whole["required"]]
    for record in (whole, *whole["$defs"].values()):
        if "properties" in record:
            record["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _json(content: Any) -> bytes:
    return f"{json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)}\n".encode()
