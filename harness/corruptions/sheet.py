"""A contact sheet: every corruption at every severity, to be looked at by a person."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from harness.corruptions.registry import Corruption, corrupt, find
from harness.errors import UsageError
from harness.records import CLEAN, SEVERITIES, SIDE, Images, Severity

_GAP = 2  # pixels between digits
_BLOCK_GAP = 8  # pixels between severities
_PAPER = 24  # grey level between the digits, so that an image's own edge is seen
_LETTER = (5, 7)  # pixels
_LABEL_LETTERS = 18

_COLUMNS = {  # the letters, five columns of seven pixels each, the top pixel in the lowest bit
    "a": "7e1111117e", "b": "7f49494936", "c": "3e41414122", "d": "7f4141221c", "e": "7f49494941", "f": "7f09090901",
    "g": "3e4149497a", "h": "7f0808087f", "i": "00417f4100", "j": "2040413f01", "k": "7f08142241", "l": "7f40404040",
    "m": "7f020c027f", "n": "7f0408107f", "o": "3e4141413e", "p": "7f09090906", "q": "3e4151215e", "r": "7f09192946",
    "s": "4649494931", "t": "01017f0101", "u": "3f4040403f", "v": "1f2040201f", "w": "3f4038403f", "x": "6314081463",
    "y": "0708700807", "z": "6151494543", "1": "00427f4000", "2": "4261514946", "3": "2141454b31", "4": "1814127f10",
    "5": "2745454539", "0": "3e5149453e", "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e",
}  # fmt: skip


def contact_sheet(
    images: Images,
    names: Sequence[str],
    seed: int,
    *,
    scale: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bytes:
    """Draw a PNG: a row a corruption, its name, the images clean and then at each severity; ``scale`` pixels a pixel.

    Names of spaces are not accepted: they have points, not severities.
    """
    if not len(images) or not names:
        raise UsageError("a contact sheet needs at least one image and one corruption")
    rows = []
    for at, name in enumerate(names):
        progress(at, len(names))
        if not isinstance(find(name), Corruption):
            raise UsageError(f"{name} is a space of changes, not a corruption with severities; leave it off the sheet")
        trials = [CLEAN, *(Severity(name, severity) for severity in SEVERITIES)]
        blocks = [_strip(corrupt(images, trial, seed=seed)) for trial in trials]
        rows.append(np.concatenate([_label(name), *blocks], axis=1))
    return _png(np.concatenate(rows).repeat(scale, axis=0).repeat(scale, axis=1))


def _strip(images: Images) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Place images side by side."""
    strip = np.full((SIDE + _GAP, len(images) * (SIDE + _GAP) + _BLOCK_GAP), _PAPER, dtype=np.uint8)
    for place, image in enumerate(images):
        strip[:SIDE, place * (SIDE + _GAP) : place * (SIDE + _GAP) + SIDE] = image
    return strip


def _label(text: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    width, height = _LETTER
    label = np.full((SIDE + _GAP, _LABEL_LETTERS * (width + 1)), _PAPER, dtype=np.uint8)
    top = (SIDE - height) // 2
    for place, letter in enumerate(text.lower()[: _LABEL_LETTERS - 1]):
        columns = np.frombuffer(bytes.fromhex(_COLUMNS.get(letter, "0000000000")), dtype=np.uint8)
        dots = (columns >> np.arange(height, dtype=np.uint8)[:, None]) & 1
        left = place * (width + 1)
        label[top : top + height, left : left + width] = np.where(dots == 1, 255, _PAPER)
    return label


def _png(pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    """Encode an 8-bit grey PNG (ISO/IEC 15948), without a time, so that equal pictures are equal bytes."""
    height, width = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
