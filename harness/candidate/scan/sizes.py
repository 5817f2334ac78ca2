"""Number of parameters that a configuration asks for and of values that one image becomes: counted, not built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.candidate.scan.layers import Node, Shape, of_many, of_one, recurrent, reshaped

UNKNOWN = 32  # stands for a size that the file leaves open


@dataclass(frozen=True)
class Size:
    """Output shape, parameters and largest tensor of a layer or a model on one input."""

    output: Shape
    parameters: int
    largest: int  # numbers in the largest tensor


def check(model: Node) -> Size:
    """Raise Rejected if the model is larger than the budget."""
    try:
        size = of(model, None)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Rejected("a layer's settings are not of the kind that Keras writes; save the model again") from error
    if size.parameters > budget.MAX_PARAMETERS:
        raise Rejected(f"it declares {size.parameters:,} parameters; {budget.MAX_PARAMETERS:,} are the limit")
    if size.largest > budget.MAX_ACTIVATIONS:
        raise Rejected(
            f"one image becomes {size.largest:,} numbers in one of its layers; {budget.MAX_ACTIVATIONS:,} are the limit"
        )
    return size


def of(node: Node, given: Sequence[Shape] | None) -> Size:
    """Compute the size of a layer or model on inputs of these shapes; None where they are not known."""
    name, config = node["class_name"], node["config"]
    if name == "Sequential":
        return _sequential(config, given)
    if name in ("Functional", "Model"):
        return _functional(config)
    if str(node.get("module")).startswith("keras.src.ops"):
        output = _operation(name, config, given or [()])
        return Size(output, 0, math.prod(output))
    sizes = [_layer(name, config, shapes) for shapes in (given, _built(node)) if shapes]
    if not sizes:
        return Size((), 0, 0)
    return Size(sizes[0].output, max(s.parameters for s in sizes), max(s.largest for s in sizes))


def _built(node: Node) -> list[Shape] | None:
    """Read the input shape that Keras built a layer with, if it is recorded."""
    shape = (node.get("build_config") or {}).get("input_shape")
    return [_shape(shape)] if isinstance(shape, list) and all(isinstance(n, (int, type(None))) for n in shape) else None


def _shape(declared: Sequence[int | None]) -> Shape:
    return tuple(UNKNOWN if size is None else abs(int(size)) for size in declared[1:])


def _sequential(config: Node, given: Sequence[Shape] | None) -> Size:
    shapes, parameters, largest = given, 0, 0
    for layer in config["layers"]:
        inner = layer["config"]
        declared = inner.get("batch_shape") or inner.get("batch_input_shape")
        if declared and layer["class_name"] not in ("Sequential", "Functional", "Model"):
            shapes = shapes or [_shape(declared)]
        if shapes is None and config.get("build_input_shape"):
            shapes = [_shape(config["build_input_shape"])]
        size = of(layer, shapes)
        shapes = [size.output] if shapes else None
        parameters, largest = parameters + size.parameters, max(largest, size.largest)
    return Size(shapes[0] if shapes else (), parameters, largest)


def _functional(config: Node) -> Size:
    """Size call after call as the tensors become known; the last output counts."""
    outputs: dict[str, list[Shape]] = {}
    waiting = [(layer, _calls(layer)) for layer in config["layers"]]
    counts: dict[int, int] = {}
    largest = 0
    last: Shape = ()
    while waiting:
        left = []
        for layer, calls in waiting:
            name = layer.get("name") or layer["config"]["name"]
            while calls and all(source in outputs for source, _ in calls[0]):
                given = [outputs[source][min(tensor, len(outputs[source]) - 1)] for source, tensor in calls.pop(0)]
                declared = layer["config"].get("batch_shape") or layer["config"].get("batch_input_shape")
                size = of(layer, given or ([_shape(declared)] if declared else None))
                outputs.setdefault(name, []).append(size.output)
                counts[id(layer)] = max(counts.get(id(layer), 0), size.parameters)
                largest, last = max(largest, size.largest), size.output
            if calls:
                left.append((layer, calls))
        if len(left) == len(waiting) and [len(c) for _, c in left] == [len(c) for _, c in waiting]:
            raise ValueError("the graph has a loop")
        waiting = left
    return Size(last, sum(counts.values()), largest)


def _calls(layer: Node) -> list[list[tuple[str, int]]]:
    return [_sources(node) for node in layer.get("inbound_nodes") or []] or [[]]


def _sources(node: object) -> list[tuple[str, int]]:
    """List the layers whose tensors a call takes, with the number of their call, in both forms that Keras writes."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            name, call, _ = node["config"]["keras_history"]
            return [(name, call)]
        return [source for inner in node.values() for source in _sources(inner)]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str):
            return [(node[0], node[1])]
        return [source for inner in node for source in _sources(inner)]
    return []


def _layer(name: str, config: Node, shapes: Sequence[Shape]) -> Size:
    """Size one layer on its first input, or on all of them where it joins them."""
    if name in ("Bidirectional", "TimeDistributed", "RNN", "SpectralNormalization", "Pipeline"):
        return _around(name, config, shapes[0])
    first = shapes[0]
    turned = config.get("data_format") == "channels_first" and len(first) > 1
    channels_last = (*first[1:], first[0]) if turned else first
    output, parameters = of_one(name, config, channels_last) or of_many(name, config, shapes)
    if turned and len(output) == len(first):
        output = (output[-1], *output[:-1])
    return Size(output, parameters, max(math.prod(output), *(math.prod(shape) for shape in shapes)))


def _operation(name: str, config: Node, shapes: Sequence[Shape]) -> Shape:
    """Return the larger operand's shape for arithmetic, and the target shape for a reshaping."""
    if name == "Reshape":
        return reshaped(config["newshape"][1:], shapes[0])
    if name in ("Concatenate", "Stack"):
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    if name == "Matmul":
        return (*shapes[0][:-1], shapes[-1][-1])
    return max(shapes, key=math.prod)


def _around(name: str, config: Node, shape: Shape) -> Size:
    """Size a layer that wraps others."""
    if name == "Pipeline":
        return _sequential({"layers": config["layers"]}, [shape])
    if name == "TimeDistributed":
        inner = of(config["layer"], [shape[1:]])
        return Size((shape[0], *inner.output), inner.parameters, shape[0] * max(inner.largest, math.prod(inner.output)))
    if name == "RNN":
        cells = config["cell"]["config"].get("cells") or [config["cell"]]
        parameters, width = 0, shape[-1]
        for cell in cells:
            parameters += recurrent(cell["class_name"], cell["config"]["units"], width)
            width = cell["config"]["units"]
        output = (shape[0], width) if config.get("return_sequences") else (width,)
        return Size(output, parameters, max(math.prod(shape), math.prod(output)))
    inner = of(config["layer"], [shape])
    if name == "SpectralNormalization":
        return Size(inner.output, inner.parameters + max(inner.output or (0,)), inner.largest)
    wide = (*inner.output[:-1], 2 * inner.output[-1])
    return Size(wide, 2 * inner.parameters, max(inner.largest, math.prod(wide)))
