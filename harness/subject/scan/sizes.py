"""How many parameters a configuration asks for, and how much one image becomes on the way: counted, not built."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from harness.subject.scan import budget
from harness.subject.scan.budget import Rejected

Shape: TypeAlias = tuple[int, ...]  # of one image, without the batch; channels last unless said otherwise
Node: TypeAlias = Mapping[str, Any]

UNKNOWN = 32  # stands for a size that the file leaves open


@dataclass(frozen=True)
class Size:
    """Of a layer or a model on one input."""

    output: Shape
    parameters: int
    largest: int  # numbers in the largest tensor


def check(model: Node) -> Size:
    """Rejected where the model is larger than the budget."""
    try:
        size = of(model, None)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Rejected("a layer's settings are not of the kind that Keras writes; save the model again") from error
    if size.parameters > budget.MOST_PARAMETERS:
        raise Rejected(f"it declares {size.parameters:,} parameters; {budget.MOST_PARAMETERS:,} are the limit")
    if size.largest > budget.MOST_ACTIVATION:
        raise Rejected(
            f"one image becomes {size.largest:,} numbers in one of its layers; {budget.MOST_ACTIVATION:,} are the limit"
        )
    return size


def of(node: Node, given: Sequence[Shape] | None) -> Size:
    """The size of a layer or model on inputs of these shapes; None where they are not known."""
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
    """The shape that Keras builds a layer with, whatever stands before it."""
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
    """Call after call as the tensors become known; the last output counts."""
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
                given = [outputs[source][min(at, len(outputs[source]) - 1)] for source, at in calls.pop(0)]
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
    """Layers, with the number of their call, whose tensors a call takes: in both forms that Keras writes."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            name, at, _ = node["config"]["keras_history"]
            return [(name, at)]
        return [source for inner in node.values() for source in _sources(inner)]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str):
            return [(node[0], node[1])]
        return [source for inner in node for source in _sources(inner)]
    return []


def _layer(name: str, config: Node, shapes: Sequence[Shape]) -> Size:
    """One layer on its first input, or on all of them where it joins them."""
    if name in ("Bidirectional", "TimeDistributed", "RNN", "SpectralNormalization", "Pipeline"):
        return _around(name, config, shapes[0])
    first = shapes[0]
    turned = config.get("data_format") == "channels_first" and len(first) > 1
    seen = (*first[1:], first[0]) if turned else first
    output, parameters = _of_one(name, config, seen) or _of_many(name, config, shapes)
    if turned and len(output) == len(first):
        output = (output[-1], *output[:-1])
    return Size(output, parameters, max(math.prod(output), *(math.prod(shape) for shape in shapes)))


def _operation(name: str, config: Node, shapes: Sequence[Shape]) -> Shape:
    """Arithmetic gives the shape of its larger operand, and a reshaping what it says."""
    if name == "Reshape":
        return _reshaped(config["newshape"][1:], shapes[0])
    if name in ("Concatenate", "Stack"):
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    if name == "Matmul":
        return (*shapes[0][:-1], shapes[-1][-1])
    return max(shapes, key=math.prod)


def _around(name: str, config: Node, shape: Shape) -> Size:
    """Layers that hold others."""
    if name == "Pipeline":
        return _sequential({"layers": config["layers"]}, [shape])
    if name == "TimeDistributed":
        inner = of(config["layer"], [shape[1:]])
        return Size((shape[0], *inner.output), inner.parameters, shape[0] * max(inner.largest, math.prod(inner.output)))
    if name == "RNN":
        cells = config["cell"]["config"].get("cells") or [config["cell"]]
        parameters, width = 0, shape[-1]
        for cell in cells:
            parameters += _recurrent(cell["class_name"], cell["config"]["units"], width)
            width = cell["config"]["units"]
        output = (shape[0], width) if config.get("return_sequences") else (width,)
        return Size(output, parameters, max(math.prod(shape), math.prod(output)))
    inner = of(config["layer"], [shape])
    if name == "SpectralNormalization":
        return Size(inner.output, inner.parameters + max(inner.output or (0,)), inner.largest)
    wide = (*inner.output[:-1], 2 * inner.output[-1])
    return Size(wide, 2 * inner.parameters, max(inner.largest, math.prod(wide)))


def _of_one(name: str, config: Node, shape: Shape) -> tuple[Shape, int] | None:
    """Output and parameters of a layer that looks at one tensor, channels last."""
    channels, space = (shape[-1], shape[:-1]) if shape else (1, ())
    bias = bool(config.get("use_bias", True))
    match name.rstrip("123D") if name[-1] == "D" or name.endswith("Transpose") else name:
        case "Dense":
            units = config["units"]
            return (*space, units), channels * units + bias * units
        case "Embedding":
            return (*shape, config["output_dim"]), config["input_dim"] * config["output_dim"]
        case "LSTM" | "GRU" | "SimpleRNN":
            units = config["units"]
            output = (shape[0], units) if config.get("return_sequences") else (units,)
            return output, _recurrent(name, units, channels)
        case "Flatten":
            return (math.prod(shape),), 0
        case "Reshape":
            return _reshaped(config["target_shape"], shape), 0
        case "Permute":
            return tuple(shape[axis - 1] for axis in config["dims"]), 0
        case "RepeatVector":
            return (config["n"], *shape), 0
        case "BatchNormalization":
            return shape, (2 + 2) * channels
        case "LayerNormalization" | "GroupNormalization" | "Normalization":
            return shape, 2 * max(channels, *_axes(config, shape)) + 1
        case "RMSNormalization":
            return shape, channels
        case "PReLU":
            shared = config.get("shared_axes") or ()
            return shape, math.prod(size for axis, size in enumerate(shape, 1) if axis not in shared)
        case "Resizing" | "CenterCrop" | "RandomCrop":
            return (*shape[:-3], config["height"], config["width"], channels), 0
        case "GlobalMaxPooling" | "GlobalAveragePooling":
            return ((1,) * len(space) if config.get("keepdims") else ()) + (channels,), 0
        case "AdaptiveMaxPooling" | "AdaptiveAveragePooling":
            return (*_each(config["output_size"], len(space)), channels), 0
        case "MaxPooling" | "AveragePooling":
            return (
                *_windows(space, config, config["pool_size"], config.get("strides") or config["pool_size"]),
                channels,
            ), 0
        case "Cropping":
            return (
                *(max(n - extra, 0) for n, extra in zip(space, _edges(config["cropping"], space), strict=True)),
                channels,
            ), 0
        case "ZeroPadding":
            return (*(n + extra for n, extra in zip(space, _edges(config["padding"], space), strict=True)), channels), 0
        case "UpSampling":
            return (*(n * k for n, k in zip(space, _each(config["size"], len(space)), strict=True)), channels), 0
    return _convolution(name, config, shape) if "Conv" in name else None


