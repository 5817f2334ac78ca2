"""A TensorFlow Lite file read as a flatbuffer: every place within the file, every operation on a list."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

Layer: TypeAlias = tuple[str, str, str, int]  # name, kind, output, parameters

WAY_OUT = "convert it again with tf.lite.TFLiteConverter"
MAX_OPERATIONS = 10_000
_CUSTOM = 32
# Arithmetic, shapes and convolution, by the numbers of the schema; nothing that keeps state, branches or knows texts.
OPERATIONS = {
    **{0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE"},
    **{6: "DEQUANTIZE"},
    **{8: "FLOOR", 9: "FULLY_CONNECTED", 11: "L2_NORMALIZATION", 12: "L2_POOL_2D", 13: "LOCAL_RESPONSE_NORMALIZATION"},
    **{14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE"},
    **{23: "RESIZE_BILINEAR", 25: "SOFTMAX", 26: "SPACE_TO_DEPTH", 28: "TANH", 34: "PAD", 36: "GATHER"},
    **{37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV"},
    **{
        43: "SQUEEZE",
        44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
        45: "STRIDED_SLICE",
        47: "EXP",
        49: "SPLIT",
        50: "LOG_SOFTMAX",
    },
    **{53: "CAST", 54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM", 58: "LESS", 59: "NEG", 60: "PADV2", 61: "GREATER"},
    **{62: "GREATER_EQUAL", 63: "LESS_EQUAL", 64: "SELECT", 65: "SLICE", 66: "SIN", 67: "TRANSPOSE_CONV", 69: "TILE"},
    **{70: "EXPAND_DIMS", 71: "EQUAL", 72: "NOT_EQUAL", 73: "LOG", 74: "SUM", 75: "SQRT", 76: "RSQRT", 77: "SHAPE"},
    **{78: "POW", 80: "FAKE_QUANT", 81: "REDUCE_PROD", 82: "REDUCE_MAX", 83: "PACK", 84: "LOGICAL_OR"},
    **{86: "LOGICAL_AND", 87: "LOGICAL_NOT", 88: "UNPACK", 89: "REDUCE_MIN", 90: "FLOOR_DIV", 92: "SQUARE"},
    **{93: "ZEROS_LIKE", 94: "FILL", 95: "FLOOR_MOD", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU"},
    **{99: "SQUARED_DIFFERENCE", 100: "MIRROR_PAD", 101: "ABS", 102: "SPLIT_V", 104: "CEIL", 105: "REVERSE_V2"},
    **{106: "ADD_N", 107: "GATHER_ND", 108: "COS", 110: "RANK", 111: "ELU", 114: "QUANTIZE", 116: "ROUND"},
    **{117: "HARD_SWISH", 123: "SELECT_V2", 126: "BATCH_MATMUL", 130: "BROADCAST_TO", 132: "CONV_3D"},
    **{145: "BROADCAST_ARGS", 150: "GELU", 152: "RELU_0_TO_1", 158: "SIGN"},
}
# Of a tensor: name and bits of a number, by the numbers of the schema; no texts, resources or complex numbers.
_TYPES = {
    **{0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64), 6: ("bool", 8)},
    **{7: ("int16", 16), 9: ("int8", 8), 17: ("int4", 4)},
}


@dataclass(frozen=True)
class Program:
    """Declarations of a file: operations from input to output, constants, and the type that it computes in."""

    layers: tuple[Layer, ...]
    constants: tuple[int, ...]  # indices of tensors with floating numbers in the file
    parameters: int
    is_quantised: bool  # whether operations take and give whole numbers


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    is_constant: bool


class _Table:
    """A table of a flatbuffer at a place; every read is within the file. Raises struct.error or ValueError."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place
        self.fields = place - _unpack("<i", content, place)
        self.size = _unpack("<H", content, self.fields)

    def _at(self, field: int) -> int | None:
        slot = 4 + 2 * field
        offset = _unpack("<H", self.content, self.fields + slot) if slot + 2 <= self.size else 0
        return self.place + offset if offset else None

    def number(self, field: int, form: str) -> int:
        place = self._at(field)
        return 0 if place is None else _unpack(form, self.content, place)

    def table(self, place: int) -> _Table:
        return _Table(self.content, place + _unpack("<I", self.content, place))

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        place = self._at(field)
        if place is None:
            return 0, 0
        start = place + _unpack("<I", self.content, place)
        count = _unpack("<I", self.content, start)
        if start + 4 + count * width > len(self.content):
            raise ValueError("a list ends after the file")
        return start + 4, count

    def tables(self, field: int) -> list[_Table]:
        start, count = self._vector(field, 4)
        if count > MAX_OPERATIONS:
            raise ValueError(f"a list of {count:,}")
        return [self.table(start + 4 * number) for number in range(count)]

    def numbers(self, field: int) -> tuple[int, ...]:
        start, count = self._vector(field, 4)
        if count > MAX_OPERATIONS:
            raise ValueError(f"a list of {count:,}")
        return struct.unpack_from(f"<{count}i", self.content, start) if count else ()

    def data(self, field: int) -> int:
        """Return the length of a list of bytes."""
        return self._vector(field, 1)[1]

    def text(self, field: int) -> str:
        start, count = self._vector(field, 1)
        return self.content[start : start + count].decode(errors="replace")


