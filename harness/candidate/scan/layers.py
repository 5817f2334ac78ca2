"""Output shape and number of parameters of each kind of layer, after the rules of Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int, ...]  # of one image, without the batch; channels last unless said otherwise
Node: TypeAlias = Mapping[str, Any]


def of_one(name: str, config: Node, shape: Shape) -> tuple[Shape, int] | None:
    """Return output and parameters of a layer that takes one tensor, channels last; None for other layers."""
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
            return output, recurrent(name, units, channels)
        case "Flatten":
            return (math.prod(shape),), 0
        case "Reshape":
            return reshaped(config["target_shape"], shape), 0
        case "Permute":
            return tuple(shape[axis - 1] for axis in config["dims"]), 0
        case "RepeatVector":
            return (config["n"], *shape), 0
        case "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2":
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


def of_many(name: str, config: Node, shapes: Sequence[Shape]) -> tuple[Shape, int]:
    """Return output and parameters of a layer that joins tensors, attends, or changes nothing but values."""
    first = shapes[0]
    if name == "Concatenate":
        axis = config.get("axis", -1)
        joined = axis - 1 if axis > 0 else axis
        together = list(first)
        together[joined] = sum(shape[joined] for shape in shapes)
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
    """Apply Keras's rules for "same", "valid" and "causal"; a transposed convolution grows."""
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


def recurrent(name: str, units: int, channels: int) -> int:
    """Count the parameters of a recurrent cell with ``units`` on inputs of ``width``."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name.removesuffix("Cell")]
    return gates * units * (channels + units + 2)


def reshaped(target: Sequence[int], shape: Shape) -> Shape:
    """Resolve a target shape with one -1, against the size of ``shape``."""
    known = math.prod(abs(size) for size in target if size not in (-1, None))
    return tuple(math.prod(shape) // max(known, 1) if size in (-1, None) else size for size in target)


def _axes(config: Node, shape: Shape) -> tuple[int, ...]:
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    return (math.prod(shape[a - 1 if a > 0 else a] for a in axes if a) if axes else 1, 1)


def _edges(declared: Any, space: Shape) -> list[int]:
    """Add both edges of every axis, of 1, [1, 1] or [[1, 1], [1, 1]]."""
    pairs = [declared] if len(space) == 1 else _each(declared, len(space))
    return [sum(_each(pair, 2)) for pair in pairs]


def _each(value: Any, rank: int) -> list[Any]:
    """Repeat a single value for every axis: ``3 -> [3, 3]``."""
    return list(value) if isinstance(value, list) else [value] * rank
