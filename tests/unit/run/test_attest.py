"""A signed verdict: what is changed afterwards, by whomever, is noticed; what is not, verifies."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from harness.cli import main
from harness.evidence.storage import Store, read
from harness.outputs import attestation, run_json
from harness.outputs.statement import PREDICATE, STATEMENT, dump, statement
from harness.records import CLEAN, Evidence
from harness.run.finished_run import FinishedRun, write
from tests.support import samples

Said = pytest.CaptureFixture[str]
Change = Callable[[Path], None]
MODEL = b"the bytes of a model"
POLICY = """format = 1
name = "a rule"
[[gate]]
metric = "accuracy"
at_least = {}
because = "a reason"
[[gate]]
metric = "macro_f1"
at_least = 0.5
because = "another"
level = "warning"
"""


def keep(shown: Evidence, folder: Path) -> None:
    """Write evidence as a sweep does."""
    store = Store(folder, "a key")
    for trial, said in shown.answers.items():
        extra = {"probabilities": shown.probabilities} if trial == CLEAN else {}
        store.put(trial, {"answers": said, "specimen": shown.specimens[trial], **extra})
    samples.keep_trigger(store, shown)
    store.finish(shown)


def keys(folder: Path, name: str, private: Any, password: bytes = b"") -> None:
    """Write a pair of keys: NAME.key and NAME.pub."""
    kept = BestAvailableEncryption(password) if password else NoEncryption()
    folder.joinpath(f"{name}.key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    folder.joinpath(f"{name}.pub").write_bytes(public)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its finished run, the policy, keys and the attestation."""
    folder = tmp_path_factory.mktemp("attested")
    (folder / "model.keras").write_bytes(MODEL)
    run, shown = samples.allowed()
    model = replace(shown.model, name="model.keras", sha256=sha256(MODEL).hexdigest())
    run, shown = replace(run, model=model), replace(shown, model=model)
    keep(shown, folder / "first" / "evidence")
    write(FinishedRun(run, shown, samples.SESSION), folder / "first")
    for name, least, out in (("p.toml", 0.5, "out"), ("strict.toml", 0.99, "stopped")):
        (folder / name).write_text(POLICY.format(least))
        main(["gate", str(folder / "first"), "--policy", str(folder / name), "--out", str(folder / out), "-q"])
    keys(folder, "own", ec.generate_private_key(ec.SECP256R1()))
    keys(folder, "other", ec.generate_private_key(ec.SECP256R1()))
    assert main(["attest", str(folder / "out"), "--key", str(folder / "own.key"), "--url", "https://ci/1"]) == 0
    return folder


