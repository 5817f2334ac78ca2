"""The check of a model's configuration against the list of allowed names, object by object and key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.candidate.scan import allowed, budget
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.graph import argument, nodes, references
from harness.candidate.scan.text import no_code
from harness.candidate.scan.values import (
    WAY_OUT,
    listed,
    number_type,
    numbers,
    object_of,
    plain,
    refuse,
    settings_of,
    shortened,
)

_MODEL_KEYS = allowed.words("name trainable dtype layers build_input_shape input_layers output_layers")


def check(model: object, names: allowed.Names = allowed.KERAS_3) -> None:
    """Raise Rejected unless every object that loading would make of this configuration is among ``names``."""
    no_code(model)
    node = object_of(model, "the model")
    if node["class_name"] not in names.models:
        kind = shortened(node["class_name"])
        raise Rejected(f"it holds a {kind}, not a model; save a Sequential model with model.save('model.keras')")
    _model(node, "the model", names, outer=True)


def _model(node: Mapping[str, Any], where: str, permitted: allowed.Names, outer: bool = False) -> None:
    if node.get("module") not in permitted.models[node["class_name"]]:
        refuse(node, where)
    config = settings_of(node, where)
    if strange := sorted(set(config) - _MODEL_KEYS):
        raise Rejected(f"{where} has a setting {shortened(strange[0])}, which no saved model has; save the model again")
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > budget.MAX_LAYERS:
        raise Rejected(f"{where} has no list of at most {budget.MAX_LAYERS} layers; save the model again")
    number_type(config.get("dtype"), where)
    plain(config.get("name"), where, name=True)
    numbers([config.get("trainable"), config.get("build_input_shape")], where)
    names = set()
    for number, layer in enumerate(layers):
        inner = object_of(layer, f"layer {number}")
        _layer(inner, f"layer {number}", permitted)
        names.add(_name(inner, f"layer {number}"))
    for key in ("input_layers", "output_layers"):
        references(config.get(key, []), names, where)
    for layer in layers:
        nodes(layer.get("inbound_nodes", []), names, f"{where}'s graph")
    _rest(node, where, skip_compiled=outer)


def _rest(node: Mapping[str, Any], where: str, skip_compiled: bool = False) -> None:
    """Check the keys beside class and configuration."""
    numbers(node.get("build_config"), where)
    plain(node.get("name"), where, name=True)
    if node.get("compile_config") is not None and not skip_compiled:
        _compiled(node["compile_config"], where)


def _name(node: Mapping[str, Any], where: str) -> str:
    """Check the name of a layer in the graph."""
    name = node.get("name")
    name = settings_of(node, where).get("name") if name is None else name
    if not isinstance(name, str):
        raise Rejected(f"{where} has no name; save the model again")
    return name


def _layer(node: Mapping[str, Any], where: str, permitted: allowed.Names) -> None:
    """Check a layer, an inner model or an arithmetic operation, with everything in it."""
    name, module = node["class_name"], node.get("module")
    if name in permitted.models:
        _model(node, where, permitted)
        return
    if isinstance(module, str) and module in permitted.operations:
        if name not in permitted.operations[module]:
            refuse(node, where)
        for key, value in settings_of(node, where).items():
            if key == "name":
                plain(value, where, name=True)
            else:
                argument(value, where)
        return
    if name == "TFOpLambda" and module in permitted.function_modules:
        if (function := settings_of(node, where).get("function")) not in permitted.functions:
            raise Rejected(f"{where} calls {shortened(function)}, which is not on the list; {WAY_OUT}")
    elif name not in permitted.layers or module not in permitted.layer_modules:
        refuse(node, where)
    for key, value in settings_of(node, where).items():
        _setting(key, value, f"{shortened(key)} of {where} ({name})", permitted)
    _rest(node, where)


def _setting(key: str, value: object, where: str, permitted: allowed.Names) -> None:
    if key in ("layers", "cells", "transforms"):
        for inner in listed(value, where):
            _layer(object_of(inner, where), where, permitted)
    elif key in ("layer", "cell", "forward_layer", "backward_layer"):
        if value is not None:
            _layer(object_of(value, where), where, permitted)
    elif key == "dtype":
        number_type(value, where)
    elif key.endswith("activation"):
        _activation(value, where, permitted)
    elif key == "score_mode" and value == "dot":
        return  # of an attention; also the name of a function
    elif key == "quantization_config":
        if value is not None:
            _quantised(object_of(value, where), where)
    elif (listed_names := _named(key)) is not None:
        _one_of(value, where, listed_names, key.rpartition("_")[2] + "s")
    else:
        plain(value, where, name=key == "name")


def _quantised(node: Mapping[str, Any], where: str) -> None:
    """Check how a layer was quantised: to eight bits, by the largest value."""
    if allowed.QUANTISED.get(node["class_name"], "") != node.get("module"):
        refuse(node, where)
    for value in settings_of(node, where).values():
        if value is not None:
            quantizer = object_of(value, where)
            if quantizer["class_name"] not in allowed.QUANTIZERS or quantizer.get("module") != "keras.quantizers":
                refuse(quantizer, where)
            for inner in settings_of(quantizer, where).values():
                plain(inner, where)


def _named(key: str) -> frozenset[str] | None:
    lists = {
        "initializer": allowed.INITIALIZERS,
        "regularizer": allowed.REGULARIZERS,
        "constraint": allowed.CONSTRAINTS,
    }
    return lists.get(key.rpartition("_")[2])


def _one_of(value: object, where: str, permitted: frozenset[str], module: str) -> None:
    """Check an initializer, regularizer or constraint: by name, or as an object with plain settings."""
    if value is None or (isinstance(value, str) and value in permitted):
        return
    if isinstance(value, str):
        raise Rejected(f"{where} is {shortened(value)}, which is not on the list; {WAY_OUT}")
    node = object_of(value, where)
    if node["class_name"] not in permitted or node.get("module") not in (None, f"keras.{module}"):
        refuse(node, where)
    for inner in settings_of(node, where).values():
        plain(inner, where)


def _activation(value: object, where: str, permitted: allowed.Names) -> None:
    if value is None or (isinstance(value, str) and value in allowed.ACTIVATIONS):
        return
    if isinstance(value, str):
        raise Rejected(f"{where} is {shortened(value)}, which is not on the list; {WAY_OUT}")
    node = object_of(value, where)
    if node["class_name"] == "function":
        if node["config"] not in allowed.ACTIVATIONS or node.get("module") not in allowed.ACTIVATION_MODULES:
            refuse(node, where)
    elif node["class_name"] in allowed.ACTIVATION_LAYERS:
        _layer(node, where, permitted)
    else:
        refuse(node, where)


def _compiled(value: object, where: str) -> None:
    """Check how an inner model was compiled: optimizers, losses and metrics of Keras, by class or by name."""
    if isinstance(value, list):
        for inner in value:
            _compiled(inner, where)
    elif isinstance(value, dict) and "class_name" in value:
        node = object_of(value, where)
        name, module = node["class_name"], node.get("module")
        if name == "function":
            if node["config"] not in allowed.COMPILED_FUNCTIONS or module not in (
                "builtins",
                "keras.losses",
                "keras.metrics",
            ):
                refuse(node, where)
        elif name in allowed.POLICIES:
            number_type(value, where)
        elif name not in allowed.COMPILED.get(str(module), ()):
            refuse(node, where)
        else:
            _compiled(settings_of(node, where), where)
            numbers(node.get("build_config"), where)
    elif isinstance(value, dict):
        for inner in value.values():
            _compiled(inner, where)
    else:
        plain(value, where)
