"""The pytest plugin: beside the user's own tests, never kinder than pytest, and not there at all without its option."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from harness.outputs import run_json
from harness.records import Dataset, Run
from tests.support.commands import python
from tests.support.folders import once

POLICY = """
format = 1
name = "small"

[[gate]]
metric = "accuracy"
at_least = {accuracy}
because = "a reason"

[[gate]]
metric = "recall"
class = 3
at_least = 0.5
because = "a reason"

[[gate]]
metric = "largest_confusion"
at_most = 0.0001
decide = "point"
level = "warning"
because = "a reason"
"""
OUTPUTS = ("run.json", "junit.xml", "report.html", "session.json")
BY_WRITER = ("--harness-columns", "columns.csv", "--harness-unit", "writer")
GATES = ("-k", "accuracy or recall or confusion")  # the checks are left out: a second instead of ten


class Done(NamedTuple):
    code: int
    text: str
    out: Path

    @property
    def run(self) -> Run:
        return run_json.load(self.out / "run.json")

    def status(self, identity: str) -> str:
        return next(finding.status for finding in self.run.findings if finding.id == identity)


class Desk:
    """A user's repository: a model, labelled digits, a policy and a test of their own."""

    def __init__(self, folder: Path, model: Path, digits: Path) -> None:
        self.folder, self.model, self.digits, self.out = folder, model, digits, folder / "out"
        self.write("p.toml", POLICY.format(accuracy=0.9))
        self.write("test_own.py", "def test_own():\n    pass\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def pytest(self, *options: str) -> Done:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
        early = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # a fork server is named first
        start = python("import pytest; raise SystemExit(pytest.main())")
        command = [*start, "-p", "no:cacheprovider", *options, *early]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)
        return Done(done.returncode, done.stdout + done.stderr, self.out)

    def judge(self, *options: str, model: Path | None = None) -> Done:
        asked = ["--harness-model", str(model or self.model), "--harness-data", str(self.digits)]
        return self.pytest(*asked, "--harness-policy", "p.toml", "--harness-out", "out", *options)


@pytest.fixture(scope="session")
def digits_file(shared: Path, embedded: Dataset) -> Path:
    """The embedded test digits as a file, so that nothing says the candidate has seen them."""

    def save(draft: Path) -> None:
        with draft.open("wb") as file:
            np.savez(file, x_test=embedded.images, y_test=embedded.labels)

    return once(shared, "digits.npz", save)


@pytest.fixture
def desk(tmp_path: Path, reference_model: Path, digits_file: Path, fork_server: Path) -> Desk:
    return Desk(tmp_path, reference_model, digits_file)


# without its option


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    heavy = ["jinja2", "pydantic", "hypothesis", "scipy", "numpy", "sklearn", "keras", "tensorflow", "rich", "click"]
    code = f"import sys, harness_pytest; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_without_the_option_it_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys, pytest\n"
        "def test_own(request):\n"
        "    assert not {'numpy', 'pydantic', 'harness.run.session'} & set(sys.modules)\n"
        "    assert not request.config.pluginmanager.has_plugin('harness-judge')\n"
        "    with pytest.raises(pytest.FixtureLookupError):\n        request.getfixturevalue('subject')\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "harness_pytest", "-p", "no:cacheprovider"]

    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout.splitlines()[-1][:8]) == (0, "1 passed")


@pytest.mark.parametrize("name", ["harness.py", "harness/__init__.py"])
def test_a_package_of_the_same_name_is_not_disturbed(name: str, desk: Desk) -> None:
    other = desk.folder / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("OWN = 1\n")
    (desk.folder / "test_shadow.py").write_text("import harness\ndef test_own():\n    assert harness.OWN == 1\n")
    python = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shadow.py"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

    plain = subprocess.run(python, cwd=desk.folder, env=environment, capture_output=True, text=True)
    judged = subprocess.run(
        [*python, "--harness-model", "m.keras"], cwd=desk.folder, env=environment, capture_output=True, text=True
    )

    assert (plain.returncode, plain.stdout.splitlines()[-1][:8]) == (0, "1 passed")
    assert judged.returncode == 4
    assert [line for line in judged.stderr.splitlines() if line] == [
        f"ERROR: {other} shadows the installed package harness, which --harness-model needs; rename it, or leave out "
        "--harness-model here and use the command harness run"
    ]


