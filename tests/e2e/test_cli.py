"""The command line: exit codes, one line for what is not ours to mend, and evidence that is enough by itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.candidate.parent.subject import Subject
from harness.cli import COMMANDS, main
from harness.evidence import storage
from harness.files import file_hash, packed, shipped_folder, shipped_policies, unpacked
from harness.judging import verdict
from harness.outputs import run_json
from harness.run.finished_run import FinishedRun, remove_outputs, write
from harness.run.form_files import FILES
from tests.support import samples

LENIENT = (
    'format = 1\nname = "lenient"\n\n[[gate]]\nmetric = "accuracy"\nat_least = 0.5\nbecause = "better than a coin"\n'
)
STRICT = LENIENT.replace("0.5", "0.99").replace("lenient", "strict")
ELSEWHERE = LENIENT + 'corruption = "fog"\nseverity = 3\n'
BEYOND = LENIENT.replace("0.5", "0.9999")
OUTPUTS = ("run.json", "junit.xml", "report.html", "session.json")
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the output folder of an allowed run; made without Keras."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run, found = samples.allowed()
    samples.keep_evidence(out, found)
    write(FinishedRun(run, found, samples.SESSION), out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "p.toml").write_text(text)
        return str(tmp_path / "p.toml")

    return write


def child(code: str, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, as a user's shell starts one; ``code`` may spoil the program before it starts."""
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    script = f"import sys\n{code}\nfrom harness.cli import entry\nentry()"
    command = [sys.executable, "-P", "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**plain, **env}, timeout=120)


def kept(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def again(out: Path) -> Path:
    """The folder of the only decision by another policy."""
    (folder,) = out.glob("again-*")
    return folder


# help


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["policy", "check"], []])
def test_every_command_explains_itself(words: list[str], capsys: Said) -> None:
    assert main([*words, "--help"]) == 0

    said = capsys.readouterr().out
    assert said.startswith(" ".join(["Usage: harness", *words]))
    assert "--help" in said


def test_the_help_lists_every_command_and_every_exit_code(capsys: Said) -> None:
    main(["--help"])

    said = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == []
    assert [code for code in range(6) if f" {code} " not in " ".join(said.split())] == []


def test_the_version_is_that_of_the_package(capsys: Said) -> None:
    from harness import __version__

    main(["--version"])
    said = capsys.readouterr().out
    main(["version"])

    assert __version__ in said
    assert capsys.readouterr().out == said


# starting


def imported(*arguments: str | Path) -> set[str]:
    """The packages that a command has imported when it ends."""
    code = "import atexit\natexit.register(lambda: print('IMPORTED', *sys.modules, file=sys.stderr))"
    done = child(code, *arguments)
    assert done.returncode in (0, 5), done.stderr
    return set(done.stderr.rpartition("IMPORTED")[2].split())


def test_help_starts_without_anything_heavy() -> None:
    heavy = {"numpy", "scipy", "sklearn", "pydantic", "pytest", "hypothesis", "jinja2", "keras", "tensorflow", "rich"}

    assert imported("--help") & heavy == set()


def test_gate_needs_no_model_no_data_and_no_tensorflow(out: Path, written: Callable[[str], str]) -> None:
    modules = imported("gate", out, "--policy", written(LENIENT))

    assert modules & {"keras", "tensorflow", "hypothesis", "pytest", "sklearn", "mlxtend", "h5py"} == set()


def test_report_needs_no_model_no_data_and_no_tensorflow(out: Path) -> None:
    modules = imported("report", out)

    assert modules & {"keras", "tensorflow", "hypothesis", "pytest", "sklearn", "mlxtend", "h5py"} == set()


# gate


