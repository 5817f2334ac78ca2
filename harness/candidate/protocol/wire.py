"""The messages between parent and child: a JSON header and raw array bytes, lengths checked at both ends; no pickle.

Frame: magic (4 bytes), header length (u32), payload length (u64), header (JSON), payload (arrays end to end, C order).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Header: TypeAlias = dict[str, Any]
Arrays: TypeAlias = tuple[NDArray[Any], ...]
Read: TypeAlias = Callable[[int], bytes | bytearray]  # exactly that many bytes, or raises

MAGIC = b"HRN1"
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 31
_HEAD = struct.Struct("<4sIQ")


class Malformed(Exception):
    """Raised where bytes are not a message of this protocol."""


def pack(header: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> list[bytes | memoryview]:
    """Encode one frame as parts to be written in order. Arrays may hold booleans, integers and floats."""
    solid = [np.ascontiguousarray(array).reshape(array.shape) for array in arrays]
    shapes = [{"dtype": array.dtype.str, "shape": list(array.shape)} for array in solid]
    text = json.dumps({**header, "arrays": shapes}).encode()
    payload = sum(array.nbytes for array in solid)
    if len(text) > MAX_HEADER_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise Malformed(f"a message of {len(text)} + {payload} bytes is over the limit")
    return [_HEAD.pack(MAGIC, len(text), payload), text, *(a.reshape(-1).view(np.uint8).data for a in solid)]


def unpack(read: Read) -> tuple[Header, Arrays]:
    """Read one frame. Every length is checked before anything of that length is read or allocated. Raises Malformed."""
    magic, header_length, payload_length = _HEAD.unpack(bytes(read(_HEAD.size)))
    if magic != MAGIC or header_length > MAX_HEADER_BYTES or payload_length > MAX_PAYLOAD_BYTES:
        raise Malformed(f"a frame starts with {magic!r}, {header_length}, {payload_length}")
    try:
        header = json.loads(bytes(read(header_length)))
        forms = [(_dtype(entry["dtype"]), _shape(entry["shape"])) for entry in header.pop("arrays")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Malformed(f"a header is not of this protocol: {error}") from error
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in forms]
    if sum(sizes) != payload_length:
        raise Malformed(f"arrays of {sum(sizes)} bytes are declared, {payload_length} are sent")
    arrays = []
    for (dtype, shape), size in zip(forms, sizes, strict=True):
        arrays.append(np.frombuffer(read(size), dtype=dtype).reshape(shape))
    return header, tuple(arrays)


def _dtype(text: object) -> np.dtype[Any]:
    if not isinstance(text, str) or not re.fullmatch(r"[<>|=]?[biuf]\d{1,2}", text):  # NumPy would parse it as Python
        raise Malformed(f"an array of {text!r} cannot be sent")
    return np.dtype(text)


def _shape(sizes: list[Any]) -> tuple[int, ...]:
    if len(sizes) > 8 or any(type(size) is not int or size < 0 for size in sizes):
        raise Malformed(f"{sizes} is no shape")
    return tuple(sizes)
