"""Loading of a candidate of any kind, in the worker only."""

from __future__ import annotations

import hashlib
import importlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.child import keras_files, tflite
from harness.candidate.child.batches import in_batches
from harness.candidate.scan import hdf5, keras2, savedmodel, text
from harness.candidate.scan.archive import CONFIG, METADATA, WEIGHTS
from harness.candidate.scan.budget import Rejected

Pixels: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int | None, ...]  # with the batch, which is None
Ask: TypeAlias = Callable[[Pixels], Any]  # images in the model's own shape and type -> a tensor, or several

_TINY = 1.2e-38  # probability that is taken for 0: TensorFlow makes 0 of less


@dataclass(frozen=True)
class Loaded:
    """A candidate in memory: shapes with the batch, layers, readers of its weights, and what compiles it."""

    kind: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    layers: tuple[dict[str, Any], ...]
    weights: tuple[tuple[str, Callable[[], NDArray[Any]]], ...]
    parameters: int
    compiled: Callable[[bool], Ask]  # True: to answer with log-probabilities; False: as the model does
    precision: str = ""  # of what it computes in, where that is coarser than float32
    takes: str = "float32"  # or uint8: the type of the pixels that it is given
    keras: str = ""  # version of tf_keras, where that loaded the model
    sha256: str | None = None  # of the module, where the candidate is code
    variables: tuple[tuple[int, str, Any], ...] = ()  # layer, name and variable of each float weight, once


def check_backend() -> None:
    """Import what loads a model, and add two numbers; raises what they raise where their installation is broken."""
    import keras

    importlib.import_module("h5py")  # which Keras can do without
    keras.ops.add(1.0, 1.0)


def load(kind: str, path: str, folder: str) -> Loaded:
    """Load what the parent has copied and scanned; what only C libraries can read is scanned here first. Raises
    Rejected.
    """
    match kind:
        case "keras":
            with zipfile.ZipFile(path) as archive:
                weights = archive.read(WEIGHTS)
                metadata, described = (text.parse(archive.read(name), name) for name in (METADATA, CONFIG))
            with keras2.naming(version := keras2.version_in(metadata)):
                hdf5.weights(weights)
                return _of_model(*keras_files.load(path, described, version))
        case "h5":
            described, version = hdf5.model(Path(path))
            with keras2.naming(version):
                return _of_model(*keras_files.load(path, described, version))
        case "savedmodel":
            savedmodel.check(Path(path))
            return _of_folder(path)
        case "tflite":
            return _of_lite(path)
        case "factory":
            return _of_code(path, folder)
    raise ValueError(f"no such kind of candidate: {kind}")


def _of_code(path: str, folder: str) -> Loaded:
    """Import ``module:function`` and call the function, which makes the model; its relative paths mean ``folder``."""
    name, _, function = path.partition(":")
    os.chdir(folder)
    try:
        module = importlib.import_module(name)
        make = getattr(module, function)
    except (Exception, SystemExit) as error:  # whatever its first lines raise
        raise Rejected(f"it cannot be imported ({type(error).__name__}: {error})") from error
    source = Path(str(module.__file__)).read_bytes()
    import keras

    return _of_model(make(), keras, hashlib.sha256(source).hexdigest())


def _of_model(model: Any, keras: Any, sha256: str | None = None) -> Loaded:
    """Describe a model of ``keras``, which is Keras 3 or tf_keras. Rejected where it is none."""
    if not isinstance(model, keras.Model):
        raise Rejected(f"it gives a {type(model).__name__}, not a Keras model")
    try:
        inputs, outputs = model.inputs, model.outputs
    except AttributeError as error:  # Sequential without an input, or a class of its own
        raise Rejected("it does not say what it takes; begin the model with keras.Input((28, 28, 1))") from error
    if not inputs and keras.__name__ == "tf_keras":
        raise Rejected("it does not say what it takes; begin the model with keras.Input((28, 28, 1))")
    keeps = any(map(_keeps_state, model.layers))
    return Loaded(
        kind="Sequential" if isinstance(model, keras.Sequential) else type(model).__name__,
        inputs=tuple(tuple(tensor.shape) for tensor in inputs or ()),
        outputs=tuple(tuple(tensor.shape) for tensor in outputs or ()),
        layers=tuple(
            {"name": layer.name, "kind": _kind(layer), "output": _output(layer), "parameters": _numbers(layer)}
            for layer in model.layers
        ),
        weights=tuple((getattr(weight, "path", weight.name), _reader(weight)) for weight in model.weights),
        parameters=_numbers(model),
        compiled=lambda logs: _compiled(model, keeps, logs),
        precision=_precision(model),
        takes=_takes([tensor.dtype for tensor in inputs or ()]),
        keras=keras.__version__ if keras.__name__ == "tf_keras" else "",
        sha256=sha256,
        variables=tuple(_variables(model)),
    )


