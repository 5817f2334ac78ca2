"""Loading of a .keras or .h5 file: by Keras 3 or, where Keras 1 or 2 wrote it and Keras 3 cannot, by Keras 2."""

from __future__ import annotations

from typing import Any

from harness.candidate.scan import config, keras2, sizes
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line


def load(path: str, described: Any, version: str) -> tuple[Any, Any]:
    """Load a file with this configuration; returns the model and the Keras that made it. Raises Rejected."""
    import keras

    if not keras2.is_older(version):
        return keras.saving.load_model(path, compile=False, safe_mode=True), keras
    try:
        if not keras2.is_computed_otherwise(described):
            config.check(described)
            sizes.check(described)
            return keras.saving.load_model(path, compile=False, safe_mode=True), keras
        cause = f"it computes {keras2.COMPUTED_OTHERWISE} otherwise"
    except Exception as error:  # whatever Keras 3 says of a file that is not its own
        cause = one_line(str(error), 80)
    keras2.check(described)
    try:
        import tf_keras
    except ModuleNotFoundError as error:
        raise Rejected(
            f"Keras {version} wrote it, which Keras {keras.__version__} cannot read ({cause});"
            " python -m pip install 'digit-release-harness[keras2]'"
        ) from error
    try:
        return tf_keras.models.load_model(path, compile=False, safe_mode=True), tf_keras
    except Exception as error:  # a file that fits no Keras
        raise Rejected(
            f"Keras {version} wrote it, and neither Keras {keras.__version__} nor tf_keras {tf_keras.__version__} can"
            f" read it ({type(error).__name__}: {one_line(str(error), 80)}); load it where it was trained, and there"
            " model.export('folder')"
        ) from error
