"""The command line: one file a command, imported when it is called. Exit codes are pytest's."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import click

from harness import __version__
from harness.errors import NO_WINDOWS, UsageError
from harness.formatting import json_text, without_orders

_WIDTH = 100  # columns of a page of help, in a pipe too
OK, INTERRUPTED, INTERNAL_ERROR, UNUSABLE = 0, 2, 3, 4
_UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)

COMMANDS = {
    "run": "Judge a model: verdict, exit code, report.",
    "demo": "Train the reference model on the digits that can be reached, and judge it.",
    "train": "Train a reference model.",
    "gate": "Judge finished evidence again, by its own policy or another.",
    "report": "Write the report of a finished run again.",
    "compare": "Compare two finished runs, image by image.",
    "attest": "Sign the verdict of a finished run.",
    "verify": "Verify a signed verdict: file, record, and the decision made again.",
    "history": "Show every verdict of a ledger.",
    "mlflow": "Log a finished run in MLflow, or promote its model.",
    "baseline": "Accept a release as the one that the next is held against.",
    "policy": "Show a shipped policy, check one, or have one suggested.",
    "power": "What a policy can tell on these digits, before any model is there.",
    "qualify": "Which faults a policy notices, planted in a good model.",
    "corruptions": "Show the corruptions.",
    "doctor": "What this machine has, reaches and lacks.",
    "version": "Show the version.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name}")
        command: click.Command = module.command
        command.name = cmd_name  # which generated references and completion say
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


_NAMED = {name: click.Command(name) for name in COMMANDS}  # what a misspelt one may have meant


@click.group(
    cls=_Lazy, commands=_NAMED, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH}
)
@click.version_option(__version__, prog_name="harness")
def root() -> None:
    """Decide whether a digit classifier may be released.

    Exit codes: 0 allowed, 1 blocked, 2 interrupted, 3 the harness itself failed, 4 unusable input, 5 no verdict.

    Shell completion: eval "$(_HARNESS_COMPLETE=bash_source harness)" (or zsh_source, fish_source).
    """


class _Log(io.TextIOBase):
    """Write lines, each when it is whole, such that a build finds no orders in them; ``stream`` takes what is ours."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._begun = ""

    def write(self, text: str, /) -> int:
        self._begun += text
        whole = max(self._begun.rfind("\n"), self._begun.rfind("\r")) + 1
        if whole:
            self.stream.write(without_orders(self._begun[:whole]))
            self._begun = self._begun[whole:]
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def end(self) -> None:
        """Write the line that was begun."""
        self.stream.write(without_orders(self._begun))
        self._begun = ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # click and rich ask for it
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors


@contextlib.contextmanager
def _without_orders() -> Iterator[None]:
    """Keep whatever is printed, by whomever, from giving orders to the system that reads the log."""
    before = sys.stdout, sys.stderr
    asked = "_HARNESS_COMPLETE" in os.environ  # by a shell, which is given bytes
    logs = [stream if asked or stream is None or stream.isatty() else _Log(stream) for stream in before]
    sys.stdout, sys.stderr = logs
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for log in logs:
            if isinstance(log, _Log):
                with contextlib.suppress(OSError, ValueError):
                    log.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every error from outside is one line on stderr and exit code 4."""
    with _without_orders():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if reason := _unusable(given):
        return _refused(given, UNUSABLE, reason)
    try:
        with _default_warnings():
            width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
            result = root.main(given, prog_name="harness", standalone_mode=False, terminal_width=width)
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except click.ClickException as error:
        error.show()
        return _refused(given, UNUSABLE, error.format_message(), said=True)
    except (click.Abort, KeyboardInterrupt):
        return _refused(given, INTERRUPTED, "interrupted; nothing was decided")
    except BrokenPipeError:
        _say_no_more()
        return INTERRUPTED
    except SystemExit as error:
        if error.code == 1:  # how click and rich leave when nobody reads on; to us 1 is "blocked"
            _say_no_more()
            return INTERRUPTED
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE and error.filename is None:
            _say_no_more()
            print(f"harness: cannot write to standard output: {error.strerror}; send it elsewhere", file=sys.stderr)
            return UNUSABLE
        if isinstance(error, UsageError):
            return _refused(given, UNUSABLE, str(error))
        text = traceback.format_exc()
        print("".join(c if c.isprintable() or c == "\n" else " " for c in text), file=sys.stderr, end="")
        return _refused(given, INTERNAL_ERROR, "this is a fault of the harness, not of the model; nothing was decided")


@contextlib.contextmanager
def _default_warnings() -> Iterator[None]:
    """Keep PYTHONWARNINGS and -W from making errors of what libraries warn of, and failures of what checks warn of."""
    asked = sys.warnoptions[:]
    sys.warnoptions.clear()  # pytest reads them, too
    with warnings.catch_warnings():
        if asked:
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
        try:
            yield
        finally:
            sys.warnoptions.extend(asked)


def _refused(arguments: Sequence[str], code: int, reason: str, *, said: bool = False) -> int:
    """Say why there is no result: on stderr, unless that is done, and where JSON was asked for on stdout, too."""
    for line in () if said else reason.splitlines():
        print(f"harness: {line}", file=sys.stderr)
    if "--json" in arguments:
        with contextlib.suppress(OSError):
            print(json_text({"verdict": None, "exit_code": code, "error": reason}), flush=True)
    return code


def _unusable(arguments: Sequence[str]) -> str:
    """Name what no command could go on with: the system, an unset variable, which would mean the current folder, or no
    folder.
    """
    if sys.platform == "win32":
        return NO_WINDOWS
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or re.fullmatch("--[a-z-]+=", argument):
            name = argument or (before if before.startswith("-") else "an argument")
            return f"{name.rstrip('=')} is empty; is a variable not set?"
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the folder you are in was removed; go to one that is there"
    return ""


def _say_no_more() -> None:
    """Discard what is still to be written to standard output, or the interpreter would fail at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def entry() -> None:
    """Run the console script. A terminal that has no ✓ gets its number, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