def test_the_help_shows_every_option(desk: Desk) -> None:
    done = desk.pytest("--help")

    options = ("model", "data", "policy", "out", "preprocess", "seed")
    assert [name for name in options if f"--harness-{name}" not in done.text] == []


def test_collecting_only_starts_no_child(desk: Desk) -> None:
    done = desk.judge("--collect-only", model=desk.folder / "missing.keras")

    assert (done.code, desk.out.exists()) == (0, False)
    assert "1 test collected" in done.text


# the whole of it


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, reference_model: Path, digits_file: Path, fork_server: Path
) -> tuple[Desk, Done]:
    """Run all once, beside a test of the user's that has the name of a suite."""
    desk = Desk(tmp_path_factory.mktemp("whole"), reference_model, digits_file)
    desk.write("test_contract.py", "def test_the_model_is_sequential():\n    pass\n")
    desk.write("columns.csv", "writer\n" + "".join(f"w{at // 5}\n" for at in range(1_000)))
    return desk, desk.judge("-v", *BY_WRITER)


def test_a_good_model_beside_passing_tests_is_allowed_with_exit_code_0(whole: tuple[Desk, Done]) -> None:
    _, done = whole

    assert (done.code, done.run.verdict.word) == (0, "allowed_with_warnings"), done.text


def test_every_check_of_the_suites_and_every_gate_has_a_finding(whole: tuple[Desk, Done]) -> None:
    _, done = whole

    assert {finding.status for finding in done.run.findings if finding.level == "required"} == {"passed"}
    assert [finding.id for finding in done.run.findings if finding.kind == "gate"] == [
        "gate/accuracy", "gate/recall-3", "gate/largest_confusion-warning",
    ]  # fmt: skip


def test_the_units_of_a_table_are_those_of_the_intervals(whole: tuple[Desk, Done]) -> None:
    _, done = whole

    assert done.run.sampling is not None
    assert (done.run.sampling.unit, done.run.sampling.units) == ("writer", 200)


def test_the_summary_says_the_verdict_and_where_the_report_is(whole: tuple[Desk, Done]) -> None:
    desk, done = whole

    assert done.run.verdict.sentence in done.text
    assert f"report: {desk.out / 'report.html'}" in done.text


def test_the_users_tests_of_the_same_name_run_too(whole: tuple[Desk, Done]) -> None:
    _, done = whole

    assert "\ntest_contract.py::test_the_model_is_sequential PASSED" in done.text
    assert "harness/test_contract.py::test_the_model_is_sequential PASSED" in done.text


def test_two_workers_leave_the_same_bytes_as_one(whole: tuple[Desk, Done]) -> None:
    desk, _ = whole
    before = [(desk.out / name).read_bytes() for name in ("run.json", "junit.xml")]

    done = desk.judge("-n", "2", *BY_WRITER)

    assert (done.code, [(desk.out / name).read_bytes() for name in ("run.json", "junit.xml")]) == (0, before)


# never kinder than pytest


def test_a_failing_test_of_the_users_own_is_exit_code_1(desk: Desk) -> None:
    desk.write("test_own.py", "def test_own_accuracy():\n    assert False\n")

    done = desk.judge(*GATES)

    assert (done.code, done.run.verdict.word) == (1, "no_verdict")


def test_a_test_of_the_users_own_that_cannot_be_collected_is_not_forgotten(desk: Desk) -> None:
    desk.write("test_own.py", "import no_such_module\n")

    assert desk.judge(*GATES, "--continue-on-collection-errors").code == 1


def test_a_failed_gate_is_exit_code_1(desk: Desk) -> None:
    desk.write("p.toml", POLICY.format(accuracy=0.995))

    done = desk.judge(*GATES)

    assert (done.code, done.run.verdict.word, done.status("gate/accuracy")) == (1, "blocked", "failed")
    assert "p.toml:5: because a reason" in done.text


