"""Messages between parent and child: what was packed comes back, and nothing else does."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from harness.candidate.protocol import wire

QUICK = settings(max_examples=150, deadline=None)
NUMBERS = st.sampled_from([np.uint8, np.int64, np.float16, np.float32, np.float64, np.bool_])
ANY_ARRAY = NUMBERS.flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))


def frame(header: dict[str, Any], given_arrays: list[NDArray[Any]]) -> bytes:
    return b"".join(bytes(part) for part in wire.pack(header, given_arrays))


def reader(content: bytes) -> Callable[[int], bytes]:
    stream = io.BytesIO(content)

    def read(size: int) -> bytes:
        data = stream.read(size)
        if len(data) != size:
            raise EOFError
        return data

    return read


@QUICK
@given(st.lists(ANY_ARRAY, max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_what_was_packed_comes_back(given_arrays: list[NDArray[Any]], facts: dict[str, int]) -> None:
    facts.pop("arrays", None)

    header, found = wire.unpack(reader(frame(facts, given_arrays)))

    assert header == facts
    assert [(a.dtype, a.shape, a.tobytes()) for a in found] == [(a.dtype, a.shape, a.tobytes()) for a in given_arrays]


@QUICK
@given(st.integers(0, 300), st.integers(0, 255))
def test_a_changed_byte_is_a_message_or_a_refusal(place: int, value: int) -> None:
    content = bytearray(frame({"id": 1}, [np.arange(50, dtype=np.float32)]))
    content[place % len(content)] = value

    with contextlib.suppress(wire.Malformed, EOFError):
        header, found = wire.unpack(reader(bytes(content)))
        assert isinstance(header, dict)
        assert sum(array.nbytes for array in found) == 200


@QUICK
@given(st.integers(0, 400))
def test_a_cut_message_is_no_message(length: int) -> None:
    content = frame({"id": 1}, [np.arange(50, dtype=np.float32)])

    with pytest.raises(EOFError):
        wire.unpack(reader(content[: min(length, len(content) - 1)]))


@pytest.mark.parametrize(
    "forms",
    [
        [{"dtype": "<f4", "shape": [10**12]}],
        [{"dtype": "<f4", "shape": [-1]}],
        [{"dtype": "|O", "shape": [1]}],
        [{"dtype": "<U4", "shape": [1]}],
        [{"dtype": "<f4", "shape": ["1"]}],
        [{"dtype": "<f4", "shape": [True]}],
        [{"dtype": "<f4", "shape": [1] * 9}],
        [{"dtype": "nonsense", "shape": [1]}],
        [{"shape": [1]}],
        "none",
        None,
        7,
    ],
)
def test_a_declaration_that_lies_is_refused_before_anything_is_read(forms: Any) -> None:
    text = json.dumps({"arrays": forms}).encode()
    content = wire._HEAD.pack(wire.MAGIC, len(text), 4) + text + b"1234"

    with pytest.raises(wire.Malformed):
        wire.unpack(reader(content))


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(wire.Malformed):
        wire.unpack(reader(wire._HEAD.pack(wire.MAGIC, 4, wire.MAX_PAYLOAD_BYTES + 1)))


def test_objects_cannot_be_sent() -> None:
    content = frame({}, [])

    assert b"pickle" not in content
    with pytest.raises(wire.Malformed):
        wire.unpack(reader(frame({}, [np.array(["text"])])))
