"""Digits from a folder with a folder of PNG or JPEG images for each digit, as Keras's image_dataset_from_directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from harness.data.loaders import MAX_BYTES, listed, named, open_regular
from harness.data.pictures import MAX_FILE_BYTES, picture
from harness.data.validation import Pair
from harness.errors import UsageError
from harness.formatting import one_line
from harness.records import CLASSES, SIDE

_DIGITS = {str(digit) for digit in range(CLASSES)}
_TEST, _TRAIN = ("test", "testing"), ("train", "training")
_SUFFIXES = (".png", ".jpg", ".jpeg")


def is_image_folder(folder: Path) -> bool:
    """Tell whether a folder has a folder for a digit, in itself or in its test part."""
    return bool(_digit_folders(folder)) or _part(folder, _TEST) is not None


def check_order(folder: Path) -> None:
    """Raise UsageError where a folder holds pictures, and no folder for a digit."""
    folders = [entry for entry in listed(folder) if entry.is_dir()]
    if pictured := [entry for entry in folders if any(_is_picture(path) for path in listed(entry))]:
        names = one_line(", ".join(entry.name for entry in pictured[:3]), 60)
        raise UsageError(
            f"{named(folder)} holds images in folders of other names ({names} ...); call each by its digit, 0 to 9"
        )
    if any(_is_picture(path) for path in listed(folder)):
        raise UsageError(f"{named(folder)} holds images without labels; put those of each digit into a folder 0 to 9")


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES)


def read_images(folder: Path, *, resize: bool = False) -> tuple[Pair, Pair | None]:
    """Read the test part and, where the folder has ``test`` and ``train``, the training part; UsageError."""
    test = _part(folder, _TEST)
    if test is None:
        return _pair(folder, resize), None
    train = _part(folder, _TRAIN)
    return _pair(test, resize), _pair(train, resize) if train else None


def _part(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((part for name in names if _digit_folders(part := folder / name)), None)


def _digit_folders(folder: Path) -> list[str]:
    try:
        return sorted(_DIGITS & {entry.name for entry in os.scandir(folder) if entry.is_dir()})
    except OSError:
        return []


def _pair(folder: Path, resize: bool) -> Pair:
    files = [(name, int(digit)) for digit in _digit_folders(folder) for name in _pictures(folder / digit)]
    if len(files) * SIDE * SIDE > MAX_BYTES:
        raise UsageError(
            f"{named(folder)} holds {len(files):,} images; 2 GiB of pixels are read at most. Give fewer images"
        )
    if len({name for name, _ in files}) == len(files):  # the names number the whole set
        files.sort(key=lambda each: (_natural(each[0]), each[1]))
    images = np.empty((len(files), SIDE, SIDE), np.uint8)
    for at, (name, digit) in enumerate(files):
        path = folder / str(digit) / name
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise UsageError(f"{named(path)} is larger than {MAX_FILE_BYTES >> 20} MiB; a digit has a few KiB")
            images[at] = picture(file, named(path), resize=resize)
    labels = np.array([digit for _, digit in files], np.uint8)
    return Pair(images, labels, (f"{named(folder)}: images", f"{named(folder)}: folders"))


def _pictures(folder: Path) -> list[str]:
    """List the pictures of a digit in natural order; UsageError where a file is no picture by its name."""
    names = [path.name for path in listed(folder)]
    for name in names:
        if not _is_picture(folder / name):
            raise UsageError(
                f"{named(folder / name)} is no PNG or JPEG image by its name; save it as PNG, or move it elsewhere"
            )
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[object, ...]:
    """Return a key by which 2.png comes before 10.png."""
    parts = re.split(r"([0-9]+)", name)
    return (*((int(part), part) if at % 2 else part for at, part in enumerate(parts)),)