def test_what_is_left_out_is_not_evaluated_and_there_is_no_verdict(desk: Desk) -> None:
    done = desk.judge("-k", "recall", "--junitxml", "own.xml", "-o", "junit_family=xunit1")

    assert (done.code, done.run.verdict.word) == (5, "no_verdict")
    assert (done.status("gate/recall-3"), done.status("gate/accuracy")) == ("passed", "not_evaluated")
    assert "{&quot;id&quot;: &quot;gate/recall-3&quot;" in (desk.folder / "own.xml").read_text()


def test_nothing_at_all_selected_is_no_verdict(desk: Desk) -> None:
    done = desk.judge("-k", "nothing_is_called_so")

    assert (done.code, done.run.verdict.word) == (5, "no_verdict")


HOOKS = """
import pytest

MARKS = {"recall-2": pytest.mark.skip, "recall-3": pytest.mark.xfail, "recall-4": pytest.mark.xfail(strict=True)}
MARKS |= {"test_pixels_are_float32": pytest.mark.xfail(strict=True), "test_it_takes_one_image": pytest.mark.skip}

def pytest_configure(config):
    config.pluginmanager.register(Spoil())

class Spoil:
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.name != "recall-5"]
        [item.add_marker(MARKS[item.name]) for item in items if item.name in MARKS]

    def pytest_runtest_setup(self, item):
        if item.name == "recall-0":
            pytest.skip("not today")
        if item.name in ("recall-6", "test_the_model_is_sequential"):
            raise OSError("disk is full")

    def pytest_runtest_call(self, item):
        if item.name == "recall-1":
            pytest.skip("not today")
        if item.name == "recall-9":
            raise OSError("disk is full")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item):
        if item.name in ("recall-7", "test_it_gives_ten_numbers"):
            raise OSError("disk is full")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if item.name == "recall-8" and call.when == "call":
            report.outcome = "failed"
        return report
"""
SPOILED = {
    "gate/recall-0": "it was skipped: ",
    "gate/recall-1": "it was skipped: ",
    "gate/recall-2": "it was skipped: ",
    "gate/recall-3": "it was marked as expected to fail",
    "gate/recall-4": "it broke in its call: [XPASS(strict)]",
    "gate/recall-5": "it did not run",
    "gate/recall-6": "it broke in its setup: ",
    "gate/recall-7": "it broke in its teardown: ",
    "gate/recall-8": "it broke in its call",
    "gate/recall-9": "it broke in its call: ",
    "check/test_normalization.py::test_pixels_are_float32": "it broke in its call: [XPASS(strict)]",
    "check/test_contract.py::test_it_takes_one_image": "it was skipped: ",
    "check/test_contract.py::test_the_model_is_sequential": "it broke in its setup: ",
    "check/test_contract.py::test_it_gives_ten_numbers": "it broke in its teardown: ",
}


@pytest.fixture(scope="module")
def spoiled(
    tmp_path_factory: pytest.TempPathFactory, reference_model: Path, digits_file: Path, fork_server: Path
) -> Done:
    """Gates that would all pass, and checks, each of which something else happens to."""
    desk = Desk(tmp_path_factory.mktemp("spoiled"), reference_model, digits_file)
    desk.write("p.toml", POLICY.format(accuracy=0.9).replace("class = 3", 'class = "each"'))
    desk.write("conftest.py", HOOKS)
    return desk.judge("-k", "accuracy or recall or float32 or takes_one or sequential or ten_numbers")


@pytest.mark.parametrize("identity", SPOILED)
def test_what_did_not_simply_pass_is_not_evaluated_by_name(identity: str, spoiled: Done) -> None:
    (finding,) = [finding for finding in spoiled.run.findings if finding.id == identity]

    assert finding.status == "not_evaluated"
    assert f" was not evaluated: {SPOILED[identity]}" in finding.reason


def test_a_gate_that_nothing_happened_to_passes_beside_them(spoiled: Done) -> None:
    assert (spoiled.status("gate/accuracy"), spoiled.run.verdict.word, spoiled.code) == ("passed", "no_verdict", 5)


def test_the_users_fixtures_of_the_same_names_do_not_stand_in_for_ours(desk: Desk) -> None:
    names = ("subject", "dataset", "candidate", "own_split")
    theirs = (f"@pytest.fixture\ndef {name}(): return 'theirs'\n" for name in names)
    desk.write("conftest.py", "import pytest\n" + "".join(theirs))
    desk.write("test_own.py", "def test_weights(subject):\n    assert subject == 'theirs'\n")

    done = desk.judge("-k", "weights or takes or seen")

    assert " 5 passed" in done.text


