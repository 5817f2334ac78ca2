"""Elements of a configuration: objects with a class and settings, plain values, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from harness.candidate.scan import allowed, budget
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

WAY_OUT = (
    "only layers that Keras itself has and that run no code from the file are let through; where the model was made:"
    " model.export('folder')"
)
OWN = "its code is not in the file: write a function that makes the model, and give module:function --allow-code"
_KEYS = allowed.words(
    "module class_name config registered_name build_config compile_config name inbound_nodes shared_object_id"
    " __passive_serialization__"
)


def shortened(value: object, max_characters: int = 60) -> str:
    """Shorten a value to one printable line of at most ``max_characters``."""
    return one_line(str(value), max_characters)


def listed(value: object, where: str) -> list[Any]:
    """Return ``value`` if it is a list. Raises Rejected."""
    if not isinstance(value, list):
        raise Rejected(f"{where} is no list; save the model again")
    return value


def object_of(value: object, where: str) -> Mapping[str, Any]:
    """Return ``value`` if it is an object with class_name and config and no unknown key. Raises Rejected."""
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str) or "config" not in value:
        raise Rejected(f"{where} is no object with class_name and config; save the model again")
    if strange := sorted(set(value) - _KEYS):
        raise Rejected(f"{where} holds {shortened(strange[0])}, which no saved model has; save the model again")
    if any(not isinstance(value.get(key, ""), (str, type(None))) for key in ("module", "registered_name", "name")):
        raise Rejected(f"{where} is called by what is no text; save the model again")
    if not isinstance(value.get("shared_object_id", 0), (int, type(None))):
        raise Rejected(f"{where} shares an object under what is no number; save the model again")
    name, registered = value["class_name"], value.get("registered_name")
    if name == "function" and not isinstance(value["config"], str):
        raise Rejected(f"{where} is a function without a name; save the model again")
    of_itself = value["config"] if name == "function" else name
    if registered is not None and registered not in (of_itself, name):
        raise Rejected(f"{where} names {shortened(registered)}, a custom object; {OWN}")
    return value


def settings_of(node: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the settings of an object. Raises Rejected where they are none."""
    if not isinstance(node["config"], dict) or "class_name" in node["config"]:
        raise Rejected(f"{where} has a configuration that is no list of settings; save the model again")
    return node["config"]


def refuse(node: Mapping[str, Any], where: str) -> NoReturn:
    """Raise Rejected for an object that is not on the list."""
    module = node.get("module")
    name = f"{module}.{node['class_name']}" if isinstance(module, str) else node["class_name"]
    if node["class_name"] == "function":
        name = f"the function {module}.{node['config']}"
    is_own = isinstance(module, str) and module.partition(".")[0] not in ("keras", "tf_keras", "builtins")
    raise Rejected(f"{where} is {shortened(name)}, which is not on the list; {OWN if is_own else WAY_OUT}")


def numbers(value: object, where: str) -> None:
    """Check for numbers, booleans and null, in lists and objects of any shape. Raises Rejected."""
    if isinstance(value, str):
        raise Rejected(f"{where} holds the text {shortened(value)} where only numbers belong; save the model again")
    if isinstance(value, (list, dict)):
        if isinstance(value, dict) and "class_name" in value:
            refuse(object_of(value, where), where)
        for inner in value.values() if isinstance(value, dict) else value:
            numbers(inner, where)


def plain(value: object, where: str, name: bool = False) -> None:
    """Check for numbers and words, in lists and objects; no object that loading would turn into something else."""
    if isinstance(value, str):
        if len(value) > budget.MAX_CHARACTERS:
            raise Rejected(f"{where} holds a text of {len(value)} characters; {budget.MAX_CHARACTERS} are the limit")
        if value in allowed.FUNCTIONS_BY_STRING and not name:
            raise Rejected(f"{where} is {shortened(value)}, the name of a function; save the model again")
    elif isinstance(value, list):
        for inner in value:
            plain(inner, where, name)
    elif isinstance(value, dict):
        if "class_name" in value:
            _array(value, where)
            return
        for inner in value.values():
            plain(inner, where, name)


def _array(value: dict[str, Any], where: str) -> None:
    """Check numbers that Keras writes as an object of their own."""
    if value.get("class_name") not in ("__numpy__", "__tensor__"):
        refuse(object_of(value, where), where)
    config = settings_of(object_of(value, where), where)
    numbers(config.get("value"), where)
    number_type(config.get("dtype"), where)


def number_type(value: object, where: str) -> None:
    """Check a dtype or dtype policy against the list. Raises Rejected."""
    if isinstance(value, dict):
        node = object_of(value, where)
        if allowed.QUANTISED.get(node["class_name"], "") == node.get("module"):
            config = settings_of(node, where)
            if set(config) != {"mode", "source_name"} or config["mode"] != "int8":
                raise Rejected(f"{where} is quantised in an unusual way; model.quantize('int8') is let through")
            number_type(config["source_name"], where)
            return
        if node["class_name"] not in allowed.POLICIES or node.get("module") not in allowed.POLICY_MODULES:
            refuse(node, where)
        config = settings_of(node, where)
        for key, inner in config.items():
            if key != "name":
                numbers(inner, where)
        value = config.get("name")
    if value is not None and not (isinstance(value, str) and value in allowed.DTYPES):
        raise Rejected(f"{where} has the number type {shortened(value)}; float32 and its kin are let through")
