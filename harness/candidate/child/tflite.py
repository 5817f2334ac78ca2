"""Loading of a .tflite file, which TensorFlow Lite runs: one interpreter a thread, since it is not for several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.child.batches import in_batches
from harness.candidate.scan import tflite
from harness.candidate.scan.budget import Rejected


class Interpreter:
    """The interpreter of one thread: images in the model's own shape to its answers, as floating numbers."""

    def __init__(self, content: bytes, keeps_state: bool) -> None:
        import tensorflow as tf

        self.lite = tf.lite.Interpreter(model_content=content, num_threads=1)
        self.lite.allocate_tensors()
        self.keeps_state = keeps_state
        self.inputs, self.outputs = self.lite.get_input_details(), self.lite.get_output_details()
        self.size = int(self.inputs[0]["shape"][0]) if self.inputs else 0  # images at a time, as it is now

    def constants(self, places: Sequence[tuple[int, int]]) -> list[tuple[str, NDArray[Any]]]:
        """Return the name and the values of tensors that lie in the file, by graph and index."""
        names = {
            (graph, detail["index"]): str(detail["name"])
            for graph in {graph for graph, _ in places}
            for detail in self.lite.get_tensor_details(graph)
        }
        return [(names.get((graph, at), ""), self.lite.get_tensor(at, graph)) for graph, at in places]

    def answers(self, pixels: NDArray[Any]) -> list[NDArray[Any]]:
        """Answer images in the model's own shape, with floating numbers."""
        given = self.inputs[0]
        if len(pixels) != self.size:
            self.lite.resize_tensor_input(given["index"], pixels.shape)
            self.lite.allocate_tensors()
            self.size = len(pixels)
        if self.keeps_state:
            self.lite.reset_all_variables()
        self.lite.set_tensor(given["index"], _quantised(pixels, given))
        self.lite.invoke()
        return [_floating(self.lite.get_tensor(output["index"]), output) for output in self.outputs]


def load(path: str) -> tuple[tflite.Program, Interpreter, Callable[[NDArray[Any]], Any]]:
    """Check and load a file; returns what it declares, an interpreter and the function to ask. Raises Rejected."""
    content = Path(path).read_bytes()
    program = tflite.check(content)
    own = threading.local()
    try:
        own.interpreter = first = Interpreter(content, program.keeps_state)
    except (ValueError, RuntimeError) as error:
        raise Rejected(f"TensorFlow Lite cannot load it ({error}); {tflite.WAY_OUT}") from error
    for place in first.inputs:
        if place["dtype"] not in (np.float32, np.uint8, np.int8):
            raise Rejected(f"it takes {np.dtype(place['dtype'])}; a digit model takes float32, uint8 or int8")
    batch = shape(first.inputs[0])[0] if first.inputs else None

    def ask(pixels: NDArray[Any]) -> Any:
        import tensorflow as tf

        if not hasattr(own, "interpreter"):
            own.interpreter = Interpreter(content, program.keeps_state)
        answers = [tf.constant(answer) for answer in own.interpreter.answers(np.asarray(pixels))]
        return answers[0] if len(answers) == 1 else answers

    return program, first, ask if batch is None else in_batches(ask, batch)


def takes(places: Sequence[dict[str, Any]]) -> str:
    """Return uint8 where the model takes grey levels themselves, else float32, also of what is then made whole."""
    raw = [place["dtype"] == np.uint8 and not place["quantization"][0] for place in places]
    return "uint8" if raw == [True] else "float32"


def shape(place: dict[str, Any]) -> tuple[int | None, ...]:
    """Return the shape of an input or output; None where it may be of any length."""
    declared = place["shape_signature"] if len(place["shape_signature"]) else place["shape"]
    return tuple(None if size < 0 else int(size) for size in declared)


def _quantised(pixels: NDArray[Any], place: dict[str, Any]) -> NDArray[Any]:
    """Turn pixels into the whole numbers that the model takes, as the file itself says how."""
    scale, zero = place["quantization"]
    if place["dtype"] == np.float32 or not scale:
        return pixels.astype(place["dtype"])
    limits = np.iinfo(place["dtype"])
    quantised: NDArray[Any] = np.clip(np.round(pixels / scale) + zero, limits.min, limits.max).astype(place["dtype"])
    return quantised


def _floating(answer: NDArray[Any], place: dict[str, Any]) -> NDArray[Any]:
    scale, zero = place["quantization"]
    if answer.dtype.kind == "f" or not scale:
        return answer
    exact: NDArray[Any] = (answer.astype(np.float32) - zero) * np.float32(scale)
    return exact