def test_a_gate_of_level_warning_warns_and_does_not_fail(whole: tuple[Desk, Done]) -> None:
    _, done = whole

    assert "GateWarning: largest confusion is" in done.text
    assert done.status("gate/largest_confusion-warning") == "failed"


def test_where_warnings_are_errors_a_warning_fails(desk: Desk) -> None:
    done = desk.judge(*GATES, "-W", "error")

    assert (done.code, done.run.verdict.word) == (1, "no_verdict")
    assert "1 failed" in done.text


# what cannot be judged


def test_a_model_that_does_not_load_is_one_line_exit_code_4_and_touches_nothing(desk: Desk) -> None:
    desk.write("broken.keras", "no model")
    desk.out.mkdir()
    (desk.out / "run.json").write_text("earlier")

    done = desk.judge(model=desk.folder / "broken.keras")

    assert done.code == 4
    (line,) = (line for line in done.text.splitlines() if "broken.keras" in line)
    assert line.startswith("ERROR: ")
    assert "it is no .keras file" in line
    assert "Traceback" not in done.text
    assert [(path.name, path.read_text()) for path in desk.out.iterdir()] == [("run.json", "earlier")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--harness-model", "missing.keras"], "missing.keras is not a file"),
        (["--harness-policy", "missing.toml"], "missing.toml is not a file"),
        (["--harness-policy", "test_own.py"], "test_own.py:1: is not TOML"),
        (["--harness-data", "missing.npz"], "missing.npz"),
        (["--harness-seed", "one"], "invalid int value: 'one'"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_4(options: list[str], words: str, desk: Desk) -> None:
    done = desk.judge(*options)

    assert (done.code, desk.out.exists()) == (4, False)
    assert words in done.text
    assert "Traceback" not in done.text


def test_preprocessing_that_does_not_import_is_exit_code_4(desk: Desk) -> None:
    done = desk.judge("--harness-preprocess", "no_such_module")

    assert (done.code, desk.out.exists()) == (4, False)
    assert "the preprocessing cannot be used" in done.text


def test_an_output_folder_that_cannot_be_is_exit_code_4(desk: Desk) -> None:
    desk.write("out", "a file")

    done = desk.judge(*GATES)

    assert done.code == 4
    assert "Traceback" not in done.text


def test_an_interruption_leaves_no_verdict(desk: Desk) -> None:
    desk.write("conftest.py", "def pytest_runtest_call(item):\n    raise KeyboardInterrupt\n")
    desk.out.mkdir()
    for name in OUTPUTS:
        (desk.out / name).write_text("earlier")

    done = desk.judge(*GATES)

    assert (done.code, [name for name in OUTPUTS if (desk.out / name).exists()]) == (2, [])


# beside other plugins and settings

DEMANDING = """
import pytest
import harness.run.measure as stage

measured, running = stage.measure, []

def pytest_collection_modifyitems(items):
    for item in items:  # as reporters and sorters do
        item.function.__name__, item.obj, item.fixturenames, item.cls, item.module, item.originalname

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):  # as what limits the time of a test does
    running.append(item)
    yield
    running.clear()

def measure(*given):
    assert not running, "the sweep is a part of a gate's time"
    return measured(*given)

stage.measure = measure
"""


@pytest.fixture(scope="module")
def demanding(
    tmp_path_factory: pytest.TempPathFactory, reference_model: Path, digits_file: Path, fork_server: Path
) -> Done:
    """Among plugins that take every item for a function, with other names for tests and all docstrings collected."""
    desk = Desk(tmp_path_factory.mktemp("demanding"), reference_model, digits_file)
    desk.write("conftest.py", DEMANDING)
    return desk.judge("-k", "accuracy or float32 or takes_one", "--doctest-modules", "-o", "python_functions=check_*")


def test_checks_are_collected_whatever_the_users_tests_are_called(demanding: Done) -> None:
    assert demanding.status("check/test_normalization.py::test_pixels_are_float32") == "passed", demanding.text


def test_gates_have_what_plugins_expect_of_a_test_and_the_sweep_is_no_part_of_their_time(demanding: Done) -> None:
    assert demanding.status("gate/accuracy") == "passed", demanding.text


def test_what_was_deselected_is_counted_beside_the_verdict(demanding: Done) -> None:
    (line,) = [line for line in demanding.text.splitlines() if "deselected (" in line]

    assert line.endswith(
        "of the harness were deselected (-k, -m, --lf, pytest-split): run all in one session for a verdict"
    )


def test_sockets_switched_off_for_each_test_keep_no_baseline_from_being_measured(desk: Desk) -> None:
    done = desk.judge(*GATES, "--disable-socket", "--harness-baseline", str(desk.model))

    assert done.status("gate/accuracy") == "passed", done.text
    assert done.run.baseline


CALLS = {"the candidate": "disable_socket()", "a baseline": "def pytest_sessionstart():\n    disable_socket()"}


@pytest.mark.parametrize("call", CALLS)
def test_sockets_switched_off_for_the_whole_session_are_named(call: str, desk: Desk) -> None:
    desk.write("conftest.py", f"from pytest_socket import disable_socket\n\n{CALLS[call]}\n")
    done = desk.judge(*GATES, "--harness-baseline", str(desk.model))

    assert (done.code, (desk.out / "run.json").exists()) == (4, False)
    assert "INTERNALERROR" not in done.text
    assert "with pytest-socket: --allow-unix-socket, or disable_socket(allow_unix_socket=True)" in done.text


def test_sockets_of_the_network_alone_may_be_switched_off(desk: Desk) -> None:
    desk.write("conftest.py", "from pytest_socket import disable_socket\n\ndisable_socket(allow_unix_socket=True)\n")
    done = desk.judge(*GATES, "--harness-baseline", str(desk.model))

    assert done.status("gate/accuracy") == "passed", done.text


def test_no_verdict_is_a_failure_where_that_is_asked_for(desk: Desk) -> None:
    done = desk.judge("-k", "recall", "--harness-no-verdict-is-failure")

    assert (done.code, done.run.verdict.word) == (1, "no_verdict")


def test_without_asserts_nothing_is_judged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")

    done = desk.judge("--assert=plain", *GATES)

    assert (done.code, desk.out.exists()) == (4, False)
    assert "python -O with --assert=plain leaves no assert in the checks; leave out one of them" in done.text


def test_optimised_python_keeps_the_asserts_of_the_checks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    desk.write(
        "steps.py",
        "from harness.references.preprocessing import one_hot\ndef normalize(x): return (x / 256).astype('f4')\n",
    )

    done = desk.judge("-k", "paper", "--harness-preprocess", "steps")

    assert done.status("check/test_normalization.py::test_paper_is_0_and_ink_is_1") == "failed"


EXCUSED = """
[[check]]
id = "check/test_normalization.py::test_pixels_are_float32"
level = "warning"
because = "the serving code casts"

[[waiver]]
finding = "gate/accuracy"
until = 9999-12-31
by = "Ada"
because = "the new hall opens first"
"""


def test_exceptions_of_the_policy_and_what_a_module_leaves_out_are_no_passes(desk: Desk) -> None:
    desk.write("p.toml", POLICY.format(accuracy=0.995) + EXCUSED)
    desk.write("steps.py", "def normalize(images):\n    return images / 255\n")

    done = desk.judge(
        "-k", "accuracy or recall or largest or float32 or a_single_1", "-rs", "--harness-preprocess", "steps"
    )
    assert done.out.exists(), done.text
    gate = next(one for one in done.run.findings if one.id == "gate/accuracy")
    check = next(one for one in done.run.findings if one.id.endswith("test_pixels_are_float32"))

    assert (gate.status, gate.waived, check.status, check.level) == ("failed", True, "failed", "warning")
    assert "failed, waived until 9999-12-31" in done.text
    assert "the preprocessing encodes no labels" in done.text
    assert not [one.id for one in done.run.findings if "one_hot" in one.id]
    assert (done.code, done.run.verdict.word) == (5, "no_verdict")  # the other checks were left out by -k
