"""Write the generated pages of the reference: ``python docs/reference.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from harness.corruptions import CORRUPTIONS, SPACES
from harness.corruptions.attacks import ATTACKS, Attack
from harness.corruptions.registry import Corruption
from harness.formatting import count
from harness.metrics import reference as metrics
from harness.outputs import run_json
from harness.policy.table import CheckTable, FileTable, GateTable, LimitsTable, PreprocessingTable, WaiverTable

MADE = "Made by `python docs/reference.py`."
TABLES: Mapping[str, type[BaseModel]] = {
    "The file": FileTable,
    "`[[gate]]`": GateTable,
    "`[limits]`": LimitsTable,
    "`[preprocessing]`": PreprocessingTable,
    "`[[check]]`": CheckTable,
    "`[[waiver]]`": WaiverTable,
}


def policy_keys() -> str:
    """Describe every key of a policy file, from the tables that read it."""
    head = f"# Keys of a policy\n\nA policy is a TOML file; an unknown key is a mistake. {MADE}\n"
    return "\n".join([head, *(_table(f"## {name}", _keys(table)) for name, table in TABLES.items())])


def corruptions() -> str:
    """Describe what a policy can change images with."""
    head = (
        "# Corruptions\n\nWhat a `[[gate]]` may name as `corruption`, with `severity` 1 to 5, or with `within` for a "
        f"space. {MADE}\n\n![A digit under every corruption at severities 1 to 5](../corruptions.png)\n"
    )
    parts = [f"## `{name}`\n\n{_first(one.function)}\n\n{_settings(one)}\n" for name, one in CORRUPTIONS.items()]
    spaces = [
        (f"`{name}`", f"{_first(one.function)} Every point within 1 to {one.largest} {one.unit} is tried.")
        for name, one in SPACES.items()
    ]
    attacks = [
        (f"`{name}`", f"{count(one.steps, 'step')}, in all at most {_levels(one)} grey levels. {one.source}.")
        for name, one in ATTACKS.items()
    ]
    return "\n".join([head, *parts, _table("## Spaces", spaces), _table("## Attacks", attacks)])


def run_record() -> str:
    """Describe every field of run.json, from its schema."""
    schema = run_json.schema()
    head = (
        "# Fields of run.json\n\nEverything the report says, for programs: the same bytes for the same inputs. The "
        f"schema is [run.schema.json](../../harness/run.schema.json). {MADE}\n"
    )
    records = {"The record": schema, **schema["$defs"]}
    return "\n".join([head, *(_record(name, record) for name, record in records.items())])


def _keys(table: type[BaseModel]) -> Iterator[tuple[str, str]]:
    schema = table.model_json_schema()
    for name, field in table.model_fields.items():
        key = field.alias or name
        default = field.get_default()
        values = _values(schema["properties"][key])
        given = default not in (None, PydanticUndefined) and isinstance(default, str | int | float)
        ends = (
            " Required."
            if key in schema.get("required", ())
            else f" Default: `{json.dumps(default)}`."
            if given
            else ""
        )
        yield f"`{key}`", f"{field.description}{f' {values}.' if values else ''}{ends}"


def _values(schema: Mapping[str, Any]) -> str:
    """Name the values of a key that are few, or its range."""
    parts = [_values(option) for option in schema.get("anyOf", ())]
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    low, high, beyond = (schema.get(bound) for bound in ("minimum", "maximum", "exclusiveMaximum"))
    if low is not None and beyond is not None:
        return f"{low} to {beyond - 1}" if schema["type"] == "integer" else f"{low} to below {beyond}"
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return ", or ".join(part for part in parts if part)


def _settings(one: Corruption) -> str:
    values = [
        f"{setting.name} {', '.join(f'{value:g}' for value in setting.values)} ({setting.unit})"
        for setting in one.parameters
    ]
    mark = " One of the 15 of MNIST-C." if one.mnist_c else ""
    said = "; ".join(values)
    return f"{said[:1].upper()}{said[1:]}. {one.source}.{mark}"


def _levels(attack: Attack) -> str:
    return f"{', '.join(map(str, attack.epsilons))} ({attack.norm})"


def _record(name: str, record: Mapping[str, Any]) -> str:
    rows = [(f"`{key}`", _field(field)) for key, field in record["properties"].items()]
    return _table(f"## {name}\n\n{record['description']}", rows)


def _field(field: Mapping[str, Any]) -> str:
    kind = _kind(field)
    return f"{field.get('description', '')} {f'({kind})' if kind else ''}".strip()


def _kind(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind for kind in map(_kind, field["anyOf"]) if kind))
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {})) or 'values'}"
    return str(field.get("type", ""))


def _first(function: object) -> str:
    return " ".join((function.__doc__ or "").split("\n\n")[0].split())


def _table(head: str, rows: Any) -> str:
    cells = "\n".join(f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows)
    return f"{head}\n\n| name | meaning |\n|---|---|\n{cells}\n"


PAGES = {
    "metrics.md": metrics.render,
    "policy-keys.md": policy_keys,
    "corruptions.md": corruptions,
    "run-json.md": run_record,
}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (Path(__file__).parent / "reference" / page).write_text(text(), "utf-8")
