"""The last release: kept in one file, found by whatever names it, compared only where the images are the same."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main
from harness.corruptions import trial_at
from harness.errors import NotMeasurable, UsageError
from harness.evidence import baseline_file, last_release
from harness.evidence.storage import read as read_evidence
from harness.files import packed, unpacked
from harness.judging.gates import judge_all
from harness.judging.verdict import of
from harness.metrics import changes, evaluate
from harness.outputs.run_json import dump
from harness.records import CLEAN, LIGHT, Baseline, Evidence, Finding, Gate, Scope
from tests.support import samples

NOISE = trial_at("gaussian_noise", 3)
UNDER_NOISE = Scope(corruption="gaussian_noise", severity=3)
NO_WORSE = Gate("accuracy", "accuracy", "at_least", -0.05, "it may not slide", against="baseline")
UNDER_NOISE_TOO = replace(NO_WORSE, id="noise", scope=UNDER_NOISE)


def shown() -> Evidence:
    return samples.tiny()[1]


def compared(last: Baseline | None) -> Evidence:
    return replace(shown(), baseline=last)


def other(**changes: Any) -> Baseline:
    last = baseline_file.of(shown())
    facts = replace(last.facts, **changes)
    return samples.answering(last, facts=facts, seed=facts.seed)


def finding(found: Evidence, gate: Gate = NO_WORSE) -> Finding:
    return judge_all(evaluate(found, [gate]))[0]


def finished(folder: Path, found: Evidence | None = None) -> Path:
    """A folder as a run leaves it."""
    run, whole = samples.allowed() if found is None else (samples.allowed()[0], found)
    whole = samples.agreeing(whole)
    samples.keep_evidence(folder, whole)
    (folder / "run.json").write_bytes(dump(run))
    return folder


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("run"))


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    last = baseline_file.of(shown(), accepted_by="Ada", because="it held for a year")
    path = tmp_path / "baseline.npz"
    path.write_bytes(baseline_file.dump(last))

    found = baseline_file.read(path)

    theirs, ours = found.predictions, last.predictions
    assert (found.facts, theirs.drawn, theirs.seed) == (last.facts, ours.drawn, ours.seed)
    assert theirs.answers.keys() == ours.answers.keys()
    assert all(np.array_equal(theirs.answers[trial], ours.answers[trial]) for trial in ours.answers)
    assert theirs.probabilities.tobytes() == ours.probabilities.tobytes()


def test_equal_answers_in_any_order_give_equal_bytes() -> None:
    last = baseline_file.of(shown())
    turned = samples.answering(last, answers=dict(reversed(list(last.predictions.answers.items()))))

    assert baseline_file.dump(turned) == baseline_file.dump(last)


def test_evidence_keeps_its_baseline(tmp_path: Path) -> None:
    found = compared(other(accepted_by="Ada"))
    finished(tmp_path, found)

    assert baseline_file.dump(read_evidence(tmp_path / "evidence").baseline or other()) == baseline_file.dump(
        other(accepted_by="Ada")
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("facts"),
        lambda arrays: arrays.pop("answers"),
        lambda arrays: arrays.update(answers=arrays["answers"][1:]),
        lambda arrays: arrays.update(answers=arrays["answers"] + 90),
        lambda arrays: arrays.update(answers=arrays["answers"].astype(float)),
        lambda arrays: arrays.update(probabilities=arrays["probabilities"][:, :40]),
        lambda arrays: arrays.update(facts=np.frombuffer(b"{}", np.uint8)),
        lambda arrays: arrays.update(facts=np.frombuffer(b'{"format": 2}', np.uint8)),
        lambda arrays: arrays.update(facts=np.frombuffer(b"\xff[", np.uint8)),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(damage: Any, tmp_path: Path) -> None:
    arrays = unpacked(baseline_file.dump(other()))
    damage(arrays)
    (tmp_path / "b.npz").write_bytes(packed(arrays))

    with pytest.raises(UsageError, match="is no baseline") as caught:
        baseline_file.read(tmp_path / "b.npz")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("damage", ["packed wrongly", "encrypted", "nested", "endless"])
def test_a_file_that_cannot_be_unpacked_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    arrays = unpacked(baseline_file.dump(other()))
    facts = json.loads(arrays["facts"].tobytes())
    facts["trials"][""][0] = ["fog", [math.inf], ""]
    texts = {"nested": b"[" * 100_000, "endless": json.dumps(facts).encode()}
    arrays["facts"] = np.frombuffer(texts.get(damage, b"{}"), np.uint8)
    raw = bytearray(packed(arrays))
    if damage == "packed wrongly":
        raw[50:60] = b"\xff" * 10
    if damage == "encrypted":
        raw[6] |= 1
        raw[raw.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.npz").write_bytes(raw)

    with pytest.raises(UsageError, match="is no baseline") as caught:
        baseline_file.read(tmp_path / "b.npz")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("answers.npy", "w") as part:
        for _ in range((baseline_file.MOST_BYTES >> 20) + 1):
            part.write(bytes(1 << 20))
    (tmp_path / "bomb.npz").write_bytes(content.getvalue())

    with pytest.raises(UsageError, match="unpacks to over 256 MB"):
        baseline_file.read(tmp_path / "bomb.npz")


def test_a_release_is_found_by_its_folder_its_file_or_its_model(tmp_path: Path, accepted: Path) -> None:
    (tmp_path / "b.npz").write_bytes(baseline_file.dump(other(model="old.keras")))
    (tmp_path / "old.keras").write_bytes(b"")

    by_folder, by_file = last_release.find(accepted), last_release.find(tmp_path / "b.npz")

    assert isinstance(by_folder, Baseline)
    assert isinstance(by_file, Baseline)
    assert by_folder.facts.sha256 == samples.allowed()[1].model.sha256
    assert by_file.facts.model == "old.keras"
    assert last_release.find(tmp_path / "old.keras") == tmp_path / "old.keras"


def test_a_release_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the baseline .* does not exist"):
        last_release.find(tmp_path / "gone.keras")


def test_without_a_baseline_the_verdict_names_the_gate_that_needs_one() -> None:
    found = of([finding(compared(None), replace(NO_WORSE, metric="recall", scope=Scope(7)))])

    assert found.word == "no_verdict"
    assert "First: recall of 7 against the baseline needs a baseline; none was given." in found.sentence


def test_a_candidate_that_answers_as_its_baseline_is_no_worse() -> None:
    found = finding(compared(other()))

    assert found.status == "passed"
    assert found.measurement is not None
    assert (found.measurement.broken, found.measurement.fixed) == (0, 0)


@pytest.mark.parametrize(
    ("last", "gate", "why"),
    [
        (other(data_sha256="f" * 64), NO_WORSE, "the baseline answered other images (data ffffffffff, not "),
        (other(seed=7), UNDER_NOISE_TOO, "the baseline's corruptions were drawn with seed 7, not 1"),
        (
            samples.answering(other(), drawn={**other().predictions.drawn, NOISE: "another"}),
            UNDER_NOISE_TOO,
            "the baseline answered images that were corrupted otherwise; was it another version of the harness?",
        ),
        (
            samples.answering(other(), answers={CLEAN: shown().answers[CLEAN]}, drawn={}),
            UNDER_NOISE_TOO,
            "the baseline holds no answers under gaussian_noise@3",
        ),
    ],
    ids=["data", "seed", "version", "trial"],
)
def test_what_cannot_be_compared_is_not_evaluated_and_says_why(last: Baseline, gate: Gate, why: str) -> None:
    found = finding(compared(last), gate)

    assert found.status == "not_evaluated"
    assert why in found.reason


def test_clean_images_are_compared_whatever_the_seed() -> None:
    assert finding(compared(other(seed=7))).status == "passed"


def test_what_the_candidate_itself_lacks_is_not_blamed_on_the_baseline() -> None:
    silent = samples.answering(compared(other()), answers={CLEAN: shown().answers[CLEAN]})

    assert "the evidence holds no answers under gaussian_noise@3" in finding(silent, UNDER_NOISE_TOO).reason


def test_a_fall_beyond_the_margin_fails_and_says_how_many_images_broke() -> None:
    perfect = samples.answering(other(), answers=dict.fromkeys(shown().answers, shown().labels.astype(np.int8)))
    worse = samples.answering(compared(perfect), answers=dict.fromkeys(shown().answers, np.full(60, 3, np.int8)))

    found = finding(worse)

    assert found.status == "failed"
    assert "must be at least -5.00 pp" in found.reason
    assert "newly wrong, 0 newly right)" in found.reason
    assert (found.margin or 0.0) < -0.5


def test_a_metric_that_is_not_compared_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="largest_confusion is not compared"):
        changes.difference(compared(other()), "largest_confusion", Scope())


def test_no_difference_without_images_of_the_digit() -> None:
    none = replace(compared(other()), labels=np.zeros(60, np.uint8))

    with pytest.raises(NotMeasurable, match="no images of digit 3"):
        changes.difference(none, "recall", Scope(3))


def test_an_accepted_release_is_one_file_of_equal_bytes_that_says_who_and_why(
    accepted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["baseline", "accept", str(accepted), "--by", "Ada L.", "--because", "the board said so", "--out"]

    codes = [main([*given, str(tmp_path / name)]) for name in ("a.npz", "b.npz")]

    assert codes == [0, 0]
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    facts = baseline_file.read(tmp_path / "a.npz").facts
    assert (facts.accepted_by, facts.because) == ("Ada L.", "the board said so")
    assert "accepted by Ada L." in capsys.readouterr().out


def test_a_release_that_was_not_allowed_is_not_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path)
    (tmp_path / "run.json").write_bytes(dump(samples.blocked()[0]))

    code = main(["baseline", "accept", str(tmp_path), "--by", "A", "--because", "B", "--out", str(tmp_path / "b.npz")])

    assert code == 4
    assert "only a" in capsys.readouterr().err
    assert not (tmp_path / "b.npz").exists()


def test_two_runs_are_compared_image_by_image(accepted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", str(accepted), str(accepted), "--json"])

    found = json.loads(capsys.readouterr().out)
    accuracy = next(one for one in found["differences"] if one["metric"] == "accuracy" and not one["of"])
    assert code == 0
    assert (accuracy["value"], accuracy["broken"], accuracy["fixed"]) == (0.0, 0, 0)
    assert found["before"]["verdict"] == found["after"]["verdict"] == "allowed"


def test_the_table_of_differences_has_both_verdicts_and_every_metric(
    accepted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", str(accepted), str(accepted)])

    text = capsys.readouterr().out
    assert text.count("✓ Release allowed") == 2
    assert "recall of 9" in text
    assert "accuracy under gaussian noise at severity 5" in text


def test_a_subset_is_one_of_every_part() -> None:
    whole = compared(other())
    whole = replace(whole, light=dict.fromkeys(LIGHT, whole.probabilities))
    mask = np.arange(60) % 3 == 0

    few = whole.subset(mask)

    assert few.baseline is not None
    theirs = few.baseline.predictions
    assert {len(few.images), len(few.labels), few.predictions.n, theirs.n, *map(len, few.light.values())} == {20}
    assert len(few.probabilities) == len(theirs.probabilities) == 20
    assert np.array_equal(few.answers[NOISE], whole.answers[NOISE][mask])


@pytest.mark.parametrize("part", ["images", "labels"])
def test_evidence_whose_arrays_are_not_of_the_same_images_is_none(part: str) -> None:
    with pytest.raises(ValueError, match="belong together"):
        replace(shown(), **{part: getattr(shown(), part)[1:]})
    with pytest.raises(ValueError, match="belong together"):
        samples.answering(shown(), probabilities=shown().probabilities[1:])
