"""Numbers and names in words: the one place where a share becomes text."""

from __future__ import annotations

from harness.records import Gate, Measurement, Scope

SHARES = frozenset({"log_loss"})  # metrics that are not shares of images and print as plain numbers

_MOST_DIGITS = 6


def percent(share: float, beside: float | None = None, digits: int = 2) -> str:
    """``0.9534 -> "95.34 %"``; digits are added until the text lies on the same side of ``beside`` as the number."""
    return _apart(share * 100, None if beside is None else beside * 100, " %", digits)


def number(value: float, beside: float | None = None) -> str:
    """``0.03871 -> "0.0387"``, with the same promise about ``beside``."""
    return _apart(value, beside, "", digits=4)


def figure(metric: str, value: float, beside: float | None = None) -> str:
    """A metric's value in its own unit."""
    return number(value, beside) if metric in SHARES else percent(value, beside)


def points(margin: float) -> str:
    """A signed difference of shares in percentage points: ``-0.0066 -> "-0.66 pp"``."""
    return f"{_apart(margin * 100, 0.0, '', sign=True)} pp"


def difference(metric: str, margin: float) -> str:
    """A signed difference in the metric's own unit."""
    return _apart(margin, 0.0, "", digits=4, sign=True) if metric in SHARES else points(margin)


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
    if scope.within is not None:
        text += f" within ±{scope.within}"
    return text


def requirement(gate: Gate) -> str:
    """``"≥ 98.50 %, proven at 95 %"``: the rule and what it takes to meet it."""
    sign = "≥" if gate.rule == "at_least" else "≤"
    how = {"proven": "proven", "point": "by the bare value", "not-disproven": "not disproven"}[gate.decide]
    sure = "" if gate.decide == "point" else f" at {percent_short(gate.confidence)}"
    return f"{sign} {figure(gate.metric, gate.threshold)}, {how}{sure}"


def percent_short(share: float) -> str:
    """``0.95 -> "95 %"``; as few digits as say it exactly."""
    return f"{share * 100:.10g} %"


def interval(measurement: Measurement) -> str:
    """``"97.00 to 97.63 %"``."""
    if measurement.metric in SHARES:
        return f"{number(measurement.low)} to {number(measurement.high)}"
    return f"{percent(measurement.low)[:-2]} to {percent(measurement.high)}"


def one_line(text: str, limit: int = 300) -> str:
    """Outside text made harmless for a terminal and a table: printable, one line, at most ``limit`` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _apart(value: float, beside: float | None, unit: str, digits: int = 2, sign: bool = False) -> str:
    form = "+" if sign else ""
    while digits < _MOST_DIGITS and beside is not None and value != beside:
        shown, edge = round(value, digits), round(beside, digits)
        if (shown < edge) == (value < beside) and (shown > edge) == (value > beside):
            break
        digits += 1
    return f"{value:{form}.{digits}f}{unit}"
