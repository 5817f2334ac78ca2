"""The candidate's process: loads the candidate and answers requests. Started as ``python -P -m``; gets no labels.

Requests and answers carry an ``id``; answers may come in another order, since blocks are predicted on all cores.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from harness.candidate.child import attack, loading
from harness.candidate.protocol import wire

Pixels = NDArray[Any]

SHAPES: dict[tuple[int | None, ...], tuple[int, ...]] = {
    **{(28, 28): (28, 28), (28, 28, 1): (28, 28, 1), (784,): (784,)},
    (None, None, 1): (28, 28, 1),  # fully convolutional
}
BATCH = 500
EXIT_REQUESTED = 70  # exit code of a child whose candidate asked to exit
REFERENCE, CONTRACTS = "harness.references.preprocessing", "harness.references.contracts"


class BrokenInstallation(Exception):
    """Raised where Keras or TensorFlow cannot be imported, whatever the candidate is."""


class NoPreprocessing(Exception):
    """Raised where the preprocessing module cannot be imported or lacks a function, with the reason."""


class Candidate:
    """The loaded model with its preprocessing and its compiled functions."""

    def __init__(self, request: wire.Header) -> None:
        folder, preprocess, shipped = request["folder"], request["preprocess"], request["contract"]
        if (preprocess not in (REFERENCE, CONTRACTS) or request["kind"] == "factory") and folder not in sys.path:
            sys.path.append(folder)  # last, so that nothing there can stand in for an installed module
        check_installation()
        module = _imported(preprocess, () if shipped else ("normalize",))
        self.one_hot: Callable[[Pixels], Pixels] | None = getattr(module, "one_hot", None)
        if self.one_hot is not None and not callable(self.one_hot):
            raise NoPreprocessing(f"one_hot is no function in module {preprocess!r}")
        self.range = _range(module)
        self.preprocess_sha256 = hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
        self.model = loading.load(request["kind"], request["path"], folder)
        self.normalize: Callable[[Pixels], Pixels] = (
            _shipped(**shipped, takes=self.model.takes) if shipped else module.normalize
        )
        self.request = request
        self.compiled: dict[bool, loading.Ask] = {}  # with log-probabilities: yes, no
        self.fault: tuple[str, float, int] | None = None
        self._whole: tuple[Any, dict[str, Any]] | None = None

    def facts(self) -> dict[str, Any]:
        """Describe the model as ModelFacts does, without what the parent knows of the file."""
        return {
            "sha256": self.model.sha256,
            "kind": self.model.kind,
            "inputs": self.model.inputs,
            "outputs": self.model.outputs,
            "parameters": self.model.parameters,
            "layers": self.model.layers,
            "preprocess": self.request["preprocess"],
            "preprocess_sha256": self.preprocess_sha256,
            "range": self.range,
            "one_hot": self.one_hot is not None,
            "takes": self.model.takes,
            "keras": self.model.keras,
            "precision": self.model.precision,
        }

    def reloaded(self) -> Candidate:
        """Load the same candidate a second time, with the fault that is planted in this one."""
        again = Candidate(self.request)
        if self.fault is not None:
            again.mutate(*self.fault)
        return again

    def mutate(self, name: str, strength: float, seed: int) -> None:
        """Plant a fault in the candidate as it was loaded; without a name there is none. Raises NotMutable."""
        mutate = importlib.import_module("harness.candidate.child.mutate")  # of one command only
        functions: dict[str, Any] = {"normalize": self.normalize, "one_hot": self.one_hot}
        if self._whole is None:
            self._whole = mutate.kept(self.model.variables), functions
        weights, functions = self._whole
        if self.fault is not None:
            mutate.assign(self.model.variables, weights)
            self.fault = None
        of_code = name.startswith(("normalize", "one_hot"))
        planted = mutate.replaced(name, strength, functions) if of_code else functions
        self.normalize, self.one_hot = planted["normalize"], planted["one_hot"]
        if name and not of_code:
            mutate.assign(self.model.variables, mutate.changed(weights, name, strength, seed))
        self.fault = (name, strength, seed) if name else None

    def unfit_weights(self) -> list[str]:
        """List the weights that hold a number that is not finite, by path, with how many."""
        bad = [(path, int(np.sum(~np.isfinite(read())))) for path, read in self.model.weights]
        return [f"{path} ({count} of its values)" for path, count in bad if count]

    def predict(self, images: Pixels, batch: int = BATCH, under: str | None = None, logs: bool = False) -> NDArray[Any]:
        """Normalise, reshape and predict ``images`` in slices of ``batch``; returns probabilities, or their logarithms.

        ``under``: the kind of another contract.
        """
        normalize = self.normalize if under is None else _shipped(under, takes=self.model.takes)
        with np.errstate(invalid="ignore"):  # what is no whole number becomes one, as Keras does it
            pixels = np.asarray(normalize(images)).astype(self.model.takes, copy=False)
        shapes = [shape[1:] for shape in self.model.inputs]
        if len(shapes) != 1 or shapes[0] not in SHAPES:
            shape_names = ", ".join(map(str, shapes))
            raise ValueError(f"takes input of shape {shape_names}; a digit model takes (28, 28), (28, 28, 1) or (784,)")
        pixels = pixels.reshape((len(pixels), *SHAPES[shapes[0]]))
        call = self.call(logs)
        slices = [pixels[start : start + batch] for start in range(0, len(pixels), batch)] or [pixels]
        answers = [call(part) for part in slices]
        if any(isinstance(answer, (list, tuple, dict)) for answer in answers):
            raise ValueError(f"gives {len(answers[0])} outputs; a digit model gives one of shape (n, 10)")
        return np.concatenate([_plain(answer) for answer in answers])

    def call(self, logs: bool = False) -> loading.Ask:
        """Return the compiled model, which answers as it is or with log-probabilities; each is compiled once."""
        if logs not in self.compiled:
            self.compiled[logs] = self.model.compiled(logs)
        return self.compiled[logs]

    def attacked(self, images: Pixels, norm: attack.Norm, epsilon: float, steps: int) -> Pixels:
        """Move images away from the model's own predictions, in the shape they came in. Raises NoGradients."""
        if self.request["preprocess"] not in (REFERENCE, CONTRACTS):
            raise attack.NoGradients("own preprocessing is code, which has no gradient")
        if self.model.takes == "uint8":
            raise attack.NoGradients("it takes whole numbers, which have no gradient")
        affine = importlib.import_module(CONTRACTS).affine(**(self.request["contract"] or {"kind": "unit"}))
        if affine is None:
            raise attack.NoGradients("how its pixels are made has no gradient here")
        scale, offset = 255 * affine[0], affine[1]
        call = self.call()
        shaped = images.reshape((len(images), *SHAPES[self.model.inputs[0][1:]]))
        fed = (
            call if (scale, offset) == (1, 0) else lambda pixels: call(pixels * np.float32(scale) + np.float32(offset))
        )
        return attack.attacked(fed, shaped, norm, epsilon, steps).reshape(images.shape)


