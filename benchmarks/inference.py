"""The physical limit: a model's own inference on images already in memory. ``python inference.py MODEL SETS``.

Prints seconds per 10,000 images: one compiled function called from as many threads as there are cores, each with one
TensorFlow thread; from one thread with all of TensorFlow's; and ``model.predict``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

N, BLOCK = 10_000, 500


def timed(work: Callable[[], object], sets: int) -> float:
    """Time one set, in seconds, after one set that does not count."""
    work()
    began = time.perf_counter()
    for _ in range(sets):
        work()
    return (time.perf_counter() - began) / sets


def main(path: str, way: str, sets: int) -> None:
    """Measure one way of predicting; the ways need different thread settings, so each has its process."""
    if way == "threads":
        os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    import tensorflow as tf

    model = keras.saving.load_model(path, compile=False)
    shape = tuple(model.inputs[0].shape[1:])
    pixels = np.random.default_rng(0).random((N, *shape), np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]
    def call(images: Any) -> Any:
        return model(images, training=False)

    blocks = [pixels[at : at + BLOCK] for at in range(0, N, BLOCK)]
    pool = ThreadPoolExecutor(os.cpu_count())
    ways: dict[str, Callable[[], object]] = {
        "threads": lambda: list(pool.map(lambda block: call(block).numpy(), blocks)),
        "function": lambda: [call(block).numpy() for block in blocks],
        "predict": lambda: model.predict(pixels, verbose=0),
    }
    print(json.dumps({way: timed(ways[way], sets)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
