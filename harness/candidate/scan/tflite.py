"""A TensorFlow Lite file read as a flatbuffer: every place within the file, every operation on a list."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

Layer: TypeAlias = tuple[str, str, str, int]  # name, kind, output, parameters

WAY_OUT = "convert it again with tf.lite.TFLiteConverter"
BATCH_OF_ONE = "keras.Sequential([keras.Input(batch_shape=(1, 28, 28)), *model.layers])"
MAX_OPERATIONS = 10_000
MAX_GRAPHS = 100  # a recurrent layer has two, of its loop
MAX_NESTED = 8  # graphs that run one another
_CUSTOM, _IF, _WHILE = 32, 118, 119
_CALLS = {_IF: 92, _WHILE: 93}  # the kind of settings that names graphs
# Arithmetic, shapes, convolution, recurrence and loops, by the numbers of the schema; no variables, no texts.
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
    **{86: "LOGICAL_AND", 87: "LOGICAL_NOT", 88: "UNPACK", 89: "REDUCE_MIN"},
    **{90: "FLOOR_DIV", 91: "REDUCE_ANY", 92: "SQUARE"},
    **{93: "ZEROS_LIKE", 94: "FILL", 95: "FLOOR_MOD", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU"},
    **{99: "SQUARED_DIFFERENCE", 100: "MIRROR_PAD", 101: "ABS", 102: "SPLIT_V", 104: "CEIL", 105: "REVERSE_V2"},
    **{106: "ADD_N", 107: "GATHER_ND", 108: "COS", 110: "RANK", 111: "ELU", 114: "QUANTIZE", 116: "ROUND"},
    **{
        117: "HARD_SWISH",
        _IF: "IF",
        _WHILE: "WHILE",
        123: "SELECT_V2",
        126: "BATCH_MATMUL",
        130: "BROADCAST_TO",
        132: "CONV_3D",
    },
    **{145: "BROADCAST_ARGS", 150: "GELU", 152: "RELU_0_TO_1", 158: "SIGN"},
}
# Those that are left out and may be met, for the line that names them.
_OTHERS = {
    **{7: "EMBEDDING_LOOKUP", 10: "HASHTABLE_LOOKUP", 16: "LSTM", 24: "RNN", 27: "SVDF", 31: "CALL"},
    **{35: "UNIDIRECTIONAL_SEQUENCE_RNN", 46: "BIDIRECTIONAL_SEQUENCE_RNN", 48: "TOPK_V2"},
    **{52: "BIDIRECTIONAL_SEQUENCE_LSTM", 56: "ARG_MAX", 79: "ARG_MIN", 85: "ONE_HOT", 96: "RANGE"},
    **{103: "UNIQUE", 109: "WHERE", 112: "REVERSE_SEQUENCE", 122: "SCATTER_ND", 128: "CUMSUM", 129: "CALL_ONCE"},
    **{142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE", 146: "RANDOM_STANDARD_NORMAL"},
    **{148: "RANDOM_UNIFORM", 149: "MULTINOMIAL", 151: "DYNAMIC_UPDATE_SLICE"},
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
    constants: tuple[tuple[int, int], ...]  # graph and index of each tensor with floating numbers in the file
    parameters: int
    is_quantised: bool  # whether operations take and give whole numbers
    keeps_state: bool  # from one call to the next, until it is reset


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    is_constant: bool
    is_variable: bool


@dataclass(frozen=True)
class _Call:
    """A loop, or a branch: what it is, the two graphs that it runs, and the tensors that it takes and gives."""

    number: int
    graphs: tuple[int, int]
    taken: tuple[_Tensor, ...]
    given: tuple[_Tensor, ...]


@dataclass(frozen=True)
class _Graph:
    tensors: tuple[_Tensor, ...]
    taken: tuple[_Tensor, ...]
    given: tuple[_Tensor, ...]
    layers: tuple[Layer, ...]
    calls: tuple[_Call, ...]
    is_quantised: bool


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

    def option(self, field: int) -> _Table:
        """Return the table of a union."""
        place = self._at(field)
        if place is None:
            raise ValueError("settings that are not there")
        return self.table(place)

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
        raise Rejected(
            f"it is a damaged .tflite file ({one_line(str(error), 60)}); copy it again, or {WAY_OUT}"
        ) from error


def _program(model: _Table) -> Program:
    codes = [_operation(code) for code in model.tables(1)]
    buffers = [_stored(buffer) for buffer in model.tables(4)]
    declared = model.tables(2)
    if not 0 < len(declared) <= MAX_GRAPHS:
        raise ValueError(f"{len(declared):,} graphs")
    graphs = [_graph(graph, codes, buffers) for graph in declared]
    _calls(graphs)
    tensors = [(number, at, tensor) for number, graph in enumerate(graphs) for at, tensor in enumerate(graph.tensors)]
    parameters = sum(math.prod(tensor.shape) for _, _, tensor in tensors if tensor.is_constant)
    if parameters > budget.MAX_PARAMETERS:
        raise Rejected(f"it declares {parameters:,} parameters; {budget.MAX_PARAMETERS:,} are the limit")
    return Program(
        layers=tuple(layer for graph in graphs for layer in graph.layers),
        constants=tuple((n, at) for n, at, one in tensors if one.is_constant and one.kind.startswith("float")),
        parameters=parameters,
        is_quantised=any(graph.is_quantised for graph in graphs),
        keeps_state=any(tensor.is_variable for _, _, tensor in tensors),
    )


def _graph(graph: _Table, codes: Sequence[int], buffers: Sequence[int]) -> _Graph:
    tensors = tuple(_tensor(tensor, buffers) for tensor in graph.tables(0))
    layers, calls, whole = [], [], False
    for operator in graph.tables(3):
        number = codes[operator.number(0, "<I")]
        taken, given = _at(operator.numbers(1), tensors), _at(operator.numbers(2), tensors)
        if number in _CALLS:
            if operator.number(3, "<B") != _CALLS[number]:
                raise ValueError("a loop or branch without graphs")
            options = operator.option(4)
            calls.append(_Call(number, (options.number(0, "<i"), options.number(1, "<i")), taken, given))
        output = given[0]
        whole = whole or (output.kind in ("int8", "uint8", "int16") and not output.is_constant)
        own = sum(math.prod(tensor.shape) for tensor in taken if tensor.is_constant)
        kept = " (reset for each image)" if any(tensor.is_variable for tensor in taken) else ""
        layers.append((output.name, OPERATIONS[number] + kept, str((None, *output.shape[1:])), own))
    taken, given = _at(graph.numbers(1), tensors), _at(graph.numbers(2), tensors)
    return _Graph(tensors, taken, given, tuple(layers), tuple(calls), whole)


def _calls(graphs: Sequence[_Graph]) -> None:
    """Raise ValueError unless each loop and branch runs graphs that fit it, and none that runs it; Rejected where a
    graph is run by none.
    """
    called = [{number for call in graph.calls for number in call.graphs} for graph in graphs]
    for call in (call for graph in graphs for call in graph.calls):
        if not all(0 <= number < len(graphs) for number in call.graphs):
            raise ValueError("a graph that is not there")
        if not _fits(call, *(graphs[number] for number in call.graphs)):
            raise ValueError("a loop or branch that does not fit its graphs")
    depth: dict[int, int] = {}
    try:
        for number in TopologicalSorter(dict(enumerate(called))).static_order():
            depth[number] = 1 + max((depth[inner] for inner in called[number]), default=0)
    except CycleError as error:
        raise ValueError("a graph that runs itself") from error
    if max(depth.values()) > MAX_NESTED:
        raise ValueError(f"over {MAX_NESTED} graphs that run one another")
    if len(set().union({0}, *called)) < len(graphs):
        raise Rejected(
            f"it holds {len(graphs)} graphs; a digit model has one, and those of its loops. {WAY_OUT}, from it alone"
        )


def _fits(call: _Call, first: _Graph, second: _Graph) -> bool:
    taken, given = _kinds(call.taken), _kinds(call.given)
    if call.number == _WHILE:  # the first asks whether to go on with what the second gives
        going_on = _kinds(first.taken) == taken and _kinds(first.given) == ["bool"]
        return going_on and _kinds(second.taken) == _kinds(second.given) == given == taken
    return all(_kinds(graph.taken) == taken[1:] and _kinds(graph.given) == given for graph in (first, second))


def _kinds(tensors: Sequence[_Tensor]) -> list[str]:
    return [tensor.kind for tensor in tensors]


def _operation(code: _Table) -> int:
    number = max(code.number(0, "<b"), code.number(3, "<i"))
    if number == _CUSTOM:
        name = one_line(code.text(1), 60)
        if name.startswith("FlexTensorList"):
            raise Rejected(
                f"it runs {name}, which is not in TensorFlow Lite; a recurrent model needs no such with a batch of one:"
                f" convert {BATCH_OF_ONE} with built-ins only"
            )
        raise Rejected(
            f"it runs {name}, an operation of its own, which is not in the file; {WAY_OUT}, with built-ins only"
        )
    if number not in OPERATIONS:
        name = _OTHERS.get(number, f"operation {number}")
        raise Rejected(
            f"it runs {name} of TensorFlow Lite, which is not on the list; build the model without it, and {WAY_OUT}"
        )
    return number


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
    return _Tensor(name, shape, kind, stored > 0, tensor.number(5, "<?") != 0)


def _at(places: Sequence[int], tensors: Sequence[_Tensor]) -> tuple[_Tensor, ...]:
    """Return the tensors at these places; -1 stands for one that is left out."""
    if any(not -1 <= place < len(tensors) for place in places):
        raise ValueError("a tensor that is not there")
    return tuple(tensors[place] for place in places if place >= 0)
