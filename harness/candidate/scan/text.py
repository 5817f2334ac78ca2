"""JSON of an untrusted file: bounded, without repeated keys and without Python code."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.values import shortened
from harness.formatting import one_line

_CODE = ("__lambda__", "Lambda")


def parse(content: bytes | str, what: str) -> Any:
    """Parse JSON without repeated keys, NaN, deep nesting or more values than a model has. Raises Rejected."""
    if len(content) > budget.MAX_CONFIG_BYTES:
        raise Rejected(f"{what} is larger than {budget.MAX_CONFIG_BYTES >> 20} MiB; a digit model's has a few KiB")
    try:
        document = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError as error:
        raise Rejected(f"{what} is nested too deeply; {budget.MAX_DEPTH} levels are the limit") from error
    except (ValueError, UnicodeError) as error:
        raise Rejected(f"{what} is no valid JSON ({one_line(str(error), 80)}); save the model again") from error
    _bounded(document, what)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands in one object twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _bounded(root: object, what: str) -> None:
    """Check number, depth and length of values, without recursion."""
    open_, count = [(root, 1)], 0
    while open_:
        value, depth = open_.pop()
        count += 1
        if count > budget.MAX_VALUES:
            raise Rejected(f"{what} holds more than {budget.MAX_VALUES} values; a digit model's holds a few hundred")
        if depth > budget.MAX_DEPTH:
            raise Rejected(f"{what} is nested too deeply; {budget.MAX_DEPTH} levels are the limit")
        if isinstance(value, dict):
            open_ += ((inner, depth + 1) for pair in value.items() for inner in pair)
        elif isinstance(value, list):
            open_ += ((inner, depth + 1) for inner in value)
        elif isinstance(value, str) and len(value) > budget.MAX_CHARACTERS and not _is_bytecode(value):
            raise Rejected(
                f"{what} holds a text of {len(value)} characters ({shortened(value, 20)});"
                f" {budget.MAX_CHARACTERS} are the limit"
            )


def _is_bytecode(value: str) -> bool:
    """Tell whether a text is long and packed: a later check names it better."""
    return value.isascii() and " " not in value.strip()


def no_code(root: object) -> None:
    """Raise Rejected if Python bytecode stands anywhere, also where Keras does not look: a later loader may."""
    open_ = [root]
    while open_:
        value = open_.pop()
        if isinstance(value, dict):
            if value.get("class_name") in _CODE:
                raise Rejected(
                    "it holds Python code (a Lambda layer or function), which would run wherever the file is loaded;"
                    " use built-in layers and losses, save with include_optimizer=False, or, where it was made,"
                    " model.export('folder')"
                )
            open_ += value.values()
        elif isinstance(value, list):
            open_ += value
