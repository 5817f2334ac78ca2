"""The configuration of a model, held against the list of what may be named, object by object and key by key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from harness.subject.scan import allowed, budget
from harness.subject.scan.budget import Rejected
from harness.words import one_line

_KEYS = allowed.words(
    "module class_name config registered_name build_config compile_config name inbound_nodes shared_object_id"
    " __passive_serialization__"
)
_MODEL_KEYS = allowed.words("name trainable dtype layers build_input_shape input_layers output_layers")
_CODE = ("__lambda__", "Lambda")
WAY_OUT = "only layers that Keras itself has and that run no code from the file are let through"


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


def check(model: object) -> None:
    """Rejected unless everything that loading would make of this configuration is on the list."""
    no_code(model)
    node = _object(model, "the model")
    if node["class_name"] not in allowed.MODELS:
        kind = _said(node["class_name"])
        raise Rejected(f"it holds a {kind}, not a model; save a Sequential model with model.save('model.keras')")
    _model(node, "the model", outer=True)


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
                f"{what} holds a text of {len(value)} characters ({_said(value, 20)});"
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


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str) or "config" not in value:
        raise Rejected(f"{where} is no object with class_name and config; save the model again")
    if strange := sorted(set(value) - _KEYS):
        raise Rejected(f"{where} holds {_said(strange[0])}, which no saved model has; save the model again")
    if any(not isinstance(value.get(key, ""), (str, type(None))) for key in ("module", "registered_name", "name")):
        raise Rejected(f"{where} is called by what is no text; save the model again")
    if not isinstance(value.get("shared_object_id", 0), (int, type(None))):
        raise Rejected(f"{where} shares an object under what is no number; save the model again")
    name, registered = value["class_name"], value.get("registered_name")
    if name == "function" and not isinstance(value["config"], str):
        raise Rejected(f"{where} is a function without a name; save the model again")
    of_itself = value["config"] if name == "function" else name
    if registered is not None and registered not in (of_itself, name):
        raise Rejected(f"{where} names {_said(registered)}, a custom object; {WAY_OUT}")
    return value


def _config(node: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if not isinstance(node["config"], dict) or "class_name" in node["config"]:
        raise Rejected(f"{where} has a configuration that is no list of settings; save the model again")
    return node["config"]


def _refuse(node: Mapping[str, Any], where: str) -> NoReturn:
    module = node.get("module")
    name = f"{module}.{node['class_name']}" if isinstance(module, str) else node["class_name"]
    if node["class_name"] == "function":
        name = f"the function {module}.{node['config']}"
    raise Rejected(f"{where} is {_said(name)}, which is not on the list; {WAY_OUT}")


def _model(node: Mapping[str, Any], where: str, outer: bool = False) -> None:
    if node.get("module") not in allowed.MODELS[node["class_name"]]:
        _refuse(node, where)
    config = _config(node, where)
    if strange := sorted(set(config) - _MODEL_KEYS):
        raise Rejected(f"{where} has a setting {_said(strange[0])}, which no saved model has; save the model again")
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > budget.MOST_LAYERS:
        raise Rejected(f"{where} has no list of at most {budget.MOST_LAYERS} layers; save the model again")
    _dtype(config.get("dtype"), where)
    _plain(config.get("name"), where, name=True)
    _numbers([config.get("trainable"), config.get("build_input_shape")], where)
    names = set()
    for at, layer in enumerate(layers):
        inner = _object(layer, f"layer {at}")
        _layer(inner, f"layer {at}")
        names.add(_name(inner, f"layer {at}"))
    for key in ("input_layers", "output_layers"):
        _references(config.get(key, []), names, where)
    for layer in layers:
        _nodes(layer.get("inbound_nodes", []), names, f"{where}'s graph")
    _rest(node, where, skip_compiled=outer)


def _rest(node: Mapping[str, Any], where: str, skip_compiled: bool = False) -> None:
    """What stands beside class and configuration."""
    _numbers(node.get("build_config"), where)
    _plain(node.get("name"), where, name=True)
    if node.get("compile_config") is not None and not skip_compiled:
        _compiled(node["compile_config"], where)


def _name(node: Mapping[str, Any], where: str) -> str:
    """What the graph calls a layer."""
    name = node.get("name")
    name = _config(node, where).get("name") if name is None else name
    if not isinstance(name, str):
        raise Rejected(f"{where} has no name; save the model again")
    return name


def _layer(node: Mapping[str, Any], where: str) -> None:
    """A layer, an inner model or an arithmetic operation, with everything in it."""
    name, module = node["class_name"], node.get("module")
    if name in allowed.MODELS:
        _model(node, where)
        return
    if module in allowed.OPERATIONS:
        if name not in allowed.OPERATIONS[module]:
            _refuse(node, where)
        for key, value in _config(node, where).items():
            if key == "name":
                _plain(value, where, name=True)
            else:
                _argument(value, where)
        return
    if name not in allowed.LAYERS or module not in allowed.LAYER_MODULES:
        _refuse(node, where)
    for key, value in _config(node, where).items():
        _setting(key, value, f"{_said(key)} of {where} ({name})")
    _rest(node, where)


def _setting(key: str, value: object, where: str) -> None:
    if key in ("layers", "cells", "transforms"):
        for inner in _list(value, where):
            _layer(_object(inner, where), where)
    elif key in ("layer", "cell", "forward_layer", "backward_layer"):
        if value is not None:
            _layer(_object(value, where), where)
    elif key == "dtype":
        _dtype(value, where)
    elif key.endswith("activation"):
        _activation(value, where)
    elif key == "score_mode" and value == "dot":
        return  # of an attention; also the name of a function
    elif key == "quantization_config":
        if value is not None:
            raise Rejected(f"{where} is set; only models that are not quantised are let through")
    elif (known := _named(key)) is not None:
        _one_of(value, where, known, key.rpartition("_")[2] + "s")
    else:
        _plain(value, where, name=key == "name")


def _named(key: str) -> frozenset[str] | None:
    lists = {
        "initializer": allowed.INITIALIZERS,
        "regularizer": allowed.REGULARIZERS,
        "constraint": allowed.CONSTRAINTS,
    }
    return lists.get(key.rpartition("_")[2])


def _one_of(value: object, where: str, known: frozenset[str], module: str) -> None:
    """An initializer, regularizer or constraint: by name, or as an object with plain settings."""
    if value is None or (isinstance(value, str) and value in known):
        return
    if isinstance(value, str):
        raise Rejected(f"{where} is {_said(value)}, which is not on the list; {WAY_OUT}")
    node = _object(value, where)
    if node["class_name"] not in known or node.get("module") not in (None, f"keras.{module}"):
        _refuse(node, where)
    for inner in _config(node, where).values():
        _plain(inner, where)


def _activation(value: object, where: str) -> None:
    if value is None or (isinstance(value, str) and value in allowed.ACTIVATIONS):
        return
    if isinstance(value, str):
        raise Rejected(f"{where} is {_said(value)}, which is not on the list; {WAY_OUT}")
    node = _object(value, where)
    if node["class_name"] == "function":
        if node["config"] not in allowed.ACTIVATIONS or node.get("module") not in allowed.ACTIVATION_MODULES:
            _refuse(node, where)
    elif node["class_name"] in allowed.ACTIVATION_LAYERS:
        _layer(node, where)
    else:
        _refuse(node, where)


def _dtype(value: object, where: str) -> None:
    if isinstance(value, dict):
        node = _object(value, where)
        if node["class_name"] not in allowed.POLICIES or node.get("module") not in (None, "keras"):
            _refuse(node, where)
        config = _config(node, where)
        for key, inner in config.items():
            if key != "name":
                _numbers(inner, where)
        value = config.get("name")
    if value is not None and not (isinstance(value, str) and value in allowed.DTYPES):
        raise Rejected(f"{where} has the number type {_said(value)}; float32 and its kin are let through")


def _compiled(value: object, where: str) -> None:
    """How an inner model was compiled: optimizers, losses and metrics of Keras, by class or by name."""
    if isinstance(value, list):
        for inner in value:
            _compiled(inner, where)
    elif isinstance(value, dict) and "class_name" in value:
        node = _object(value, where)
        name, module = node["class_name"], node.get("module")
        if name == "function":
            if node["config"] not in allowed.COMPILED_FUNCTIONS or module not in (
                "builtins",
                "keras.losses",
                "keras.metrics",
            ):
                _refuse(node, where)
        elif name in allowed.POLICIES:
            _dtype(value, where)
        elif name not in allowed.COMPILED.get(str(module), ()):
            _refuse(node, where)
        else:
            _compiled(_config(node, where), where)
            _numbers(node.get("build_config"), where)
    elif isinstance(value, dict):
        for inner in value.values():
            _compiled(inner, where)
    else:
        _plain(value, where)


def _references(value: object, names: Iterable[object], where: str) -> None:
    """Layers by name, with the numbers of node and tensor."""
    if isinstance(value, str):
        if value not in names:
            raise Rejected(f"{where} refers to {_said(value)}, which is no layer of it; save the model again")
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            _references(inner, names, where)
    else:
        _numbers(value, where)


def _nodes(value: object, names: Iterable[object], where: str) -> None:
    """How a layer is called: on tensors of other layers, with plain numbers; never with a text."""
    for node in _list(value, where):
        if isinstance(node, dict):
            if set(node) - {"args", "kwargs"}:
                raise Rejected(f"{where} is not in the form that Keras writes; save the model again")
            for inner in node.values():
                _call(inner, names, where)
        else:
            _references(node, names, where)  # the older form: [[name, node, tensor, {settings}], ...]


def _call(value: object, names: Iterable[object], where: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _call(inner, names, where)
    elif isinstance(value, dict) and "class_name" in value:
        if value["class_name"] != "__keras_tensor__":
            _argument(value, where)
            return
        config = _config(_object(value, where), where)
        if set(config) - {"shape", "dtype", "keras_history", "name", "sparse", "ragged"}:
            raise Rejected(f"{where} holds a tensor of unknown form; save the model again")
        _numbers(config.get("shape"), where)
        _dtype(config.get("dtype"), where)
        _references(config.get("keras_history"), names, where)
    elif isinstance(value, dict):
        for inner in value.values():
            _call(inner, names, where)
    else:
        _numbers(value, where)


def _argument(value: object, where: str) -> None:
    """A setting of an operation: plain, or a slice of plain numbers."""
    if isinstance(value, list):
        for inner in value:
            _argument(inner, where)
    elif isinstance(value, dict) and value.get("class_name") in ("__slice__", "__ellipsis__"):
        _numbers(value.get("config"), where)
    else:
        _plain(value, where)


def _plain(value: object, where: str, name: bool = False) -> None:
    """Numbers, words, and lists and objects of them; no object that loading would turn into something else."""
    if isinstance(value, str):
        if len(value) > budget.MOST_STRING:
            raise Rejected(f"{where} holds a text of {len(value)} characters; {budget.MOST_STRING} are the limit")
        if value in allowed.FUNCTIONS_BY_STRING and not name:
            raise Rejected(f"{where} is {_said(value)}, the name of a function; save the model again")
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, where, name)
    elif isinstance(value, dict):
        if "class_name" in value:
            _array(value, where)
            return
        for inner in value.values():
            _plain(inner, where, name)


def _array(value: dict[str, Any], where: str) -> None:
    """Numbers that Keras writes as an object of their own."""
    if value.get("class_name") not in ("__numpy__", "__tensor__"):
        _refuse(_object(value, where), where)
    config = _config(_object(value, where), where)
    _numbers(config.get("value"), where)
    _dtype(config.get("dtype"), where)


def _numbers(value: object, where: str) -> None:
    """Numbers, booleans and null, in lists and objects of any shape."""
    if isinstance(value, str):
        raise Rejected(f"{where} holds the text {_said(value)} where only numbers belong; save the model again")
    if isinstance(value, (list, dict)):
        if isinstance(value, dict) and "class_name" in value:
            _refuse(_object(value, where), where)
        for inner in value.values() if isinstance(value, dict) else value:
            _numbers(inner, where)


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Rejected(f"{where} is no list; save the model again")
    return value


def _said(value: object, most: int = 60) -> str:
    return one_line(str(value), most)