@pytest.fixture
def attested(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("first", "stopped"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


BUNDLE = f"out/{attestation.NAME}"
VERIFY = ["verify", "model.keras", "--attestation", BUNDLE, "--key", "own.pub", "--run", "out"]


def test_what_was_not_changed_verifies(attested: Path, capsys: Said) -> None:
    assert main([*VERIFY, "--policy", "p.toml"]) == 0

    assert "2 gates replayed, 12 checks as attested, not replayed" in capsys.readouterr().out


def test_a_verdict_that_is_not_allowed_verifies_with_its_own_exit_code(
    made: Path, attested: Path, capsys: Said
) -> None:
    shutil.copytree(made / "stopped", "stopped")
    main(["attest", "stopped", "--key", "own.key"])
    bundle = f"stopped/{attestation.NAME}"

    code = main(["verify", "model.keras", "--attestation", bundle, "--key", "own.pub", "--run", "stopped"])

    assert code == 1
    assert capsys.readouterr().out.splitlines()[1] == "✕ Blocked: model.keras"


def test_signature_and_file_verify_without_the_run(attested: Path, capsys: Said) -> None:
    shutil.move(BUNDLE, "bundle.json")
    shutil.rmtree("out")

    assert main(["verify", "model.keras", "--attestation", "bundle.json", "--key", "own.pub"]) == 0
    assert "the decision was not replayed" in capsys.readouterr().out


def sealed(change: Callable[[dict[str, Any]], object]) -> Change:
    """Change the bundle as it lies there."""

    def changed(folder: Path) -> None:
        bundle = json.loads((folder / BUNDLE).read_text())
        change(bundle["dsseEnvelope"])
        (folder / BUNDLE).write_text(json.dumps(bundle))

    return changed


def stated(change: Callable[[dict[str, Any]], object], key: str = "") -> Change:
    """Change the statement, and sign it anew where a key is named."""

    def changed(folder: Path) -> None:
        bundle = json.loads((folder / BUNDLE).read_text())
        said = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        change(said)
        payload = json.dumps(said).encode()
        if key:
            (folder / BUNDLE).write_bytes(
                attestation.signed(payload, (folder / f"{key}.key").read_bytes(), "", f"{key}.key")
            )
            return
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        (folder / BUNDLE).write_text(json.dumps(bundle))

    return changed


def recorded(change: Callable[[dict[str, Any]], object], *, attested: bool = True) -> Change:
    """Change run.json; ``attested``: the holder of the key signs what is there."""

    def changed(folder: Path) -> None:
        path = folder / "out" / "run.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        if attested:
            manifest = sha256((folder / "out" / "evidence" / "manifest.json").read_bytes()).hexdigest()
            said = statement(run_json.load(path), sha256(path.read_bytes()).hexdigest(), manifest, "https://ci/1")
            (folder / BUNDLE).write_bytes(
                attestation.signed(dump(said), (folder / "own.key").read_bytes(), "", "own.key")
            )

    return changed


def better(content: dict[str, Any]) -> None:
    """Let a result look better than it is."""
    for row in (*content["measurements"], *(one["measurement"] for one in content["findings"] if one["measurement"])):
        if row["metric"] == "accuracy" and not row["scope"]["corruption"]:
            row["value"] += 0.001


def without_warning_gate(content: dict[str, Any]) -> None:
    content["findings"] = [one for one in content["findings"] if not one["id"].startswith("gate/macro_f1")]


def without_policy_gate(content: dict[str, Any]) -> None:
    """Drop a gate from record and policy alike."""
    without_warning_gate(content)
    (file,) = content["policy"]["files"]
    file["text"] = file["text"][: file["text"].rindex("[[gate]]")]
    file["sha256"] = content["policy"]["sha256"] = sha256(file["text"].encode()).hexdigest()


def another_answer(folder: Path) -> None:
    """Change one answer under a corruption, with the manifest, and sign what is there."""
    shown = read(folder / "out" / "evidence")
    trial = next(trial for trial in shown.answers if trial != CLEAN)
    said = shown.answers[trial].copy()
    said[0] = (said[0] + 1) % 10
    shutil.rmtree(folder / "out" / "evidence")
    predictions = replace(shown.predictions, answers={**shown.answers, trial: said})
    keep(replace(shown, predictions=predictions), folder / "out" / "evidence")
    digest = sha256((folder / "out" / "evidence" / "manifest.json").read_bytes()).hexdigest()
    stated(lambda one: one["predicate"]["digitReleaseHarness"]["evidence"]["digest"].update(sha256=digest), "own")(
        folder
    )


def a_file(name: str, content: bytes) -> Change:
    def changed(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return changed


def turned(folder: Path) -> None:
    """Turn one bit of the largest file of answers."""
    path = max((folder / "out" / "evidence").glob("*.npz"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


TAMPERED: dict[str, tuple[Change, str]] = {
    "statement": (stated(lambda one: one["predicate"].update(result="PASSED", passedTests=[])), "or changed since"),
    "subject": (stated(lambda one: one["subject"][0]["digest"].update(sha256="0" * 64)), "or changed since"),
    "another key signs": (stated(lambda one: None, "other"), "or changed since"),
    "payload type": (sealed(lambda one: one.update(payloadType="text/plain")), "no in-toto statement"),
    "no signature": (sealed(lambda one: one.update(signatures=[])), "no attestation"),
    "two signatures": (sealed(lambda one: one.update(signatures=one["signatures"] * 2)), "no attestation"),
    "signature of another payload": (sealed(lambda one: one["signatures"][0].update(sig="AAAA")), "or changed since"),
    "not JSON": (a_file(BUNDLE, b"{"), "no attestation"),
    "model": (a_file("model.keras", b"another model"), "is not the file that was judged"),
    "policy": (a_file("p.toml", POLICY.format(0.4).encode()), "was judged by another policy"),
    "a bit of the evidence": (turned, "is not the file that was written"),
    "manifest": (a_file("out/evidence/manifest.json", b"{}"), "is damaged"),
    "record": (recorded(better, attested=False), "is of another run"),
    "by the key's holder: a result": (recorded(better), "by the evidence"),
    "by the key's holder: a dropped gate": (recorded(without_warning_gate), "other gates than its policy"),
    "by the key's holder: a gate dropped with its rule": (recorded(without_policy_gate), "by another policy"),
    "by the key's holder: an answer": (another_answer, "by the evidence"),
    "by the key's holder: the verdict": (
        stated(lambda one: one["predicate"]["digitReleaseHarness"].update(verdict="no_verdict"), "own"),
        "its result is not that of its verdict",
    ),
    "by the key's holder: no digest": (
        stated(lambda one: one["predicate"]["digitReleaseHarness"].update(run="x"), "own"), "is of another run"
    ),
    "by the key's holder: another kind of verdict": (
        stated(lambda one: one["predicate"]["digitReleaseHarness"].update(verdict=[]), "own"), "states no verdict"
    ),
    "by the key's holder: no predicate": (stated(lambda one: one.update(predicate=[]), "own"), "states no verdict"),
    "by the key's holder: two subjects": (
        stated(lambda one: one.update(subject=one["subject"] * 2), "own"), "states no verdict"
    ),
    "by the key's holder: a list of tests": (
        stated(lambda one: one["predicate"].update(failedTests=["x"]), "own"), "states other than run.json"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_is_noticed_in_one_line(name: str, attested: Path, capsys: Said) -> None:
    change, words = TAMPERED[name]
    change(attested)

    code = main([*VERIFY, "--policy", "p.toml"])

    said = capsys.readouterr()
    assert (code, said.out, len(said.err.splitlines())) == (4, "", 1)
    assert words in said.err


def test_a_policy_that_names_code_is_given_to_attest_and_verify(
    made: Path, attested: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.syspath_prepend(attested)
    (attested / "mine_attested.py").write_text("def right(labels, predictions, _):\n    return labels == predictions\n")
    (attested / "own.toml").write_text(POLICY.format(0.5).replace('"accuracy"', '"mine_attested:right"'))
    main(["gate", str(made / "first"), "--policy", "own.toml", "--out", "out-own", "-q"])
    words = [
        "verify",
        "model.keras",
        "--attestation",
        f"out-own/{attestation.NAME}",
        "--key",
        "own.pub",
        "--run",
        "out-own",
    ]

    codes = [main(["attest", "out-own", "--key", "own.key", *more]) for more in ([], ["--policy", "own.toml"])]
    codes += [main([*words, *more]) for more in ([], ["--policy", "own.toml"])]

    assert codes == [4, 0, 4, 0]
    assert capsys.readouterr().err.count("mine_attested:right, which is not imported from a record; --policy FILE") == 2


def test_a_run_of_another_version_that_differs_is_named_with_the_version(attested: Path, capsys: Said) -> None:
    def older(content: dict[str, Any]) -> None:
        better(content)
        content["versions"]["harness"] = "0.0.7"

    recorded(older)(attested)

    assert main(VERIFY) == 4
    assert "it was made by version 0.0.7 of the harness" in capsys.readouterr().err


def test_nothing_is_signed_that_would_not_verify(attested: Path, capsys: Said) -> None:
    recorded(better, attested=False)(attested)
    before = (attested / BUNDLE).read_bytes()

    code = main(["attest", "out", "--key", "own.key"])

    assert (code, (attested / BUNDLE).read_bytes()) == (4, before)
    assert "judge it again: harness gate out" in capsys.readouterr().err


def test_the_statement_is_that_of_the_specification(attested: Path) -> None:
    main(["report", "out", "--as", "statement", "--to", "s.json"])
    main(["report", "out", "--as", "predicate", "--to", "p.json"])
    whole, predicate = (json.loads((attested / name).read_text()) for name in ("s.json", "p.json"))

    assert (whole["_type"], whole["predicateType"]) == (STATEMENT, PREDICATE)
    assert whole["subject"] == [{"name": "model.keras", "digest": {"sha256": sha256(MODEL).hexdigest()}}]
    assert whole["predicate"] == predicate
    assert predicate["result"] in {"PASSED", "WARNED", "FAILED"}
    digest = sha256((attested / "p.toml").read_bytes()).hexdigest()
    assert {"name": "p.toml", "digest": {"sha256": digest}} == {
        name: predicate["configuration"][0][name] for name in ("name", "digest")
    }


def test_a_key_with_a_password_and_one_of_ed25519_sign_too(attested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys(attested, "own", ed25519.Ed25519PrivateKey.generate(), b"secret")
    monkeypatch.setenv("HARNESS_KEY", (attested / "own.key").read_text())
    monkeypatch.setenv("HARNESS_KEY_PASSWORD", "secret")

    assert main(["attest", "out"]) == 0
    assert main(VERIFY) == 0


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("own.pub", "", "is no private key in PEM"),
        ("none.key", "", "No such file or directory; is the path right?"),
        ("own.key", "secret", "drop HARNESS_KEY_PASSWORD"),
        ("locked.key", "", "put its password into HARNESS_KEY_PASSWORD"),
        ("locked.key", "wrong", "its password is another"),
        ("rsa.key", "", "another kind than ECDSA P-256 and Ed25519"),
        ("curve.key", "", "another kind than ECDSA P-256 and Ed25519"),
        ("", "", "no key; give --key FILE"),
    ],
)
def test_a_key_that_cannot_sign_is_one_line(
    name: str, password: str, words: str, attested: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    keys(attested, "locked", ec.generate_private_key(ec.SECP256R1()), b"secret")
    keys(attested, "rsa", rsa.generate_private_key(65537, 2048))
    keys(attested, "curve", ec.generate_private_key(ec.SECP384R1()))
    monkeypatch.setenv("HARNESS_KEY_PASSWORD", password)
    before = (attested / BUNDLE).read_bytes()

    code = main(["attest", "out", *(["--key", name] if name else [])])

    (line,) = capsys.readouterr().err.splitlines()
    assert (code, (attested / BUNDLE).read_bytes()) == (4, before)
    assert words in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "p.toml"], "is no public key in PEM"),
        (["--key", "own.key"], "is no public key in PEM"),
        (["--attestation", "none.json"], "is the path right?"),
        (["--attestation", "out/run.json"], "no attestation"),
        (["--run", "nowhere"], "does not exist"),
    ],
)
def test_what_cannot_be_verified_is_one_line(options: list[str], words: str, attested: Path, capsys: Said) -> None:
    code = main([*VERIFY, *options])

    (line,) = capsys.readouterr().err.splitlines()
    assert code == 4
    assert words in line