def test_another_policy_gets_a_folder_of_its_own_and_the_first_decision_stays(
    out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    before = kept(out)

    assert main(["gate", str(out), "--policy", written(LENIENT)]) == 0

    run = run_json.load(again(out) / "run.json")
    assert (run.policy.name, run.verdict.word) == ("lenient", "allowed")
    assert again(out).name == f"again-{run.policy.sha256[:8]}"
    assert ET.parse(again(out) / "junit.xml").getroot()[0].attrib["name"] == "lenient"
    assert kept(again(out)).keys() == before.keys() == kept(out).keys()
    assert kept(out) == before
    assert f"report: {again(out)}/report.html" in capsys.readouterr().out


def test_without_a_policy_the_run_is_judged_again_by_its_own(
    out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    main(["gate", str(out), "--policy", written(LENIENT)])
    Path(written("")).unlink()
    before = run_json.load(again(out) / "run.json")
    capsys.readouterr()

    assert main(["gate", str(again(out))]) == 0

    after = run_json.load(again(out) / "run.json")
    assert replace(after, command=before.command) == before
    assert f"repeat: harness gate {again(out)}\n" in capsys.readouterr().out


def test_what_was_made_of_a_decision_goes_with_it(out: Path, written: Callable[[str], str]) -> None:
    main(["gate", str(out), "--policy", written(LENIENT)])
    for form, name in FILES.items():
        main(["report", str(again(out)), "--as", form])
        assert (again(out) / name).is_file()

    main(["gate", str(again(out))])
    assert set(kept(again(out))) == set(OUTPUTS)

    for form in FILES:
        main(["report", str(again(out)), "--as", form])
    for folder in (out, again(out)):
        remove_outputs(folder)
    assert (kept(out), kept(again(out))) == ({}, {})


def test_a_gate_that_was_dropped_from_the_record_is_noticed(out: Path, capsys: Said) -> None:
    run = run_json.load(out / "run.json")
    dropped = next(one for one in run.findings if one.gate is not None)
    left = tuple(one for one in run.findings if one is not dropped)
    (out / "run.json").write_bytes(run_json.dump(replace(run, findings=left, verdict=verdict.of(left, run.suspects))))

    code = main(["report", str(out)])

    assert code == 4
    assert f"other gates than its policy, such as {dropped.gate.id};" in capsys.readouterr().err  # type: ignore[union-attr]


def test_another_folder_takes_the_second_decision_and_the_first_stays(
    out: Path, written: Callable[[str], str], tmp_path: Path
) -> None:
    before, new = kept(out), tmp_path / "new"

    assert main(["gate", str(out), "--policy", written(STRICT), "--out", str(new)]) == 1

    assert kept(out) == before
    assert run_json.load(new / "run.json").policy.name == "strict"
    assert main(["report", str(new)]) == 0


def test_a_decision_is_never_written_over_that_of_another_policy(
    out: Path, written: Callable[[str], str], tmp_path: Path, capsys: Said
) -> None:
    new = tmp_path / "new"
    main(["gate", str(out), "--policy", written(STRICT), "--out", str(new)])
    before = kept(new)

    codes = [main(["gate", str(out), "--policy", written(LENIENT), "--out", str(there)]) for there in (new, out)]

    assert codes == [4, 4]
    assert "holds the record of another decision; choose another --out" in capsys.readouterr().err
    assert kept(new) == before


def test_what_the_checks_found_is_kept(out: Path, written: Callable[[str], str]) -> None:
    before = run_json.load(out / "run.json").findings

    main(["gate", str(out), "--policy", written(LENIENT)])

    after = run_json.load(again(out) / "run.json").findings
    kinds = [tuple(finding for finding in found if finding.kind == "check") for found in (before, after)]
    assert kinds[0] == kinds[1] != ()
    assert [finding.id for finding in after if finding.kind == "gate"] == ["gate/accuracy"]


def test_a_stricter_policy_blocks_with_exit_code_1(out: Path, written: Callable[[str], str], capsys: Said) -> None:
    assert main(["gate", str(out), "--policy", written(STRICT)]) == 1

    said = capsys.readouterr().out
    assert said.startswith("✕ Blocked\n")
    assert "must be at least 99.00 %" in said


def test_a_failed_check_stays_failed_under_the_most_lenient_policy(out: Path, written: Callable[[str], str]) -> None:
    run, found = samples.blocked()
    write(FinishedRun(run, found, samples.SESSION), out)

    assert main(["gate", str(out), "--policy", written(LENIENT)]) == 1


def test_a_gate_on_what_was_not_measured_is_no_verdict(out: Path, written: Callable[[str], str], capsys: Said) -> None:
    assert main(["gate", str(out), "--policy", written(ELSEWHERE)]) == 5

    (gate,) = [finding for finding in run_json.load(again(out) / "run.json").findings if finding.kind == "gate"]
    assert gate.status == "not_evaluated"
    assert "the evidence holds no answers under fog@3" in capsys.readouterr().out


def test_the_same_policy_twice_leaves_the_same_bytes(out: Path, written: Callable[[str], str]) -> None:
    path = written(LENIENT)

    main(["gate", str(out), "--policy", path])
    first = kept(again(out))
    main(["gate", str(out), "--policy", path])

    assert kept(again(out)) == first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LENIENT.replace("0.5", "50"), "p.toml:6: at_least = 50 is out of range"),
        (BEYOND, "p.toml:4: accuracy at least 99.99 % cannot be shown with 1,000 images"),
        ("", "p.toml:1: is empty"),
    ],
)
def test_a_policy_that_cannot_be_used_is_exit_code_4_and_touches_nothing(
    text: str, words: str, out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    before = kept(out)

    assert main(["gate", str(out), "--policy", written(text)]) == 4

    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert kept(out) == before


# damage


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _trial(out: Path) -> Path:
    return sorted((out / "evidence").glob("trial-*"))[3]


def _manifest(out: Path, **changes: Any) -> None:
    path = out / "evidence" / storage.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _another_answer(out: Path) -> None:
    """Change one clean answer, and mend the manifest."""
    manifest = json.loads((out / "evidence" / storage.MANIFEST).read_text())
    (clean,) = [entry for entry in manifest["trials"] if entry["corruption"] == "clean"]
    path = out / "evidence" / clean["file"]
    arrays = unpacked(path.read_bytes())
    arrays["answers"][0] = (arrays["answers"][0] + 1) % 10
    path.write_bytes(packed(arrays))
    clean["sha256"] = file_hash(path)
    _manifest(out, trials=manifest["trials"])


def _other_run(out: Path) -> None:
    content = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**content, "seed": 77}))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no folder": lambda out: shutil.rmtree(out),
    "no record": lambda out: (out / "run.json").unlink(),
    "no evidence": lambda out: shutil.rmtree(out / "evidence"),
    "no manifest": lambda out: (out / "evidence" / storage.MANIFEST).unlink(),
    "no digits": lambda out: (out / "evidence" / "digits.npz").unlink(),
    "no trial": lambda out: _trial(out).unlink(),
    "half a record": lambda out: (out / "run.json").write_bytes((out / "run.json").read_bytes()[:5000]),
    "half a manifest": lambda out: (out / "evidence" / storage.MANIFEST).write_text("{"),
    "half a trial": lambda out: _trial(out).write_bytes(_trial(out).read_bytes()[:100]),
    "a bit of a trial": lambda out: _flip(_trial(out)),
    "a bit of the digits": lambda out: _flip(out / "evidence" / "digits.npz"),
    "another format": lambda out: _manifest(out, format=99),
    "no trials listed": lambda out: _manifest(out, trials="none"),
    "the record of another run": _other_run,
    "another clean answer": _another_answer,
    "a list for a manifest": lambda out: (out / "evidence" / storage.MANIFEST).write_text("[]"),
}


