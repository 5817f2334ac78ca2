"""Sampling units and slices as the data bring them, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from harness.cli.power import in_units
from harness.data.sources import load
from harness.errors import UsageError
from harness.evidence import storage
from harness.policy import check_against
from harness.policy import load as load_policy
from harness.records import Dataset, Groups, Predictions
from tests.support import retrains, samples

N = 40


def npz(folder: Path, **more: object) -> Path:
    rng = np.random.default_rng(7)
    arrays = {
        "x_test": rng.integers(0, 256, (N, 28, 28), np.uint8),
        "y_test": np.arange(N, dtype=np.uint8) % 10,
        "x_train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 10,
    }
    np.savez(folder / "digits.npz", **{**arrays, **more})  # type: ignore[arg-type]
    return folder / "digits.npz"


def table(folder: Path, text: str) -> Path:
    (folder / "columns.csv").write_text(text, "utf-8")
    return folder / "columns.csv"


def rows(header: str, row: str) -> str:
    return "\n".join([header, *(row.format(at=at, writer=at // 4, label=at % 10) for at in range(N))]) + "\n"


WRITERS = rows("writer,site", "w{writer},north")


def loaded(folder: Path, text: str = WRITERS, unit: str | None = "writer") -> Dataset:
    return load(npz(folder), columns=table(folder, text), unit=unit)


def refused(folder: Path, text: str, unit: str | None = "writer") -> str:
    with pytest.raises(UsageError) as caught:
        loaded(folder, text, unit)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_column_of_a_table_is_the_sampling_unit_and_the_others_are_slices(tmp_path: Path) -> None:
    found = loaded(tmp_path)

    assert found.groups is not None
    assert (found.groups.unit, found.facts.units) == ("writer", 10)
    assert found.groups.codes is not None
    assert found.groups.codes.tolist() == [at // 4 for at in range(N)]
    assert found.groups.columns["site"].values == ("north",)
    assert found.facts.unit_sizes[0] == 4
    assert found.facts.sha256 == load(npz(tmp_path)).facts.sha256


def test_numbers_of_many_values_are_cut_in_fifths_and_texts_of_many_are_no_slices(tmp_path: Path) -> None:
    text = "writer,age,name\n" + "".join(f"w{at // 2},{at}.5,n{at}\n" for at in range(60))
    many = np.random.default_rng(1).integers(0, 256, (60, 28, 28), np.uint8)
    np.savez(tmp_path / "sixty.npz", x_test=many, y_test=np.arange(60, dtype=np.uint8) % 10)

    found = load(tmp_path / "sixty.npz", columns=table(tmp_path, text), unit="writer").groups

    assert found is not None
    assert found.columns["age"].values == (
        "0.5 to 11.5",
        "12.5 to 23.5",
        "24.5 to 35.5",
        "36.5 to 47.5",
        "48.5 to 59.5",
    )
    assert "name" not in found.columns


def test_a_table_may_be_parquet(tmp_path: Path) -> None:
    columns = {"writer": [at // 4 for at in range(N)], "site": ["north"] * N}
    parquet.write_table(pyarrow.table(columns), tmp_path / "columns.parquet")
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "columns.parquet").read_bytes()[:-20])

    found = load(npz(tmp_path), columns=tmp_path / "columns.parquet", unit="writer")

    assert (found.facts.units, list(found.groups.columns) if found.groups else []) == (10, ["site"])
    with pytest.raises(UsageError, match=r"broken\.parquet is damaged"):
        load(npz(tmp_path), columns=tmp_path / "broken.parquet", unit="writer")


def test_a_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    (tmp_path / "columns.csv").write_bytes(b"\xef\xbb\xbf" + WRITERS.replace("\n", "\r\n").encode())

    assert load(npz(tmp_path), columns=tmp_path / "columns.csv", unit="writer").facts.units == 10


@pytest.mark.parametrize(
    "text",
    [
        WRITERS + "\n\n",
        WRITERS.replace(",", ", "),
        rows("index,label,writer", "{at}.0,{label}.0,w{writer}"),
    ],
)
def test_blank_lines_spaces_and_whole_numbers_with_a_point_are_read(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).facts.units == 10


def test_names_that_differ_in_a_last_character_that_is_not_seen_are_two_units(tmp_path: Path) -> None:
    text = "writer\n" + "".join(f"w{chr(0) * (at // 20)}\n" for at in range(N))

    assert loaded(tmp_path, text).facts.units == 2


def test_parquet_is_known_by_its_content_and_no_number_is_blank(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for name, last in (("good.csv", 3.0), ("bad.csv", float("nan"))):
        parquet.write_table(arrow.table({"writer": [*[1.0, 2.0] * 19, 2.0, last]}), tmp_path / name)

    assert load(npz(tmp_path), columns=tmp_path / "good.csv", unit="writer").facts.units == 3
    with pytest.raises(UsageError, match="row 40: writer is blank"):
        load(npz(tmp_path), columns=tmp_path / "bad.csv", unit="writer")


def test_the_array_of_an_npz_is_the_sampling_unit_and_may_be_named(tmp_path: Path) -> None:
    path = npz(tmp_path, groups_test=np.arange(N) // 4)

    assert load(path).facts.unit == "group"
    assert load(path, unit="page").facts.unit == "page"
    assert load(path, unit="none").groups is not None
    assert load(path, unit="none").facts.unit == ""


def test_units_in_both_parts_are_counted(tmp_path: Path) -> None:
    path = npz(tmp_path, groups_test=np.arange(N) // 4, groups_train=np.array([3, 9] * 10))

    assert load(path).facts.shared_units == 2


def test_the_writers_of_mnist_are_known_by_its_content_alone() -> None:
    shown = retrains.by_writer(retrains.evidence("cnn-00"))

    assert (shown.data.unit, shown.data.units) == ("writer", 297)
    assert shown.data.unit_sizes[0] == pytest.approx(65, abs=0.5)
    assert shown.groups is not None
    assert np.bincount(shown.groups.columns["source"].codes).tolist() == [4999, 5001]


def test_digits_without_units_are_as_before(tmp_path: Path) -> None:
    found = load(npz(tmp_path))

    assert (found.groups, found.facts.unit, found.facts.unit_sizes) == (None, "", ())


@pytest.mark.parametrize(
    ("text", "unit", "said"),
    [
        (WRITERS, None, "add --unit writer"),
        (WRITERS, "riter", "did you mean 'writer'?"),
        (WRITERS, "patient", "it has writer, site"),
        (WRITERS.rsplit("\n", 2)[0] + "\n", "writer", "has 39 rows for 40 test images"),
        (WRITERS + "w1,north\n", "writer", "has more rows than 40 test images"),
        (WRITERS.replace("w3,", ",", 1), "writer", "row 13: writer is blank"),
        (WRITERS.replace("w3,", "w3,x,", 1), "writer", "row 13 has 3 values for 2 columns"),
        (WRITERS.replace("site", "writer"), "writer", "names 'writer' twice"),
        (WRITERS.replace("site", ""), "writer", "has a column without a name"),
        ("", "writer", "is no table of columns"),
        (rows("index,label", "{at},{label}"), "writer", "has no column besides"),
        (rows("index,writer", "{writer},w"), "writer", "row 2: index is 0, but the image there has 1"),
        (rows("label,writer", "{writer},w"), "writer", "row 2: label is 0, but the image there has 1"),
        (rows("writer", "w" * 201), "writer", "has more than 200 characters"),
        (rows(",".join(f"c{at}" for at in range(101)), "1"), "writer", "has more than 100 columns"),
        (rows("writer,site", "w" + ",x" * 200), "writer", "row 1 has more than 100 values for 2 columns"),
        (WRITERS.replace(",", ";"), "writer", "is separated by ';'; write it with commas"),
        (WRITERS.replace("site", "si\x1b[31mte"), "writer", "which a log cannot show as it is; rename it"),
        (WRITERS.replace("site", "##vso[task.complete]"), "writer", "which a log cannot show as it is; rename it"),
        (WRITERS.replace("site", "s" * 61), "writer", "in at most 60 printable characters"),
        (rows("label,writer", "3.0,w"), "writer", "row 1: label is 3.0, but the image there has 0"),
        (rows("site", "north"), None, "has 1 column, and none is named"),
        ('writer\n"unclosed', "writer", "is no table of columns"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, text: str, unit: str | None, said: str
) -> None:
    assert said in refused(tmp_path, text, unit)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (np.arange(N - 1), "has 39 units for 40 images"),
        (np.arange(N).reshape(-1, 2), "units have shape (n,)"),
        (np.arange(N) / 2, "units are integers or text"),
        (np.array(["w"] * (N - 1) + [" "]), "[39] is blank"),
        (np.array([None] * N), "pickled Python objects"),
        (np.full(N, 0x110000, np.uint32).view("<U1"), "holds text that is not Unicode"),
    ],
)
def test_an_array_of_units_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, groups: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(npz(tmp_path, groups_test=groups))

    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_unit_that_the_data_do_not_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not say which writer an image is of"):
        load(npz(tmp_path), unit="writer")


def test_a_policy_that_asks_for_a_unit_refuses_other_data(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'format = 1\nname = "p"\nunit = "page"\n[[gate]]\nmetric = "accuracy"\nat_least = 0.5\nbecause = "x"\n'
    )
    rules = load_policy(tmp_path / "p.toml")

    with pytest.raises(UsageError, match=r"p.toml:3: the policy asks for images of each page.* are known by writer"):
        check_against(rules, loaded(tmp_path).facts)


def test_names_of_units_are_never_stored_and_codes_are_read_back(tmp_path: Path) -> None:
    known, folder = loaded(tmp_path, WRITERS.replace("w3", "Mary Shelley")), tmp_path / "evidence"
    unanswered = Predictions({}, np.zeros((0, 10), np.float32), seed=1)
    shown = replace(samples.evidence((), n=N), predictions=unanswered, groups=known.groups, data=known.facts)

    storage.Store(folder, "key").finish(shown)
    held = b"".join(path.read_bytes() for path in folder.iterdir())
    back = storage.read(folder)

    assert b"Shelley" not in held
    assert back.codes is not None
    assert back.codes.tolist() == [at // 4 for at in range(N)]
    assert back.groups is not None
    assert (back.groups.unit, back.groups.columns["site"].values) == ("writer", ("north",))


def test_evidence_whose_units_were_taken_away_or_exchanged_is_damaged(tmp_path: Path) -> None:
    known, folder = loaded(tmp_path), tmp_path / "evidence"
    unanswered = Predictions({}, np.zeros((0, 10), np.float32), seed=1)
    shown = replace(samples.evidence((), n=N), predictions=unanswered, groups=known.groups, data=known.facts)
    other = replace(shown, groups=Groups("writer", np.arange(N, dtype=np.int32)))
    storage.Store(folder, "key").finish(shown)
    whole = json.loads((folder / storage.MANIFEST).read_text())
    storage.Store(tmp_path / "other", "key").finish(other)
    exchanged = json.loads((tmp_path / "other" / storage.MANIFEST).read_text())

    (folder / storage.MANIFEST).write_text(json.dumps({name: whole[name] for name in whole if name != "groups"}))
    with pytest.raises(UsageError, match="its units are not those of its digits"):
        storage.read(folder)
    (folder / storage.GROUPS).write_bytes((tmp_path / "other" / storage.GROUPS).read_bytes())
    (folder / storage.MANIFEST).write_text(json.dumps({**whole, "groups": exchanged["groups"]}))
    with pytest.raises(UsageError, match="its units are not those of its digits"):
        storage.read(folder)


def test_a_table_of_units_beside_idx_files_is_not_taken_for_the_digits(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (N, 28, 28), np.uint8)
    head = np.array([0x803, N, 28, 28], ">i4").tobytes()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(head + images.tobytes())
    labels = (np.arange(N) % 10).astype(np.uint8).tobytes()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(np.array([0x801, N], ">i4").tobytes() + labels)
    (tmp_path / "test_writers.csv").write_text(WRITERS)

    assert load(tmp_path, columns=tmp_path / "test_writers.csv", unit="writer").facts.units == 10


@pytest.mark.parametrize("size", ["nan", "41"])
def test_units_larger_than_the_test_part_are_not_assumed(tmp_path: Path, size: str) -> None:
    with pytest.raises(UsageError, match=f"--unit-size {size} is more than the 40 images"):
        in_units(load(npz(tmp_path)).facts, float(size))
