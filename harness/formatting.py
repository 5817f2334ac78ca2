"""Numbers and names in words: the one place where a share becomes text."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from pathlib import Path

_MOST_DIGITS = 6  # after the point
_CACHED = 4000  # characters of a text that is kept
_IGNORED = "[\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef]*"  # marks that a search by Unicode's rules passes over
_ORDERS = re.compile(rf"(?:\A|(?<=[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]))\s*::|#(?={_IGNORED}#)")


def percent(share: float, beside: float | None = None, digits: int = 2) -> str:
    """Write ``0.9534 -> "95.34 %"``, with so many digits that it lies on the same side of ``beside`` as the number."""
    return f"{_apart(_exact(share) * 100, None if beside is None else _exact(beside) * 100, digits)} %"


def number(value: float, beside: float | None = None, sign: str = "") -> str:
    """Write ``0.03871 -> "0.0387"``, with the same promise about ``beside``."""
    return _apart(_exact(value), None if beside is None else _exact(beside), digits=4, sign=sign)


def exactly(value: float, least: int, *, percents: bool = False, sign: str = "") -> str:
    """Write every digit of a number, and at least so many after the point: ``0.99955 -> "99.955"`` as percents."""
    own = _exact(value) * (100 if percents else 1)
    return f"{own:{sign}.{_digits(own, least)}f}"


def points(margin: float, beside: float = 0.0) -> str:
    """Write a signed difference of shares in percentage points: ``-0.0066 -> "-0.66 pp"``."""
    return f"{_apart(_exact(margin) * 100, _exact(beside) * 100, sign='+')} pp"


def count(amount: int, noun: str) -> str:
    """Write ``count(1, "image") -> "1 image"``; thousands are set apart."""
    return f"{amount:,} {noun if amount == 1 else noun + 's'}"


def percent_short(share: float) -> str:
    """Write ``0.95 -> "95 %"``; as few digits as say it exactly."""
    return f"{share * 100:.10g} %"


def one_line(text: str, limit: int = 300) -> str:
    """Make outside text harmless for a terminal and a build's log: printable, one line, ``limit`` characters."""
    for part in (text[: 4 * limit], text):  # of a text of a million characters the beginning is mostly enough
        flat = _flat(part) if len(part) < _CACHED else _flat.__wrapped__(part)
        if len(flat) > limit:
            return flat[: limit - 1] + "…"
    return flat


def legible(path: Path) -> str:
    """Return a path as one printable line."""
    return one_line(str(path), 200)


def capital(text: str) -> str:
    """Write the first letter as a capital."""
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=1024)  # a report says the same names hundreds of times
def _flat(text: str) -> str:
    return without_orders(" ".join(text.translate({ord(c): " " for c in set(text) if not c.isprintable()}).split()))


def without_orders(text: str) -> str:
    """Break by a space what the log of a build obeys: ``::error``, ``##[error]``, ``##vso[...]``, ``##teamcity[``."""
    return _ORDERS.sub(lambda found: "# " if found[0] == "#" else found[0].replace("::", ": :"), text)


def json_text(content: object) -> str:
    """Write JSON for a log: the same values, and nothing in it that a build obeys."""
    return json.dumps(content, indent=1).replace("##", r"#\u0023")


def command_line(words: Sequence[str]) -> str:
    """Quote a command for a shell, on one printable line: what cannot be printed becomes ``$'\\x1b'``."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable() and not _ORDERS.search(word):
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "'\\#" else _escaped(c) for c in word) + "'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _exact(value: float) -> Decimal:
    """Convert a number as it is written, not as it is stored: 0.07 is 7 percent, not 7.000000000000001."""
    return Decimal(repr(float(value)))


def _apart(value: Decimal, beside: Decimal | None, digits: int = 2, sign: str = "") -> str:
    """Round so that it lies on the same side of ``beside`` as before; at the last digit by rounding away from it."""
    if not value.is_finite():
        return f"{value}"
    if value == beside:
        digits = _digits(value, digits)
    elif beside is not None and beside.is_finite():
        while digits < _MOST_DIGITS and not _together(round(value, digits), value, beside):
            digits += 1
        if not _together(round(value, digits), value, beside):
            value = value.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR if value < beside else ROUND_CEILING)
    return f"{value:{sign}.{digits}f}"


def _digits(value: Decimal, least: int) -> int:
    """Count the digits after the point that say it exactly, and at least so many."""
    exponent = value.normalize().as_tuple().exponent
    return max(least, -exponent) if isinstance(exponent, int) else least


def _together(shown: Decimal, value: Decimal, edge: Decimal) -> bool:
    """Tell whether both lie on the same side of the edge."""
    return (shown < edge) == (value < edge) and (shown > edge) == (value > edge)
