"""Digits from a ``.npz`` file: ``x_test``, ``y_test`` and, if there, ``x_train``, ``y_train``. Never pickle."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import MAX_BYTES, named, open_regular, read_exactly, why
from harness.data.validation import Pair, Shape, check_images_form, check_labels_form
from harness.errors import UsageError
from harness.formatting import one_line

_ZIP, _EMPTY_ZIP, _NPY = b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the two that numpy writes
_NEEDED, _TRAIN = ("x_test", "y_test"), ("x_train", "y_train")
_GROUPS = ("groups_test", "groups_train")
_MAX_LISTED = 8


def read_npz(path: Path) -> tuple[Pair, Pair | None]:
    """Read the test part and, if it is there, the training part; UsageError if the file breaks a rule."""
    with open_regular(path) as file:
        return read_npz_from(file, named(path))


def read_npz_from(file: IO[bytes], name: str) -> tuple[Pair, Pair | None]:
    """Read them from an open file, which messages call ``name``."""
    _check_is_zip(file, name)
    try:
        with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns about odd headers; a refusal is one line
            members = _members(archive, name)
            test = _pair(archive, members, name, _NEEDED)
            train = _pair(archive, members, name, _TRAIN) if "x_train" in members else None
    except UsageError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise an open set of types on damaged bytes
        raise UsageError(f"{name} is damaged: {why(error)}; write it again with numpy.savez_compressed") from error
    return test, train


def read_groups(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
    """Read the unit of each test and training image; None where the file names none."""
    name = named(path)
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
                warnings.simplefilter("error")  # as of the images
                there = archive.namelist()
                test, train = (
                    _array(archive, archive.getinfo(f"{key}.npy"), f"{name}: {key}", _check_groups_form)
                    if f"{key}.npy" in there
                    else None
                    for key in _GROUPS
                )
        except UsageError:
            raise
        except Exception as error:  # as of the images
            raise UsageError(f"{name} is damaged: {why(error)}; write it again with numpy.savez_compressed") from error
    if test is None and train is not None:
        raise UsageError(f"{name} holds groups_train but no groups_test; give the units of the test images, too")
    return None if test is None else (test, train)


def check_groups(groups: NDArray[Any], n: int, name: str) -> None:
    """Raise UsageError unless there is a unit for each of ``n`` images, and none is blank."""
    if len(groups) != n:
        raise UsageError(f"{name} has {len(groups):,} units for {n:,} images; give one for each image")
    try:
        groups.tolist()
    except (SystemError, ValueError) as error:  # of a code point that no character has
        raise UsageError(f"{name} holds text that is not Unicode; write it again with .astype(str)") from error
    blank = np.flatnonzero(np.char.strip(groups) == "" if groups.dtype.kind == "U" else np.zeros(n, np.bool_))
    if blank.size:
        raise UsageError(f"{name}[{blank[0]}] is blank; every image needs its unit, or leave the image out")


def _check_groups_form(what: str, dtype: np.dtype[Any], shape: Shape) -> None:
    if len(shape) != 1:
        raise UsageError(f"{what} has shape {shape}; units have shape (n,). Give .reshape(-1)")
    if dtype.kind not in "iuU":
        raise UsageError(f"{what} holds {dtype}; units are integers or text. Convert them with .astype(str)")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:
        raise UsageError(f"{what} declares more than {MAX_BYTES:,} bytes; give shorter names")


def _check_is_zip(file: IO[bytes], name: str) -> None:
    start = file.read(8)
    file.seek(0)
    if start.startswith(_NPY):
        raise UsageError(f"{name} is a single .npy array; give a .npz with x_test and y_test (numpy.savez_compressed)")
    if not start.startswith((_ZIP, _EMPTY_ZIP)):
        what = "empty" if not start else f"no .npz file (it starts with {start[:4].hex(' ')})"
        raise UsageError(f"{name} is {what}; write it with numpy.savez_compressed")


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    """Find the members by array name; the four that are used must be unique, complete and small enough together."""
    listed = [info.filename for info in archive.infolist()]
    twice = [key for key in (*_NEEDED, *_TRAIN) if listed.count(f"{key}.npy") > 1]
    if twice:
        raise UsageError(f"{name} holds {twice[0]} twice; write it again with numpy.savez_compressed")
    members = {key: archive.getinfo(f"{key}.npy") for key in (*_NEEDED, *_TRAIN) if f"{key}.npy" in listed}
    if any(key not in members for key in _NEEDED):
        names = one_line(", ".join(listed[:_MAX_LISTED]) + (", ..." if len(listed) > _MAX_LISTED else "")) or "nothing"
        if listed and not any(member.endswith(".npy") for member in listed):
            raise UsageError(f"{name} is a zip of other files ({names}); unpack it, and give what is in it")
        raise UsageError(f"{name} needs the arrays x_test and y_test (x_test.npy, y_test.npy) but holds {names}")
    if ("x_train" in members) != ("y_train" in members):
        present, lost = sorted(_TRAIN, key=lambda key: key not in members)
        raise UsageError(f"{name} holds {present} but no {lost}; give both or neither")
    total = sum(info.file_size for info in members.values())
    if total > MAX_BYTES:
        raise UsageError(
            f"{name} declares {total:,} bytes of arrays; at most {MAX_BYTES:,} are read. Give fewer images"
        )
    return members


def _pair(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, keys: tuple[str, str]) -> Pair:
    names = (f"{name}: {keys[0]}", f"{name}: {keys[1]}")
    images = _array(archive, members[keys[0]], names[0], check_images_form)
    return Pair(images, _array(archive, members[keys[1]], names[1], check_labels_form), names)


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str, check_form: Any) -> NDArray[Any]:
    if info.flag_bits & 1:
        raise UsageError(f"{what} is encrypted; write it again with numpy.savez_compressed")
    if info.compress_type not in _METHODS:
        raise UsageError(f"{what} is packed with an unusual method; write it again with numpy.savez_compressed")
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, what)
        check_form(what, dtype, shape)
        size, stored = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        if size != stored:
            raise UsageError(
                f"{what} declares {size:,} bytes of data but holds {stored:,}; the file is damaged, get it again"
            )
        flat = np.frombuffer(read_exactly(file, size, what), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], what: str) -> tuple[Shape, bool, np.dtype[Any]]:
    if file.read(len(_NPY)) != _NPY:
        raise UsageError(f"{what} is text or bytes, not an array; write it with numpy.savez_compressed")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise UsageError(
            f"{what} has .npy version {version}; plain arrays have 1.0 or 2.0. Write it again with numpy.savez"
        )
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file)
    except (ValueError, UserWarning, SyntaxWarning) as error:
        raise UsageError(
            f"{what}: its header is no plain array's; write it again with numpy.savez_compressed"
        ) from error
    if dtype.hasobject:
        raise UsageError(
            f"{what} holds pickled Python objects, which are never loaded; convert it with .astype('uint8')"
        )
    if any(not 0 <= side < 2**63 for side in shape):
        raise UsageError(f"{what} declares the shape {one_line(str(shape), 80)}; the file is damaged, get it again")
    return shape, fortran, dtype
