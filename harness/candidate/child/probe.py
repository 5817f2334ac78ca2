"""The first steps of a candidate's process, without a candidate: what cannot be imported here cannot load one."""

from __future__ import annotations

from harness.candidate.child import worker


def main() -> None:
    """Import what loads a model, and add two numbers with it. Raises what TensorFlow or Keras raise."""
    worker.check_installation()