@pytest.mark.parametrize("command", ["gate", "report"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line_and_exit_code_4(
    damage: str, command: str, out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    policy = ["--policy", written(LENIENT)] if command == "gate" else []
    DAMAGE[damage](out)

    assert main([command, str(out), *policy]) == 4

    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert re.fullmatch(r"harness: .*run harness run.*", said.err.strip())


# report


def test_a_report_is_written_again_as_it_was(out: Path, capsys: Said) -> None:
    before = kept(out)
    (out / "report.html").unlink()

    assert main(["report", str(out)]) == 0

    assert kept(out) == before
    assert capsys.readouterr().out.strip().endswith("report.html")


def test_a_report_needs_no_session(out: Path) -> None:
    (out / "session.json").unlink()

    assert main(["report", str(out)]) == 0


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_of_a_run_stands_for_its_folder(name: str, out: Path, capsys: Said) -> None:
    assert main(["report", str(out / name)]) == 0
    assert capsys.readouterr().out.strip() == f"{out}/report.html"


def test_a_report_goes_where_it_is_asked_for_and_the_first_stays(out: Path, tmp_path: Path) -> None:
    before = kept(out)

    assert main(["report", str(out), "--to", str(tmp_path / "new" / "x.html")]) == 0

    assert (tmp_path / "new" / "x.html").read_bytes() == before["report.html"]
    assert kept(out) == before


@pytest.mark.parametrize(
    ("words", "file", "begins"),
    [
        ("--as markdown", "report.md", "### "), ("--as badge", "badge.svg", "<svg "), ("--as bom", "bom.json", "{"),
        ("--as card", "card.md", "---\n{"), ("--as openmetrics", "metrics.txt", "# TYPE "),
        ("--as badge --to out/b.json", "b.json", '{"schemaVersion": 1'),
    ],
)  # fmt: skip
def test_every_form_has_its_file(
    words: str, file: str, begins: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out.parent)

    assert main(["report", "out", *words.split()]) == 0

    assert (out / file).read_text("utf-8").startswith(begins)


# compare


def test_a_comparison_begins_with_what_changed(out: Path, capsys: Said) -> None:
    assert main(["compare", str(out), str(out)]) == 0

    first = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"0 newly wrong, 0 newly right; accuracy \+0\.00 pp, -\d.* to \+\d.* pp", first)


# what is printed


def test_as_json_it_is_json_and_nothing_else(out: Path, written: Callable[[str], str], capsys: Said) -> None:
    code = main(["gate", str(out), "--policy", written(STRICT), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["exit_code"], code) == ("blocked", 1, 1)
    assert [found["status"] for found in told["not_passed"]] == ["failed"]
    assert told["counts"]["failed"] == 1


def test_quietly_it_is_one_line(out: Path, written: Callable[[str], str], capsys: Said) -> None:
    main(["gate", str(out), "--policy", written(STRICT), "-q"])

    assert capsys.readouterr().out == "✕ Blocked\n"


def test_it_says_verdict_reason_advice_report_and_the_command_that_repeats_it(
    out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    policy = written(STRICT)
    main(["gate", str(out), "--policy", policy])

    said, verdict = capsys.readouterr().out, run_json.load(again(out) / "run.json").verdict

    wanted = (
        verdict.sentence,
        verdict.advice,
        f"report: {again(out)}/report.html",
        f"repeat: harness gate {out} --policy {policy}",
    )
    assert [words for words in wanted if words not in said] == []


def test_colour_is_for_those_who_want_it(out: Path, written: Callable[[str], str]) -> None:
    policy = written(STRICT)

    asked = child("", "gate", out, "--policy", policy, FORCE_COLOR="1", TERM="xterm")
    refused = child("", "gate", out, "--policy", policy, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")
    piped = child("", "gate", out, "--policy", policy, TERM="xterm")

    assert "\x1b[1;31m" in asked.stdout
    assert not re.search(r"\x1b\[[\d;]*3\dm", refused.stdout)
    assert "\x1b" not in piped.stdout


def test_a_terminal_without_the_signs_gets_the_verdict_all_the_same(out: Path, written: Callable[[str], str]) -> None:
    done = child("", "gate", out, "--policy", written(LENIENT), PYTHONIOENCODING="ascii")

    assert (done.returncode, "Release allowed" in done.stdout) == (0, True)


# usage


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["run"],
        ["run", "a.keras", "--seed", "one"],
        ["report"],
        ["train", "--arch", "transformer"],
        ["train", "--epochs", "0"],
        ["policy", "check"],
        ["policy", "no-such-command"],
    ],
)
def test_wrong_usage_is_exit_code_4(words: list[str], capsys: Said) -> None:
    assert main(words) == 4

    assert "Error: " in capsys.readouterr().err


def test_without_a_command_it_explains_itself_and_is_no_success(capsys: Said) -> None:
    assert main([]) == 4

    said = capsys.readouterr()
    assert "Usage: harness" in said.out + said.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "missing.keras"], "missing.keras is not a file"),
        (["run", "model.pt"], "model.pt is not a file"),
        (["run", "hf://a/b.keras"], "is an address, not a file"),
        (["run", "missing.keras", "--policy", "missing.toml"], "missing.toml is not a file"),
        (["run", "missing.keras", "--out", __file__], "is a file; --out names a folder"),
        (["policy", "check", "missing.toml"], "missing.toml is not a file"),
        (["train", "--data", "missing.npz"], "missing.npz"),
        (["corruptions", "--sheet", "/proc/sheet.png"], "/proc"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_4(words: list[str], reason: str, capsys: Said) -> None:
    assert main(words) == 4

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harness: ")
    assert reason in line


# faults of our own


@pytest.mark.parametrize(
    "fault",
    [
        "import harness.judging.gates\nharness.judging.gates.judge_all = None",
        "import harness.report\nharness.report.render = None",
        "import harness.outputs.junit\nharness.outputs.junit.render = None",
        "import harness.outputs.run_json\nharness.outputs.run_json.dump_session = None",
    ],
)
def test_a_fault_of_our_own_is_exit_code_3_with_a_traceback_and_changes_nothing(
    fault: str, out: Path, written: Callable[[str], str]
) -> None:
    before = kept(out)

    done = child(fault, "gate", out, "--policy", written(STRICT))

    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("harness: this is a fault of the harness")
    assert kept(out) == before


def test_an_interruption_is_exit_code_2_and_one_line(out: Path, written: Callable[[str], str]) -> None:
    fault = (
        "import harness.judging.gates\ndef stop(*_): raise KeyboardInterrupt\nharness.judging.gates.judge_all = stop"
    )

    done = child(fault, "gate", out, "--policy", written(STRICT))

    assert (done.returncode, done.stderr.strip()) == (2, "harness: interrupted; nothing was decided")


def test_a_reader_who_goes_away_is_no_traceback_and_no_verdict() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()", "corruptions", "--json"]

    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# the small commands


def test_a_policy_is_explained_gate_by_gate(capsys: Said) -> None:
    assert main(["policy", "check", str(shipped_folder("suites") / "release.toml")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("release.toml:")
    assert "accuracy ≥" in lines[0]
    assert "sets of images to predict" in lines[-2]


def test_a_policy_is_explained_as_json(capsys: Said) -> None:
    main(["policy", "check", str(shipped_folder("suites") / "embedded.toml"), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert told[0].keys() == {"id", "what", "required", "level", "line"}


def test_every_mistake_of_a_policy_is_a_line(written: Callable[[str], str], capsys: Said) -> None:
    path = written(LENIENT.replace("accuracy", "acuracy") + 'sevrity = 3\n[[gate]]\nmetric = "auc"\n')

    assert main(["policy", "check", path]) == 4

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"{path}:{line}" for line in (8, 5, 5, 9, 10)]


def test_a_policy_is_held_against_the_data_it_is_for(capsys: Said) -> None:
    suites = shipped_folder("suites")

    codes = [
        main(["policy", "check", str(suites / n), "--data", "embedded"]) for n in ("embedded.toml", "release.toml")
    ]

    assert codes == [0, 4]
    assert "cannot be shown with" in capsys.readouterr().err


def test_the_doctor_says_versions_and_digits(capsys: Said) -> None:
    assert main(["doctor"]) == 0

    said = capsys.readouterr().out
    assert [name for name in ("keras", "numpy", "python", "machine", "digits from") if name not in said] == []
    assert said.splitlines()[-1] == "ready"
    assert "harness run   takes --data " in said


def test_the_doctor_says_it_as_json(capsys: Said) -> None:
    assert main(["doctor", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"versions", "machine", "digits", "run", "sandbox", "lacks", "broken"}
    available = [source["origin"] for source in told["digits"] if source["available"]]
    assert (told["run"]["data"], told["run"]["policy"] in shipped_policies()) == (available[0], True)


@pytest.mark.parametrize(("given", "warned"), [({}, True), ({"GITHUB_STEP_SUMMARY": "s.md"}, False)])
def test_the_doctor_says_that_a_job_lacks_its_summary(
    given: dict[str, str], warned: bool, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    for name, value in {"CI": "true", "GITHUB_ACTIONS": "true", **given}.items():
        monkeypatch.setenv(name, value)

    assert main(["doctor"]) == 0

    assert ("the job has no GITHUB_STEP_SUMMARY" in capsys.readouterr().out) == warned


def test_the_doctor_says_what_keeps_a_candidate_in(capsys: Said, reference_model: Path, fork_server: Path) -> None:
    """Compare the layers found without starting a process with those that a candidate reports."""
    main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)["sandbox"]
    with Subject.start(reference_model) as subject:
        active = subject.sandbox()

    assert told == {"layers": list(active.layers), "open": list(active.open)}
    assert "limits" in active.layers


def test_the_corruptions_are_listed_with_their_sources(capsys: Said) -> None:
    assert main(["corruptions"]) == 0

    assert "gaussian_noise" in capsys.readouterr().out


def test_the_corruptions_are_listed_as_json(capsys: Said) -> None:
    main(["corruptions", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert {"shift", "rotation"} <= set(told["spaces"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_completion_script(shell: str) -> None:
    done = child("", _HARNESS_COMPLETE=f"{shell}_source")

    assert done.returncode == 0
    assert "_HARNESS_COMPLETE" in done.stdout


def test_a_command_is_completed() -> None:
    done = child("", _HARNESS_COMPLETE="bash_complete", COMP_WORDS="harness ga", COMP_CWORD="1")

    assert done.stdout == "plain,gate\n"


WAIVED = STRICT + (
    '\n[[waiver]]\nfinding = "gate/accuracy"\nuntil = 9999-12-31\nby = "Ada"\nbecause = "the new hall opens first"\n'
)


def test_a_waived_failure_is_allowed_with_warnings_and_said_so_everywhere(
    out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    code = main(["gate", str(out), "--policy", written(WAIVED)])
    said = capsys.readouterr().out
    run = run_json.load(again(out) / "run.json")
    (gate,) = [one for one in run.findings if one.id == "gate/accuracy"]

    assert (code, run.verdict.word, gate.status, gate.waived) == (0, "allowed_with_warnings", "failed", True)
    assert "by Ada, because the new hall opens first (p.toml:9)" in said
    assert "failed, waived" in said
    assert "by Ada, because the new hall opens first" in (again(out) / "report.html").read_text()
    assert main(["gate", str(out), "--policy", written(STRICT)]) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (WAIVED.replace("9999", "2020"), "p.toml:9: the waiver of gate/accuracy ended on 2020-12-31; mend the cause"),
        (WAIVED.replace("0.99", "0.5"), "p.toml:9: the waiver of gate/accuracy matches nothing that did not pass"),
        (WAIVED.replace("gate/acc", "gate/Acc"), "p.toml:10: finding = 'gate/Accuracy' is no finding of this policy"),
        (f'{LENIENT}[preprocessing]\nkind = "raw"\n', "p.toml:9: the run in {} was fed otherwise; judge the model"),
    ],
)
def test_exceptions_that_do_not_hold_are_one_line_and_leave_the_outputs_alone(
    text: str, line: str, out: Path, written: Callable[[str], str], capsys: Said
) -> None:
    before = (out / "run.json").read_bytes()

    code = main(["gate", str(out), "--policy", written(text)])
    said = capsys.readouterr().err.splitlines()

    assert (code, len(said)) == (4, 1)
    assert line.format(out) in said[0]
    assert (out / "run.json").read_bytes() == before


def test_policy_check_shows_what_is_lowered_waived_and_fed(written: Callable[[str], str], capsys: Said) -> None:
    lowered = '\n[[check]]\nid = "check/test_contract.py::test_the_model_is_sequential"\nlevel = "warning"\n'
    text = WAIVED + lowered + 'because = "a plain chain"\n\n[preprocessing]\nkind = "inverted"\n'

    assert main(["policy", "check", written(text)]) == 0
    said = capsys.readouterr().out
    assert "p.toml:9: gate/accuracy is waived until 9999-12-31 by Ada, because the new hall opens first" in said
    assert "test_the_model_is_sequential only warns, because a plain chain" in said
    assert "the candidate is fed with inverted" in said


def test_policy_check_refuses_a_waiver_that_has_ended(written: Callable[[str], str], capsys: Said) -> None:
    assert main(["policy", "check", written(WAIVED.replace("9999", "2020"))]) == 4


def test_a_kind_that_is_also_a_file_is_the_kind_and_the_way_to_the_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("raw.py").write_text("")

    assert main(["run", "missing.keras", "--data", "embedded", "--preprocess", "raw"]) == 4
    assert capsys.readouterr().err.startswith(
        "harness: --preprocess raw is the kind; the module of that name is ./raw\n"
    )
