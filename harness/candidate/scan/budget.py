"""How much a candidate may declare. A digit model has a few MB, a few million parameters, a few dozen layers."""

from __future__ import annotations

MOST_CONFIG = 4 << 20  # bytes of JSON; a network of 150 layers has half a MB
MOST_WEIGHTS = 1 << 29  # bytes
MOST_RATIO = 100  # of unpacked to packed bytes, above SMALL
SMALL = 1 << 20  # bytes: what may be packed as well as it can be
MOST_NODES = 200_000  # values in a configuration
MOST_DEPTH = 60  # lists and objects inside one another
MOST_STRING = 256  # characters of a name or a setting
MOST_LAYERS = 2_000
MOST_PARAMETERS = 100_000_000  # 400 MB in float32
MOST_ACTIVATION = 1 << 20  # numbers that one image makes in one layer; 500 images are predicted at once
MOST_OBJECTS = 20_000  # groups and datasets of an HDF5 file
MOST_ATTRIBUTES = 32 << 20  # bytes, all together


class Rejected(Exception):
    """The file may not be loaded: what is wrong; the rule or the way out. One line, without the file's name."""
