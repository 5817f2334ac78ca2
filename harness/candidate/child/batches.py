"""Asking of a model that takes a fixed number of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def in_batches(ask: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Return a function that asks ``size`` images at a time; the last image again where too few are left."""

    def ask_all(pixels: Any) -> Any:
        import tensorflow as tf

        given = tf.convert_to_tensor(pixels)
        rows = tf.minimum(tf.range(-(-len(given) // size) * size), len(given) - 1)
        parts = [ask(tf.gather(given, rows[start : start + size])) for start in range(0, len(rows), size)]
        if isinstance(parts[0], list):
            return [tf.concat(answers, 0)[: len(given)] for answers in zip(*parts, strict=True)]
        return tf.concat(parts, 0)[: len(given)]

    return ask_all
