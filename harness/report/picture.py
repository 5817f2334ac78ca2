"""Digits as PNG in a data address, small enough to travel in the page."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from harness.records import SIDE

Picture = NDArray[np.uint8]  # (28, 28), ink 0..255


def address(picture: Picture) -> Markup:
    """``data:image/png;base64,...`` of one greyscale image, 8 bits a pixel, nothing lost."""
    height, width = picture.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = min((zlib.compress(rows, 9) for rows in _filtered(picture)), key=len)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    return Markup("data:image/png;base64,") + base64.b64encode(png).decode()


def exhibit(text: str) -> Picture | None:
    """The image of a failing example, from base64 of 784 bytes; None where the text is no such thing."""
    try:
        raw = base64.b64decode(text[:2000], validate=True)
    except (binascii.Error, ValueError):
        return None
    return np.frombuffer(raw, np.uint8).reshape(SIDE, SIDE) if len(raw) == SIDE * SIDE else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _filtered(picture: Picture) -> Iterator[bytes]:
    """The rows as they are, and as differences from the row above: PNG filters 0 and 2."""
    above = np.vstack([np.zeros((1, picture.shape[1]), np.uint8), picture[:-1]])
    for kind, rows in ((0, picture), (2, picture - above)):
        yield np.insert(rows, 0, kind, axis=1).tobytes()
