"""Calls of a model's layers on one another: by name, with plain numbers, never with a text."""

from __future__ import annotations

from collections.abc import Iterable

from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.values import listed, number_type, numbers, object_of, plain, settings_of, shortened


def references(value: object, names: Iterable[object], where: str) -> None:
    """Check references to layers by name, with the numbers of node and tensor."""
    if isinstance(value, str):
        if value not in names:
            raise Rejected(f"{where} refers to {shortened(value)}, which is no layer of it; save the model again")
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            references(inner, names, where)
    else:
        numbers(value, where)


def nodes(value: object, names: Iterable[object], where: str) -> None:
    """Check the calls of a layer: on tensors of other layers, with plain numbers; never with a text."""
    for node in listed(value, where):
        if isinstance(node, dict):
            if set(node) - {"args", "kwargs"}:
                raise Rejected(f"{where} is not in the form that Keras writes; save the model again")
            for inner in node.values():
                _call(inner, names, where)
        else:
            references(node, names, where)  # the older form: [[name, node, tensor, {settings}], ...]


def _call(value: object, names: Iterable[object], where: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _call(inner, names, where)
    elif isinstance(value, dict) and "class_name" in value:
        if value["class_name"] != "__keras_tensor__":
            argument(value, where)
            return
        config = settings_of(object_of(value, where), where)
        if set(config) - {"shape", "dtype", "keras_history", "name", "sparse", "ragged"}:
            raise Rejected(f"{where} holds a tensor of unknown form; save the model again")
        numbers(config.get("shape"), where)
        number_type(config.get("dtype"), where)
        references(config.get("keras_history"), names, where)
    elif isinstance(value, dict):
        for inner in value.values():
            _call(inner, names, where)
    else:
        numbers(value, where)


def argument(value: object, where: str) -> None:
    """Check an argument of an operation: plain, or a slice of plain numbers."""
    if isinstance(value, list):
        for inner in value:
            argument(inner, where)
    elif isinstance(value, dict) and value.get("class_name") in ("__slice__", "__ellipsis__"):
        numbers(value.get("config"), where)
    else:
        plain(value, where)