def check_installation() -> None:
    """Import Keras with TensorFlow and use them once. Raises BrokenInstallation."""
    try:
        loading.check_backend()
    except MemoryError:
        raise
    except Exception as error:  # of a broken installation anything
        raise BrokenInstallation(f"{type(error).__name__}: {error}") from error


def _shipped(kind: str, mean: float | None = None, std: float | None = None, takes: str = "float32") -> Any:
    """Return the function of a shipped kind; only raw grey levels can be whole numbers."""
    dtype = takes if kind == "raw" else "float32"
    return importlib.import_module(CONTRACTS).normalizer(kind, mean, std, dtype)


def _imported(name: str, needed: tuple[str, ...]) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise NoPreprocessing(str(error)) from error
    except (Exception, SystemExit) as error:  # whatever its first lines raise
        raise NoPreprocessing(f"{name!r} cannot be imported, {type(error).__name__}: {error}") from error
    for function in needed:
        if not callable(getattr(module, function, None)):
            raise NoPreprocessing(f"module {name!r} has no function {function!r}")
    return module


def _range(module: ModuleType) -> list[float] | None:
    """Return the range that a module states; None where it states none."""
    stated = getattr(module, "RANGE", None)
    if stated is None:
        return None
    try:
        low, high = (float(end) for end in stated)
    except (TypeError, ValueError) as error:
        raise NoPreprocessing(f"RANGE is {stated!r} in module {module.__name__!r}, not two numbers") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise NoPreprocessing(f"RANGE is {stated!r} in module {module.__name__!r}, not (low, high)")
    return [low, high]