def _of_many(name: str, config: Node, shapes: Sequence[Shape]) -> tuple[Shape, int]:
    """Output and parameters of a layer that joins tensors, attends, or changes nothing but values."""
    first = shapes[0]
    if name == "Concatenate":
        axis = config.get("axis", -1)
        at = axis - 1 if axis > 0 else axis
        together = list(first)
        together[at] = sum(shape[at] for shape in shapes)
        return tuple(together), 0
    if name in ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"):
        heads = config.get("num_heads") or config["num_query_heads"]
        width = heads * (config.get("key_dim") or config["head_dim"])
        value = heads * (config.get("value_dim") or width // heads)
        return first, (first[-1] + 1) * (2 * width + value) + (value + 1) * first[-1]
    if name == "EinsumDense":
        given = config["output_shape"]
        wide = math.prod(abs(n or 1) for n in (given if isinstance(given, list) else [given]))
        return (*first[:-1], wide), (first[-1] + 1) * wide * max(1, first[-2] if len(first) > 1 else 1)
    return max(shapes, key=math.prod), 0


def _convolution(name: str, config: Node, shape: Shape) -> tuple[Shape, int]:
    """After the rules of Keras for "same", "valid" and "causal"; a transposed one grows."""
    if name.startswith("ConvLSTM"):
        steps, shape = shape[0], shape[1:]
        kernel = math.prod(_each(config["kernel_size"], len(shape) - 1))
        space = _windows(shape[:-1], config, config["kernel_size"], config["strides"])
        filters = config["filters"]
        output = (*space, filters)
        return ((steps, *output) if config.get("return_sequences") else output), 4 * filters * (
            kernel * (shape[-1] + filters) + 1
        )
    rank, channels = len(shape) - 1, shape[-1]
    kernel = math.prod(_each(config["kernel_size"], rank))
    many = channels * config.get("depth_multiplier", 1)
    bias = bool(config.get("use_bias", True))
    if name.endswith("Transpose"):
        grown = tuple(
            n * s + max(k * d - s, 0)
            for n, s, k, d in zip(
                shape[:-1],
                *(_each(config.get(key) or 1, rank) for key in ("strides", "kernel_size", "dilation_rate")),
                strict=True,
            )
        )
        return (*grown, config["filters"]), config["filters"] * (kernel * channels + bias)
    space = _windows(shape[:-1], config, config["kernel_size"], config["strides"])
    if name.startswith("Depthwise"):
        return (*space, many), many * (kernel + bias)
    filters = config["filters"]
    if name.startswith("Separable"):
        return (*space, filters), many * kernel + filters * (many + bias)
    return (*space, filters), filters * (kernel * channels // config.get("groups", 1) + bias)


def _windows(space: Shape, config: Node, size: object, strides: object) -> Shape:
    rank = len(space)
    wide = [
        (k - 1) * d + 1 for k, d in zip(_each(size, rank), _each(config.get("dilation_rate") or 1, rank), strict=True)
    ]
    steps = _each(strides, rank)
    if config.get("padding") == "valid":
        return tuple(max((n - k) // s + 1, 0) for n, k, s in zip(space, wide, steps, strict=True))
    return tuple(-(-n // s) for n, s in zip(space, steps, strict=True))


def _recurrent(name: str, units: int, channels: int) -> int:
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name.removesuffix("Cell")]
    return gates * units * (channels + units + 2)


def _reshaped(target: Sequence[int], shape: Shape) -> Shape:
    known = math.prod(abs(size) for size in target if size not in (-1, None))
    return tuple(math.prod(shape) // max(known, 1) if size in (-1, None) else size for size in target)


def _axes(config: Node, shape: Shape) -> tuple[int, ...]:
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    return (math.prod(shape[a - 1 if a > 0 else a] for a in axes if a) if axes else 1, 1)


def _edges(declared: Any, space: Shape) -> list[int]:
    """Both edges of every axis together, of 1, [1, 1] or [[1, 1], [1, 1]]."""
    pairs = [declared] if len(space) == 1 else _each(declared, len(space))
    return [sum(_each(pair, 2)) for pair in pairs]


def _each(value: Any, rank: int) -> list[Any]:
    """One value for every axis: ``3 -> [3, 3]``."""
    return list(value) if isinstance(value, list) else [value] * rank