def _of_folder(path: str) -> Loaded:
    """Load a SavedModel, to be called through its serving signature; it needs no Keras, and has no layers to show."""
    import tensorflow as tf

    program = tf.saved_model.load(path)
    signature = program.signatures[savedmodel.SIGNATURE]
    given = signature.structured_input_signature[1]
    if any(spec.dtype not in (tf.float32, tf.uint8) for spec in given.values()):
        kinds = ", ".join(spec.dtype.name for spec in given.values())
        raise Rejected(f"its signature takes {kinds}; a digit model takes float32 or uint8")
    name = next(iter(given), "")

    def ask(pixels: Pixels) -> Any:
        answers = list(signature(**{name: tf.constant(pixels)}).values())
        return answers[0] if len(answers) == 1 else answers

    inputs = tuple(_dimensions(spec) for spec in given.values())
    fixed = inputs[0][0] if len(inputs) == 1 and inputs[0] else None
    asked = in_batches(ask, fixed) if fixed else ask
    return Loaded(
        kind="SavedModel",
        inputs=inputs,
        outputs=tuple(_dimensions(spec) for spec in signature.structured_outputs.values()),
        layers=(),
        weights=tuple((variable.name, _reader(variable)) for variable in signature.variables),
        parameters=int(sum(np.prod(variable.shape) for variable in signature.variables)),
        compiled=lambda logs: (program, _answering(asked, logs))[1],  # the program lives as long as it is asked
        takes=_takes([spec.dtype.name for spec in given.values()]),
    )


def _of_lite(path: str) -> Loaded:
    """Load a .tflite file; its operations are shown as its layers."""
    program, interpreter, ask = tflite.load(path)
    constants = interpreter.constants(program.constants)
    return Loaded(
        kind="TFLite",
        inputs=tuple(map(tflite.shape, interpreter.inputs)),
        outputs=tuple(map(tflite.shape, interpreter.outputs)),
        layers=tuple(dict(zip(("name", "kind", "output", "parameters"), row, strict=True)) for row in program.layers),
        weights=tuple((name, _reader(values)) for name, values in constants),
        parameters=program.parameters,
        compiled=lambda logs: _answering(ask, logs),
        precision="int8" if program.is_quantised else "",
        takes=tflite.takes(interpreter.inputs),
    )


def _precision(model: Any) -> str:
    """Return the coarsest type that a layer computes in, where that is coarser than float32."""
    types = {str(layer.compute_dtype) for layer in model.layers}
    return next((name for name in ("bfloat16", "float16") if name in types), "")


def _keeps_state(layer: Any) -> bool:
    """Tell whether a recurrent layer goes on with a batch where the one before ended."""
    return bool(getattr(layer, "stateful", False)) or any(map(_keeps_state, getattr(layer, "layers", ())))


def _kind(layer: Any) -> str:
    return type(layer).__name__ + (" (stateful)" if _keeps_state(layer) else "")


def _compiled(model: Any, keeps_state: bool, logs: bool) -> Ask:
    import tensorflow as tf

    given = _takes([model.inputs[0].dtype])
    fixed = model.inputs[0].shape[0] if keeps_state else None  # others take any number, whatever they declare
    signature = [tf.TensorSpec([fixed, *model.inputs[0].shape[1:]], given)]

    # Without autograph, as Keras does it, too: it would leave its generated files behind when the child is ended.
    @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
    def call(pixels: Any) -> Any:
        answer = model(pixels, training=False)
        return _log_probabilities(answer) if logs else answer

    return in_batches(call, fixed) if fixed else call  # type: ignore[no-any-return, unused-ignore]


def _answering(ask: Ask, logs: bool) -> Ask:
    """Return ``ask``; where ``logs`` are wanted, with the logarithms of its answers."""
    return (lambda pixels: _log_probabilities(ask(pixels))) if logs else ask


def _log_probabilities(answer: Any) -> Any:
    """Compute log-probabilities; where the model ends in a softmax, from the logits.

    Elsewhere from the probabilities, which float32 rounds to 0 and 1 where a model is sure.
    """
    import tensorflow as tf

    if isinstance(answer, (list, tuple, dict)) or not answer.dtype.is_floating:
        return answer  # which is refused as it is
    last = getattr(answer, "op", None)  # a tensor that is not of a graph has none
    while last is not None and last.type in ("Cast", "Reshape") and last.inputs[0].dtype.is_floating:
        last = last.inputs[0].op
    if last is not None and last.type == "Softmax":
        return tf.reshape(tf.nn.log_softmax(tf.cast(last.inputs[0], tf.float32)), tf.shape(answer))
    return tf.math.log(tf.maximum(tf.cast(answer, tf.float32), _TINY))


def _takes(dtypes: list[str]) -> str:
    """Return the type of a single input; Keras makes any other than uint8 of float32 itself."""
    return "uint8" if dtypes == ["uint8"] else "float32"


def _reader(weight: Any) -> Callable[[], NDArray[Any]]:
    return lambda: np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight, np.float64)


def _dimensions(spec: Any) -> Shape:
    return tuple(spec.shape) if spec.shape.rank is not None else ()


def _output(layer: Any) -> str:
    try:
        return str(tuple(layer.output.shape))
    except (AttributeError, ValueError):
        return "?"


def _variables(model: Any) -> Iterator[tuple[int, str, Any]]:
    """Yield the float weights that training sets, each once: not the statistics that a layer keeps."""
    seen: set[int] = set()
    for number, layer in enumerate(_innermost(model)):
        for weight in layer.weights:
            name = weight.name.rpartition("/")[2].partition(":")[0]
            is_float = str(getattr(weight.dtype, "name", weight.dtype)).endswith(("float16", "float32", "float64"))
            if id(weight) not in seen and is_float and not name.startswith(("moving_", "seed")):
                seen.add(id(weight))
                yield number, name, weight


def _innermost(layer: Any) -> Iterator[Any]:
    inside = getattr(layer, "layers", None)
    if not inside:
        yield layer
    for one in inside or ():
        yield from _innermost(one)


def _numbers(layer: Any) -> int:
    return int(sum(np.prod(weight.shape) for weight in layer.weights))
