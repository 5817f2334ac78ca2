"""harness policy: what a policy says, before any model is there."""

from __future__ import annotations

from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.errors import UsageError
from harness.files import shipped_policies, write_named
from harness.formatting import command_line, count, json_text, one_line, percent_short

if TYPE_CHECKING:
    from harness.policy import Policy
    from harness.records import DataFacts


@click.group("policy")
def command() -> None:
    """Show a shipped policy, check one, or have one suggested."""


@command.command(short_help="Name every mistake of a policy with its line.")
@click.argument("file", metavar="NAME|FILE", type=click.Path(path_type=Path), shell_complete=options.complete_policy)
@options.digits
@click.option("--json", "as_json", is_flag=True, help="Print the gates as JSON.")
def check(file: Path, data: str | None, resize: bool, as_json: bool) -> int:
    """Read FILE and name every mistake with its line; exit code 4 if there is one.

    With --data, gates that even a perfect score on these digits cannot pass are mistakes, too; without it the last line
    says whether there are such gates on the digits that are at hand.
    """
    from harness import policy as policies
    from harness.cli.show import today
    from harness.data import sources
    from harness.metrics.display import requirement, title_of

    policy = policies.load(file)
    policies.check_waivers(policy, today())
    facts = None if data is None else sources.load(data, resize=resize).facts
    if facts is not None:
        policies.check_against(policy, facts)
    gates = [
        {"id": g.id, "what": title_of(g), "required": requirement(g), "level": g.level, "line": g.line}
        for g in policy.gates
    ]
    if as_json:
        lowered = [
            {"id": name, "required": "", "level": "warning", **asdict(one)} for name, one in policy.lowered.items()
        ]
        waivers = [{"id": name, "waived": True, **asdict(one)} for name, one in policy.waivers.items()]
        click.echo(json_text([*gates, *lowered, *waivers]))
        return 0
    for gate, row in zip(policy.gates, gates, strict=True):
        mark = "" if gate.level == "required" else "  (warning)"
        click.echo(f"{gate.file}:{gate.line}: {row['what']} {row['required']}{mark}")
    _print_exceptions(policy)
    if any(gate.kind for gate in policy.gates):
        click.echo(
            "shown: the whole interval is within the threshold; not refuted: no miss is proven, all guards taken "
            "together, and beyond the threshold a guard warns"
        )
    needed, trials = sum(gate.level == "required" for gate in policy.gates), len(policy.trials())
    click.echo(
        f"{count(len(gates), 'gate')}, {needed:,} required, {count(trials, 'set')} of images to predict; confidence is "
        f"per gate, by default {percent_short(0.95)}"
    )
    click.echo(_within_reach(policy, facts))
    return 0


def _print_exceptions(policy: Policy) -> None:
    """Print the policy's preprocessing, lowered checks and waivers, each with its line."""
    if policy.preprocessing:
        contract = policy.preprocessing.contract
        named = contract.kind if contract else policy.preprocessing.module
        click.echo(f"{policy.where_preprocessing}: the candidate is fed with {one_line(named, 120)}")
    for name, lowering in policy.lowered.items():
        click.echo(f"{lowering.where}: {name} only warns, because {one_line(lowering.because)}")
    for name, waiver in policy.waivers.items():
        who = f"until {waiver.until} by {one_line(waiver.by, 200)}, because {one_line(waiver.because)}"
        click.echo(f"{waiver.where}: {one_line(name, 200)} is waived {who}")


def _within_reach(policy: Policy, asked: DataFacts | None) -> str:
    """Say whether each gate can be shown on the digits that were asked for or, as a note, on those that are at hand."""
    from harness import policy as policies
    from harness.data import sources

    try:
        facts = asked or sources.at_hand().facts
    except UsageError as error:
        return f"good as it is written; no digits are at hand to hold it against ({one_line(str(error), 200)})"
    digits = f"{one_line(facts.name, 80)}, {count(facts.n, 'image')}"
    try:
        policies.check_against(policy, facts)
    except UsageError as error:
        first = one_line(str(error).splitlines()[0], 300)
        return f"good as it is written; not on the digits at hand ({digits}), others: --data; first: {first}"
    return f"good; a perfect score could pass each gate on {digits}{'' if asked else ', the digits at hand'}"


@command.command(short_help="Print a shipped policy, to copy and change.")
@click.argument("name", required=False, shell_complete=options.complete_shipped)
def show(name: str | None) -> int:
    """Print the shipped policy NAME as it is, to copy and change; without NAME list them."""
    shipped = shipped_policies()
    if name is None:
        for each, path in shipped.items():
            click.echo(f"{each:<20} {_purpose(path)}")
    elif name.removesuffix(".toml") in shipped:
        click.echo(shipped[name.removesuffix(".toml")].read_text("utf-8"), nl=False)
    else:
        raise UsageError(f"{one_line(name, 60)} is no shipped policy; these are: {', '.join(shipped)}")
    return 0


def _purpose(path: Path) -> str:
    """Return the first sentence of the comment that a policy begins with."""
    lines = takewhile(lambda line: line.startswith("# "), path.read_text("utf-8").splitlines())
    return " ".join(line.removeprefix("# ") for line in lines).partition(". ")[0].removesuffix(".")


@command.command(short_help="Propose thresholds from finished runs.")
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, shell_complete=options.folders)
@click.option("--out", type=click.Path(path_type=Path), help="Write it to a file; default: print it.")
def suggest(runs: tuple[Path, ...], out: Path | None) -> int:
    """Propose thresholds from the finished runs in folders RUNS, as TOML to edit.

    One run: its exact bounds, and as far again below them. Several, of one recipe with other seeds: tolerance limits.
    """
    from harness.policy import suggestion
    from harness.run.finished_run import open_finished

    finished = [open_finished(folder).evidence for folder in runs]
    if others := [run.data.name for run in finished if run.data.sha256 != finished[0].data.sha256]:
        raise UsageError(
            f"the runs were judged on different data ({one_line(others[0], 80)}); give runs on the same data"
        )
    text = suggestion.toml(finished)
    if out is None:
        click.echo(text, nl=False)
        return 0
    write_named(out, text.encode())
    click.echo(
        f"{command_line([str(out)])}: {count(text.count('[[gate]]'), 'gate')}; edit it, then harness policy check"
    )
    return 0
