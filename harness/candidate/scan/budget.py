"""Limits on what a candidate may declare. A digit model has a few MB, a few million parameters, a few dozen layers."""

from __future__ import annotations

MAX_CONFIG_BYTES = 4 << 20  # bytes of JSON; a network of 150 layers has half a MB
MAX_WEIGHTS_BYTES = 1 << 29  # bytes
MAX_COMPRESSION = 100  # of unpacked to packed bytes, above SMALL
SMALL_BYTES = 1 << 20  # bytes: what may be packed as well as it can be
MAX_VALUES = 200_000  # values in a configuration
MAX_DEPTH = 60  # lists and objects inside one another
MAX_CHARACTERS = 256  # characters of a name or a setting
MAX_LAYERS = 2_000
MAX_PARAMETERS = 100_000_000  # 400 MB in float32
MAX_ACTIVATIONS = 1 << 20  # numbers that one image makes in one layer; 500 images are predicted at once
MAX_OBJECTS = 20_000  # groups and datasets of an HDF5 file
MAX_ATTRIBUTE_BYTES = 32 << 20  # bytes, all together


class Rejected(Exception):
    """Raised where a file may not be loaded: one line with the fault and the rule or the way out, without the file's
    name.
    """
