"""JSON of a file from outside: bounded, without repeated keys, and without Python code anywhere in it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.values import said
from harness.formatting import one_line

_CODE = ("__lambda__", "Lambda")


def parse(content: bytes | str, what: str) -> Any:
    """JSON without repeated keys, NaN, endless depth or more values than a model has."""
    if len(content) > budget.MOST_CONFIG:
        raise Rejected(f"{what} is larger than {budget.MOST_CONFIG >> 20} MiB; a digit model's has a few KiB")
    try:
        found = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError as error:
        raise Rejected(f"{what} is nested too deeply; {budget.MOST_DEPTH} levels are the limit") from error
    except (ValueError, UnicodeError) as error:
        raise Rejected(f"{what} is no valid JSON ({one_line(str(error), 80)}); save the model again") from error
    _bounded(found, what)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in one object twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _bounded(found: object, what: str) -> None:
    """Few values, not nested too deeply, short strings; without recursion."""
    open_, count = [(found, 1)], 0
    while open_:
        value, depth = open_.pop()
        count += 1
        if count > budget.MOST_NODES:
            raise Rejected(f"{what} holds more than {budget.MOST_NODES} values; a digit model's holds a few hundred")
        if depth > budget.MOST_DEPTH:
            raise Rejected(f"{what} is nested too deeply; {budget.MOST_DEPTH} levels are the limit")
        if isinstance(value, dict):
            open_ += ((inner, depth + 1) for pair in value.items() for inner in pair)
        elif isinstance(value, list):
            open_ += ((inner, depth + 1) for inner in value)
        elif isinstance(value, str) and len(value) > budget.MOST_STRING and not _is_bytecode(value):
            raise Rejected(
                f"{what} holds a text of {len(value)} characters ({said(value, 20)});"
                f" {budget.MOST_STRING} are the limit"
            )


def _is_bytecode(value: str) -> bool:
    """Long and packed: left to the check that names it better."""
    return value.isascii() and " " not in value.strip()


def no_code(found: object) -> None:
    """No Python bytecode anywhere, not even where Keras does not look: whoever loads the file later may."""
    open_ = [found]
    while open_:
        value = open_.pop()
        if isinstance(value, dict):
            if value.get("class_name") in _CODE:
                raise Rejected(
                    "it holds Python code (a Lambda layer or function), which would run wherever the file is loaded;"
                    " use built-in layers and losses, or save with include_optimizer=False"
                )
            open_ += value.values()
        elif isinstance(value, list):
            open_ += value
