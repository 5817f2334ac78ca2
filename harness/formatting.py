"""Numbers and names in words: the one place where a share becomes text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from harness.records import Against, Gate, Measurement, Scope

# Metrics that are not shares of images and print as plain numbers.
PLAIN = frozenset({"brier_score", "log_loss", "relative_corruption_error"})

_MOST_DIGITS = 6  # after the point


def percent(share: float, beside: float | None = None, digits: int = 2) -> str:
    """``0.9534 -> "95.34 %"``; digits are added until the text lies on the same side of ``beside`` as the number."""
    return f"{_apart(_exact(share) * 100, None if beside is None else _exact(beside) * 100, digits)} %"


def number(value: float, beside: float | None = None) -> str:
    """``0.03871 -> "0.0387"``, with the same promise about ``beside``."""
    return _apart(_exact(value), None if beside is None else _exact(beside), digits=4)


def figure(metric: str, value: float, beside: float | None = None, against: Against = "") -> str:
    """A metric's value in its own unit; against the baseline the signed difference."""
    if against:
        return difference(metric, value, beside or 0.0)
    return number(value, beside) if metric in PLAIN else percent(value, beside)


def limit(metric: str, threshold: float, against: Against = "") -> str:
    """A threshold in its metric's unit, with every digit that the policy gives it: ``0.99955 -> "99.955 %"``."""
    own, least, unit = (_exact(threshold), 4, "") if metric in PLAIN else (_exact(threshold) * 100, 2, " %")
    unit, sign = (unit.replace("%", "pp"), "+") if against else (unit, "")
    return f"{own:{sign}.{_digits(own, least)}f}{unit}"


def points(margin: float, beside: float = 0.0) -> str:
    """A signed difference of shares in percentage points: ``-0.0066 -> "-0.66 pp"``."""
    return f"{_apart(_exact(margin) * 100, _exact(beside) * 100, sign='+')} pp"


def difference(metric: str, margin: float, beside: float = 0.0) -> str:
    """A signed difference in the metric's own unit."""
    if metric in PLAIN:
        return _apart(_exact(margin), _exact(beside), digits=4, sign="+")
    return points(margin, beside)


def count(amount: int, noun: str) -> str:
    """``count(1, "image") -> "1 image"``; thousands are set apart."""
    return f"{amount:,} {noun if amount == 1 else noun + 's'}"


def title(metric: str, scope: Scope) -> str:
    """``recall`` of digit 5 -> "recall of 5"; under noise "accuracy under gaussian noise at severity 3"."""
    text = metric.replace("_", " ").replace("f1", "F1")
    if scope.digit is not None:
        text += f" of {scope.digit}"
    if scope.corruption is not None:
        text += f" under {scope.corruption.replace('_', ' ')}"
    if scope.severity is not None:
        text += f" at severity {scope.severity}"
    if scope.property is not None:
        text += f" by {scope.property.replace('_', ' ')}"
    if scope.within is not None:
        text += f" within ±{scope.within}"
    return text


def title_of(gate: Gate) -> str:
    """``"recall of 5 against the baseline"``."""
    return title(gate.metric, gate.scope) + (" against the baseline" if gate.against else "")


def requirement(gate: Gate) -> str:
    """``"≥ 98.50 %, proven at 95 %"``: the rule and what it takes to meet it."""
    sign = "≥" if gate.rule == "at_least" else "≤"
    how = {"proven": "proven", "point": "by the bare value", "not-disproven": "not disproven"}[gate.decide]
    sure = "" if gate.decide == "point" else f" at {percent_short(gate.confidence)}"
    return f"{sign} {limit(gate.metric, gate.threshold, gate.against)}, {how}{sure}"


def percent_short(share: float) -> str:
    """``0.95 -> "95 %"``; as few digits as say it exactly."""
    return f"{share * 100:.10g} %"


def interval(measurement: Measurement, beside: float | None = None) -> str:
    """``"97.00 to 97.63 %"``, both ends on the right side of ``beside``."""
    low, high = (
        figure(measurement.metric, e, beside, measurement.against) for e in (measurement.low, measurement.high)
    )
    return f"{low.removesuffix(' %').removesuffix(' pp')} to {high}"


def one_line(text: str, limit: int = 300) -> str:
    """Outside text made harmless for a terminal and a table: printable, one line, at most ``limit`` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def command_line(words: Sequence[str]) -> str:
    """A command that a shell repeats, on one printable line: what cannot be printed is written as ``$'\\x1b'``."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "'\\" else _escaped(c) for c in word) + "'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _exact(value: float) -> Decimal:
    """The number as it is written, not as it is stored: 0.07 is 7 percent, not 7.000000000000001."""
    return Decimal(repr(float(value)))


def _apart(value: Decimal, beside: Decimal | None, digits: int = 2, sign: str = "") -> str:
    """Rounded so that it lies on the same side of ``beside`` as before; at the last digit by rounding away from it."""
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
    """How many digits after the point say it exactly, and at least so many."""
    exponent = value.normalize().as_tuple().exponent
    return max(least, -exponent) if isinstance(exponent, int) else least


def _together(shown: Decimal, value: Decimal, edge: Decimal) -> bool:
    """Whether both lie on the same side of the edge."""
    return (shown < edge) == (value < edge) and (shown > edge) == (value > edge)
