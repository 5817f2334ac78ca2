"""harness baseline: what the next release is held against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.errors import UsageError
from harness.files import write_named
from harness.formatting import command_line, count, one_line

if TYPE_CHECKING:
    from harness.records import AcceptedMargin, Baseline
    from harness.run.acceptance import Acceptance

POLICY = options.policy("Policy of the next, by name or as a TOML file; default: the shipped one.")


@click.group("baseline")
def command() -> None:
    """Accept runs as what the next release is held against, add one, or show them."""


@command.command(short_help="Write what finished runs answered to one file.")
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    shell_complete=options.folders,
)
@click.option(
    "--release",
    type=click.Path(path_type=Path),
    shell_complete=options.folders,
    help="Of several runs, that of the release.",
)
@click.option("--by", required=True, help="Who accepts them.")
@click.option("--because", required=True, help="Why they may be the measure of the next.")
@click.option("--new-anchor", is_flag=True, help="These runs become the anchor; --because says why it moves.")
@POLICY
@options.ledger
@click.option("--out", type=click.Path(path_type=Path), default="baseline.npz", show_default=True)
def accept(
    runs: tuple[Path, ...],
    release: Path | None,
    by: str,
    because: str,
    new_anchor: bool,
    policy: Path | None,
    ledger: Path | None,
    out: Path,
) -> int:
    """Write what the models of the runs in folders RUN answered to one file, with margins, hashes, who and why.

    Several runs are of one recipe with other seeds: their spread is what retraining does, and each is judged beside the
    others first. Only a release that was allowed is accepted. The file holds no image and no label; keep it under
    version control.
    """
    from harness.cli.show import today
    from harness.run import acceptance
    from harness.run.uses import record_accepted

    by, because = one_line(by, 120), one_line(because, 400)
    if not by or not because:
        raise UsageError("--by and --because say who accepts the baseline and why; neither may be empty")
    accepted = acceptance.accept(
        runs, release, by=by, because=because, today=today(), rules=policy, new_anchor=new_anchor
    )
    code = _written(accepted, out)
    if ledger:
        record_accepted(ledger, accepted.baseline)
    return code


@command.command(short_help="Add a run of the same recipe.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path), shell_complete=options.folders)
@POLICY
def add(file: Path, run: Path, policy: Path | None) -> int:
    """Add the run in folder RUN, of the same recipe, to the baseline FILE, where it is not blocked beside it."""
    from harness.evidence import baseline_file
    from harness.run import acceptance

    return _written(acceptance.add(baseline_file.read(file), run, rules=policy), file)


@command.command("show", short_help="Say who accepted a baseline, when and why.")
@click.argument("file", type=click.Path(path_type=Path))
def show_(file: Path) -> int:
    """Say who accepted the baseline FILE, when and why, and what its margins are made of."""
    from harness.evidence import baseline_file

    baseline = baseline_file.read(file)
    facts = baseline.facts
    on = f" on {one_line(facts.accepted_on, 40)}" if facts.accepted_on else ""
    who = f"accepted by {one_line(facts.accepted_by, 120)}{on}" if facts.accepted_by else "accepted by nobody"
    click.echo(f"{_runs(baseline)}, {who}")
    if facts.because:
        click.echo(f"because {one_line(facts.because, 400)}")
    _margins(baseline, {})
    return 0


def _written(accepted: Acceptance, out: Path) -> int:
    from harness.evidence import baseline_file

    baseline = accepted.baseline
    content = baseline_file.dump(baseline)
    write_named(out, content)
    trials = count(len(baseline.predictions.answers), "trial")
    click.echo(
        f"{command_line([str(out)])}: {_runs(baseline)}, {trials}, {len(content):,} bytes, "
        f"accepted by {one_line(baseline.facts.accepted_by, 120)}"
    )
    _left_out(accepted)
    if accepted.missing:
        click.echo(
            f"{count(len(accepted.missing), 'gate')} of the policy will not be evaluated: "
            f"{one_line(accepted.missing[0], 200)}; judge the runs by a policy with predict_for"
        )
    ids = {(gate.metric, gate.scope, gate.against): gate.id for gate in accepted.gates}
    _margins(baseline, {key: accepted.falls[name] for key, name in ids.items() if name in accepted.falls})
    return 0


def _left_out(accepted: Acceptance) -> None:
    """Describe the verdict of each run beside the others, and what fewer runs cannot tell."""
    from harness.run import acceptance

    runs = len(accepted.baseline.accepted)
    if not accepted.left_out:
        more = count(acceptance.LEAST - runs, "more run")
        click.echo(f"how often a healthy retraining is released is assumed; {more} of the recipe would measure it")
        return
    click.echo(f"leave one out: {accepted.passed} of {runs} would be released beside the others")
    for name, found in accepted.left_out.items():
        if found.exit_code:
            click.echo(f"  {one_line(name, 100)}: {found.word.replace('_', ' ')}: {one_line(found.sentence, 300)}")


def _runs(baseline: Baseline) -> str:
    facts = baseline.facts
    others = f" and {count(len(facts.pool), 'other run')}" if facts.pool else ""
    return f"{one_line(facts.model, 80)} {facts.sha256[:10]}{others}"


def _margins(baseline: Baseline, falls: dict[tuple[object, ...], float]) -> None:
    """Make a row a gate: its margin, and what that is made of."""
    from harness.cli import show
    from harness.metrics.margins import CREEP

    if not baseline.margins:
        click.echo("no margins were fixed: they are made when a candidate is judged")
        return
    heads = ["gate", "margin", "spread", "of these runs", "assumed", "smallest"]
    rows = [_row(one) for one in baseline.margins]
    if falls:
        heads.append("fall stopped with 80 %")
        far = [falls.get((one.metric, one.scope, one.against)) for one in baseline.margins]
        rows = [
            (*row, "" if fall is None else _points(one.metric, fall))
            for row, one, fall in zip(rows, baseline.margins, far, strict=True)
        ]
    show.table(heads, rows, log_width=200)
    runs = len(baseline.accepted)
    deviations = baseline.margins[0].margin.deviations
    click.echo(
        f"margin = {deviations:g} x spread x sqrt(1 + 1/{runs}), at least the smallest; the spread is that of "
        f"{count(runs, 'run')}, shrunk to the assumed one, which counts as 4 runs; against the anchor {CREEP:g} margins"
    )
    anchor = baseline.facts.anchor
    named = f"{one_line(anchor[0].model, 80)} {anchor[0].sha256[:10]}" if anchor else "these runs themselves"
    others = f" and {count(len(anchor) - 1, 'other run')}" if len(anchor) > 1 else ""
    why = f", because {one_line(baseline.facts.anchor_because, 400)}" if baseline.facts.anchor_because else ""
    click.echo(f"anchor: {named}{others}{why}")


def _row(one: AcceptedMargin) -> tuple[str, ...]:
    from harness.metrics.display import title
    from harness.metrics.margins import CREEP

    margin, metric = one.margin, one.metric
    name = one_line(title(metric, one.scope), 120) + (" against the anchor" if one.against == "anchor" else "")
    value = margin.value * (CREEP if one.against == "anchor" else 1.0)
    own = "" if margin.own is None else _points(metric, margin.own)
    parts = _points(metric, margin.deviation), own, _points(metric, margin.assumed), _points(metric, margin.floor)
    return name, _points(metric, value), *parts


def _points(metric: str, value: float) -> str:
    from harness.metrics.display import difference

    return difference(metric, value).lstrip("+")
