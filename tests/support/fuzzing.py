"""Damage for the readers of files from outside: bits flipped, bytes cut, inserted and moved, an early end."""

from __future__ import annotations

import os
from typing import TypeAlias

from hypothesis import strategies as st

Edit: TypeAlias = tuple[str, float, bytes]

KINDS = ["flip", "cut", "insert", "splice", "end"]
EDITS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=0, max_size=4
)
NEAR_THE_START = st.lists(
    st.tuples(st.sampled_from(KINDS[:3]), st.floats(0, 0.008), st.binary(min_size=1, max_size=2)), max_size=3
)


def many(usual: int) -> int:
    """Return the number of inputs to try: HARNESS_FUZZ times as many as in the usual run."""
    return usual * int(os.environ.get("HARNESS_FUZZ", "1"))


def edited(content: bytes, edits: list[Edit]) -> bytes:
    for kind, place, extra in edits:
        at = int(place * len(content))
        head, tail = content[:at], content[at + len(extra) :]
        if kind == "flip":
            content = head + bytes(b ^ 1 << e % 8 for b, e in zip(content[at:], extra, strict=False)) + tail
        else:
            moved = content[len(content) * extra[0] // 256 :][: 16 * len(extra)]
            changed = {
                "cut": head + tail,
                "insert": head + extra + content[at:],
                "end": head,
                "splice": head + moved + tail,
            }
            content = changed[kind]
    return content
