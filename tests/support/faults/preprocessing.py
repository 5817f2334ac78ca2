"""Preprocessing modules as text: each fault is the good module with one function replaced."""

NORMALIZE = "def normalize(images):\n    return images.astype(np.float32) / np.float32(255)\n"

ONE_HOT = """def one_hot(labels):
    labels = np.asarray(labels)
    if not np.isin(labels, np.arange(10)).all():
        raise ValueError("labels are whole numbers 0..9")
    return np.eye(10, dtype=np.float32)[labels.astype(int)]
"""

REFUSING = "def normalize(images):\n    if images.dtype != np.uint8:\n        raise TypeError(images.dtype)\n"


def module(normalize: str = NORMALIZE, one_hot: str = ONE_HOT) -> str:
    """The text of a preprocessing module."""
    return f"import numpy as np\n\n{normalize}\n\n{one_hot}"


def _returns(expression: str) -> str:
    return f"def normalize(images):\n    x = images.astype(np.float32)\n    return ({expression}).astype(np.float32)\n"


def _lenient(expression: str) -> str:
    return f"def one_hot(labels):\n    labels = np.asarray(labels)\n    return {expression}\n"


def _strict(expression: str) -> str:
    return ONE_HOT.replace("np.eye(10, dtype=np.float32)[labels.astype(int)]", expression)


# name -> (module, words that the verdict's sentence must hold)
FAULTS: dict[str, tuple[str, str]] = {
    "divided_by_256": (module(_returns("x / 256")), "divided by 256"),
    "not_divided": (module(_returns("x")), "not divided"),
    "divided_twice": (module(_returns("x / 255 / 255")), "divided by 255 twice"),
    "to_minus_one": (module(_returns("x / 127.5 - 1")), "scaled to -1..1"),
    "inverted": (module(_returns("1 - x / 255")), "inverted"),
    "transposed": (module(_returns("x.swapaxes(1, 2) / 255")), "transposed"),
    "mirrored": (module(_returns("x[:, :, ::-1] / 255")), "mirrored"),
    "standardised": (module(_returns("(x / 255 - 0.1307) / 0.3081")), "standardised"),
    "binarised": (module(_returns("x > 127")), "rounded to 0 or 1"),
    "own_maximum": (module(_returns("x / np.maximum(x.max(axis=(1, 2), keepdims=True), 1)")), "own maximum"),
    "batch_maximum": (module(_returns("x / max(x.max(initial=0), 1)")), "own maximum"),
    "other_order": (module(_returns("x[::-1] / 255")), "another order"),
    "rounded": (module(_returns("np.round(x / 255, 2)")), "must be"),
    "float16": (module("def normalize(images):\n    return (images / 255).astype(np.float16)\n"), "float16"),
    "float64": (module("def normalize(images):\n    return images / 255\n"), "float64"),
    "flattened": (module(_returns("x.reshape(len(x), 784) / 255")), "shape"),
    "in_place": (
        module("def normalize(images):\n    x = images / np.float32(255)\n    images[:] = 0\n    return x\n"),
        "in place",
    ),
    "fails_when_empty": (module(_returns("x / 255 + 0 * x.max()")), "ValueError"),
    "one_hot_off_by_one": (module(one_hot=_strict("np.eye(10)[(labels.astype(int) + 1) % 10]")), "comes back as"),
    "one_hot_eleven_columns": (module(one_hot=_strict("np.eye(11)[labels.astype(int)]")), "must be ("),
    "one_hot_soft": (module(one_hot=_strict("np.eye(10)[labels.astype(int)] * 0.9 + 0.01")), "soft labels"),
    "one_hot_flat": (module(one_hot=_strict("np.eye(10)[labels.astype(int)].ravel()")), "shape"),
    "one_hot_wraps": (module(one_hot=_lenient("np.eye(10)[labels.astype(int) % 10]")), "one_hot accepts the label"),
    "one_hot_two_ones": (
        module(one_hot=_strict("np.maximum(np.eye(10), np.eye(10)[:, ::-1])[labels.astype(int)]")),
        "ones",
    ),
    "one_hot_sorted": (module(one_hot=_strict("np.eye(10)[np.sort(labels.astype(int))]")), "comes back as"),
}

CORRECT: dict[str, str] = {
    "astype_then_divide": module(),
    "refuses_floats": module(REFUSING + "    return images.astype('float32') / 255\n"),
    "looped": module(
        "def normalize(images):\n    out = np.empty(images.shape, np.float32)\n"
        "    for i, image in enumerate(images):\n        out[i] = image / np.float32(255)\n    return out\n",
        "def one_hot(labels):\n    rows = np.zeros((len(labels), 10))\n    for i, label in enumerate(labels):\n"
        "        if label not in range(10):\n            raise ValueError(label)\n        rows[i, int(label)] = 1\n"
        "    return rows\n",
    ),
    "looked_up": module(
        "TABLE = (np.arange(256) / 255).astype(np.float32)\n\n\ndef normalize(images):\n    return TABLE[images]\n",
        _strict("np.eye(10, dtype=np.uint8)[labels.astype(int)]"),
    ),
    "in_double_then_rounded": module("def normalize(images):\n    return (images / 255.0).astype(np.float32)\n"),
    "integer_rows": module(one_hot=_strict("np.eye(10, dtype=np.int64)[labels.astype(int)]")),
}
