"""Reader of one picture of a digit, PNG or JPEG, as 28 x 28 grey pixels."""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import why
from harness.errors import UsageError
from harness.records import SIDE

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE_BYTES = 16 << 20
_MAX_SIDE = 4096  # pixels of a picture that is to be resized
_FORMATS = ("PNG", "JPEG")
_DEEP = ("I", "F")  # modes of more than 8 bits a pixel


def picture(file: IO[bytes], name: str, *, resize: bool = False) -> NDArray[np.uint8]:
    """Read one picture as (28, 28) uint8; its size is checked before it is unpacked. UsageError where it is no digit.

    ``resize``: scale any other size to 28 x 28, bilinear over all the pixels that fall into one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="error"), Image.open(file, formats=_FORMATS) as opened:
            _check_size(opened.size, name, resize)
            grey = _grey(opened, name)
            if grey.size != (SIDE, SIDE):
                grey = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            return np.array(grey, np.uint8)
    except UsageError:
        raise
    except UnidentifiedImageError as error:
        raise UsageError(f"{name} is no PNG or JPEG image; save it as PNG") from error
    except Exception as error:  # Pillow, zlib and struct raise an open set of types on damaged bytes
        raise UsageError(f"{name} is a damaged image: {why(error)}; save it again as PNG") from error


def _check_size(size: tuple[int, int], name: str, resize: bool) -> None:
    if size != (SIDE, SIDE) and not resize:
        raise UsageError(
            f"{name} has {size[0]} x {size[1]} pixels; a digit has {SIDE} x {SIDE}. Give --resize to scale it"
        )
    if max(size) > _MAX_SIDE or min(size) < 1:
        raise UsageError(f"{name} has {size[0]} x {size[1]} pixels; at most {_MAX_SIDE} a side are scaled. Crop it")


def _grey(opened: Image, name: str) -> Image:
    """Return the picture in 8-bit grey; UsageError where that would lose colour, transparency or depth."""
    if opened.mode.startswith(_DEEP):
        raise UsageError(f"{name} has more than 8 bits a pixel; save it as 8-bit grey, 0..255")
    if opened.mode in ("L", "1"):
        return opened.convert("L")
    values = np.asarray(opened.convert("RGBA"))
    if (values[..., :1] != values[..., :3]).any() or (values[..., 3] != 255).any():
        raise UsageError(f"{name} is in colour or transparent; save it as grey: Image.open(path).convert('L')")
    return opened.convert("RGBA").getchannel("R")