def _plain(answer: Any) -> NDArray[Any]:
    values: NDArray[Any] = answer.numpy()
    return values if values.dtype.kind in "biuf" else values.astype(np.float32)  # bfloat16 is not NumPy's


def _answer(candidate: Candidate, request: wire.Header, arrays: wire.Arrays) -> tuple[wire.Header, list[NDArray[Any]]]:
    match request["op"]:
        case "unfit_weights":
            return {"unfit": candidate.unfit_weights()}, []
        case "predict":
            asked = candidate.reloaded() if request["fresh"] else candidate
            return {}, [asked.predict(arrays[0].copy(), request["batch"] or BATCH, request["under"], request["logs"])]
        case "mutate":
            candidate.mutate(request["name"], request["strength"], request["seed"])
            return {}, []
        case "attack":
            return {}, [candidate.attacked(arrays[0], request["norm"], request["epsilon"], request["steps"])]
        case "normalize" | "one_hot" as name:
            given = arrays[0].copy()
            function = getattr(candidate, name)
            if function is None:
                raise NotImplementedError(f"the preprocessing has no {name}")
            result = function(given)
            if not isinstance(result, np.ndarray) or result.dtype.kind not in "biuf":
                raise TypeError(f"{name} returns {type(result).__name__}, not an array of numbers")
            untouched = given.shape == arrays[0].shape and np.array_equal(given, arrays[0])
            return {"modified": not untouched}, [result]
    raise ValueError(f"no such request: {request['op']}")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load what the first request names, then answer requests until the parent closes the pipe."""
    lock = threading.Lock()

    def read(size: int) -> bytes:
        data = requests.read(size)
        if len(data) != size:
            os._exit(0)  # the parent is gone: stop at once, whatever the model is doing
        return data

    def reply(header: wire.Header, arrays: list[NDArray[Any]]) -> None:
        with lock:
            for part in wire.pack(header, arrays):
                answers.write(part)
            answers.flush()

    def handle(request: wire.Header, arrays: wire.Arrays) -> None:
        try:
            header, results = _answer(candidate, request, arrays)
        except Exception as error:  # whatever the candidate's code raises is its answer
            header, results = _raised(error), []
        except BaseException as error:
            os.write(2, f"\nit raised {type(error).__name__}\n".encode())
            os._exit(EXIT_REQUESTED)  # a thread alone would end without a word, and the parent would wait
        reply({**header, "id": request["id"]}, results)

    first, _ = wire.unpack(read)
    try:
        candidate = Candidate(first)
        reply({**candidate.facts(), "id": first["id"]}, [])
    except Exception as error:
        reply({**_raised(error), "id": first["id"]}, [])
        return
    with ThreadPoolExecutor(first["threads"]) as pool:
        while True:
            pool.submit(handle, *wire.unpack(read))


def _raised(error: Exception) -> wire.Header:
    text = str(error)
    return {
        "raised": type(error).__name__,
        "text": text if len(text) < 4000 else f"{text[:2000]} … {text[-2000:]}",
        "written_by": getattr(error, "__notes__", [""])[-1],
    }


def main() -> None:
    """Serve requests from stdin to what was stdout; anything the candidate prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    serve(requests, answers)


if __name__ == "__main__":
    main()