def _unpack(form: str, content: bytes, place: int) -> int:
    if place < 0:
        raise ValueError("a place before the file")
    return int(struct.unpack_from(form, content, place)[0])


def check(content: bytes) -> Program:
    """Return what the file declares. Rejected unless it is whole and computes with what is on the list alone."""
    try:
        return _program(_Table(content, _unpack("<I", content, 0)))
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise Rejected(f"it is a damaged .tflite file ({one_line(str(error), 60)}); {WAY_OUT}") from error


def _program(model: _Table) -> Program:
    codes = [_operation(code) for code in model.tables(1)]
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise Rejected(f"it holds {len(graphs)} graphs; a digit model has one. {WAY_OUT}, from the model alone")
    buffers = [_stored(buffer) for buffer in model.tables(4)]
    tensors = [_tensor(tensor, buffers) for tensor in graphs[0].tables(0)]
    _places((*graphs[0].numbers(1), *graphs[0].numbers(2)), tensors)
    layers, whole = [], False
    for operator in graphs[0].tables(3):
        code = codes[operator.number(0, "<I")]
        taken, given = operator.numbers(1), operator.numbers(2)
        _places((*taken, *given), tensors)
        output = tensors[given[0]]
        whole = whole or (output.kind in ("int8", "uint8", "int16") and not output.is_constant)
        own = sum(math.prod(tensors[at].shape) for at in taken if at >= 0 and tensors[at].is_constant)
        layers.append((output.name, code, str((None, *output.shape[1:])), own))
    parameters = sum(math.prod(tensor.shape) for tensor in tensors if tensor.is_constant)
    if parameters > budget.MAX_PARAMETERS:
        raise Rejected(f"it declares {parameters:,} parameters; {budget.MAX_PARAMETERS:,} are the limit")
    floating = (at for at, tensor in enumerate(tensors) if tensor.is_constant and tensor.kind.startswith("float"))
    return Program(tuple(layers), tuple(floating), parameters, whole)


def _operation(code: _Table) -> str:
    number = max(code.number(0, "<b"), code.number(3, "<i"))
    if number == _CUSTOM:
        name = one_line(code.text(1), 60)
        raise Rejected(
            f"it runs {name}, an operation of its own, which is not in the file; {WAY_OUT}, with built-ins only"
        )
    if number not in OPERATIONS:
        raise Rejected(f"it runs operation {number} of TensorFlow Lite, which is not on the list; {WAY_OUT}")
    return OPERATIONS[number]


def _stored(buffer: _Table) -> int:
    if buffer.number(1, "<Q") > 1:
        raise ValueError("weights outside of their place")
    return buffer.data(0)


def _tensor(tensor: _Table, buffers: Sequence[int]) -> _Tensor:
    kind, bits = _TYPES.get(tensor.number(1, "<b"), ("", 0))
    name, shape = one_line(tensor.text(3), 80), tensor.numbers(0)
    if not kind:
        raise Rejected(f"its tensor {name} holds no numbers; {WAY_OUT}")
    if any(size < 0 for size in shape):
        raise ValueError("a size below zero")
    stored, count = buffers[tensor.number(2, "<I")], math.prod(shape)
    if stored and stored != (count * bits + 7) // 8:
        raise ValueError(f"{stored:,} bytes for {count:,} numbers")
    if not stored and count > budget.MAX_ACTIVATIONS:
        raise Rejected(
            f"one image becomes {count:,} numbers in one of its layers; {budget.MAX_ACTIVATIONS:,} are the limit"
        )
    return _Tensor(name, shape, kind, stored > 0)


def _places(numbers: Sequence[int], tensors: Sequence[_Tensor]) -> None:
    if any(not -1 <= number < len(tensors) for number in numbers):
        raise ValueError("a tensor that is not there")
