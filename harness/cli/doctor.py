"""harness doctor: versions, what data can be reached, what keeps a candidate in, what the machine lacks."""

from __future__ import annotations

import os
import platform
import shutil
from typing import TYPE_CHECKING

import click

from harness.formatting import json_text

if TYPE_CHECKING:
    from harness.records import Sandbox

CORES, DISK_GB = 2, 1.0
WAY_OUT = "install what is missing, or all again: python -m pip install --force-reinstall keras tensorflow"


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(as_json: bool) -> int:
    """Say what this machine has, which digits it reaches and what it lacks; exit code 4 if it cannot judge at all.

    A candidate's process is started, which imports Keras.
    """
    from harness.candidate.parent import sandbox_probe
    from harness.data import sources
    from harness.policy import POLICIES
    from harness.run.session import versions

    reachable, (sandbox, broken) = sources.reachable(), sandbox_probe.probe()
    lacks = _lacks(sandbox)
    taken = next(((one.origin, POLICIES.get(one.origin, "writers")) for one in reachable if one.available), None)
    ready = not broken and any(source.available for source in reachable)
    if as_json:
        facts = {
            "versions": versions(),
            "machine": _machine(),
            "digits": [
                {"origin": s.origin, "place": s.place, "available": s.available, "why": s.why} for s in reachable
            ],
            "run": {"data": taken[0], "policy": taken[1]} if taken else None,
            "sandbox": {"layers": sandbox.layers, "open": sandbox.open},
            "lacks": lacks,
            "broken": broken,
        }
        click.echo(json_text(facts))
    else:
        rows = {"machine": _machine(), **versions(), "sandbox": ", ".join(sandbox.layers) or "none"}
        for name, text in rows.items():
            click.echo(f"{name:<13} {text}")
        for source in reachable:
            mark = "✓" if source.available else "-" if taken else "✕"
            click.echo(f"{mark} digits from {source.place}: {source.why}")
        if taken:
            click.echo(f"harness run   takes --data {taken[0]} and --policy {taken[1]} where it is given none")
        for lack in lacks:
            click.echo(f"! {lack}")
        if broken:
            click.echo(f"✕ no model can be loaded here: {broken}; {WAY_OUT}")
        click.echo("ready" if ready else "not ready" if broken else "no digits can be reached")
    return 0 if ready else 4


def _machine() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}, {_cores()}"


def _cores() -> str:
    from harness.candidate.parent.cores import cores

    own, every = cores(), os.cpu_count() or 1
    return f"{own} cores" if own == every else f"{own} of {every} cores"


def _lacks(sandbox: Sandbox) -> list[str]:
    from harness.candidate.parent.cores import cores

    lacks = [f"a candidate could {deed}: the sandbox here does not prevent it" for deed in sandbox.open]
    if os.environ.get("CI") == "true" and "GITHUB_ACTIONS" in os.environ and "GITHUB_STEP_SUMMARY" not in os.environ:
        lacks.append("the job has no GITHUB_STEP_SUMMARY: its summary stays empty; pass GITHUB_* on (tox: pass_env)")
    if cores() < CORES:
        lacks.append("one core: images are not prepared while the model predicts, a run takes longer")
    free = shutil.disk_usage(".").free / 1e9
    if free < DISK_GB:
        lacks.append(f"{free:.1f} GB of disk is free here; an output folder takes up to {DISK_GB:g} GB")
    return lacks
