"""Error rates of the policy and power of each gate: the figures of ``Run.power`` in words."""

from __future__ import annotations

from dataclasses import dataclass

from harness import formatting
from harness.metrics import display
from harness.records import Finding, GatePower, Run


@dataclass(frozen=True)
class Row:
    """A kind of gate error with its rates."""

    title: str
    n: str
    detectable_below: str
    detectable_above: str
    at_threshold: str
    stopped: str
    needed: str


@dataclass(frozen=True)
class Errors:
    """The section on how often gates err."""

    sentence: str
    rows: tuple[Row, ...]
    left_out: int


def errors(run: Run, most: int) -> Errors | None:
    """Build the section on gate errors; None where the run does not hold their power."""
    if run.power is None:
        return None
    by_id = {finding.gate.id: finding for finding in run.findings if finding.gate is not None}
    pairs = [(by_id[one.id], one) for one in run.power.gates if one.id in by_id and one.n]
    pairs.sort(key=lambda pair: -(pair[1].stopped or 0.0))
    power, parts = run.power, []
    if power.released is not None and power.undecided is not None and power.blocked is not None:
        parts.append(
            f"On other images a model like this one would pass all required gates in {_chance(power.released)} of "
            f"runs, be blocked in {_chance(power.blocked)} and stay undecided in {_chance(power.undecided)}."
        )
    if power.at_threshold is not None:
        parts.append(
            "A model exactly at the threshold of a required gate is released in "
            f"{'about' if run.data.unit else 'at most'} "
            f"{_chance(power.at_threshold)} of runs{_measured(run.data.unit)}."
        )
    rows = tuple(_row(*pair, run.data.unit) for pair in pairs[:most])
    return Errors(" ".join(parts), rows, len(pairs) - min(most, len(pairs)))


def _measured(unit: str) -> str:
    """Say that the rate is nominal where images come in units, and what it was measured to be."""
    return " (nominal; 0 to 11 % with MNIST's writers drawn anew)" if unit else ""


def _row(finding: Finding, power: GatePower, unit: str) -> Row:
    assert finding.gate is not None
    metric = finding.gate.metric
    images = "" if power.images is None else f", {formatting.count(power.images, display.counted(metric, unit))}"
    return Row(
        title=finding.title[:1].upper() + finding.title[1:200],
        n=f"{power.n:,}",
        detectable_below="–"
        if power.detectable_below is None
        else f"{display.distance(metric, power.detectable_below)}{images}",
        detectable_above="–" if power.detectable_above is None else display.distance(metric, power.detectable_above),
        at_threshold="–" if power.at_threshold is None else _chance(power.at_threshold),
        stopped="–" if power.stopped is None else _chance(power.stopped),
        needed="" if finding.images_needed is None else f"{finding.images_needed:,}",
    )


def _chance(share: float) -> str:
    return formatting.percent(share, digits=1)
