"""Options of the commands: light pages of help, groups, names of shipped policies, completion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from click.shell_completion import ShellComplete

from harness import policy
from harness.cli import COMMANDS, main, options
from harness.cli import root as commands
from harness.errors import UsageError
from harness.evidence import backends
from harness.files import shipped_policies
from harness.records import InputKind
from harness.run.session import SEED

Said = pytest.CaptureFixture[str]
GATE = '[[gate]]\nmetric = "accuracy"\nat_least = 0.5\nbecause = "better than a coin"\n'


def pages(group: click.Group = commands, *words: str) -> Iterator[list[str]]:
    """The words before --help of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield [*words, name]
        if isinstance(command, click.Group):
            yield from pages(command, *words, name)


def completed(*words: str) -> list[tuple[str, str]]:
    *before, incomplete = words
    found = ShellComplete(commands, {}, "harness", "_HARNESS_COMPLETE").get_completions(before, incomplete)
    return [(item.type, item.value) for item in found]


def test_no_page_of_help_imports_anything_heavy() -> None:
    heavy = {"numpy", "scipy", "pydantic", "pytest", "jinja2", "rich", "filelock", "keras", "tensorflow"}
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"for words in {[*pages()]!r}:\n    assert main([*words, '--help']) == 0, words\n"
        f"print('HEAVY', *(set(sys.modules) & {heavy!r}))"
    )

    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.rpartition("HEAVY")[2].split() == []


def test_the_options_name_what_the_program_has() -> None:
    kinds = [kind for kind in get_args(InputKind) if kind != "own"]

    assert (options.SEED, options.ENGINES, list(options.KINDS)) == (SEED, backends.NAMES, kinds)


def test_the_options_of_run_are_in_groups(capsys: Said) -> None:
    main(["run", "--help"])

    heads = [line for line in capsys.readouterr().out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert heads == ["Data:", "Decision:", "Safety:", "Engine:", "Output:"]


def test_every_option_of_run_is_in_its_help(capsys: Said) -> None:
    run = commands.get_command(click.Context(commands), "run")
    assert run is not None
    main(["run", "--help"])

    said = capsys.readouterr().out
    names = [one.opts[0] for one in run.params if isinstance(one, click.Option)]
    assert [name for name in names if f"  {name}" not in said and f", {name}" not in said] == []


def test_in_a_pipe_help_is_100_columns_wide(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    main(["run", "--help"])

    assert 90 < max(map(len, capsys.readouterr().out.splitlines())) <= 100


@pytest.mark.parametrize("words", [*pages()])
def test_the_help_of_a_group_says_each_command_in_whole_words(words: list[str], capsys: Said) -> None:
    main([*words, "--help"])

    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


@pytest.mark.parametrize(("word", "meant"), [("rnu", "run"), ("poliy", "policy"), ("reprot", "report")])
def test_a_misspelt_command_is_told_the_nearest(word: str, meant: str, capsys: Said) -> None:
    assert main([word]) == 4
    assert f"Did you mean {meant!r}?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["gate"], ["report"], ["compare"], ["baseline", "accept"], ["run", "m", "--out"]])
def test_where_a_folder_is_asked_for_folders_are_completed(words: list[str]) -> None:
    assert completed(*words, "ou") == [("dir", "ou")]


def test_the_sources_of_digits_are_completed_beside_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mnist.npz").touch()
    Path("digits").mkdir()
    Path(".hidden").touch()

    assert [value for _, value in completed("run", "m", "--data", "")] == ["embedded", "keras", "digits/", "mnist.npz"]
    assert completed("run", "m", "--data", "mn") == [("file", "mn")]


@pytest.mark.parametrize("words", [["run", "m", "--policy"], ["gate", "out", "--policy"], ["policy", "show"]])
def test_shipped_policies_are_completed(words: list[str]) -> None:
    assert ("plain", "release") in completed(*words, "rel")


@pytest.mark.parametrize("name", shipped_policies())
def test_a_shipped_policy_is_found_by_its_name(name: str) -> None:
    assert policy.load(Path(name)).path == shipped_policies()[name]


def test_a_file_comes_before_the_shipped_policy_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("release").write_text(f'format = 1\nname = "mine"\n{GATE}')

    assert policy.load(Path("release")).facts.name == "mine"


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("relase.toml", "did you mean 'release.toml'?"),
        ("release.tml", "did you mean 'release.toml'?"),
        ("embeded", "did you mean 'embedded'?"),
        ("mnist_c.toml", "did you mean 'mnist_c'?"),
        ("x.toml", "or the name of a shipped one: embedded, "),
        ("no/where/release.toml", "did you mean 'release'?"),
    ],
)
def test_a_policy_that_is_not_there_is_told_the_nearest(
    name: str, way_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("release.toml").touch()

    with pytest.raises(UsageError, match="is not a file") as refused:
        policy.load(Path(name))
    assert str(refused.value).endswith(way_out) or way_out in str(refused.value)


def test_a_shipped_policy_is_shown_as_it_is(capsys: Said) -> None:
    assert main(["policy", "show", "release"]) == 0
    assert capsys.readouterr().out == shipped_policies()["release"].read_text("utf-8")


def test_the_shipped_policies_are_listed(capsys: Said) -> None:
    main(["policy", "show"])

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*shipped_policies()]


def test_a_policy_that_is_not_shipped_is_one_line_with_those_that_are(capsys: Said) -> None:
    assert main(["policy", "show", "relase"]) == 4
    assert capsys.readouterr().err.startswith("harness: relase is no shipped policy; these are: embedded, ")


def test_the_commands_are_those_that_help_lists() -> None:
    assert [words[0] for words in pages() if len(words) == 1] == [*COMMANDS]
