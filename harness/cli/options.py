"""Options that commands share, their groups on the page of help, and what a shell completes them with.

Imports nothing heavy, as every command does until it runs: --help and each press of Tab import all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from harness.files import shipped_policies

Command = TypeVar("Command", bound=Callable[..., Any])
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

# as harness.run.session, harness.evidence.backends and harness.records have them; a test compares
SEED, ENGINES = 2026, ("local", "dask", "ray")
KINDS = ("unit", "raw", "symmetric", "standardised", "inverted", "l2")
GROUPS = {
    "Data": ("data", "resize", "columns", "unit", "trained_on", "preprocess"),
    "Decision": ("policy", "baseline", "ledger", "seed", "no_verdict_is_failure"),
    "Safety": ("allow_code", "require_sandbox"),
    "Engine": ("engine", "scheduler"),
}
REST = "Output"
OF_A_RUN = ("run.json", "report.html", "junit.xml", "session.json")  # whose folder is meant where one is given


class Grouped(click.Command):
    """A command whose page of help shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group of options under its name."""
        group_of = {name: group for group, names in GROUPS.items() for name in names}
        for group in (*GROUPS, REST):
            own = [one for one in self.get_params(ctx) if group_of.get(one.name or "", REST) == group]
            with formatter.section(group):
                formatter.write_dl(
                    [row for one in own if isinstance(one, click.Option) and (row := one.get_help_record(ctx))]
                )


def is_address(text: str) -> bool:
    """Tell whether a text is an address of the web that Markdown can hold."""
    return re.fullmatch(r"https?://[\w.~:/?#@!$&*+,;=%-]+", text) is not None


def folders(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a folder."""
    return [CompletionItem(incomplete, type="dir")]


def words_or_files(words: Callable[[], Iterable[str]]) -> Complete:
    """Complete one of ``words`` or a file. A shell that is given words offers no files by itself."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        fitting = [word for word in words() if word.startswith(incomplete)]
        if not fitting:
            return [CompletionItem(incomplete, type="file")]
        files = [f"{path}/" if path.is_dir() else str(path) for path in sorted(Path().glob(f"{incomplete or '[!.]'}*"))]
        return [CompletionItem(each) for each in (*fitting, *files)]

    return complete


complete_data = words_or_files(lambda: ("embedded", "keras"))
complete_shipped = words_or_files(shipped_policies)
complete_policy = words_or_files(shipped_policies)


def policy(text: str) -> Callable[[Command], Command]:
    """Add --policy to a command."""
    kind = click.Path(path_type=Path)
    return click.option("--policy", metavar="NAME|FILE", type=kind, help=text, shell_complete=complete_policy)


def digits(command: Command) -> Command:
    """Add --data and --resize to a command that reads digits."""
    resize = click.option("--resize", is_flag=True, help="Scale the images of a folder to 28 x 28.")
    sources = (
        ".npz, CSV or Parquet file, folder of IDX files or with a folder of images per digit, 'keras' or 'embedded'."
    )
    return click.option("--data", metavar="SOURCE", help=sources, shell_complete=complete_data)(resize(command))


def out(command: Command) -> Command:
    """Add --out to a command that leaves a run."""
    kind = click.Path(path_type=Path)
    return click.option(
        "--out", type=kind, default="out", show_default=True, help="Output folder.", shell_complete=folders
    )(command)


def preprocess(command: Command) -> Command:
    """Add --preprocess to a command that judges a model."""
    fed = f"What the candidate is fed with: {', '.join(KINDS)}, or your module."
    return click.option("--preprocess", metavar="KIND|MODULE", help=fed)(command)


def trained_on(command: Command) -> Command:
    """Add --trained-on to a command that judges a model."""
    declared = "What MODEL was trained on, as you declare: the training part of SOURCE. No test digit may be in it."
    return click.option("--trained-on", metavar="SOURCE", help=declared, shell_complete=complete_data)(command)


def units(command: Command) -> Command:
    """Add --columns and --unit to a command that judges on digits."""
    table = click.Path(path_type=Path)
    columns = click.option("--columns", type=table, help="CSV with a row a test image: its units and slices.")
    drawn = "Column of what was drawn at random: writer, page, patient; or 'none'."
    return columns(click.option("--unit", metavar="NAME", help=drawn)(command))


def ledger(command: Command) -> Command:
    """Add --ledger to a command that decides."""
    text = "File that remembers every verdict, a line each, and how often these digits have decided."
    return click.option(
        "--ledger", metavar="FILE", type=click.Path(path_type=Path), envvar="HARNESS_LEDGER", help=text
    )(command)


def as_json(command: Command) -> Command:
    """Add --json, -q and --ci to a command that ends in a verdict."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the verdict and its numbers as JSON.")(
        command
    )
    command = click.option("-q", "--quiet", is_flag=True, help="Print the verdict only.")(command)
    shows = "none: nothing for GitHub, GitLab or Azure, which are otherwise told by their variables."
    kinds = click.Choice(["auto", "none"])
    command = click.option("--ci", type=kinds, default="auto", show_default=True, help=shows)(command)
    strict = "Exit code 1 in place of 5, for wrappers that take pytest's 5, no tests, for success."
    return click.option("--no-verdict-is-failure", is_flag=True, help=strict)(command)
