"""Text from outside made inert: control and bidi characters gone, lengths capped, markup escaped."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from harness.formatting import one_line

SHORT = 120
LONG = 500


def inert(value: object) -> object:
    """Clean what a template prints, expression by expression; own markup and whole numbers stay as they are.

    Floats are refused: a number becomes text in ``words``, not in a template.
    """
    if isinstance(value, Markup | int):
        return value
    if isinstance(value, str):
        return joined(short(value))
    raise TypeError(f"a template prints {value!r}, which is no text, whole number or markup; put it into words first")


def short(text: str, limit: int = SHORT) -> str:
    """Cut a text to one line of ``limit`` printable characters; the end of a very long one is never looked at."""
    if len(text) <= 4 * limit:
        return one_line(text, limit)
    return one_line(text[: 4 * limit], limit - 1).removesuffix("…") + "…"


def joined(text: str) -> str:
    """Keep numbers and their unit on the same line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" pp", "\N{NO-BREAK SPACE}pp")


def sentence(text: str, limit: int = LONG) -> Markup:
    """Clean a longer text to one line."""
    return escape(joined(short(text, limit)))


def lines(text: str, limit: int) -> Markup:
    """Clean a text that keeps its lines, cut at ``limit`` characters; says how many more there are."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:limit])
    more = len(text) - limit
    return escape(kept + (f"\n… and {more:,} more characters" if more > 0 else ""))


def anchor(*parts: object) -> str:
    """Make an id for an element: lower-case letters, digits and hyphens."""
    joined = "-".join(str(part)[:40] for part in parts)
    return re.sub(r"[^a-z0-9]+", "-", joined.lower()).strip("-")[:60] or "x"
