"""The same digits are the same whatever form they come in, and what is no such form is refused in one line."""

from __future__ import annotations

import gzip
import re
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.data import orientation
from harness.data.sources import load, places
from harness.errors import UsageError
from tests.support import digit_files
from tests.support.digit_files import FORMS, HEADER, csv_bytes, digits, parquet_table, png

Made: TypeAlias = Callable[[Path], Path]

IMAGES, LABELS = digits()


@pytest.mark.parametrize("form", FORMS)
def test_the_same_digits_are_the_same_dataset_but_for_its_name(tmp_path: Path, form: str) -> None:
    (tmp_path / "npz").mkdir()
    plain = load(digit_files.npz(tmp_path / "npz", IMAGES, LABELS))

    dataset = load(FORMS[form](tmp_path, IMAGES, LABELS))

    assert np.array_equal(dataset.images, plain.images)
    assert np.array_equal(dataset.labels, plain.labels)
    assert replace(dataset.facts, name=plain.name, origin=plain.origin) == plain.facts


@pytest.mark.parametrize("form", ["pngs", "csv", "parquet", "emnist"])
def test_a_training_part_beside_it_is_read_too(tmp_path: Path, form: str) -> None:
    test, train = (tmp_path / part for part in ("test", "train"))
    for part, half in ((test, slice(0, 40)), (train, slice(40, None))):
        part.mkdir()
        FORMS[form](part, IMAGES[half], LABELS[half])
    if form != "pngs":
        for part in (test, train):
            for path in part.iterdir():
                path.rename(tmp_path / path.name.replace("test", part.name))

    dataset = load(tmp_path)

    assert (dataset.facts.n, dataset.facts.train_n) == (40, 20)
    assert np.array_equal(dataset.train_images, IMAGES[40:])  # type: ignore[arg-type]


def test_transposed_digits_are_turned_and_said_to_be(tmp_path: Path) -> None:
    digit_files.emnist(tmp_path, IMAGES, LABELS)

    assert load(tmp_path).name == f"{tmp_path.name} (stored transposed, turned)"


@pytest.mark.parametrize("images", [IMAGES, np.rot90(IMAGES, 1, (1, 2)), np.roll(IMAGES, 7, 0), IMAGES * 0])
def test_digits_that_do_not_lie_transposed_are_left_alone(images: Any) -> None:
    assert not orientation.transposed(images, LABELS)


def test_pictures_whose_names_repeat_are_read_folder_by_folder(tmp_path: Path) -> None:
    places_of = {digit: np.flatnonzero(digit == LABELS) for digit in range(10)}
    for digit, where in places_of.items():
        (tmp_path / str(digit)).mkdir()
        for number, at in enumerate(where):
            (tmp_path / str(digit) / f"{number}.png").write_bytes(png(IMAGES[at]))

    assert np.array_equal(load(tmp_path).images, IMAGES[np.concatenate([*places_of.values()])])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L"])
def test_a_grey_picture_is_read_whatever_the_mode_it_is_saved_in(tmp_path: Path, mode: str) -> None:
    folder = digit_files.pngs(tmp_path, IMAGES, LABELS)
    Image.fromarray(IMAGES[3]).convert(mode).save(folder / str(LABELS[3]) / "3.png")

    assert np.array_equal(load(folder).images, IMAGES)


def test_hidden_files_and_those_of_windows_are_left_out(tmp_path: Path) -> None:
    folder = digit_files.pngs(tmp_path, IMAGES, LABELS)
    for name in (".DS_Store", "._0.png", "Thumbs.db"):
        (folder / str(LABELS[0]) / name).write_bytes(b"\0\5\x16\7")

    assert load(folder).facts.n == len(IMAGES)


def test_jpeg_pictures_are_read(tmp_path: Path) -> None:
    folder = digit_files.pngs(tmp_path, IMAGES, LABELS)
    (folder / str(LABELS[0]) / "0.png").unlink()
    Image.fromarray(IMAGES[0]).save(folder / str(LABELS[0]) / "0.JPG", quality=95)

    assert np.abs(load(folder).images[0].astype(int) - IMAGES[0]).mean() < 3


def test_resize_scales_pictures_of_any_size(tmp_path: Path) -> None:
    larger = np.repeat(np.repeat(IMAGES, 3, 1), 3, 2)
    folder = digit_files.pngs(tmp_path, larger, LABELS)

    dataset = load(folder, resize=True)

    assert dataset.images.shape == IMAGES.shape
    assert np.abs(dataset.images.astype(int) - IMAGES).mean() < 10


def test_resize_leaves_pictures_of_the_right_size_alone(tmp_path: Path) -> None:
    folder = digit_files.pngs(tmp_path, IMAGES, LABELS)

    assert np.array_equal(load(folder, resize=True).images, IMAGES)


def test_a_linked_folder_goes_by_the_name_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "3f" / "ab12").mkdir(parents=True)
    digit_files.mnist(tmp_path / "3f" / "ab12", IMAGES, LABELS)
    (tmp_path / "mnist").symlink_to("3f/ab12")

    assert load(tmp_path / "mnist").name == "mnist"


def test_one_of_several_sets_is_given_by_its_file_of_images(tmp_path: Path) -> None:
    digit_files.emnist(tmp_path, IMAGES, LABELS)
    digit_files.qmnist(tmp_path, IMAGES, LABELS)

    with pytest.raises(UsageError, match="holds the sets emnist-digits-test, qmnist-test; give the file"):
        load(tmp_path)
    assert load(tmp_path / "qmnist-test-images-idx3-ubyte.gz").facts.n == len(IMAGES)


def test_the_labels_beside_a_file_of_images_are_hidden_from_the_candidate(tmp_path: Path) -> None:
    digit_files.qmnist(tmp_path, IMAGES, LABELS)

    assert tmp_path / "qmnist-test-labels-idx2-int.gz" in places(tmp_path / "qmnist-test-images-idx3-ubyte.gz")


def test_parquet_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digit_files.parquet(tmp_path, IMAGES, LABELS)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    assert "pip install 'digit-release-harness[parquet]'" in refusal(tmp_path)


def picture(change: Callable[[Path], object], form: Any = digit_files.pngs) -> Made:
    """A folder of pictures of which the first one is changed."""

    def make(folder: Path) -> Path:
        form(folder, IMAGES, LABELS)
        change(folder / str(LABELS[0]) / "0.png")
        return folder

    return make


def saved(image: Any, mode: str | None = None) -> Made:
    return picture(lambda path: Image.fromarray(image, mode).save(path))


def csv(content: bytes, name: str = "mnist_test.csv") -> Made:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def changed(old: bytes, new: bytes, header: str = "") -> Made:
    return csv(csv_bytes(IMAGES, LABELS, header).replace(old, new, 1))


def table(made: Any) -> Made:
    def make(folder: Path) -> Path:
        pq.write_table(made, folder / "test.parquet")
        return folder

    return make


def spoiled(form: str, name: str, change: Callable[[bytes], bytes]) -> Made:
    def make(folder: Path) -> Path:
        FORMS[form](folder, IMAGES, LABELS)
        path = folder / name
        path.write_bytes(change(path.read_bytes()))
        return folder

    return make


def ten_by_ten(folder: Path) -> Path:
    return digit_files.pngs(folder, IMAGES[:, :10, :10], LABELS)


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("mnist_test.csv", CSV)
    return folder / "archive.zip"


def deeper(place: str, form: Any) -> Made:
    """Digits in a folder of the folder that is given."""

    def made(folder: Path) -> Path:
        (folder / place).mkdir(parents=True, exist_ok=True)
        form(folder / place, IMAGES, LABELS)
        return folder

    return made


def worded(folder: Path) -> Path:
    (folder / "zero").mkdir()
    return saved_in(folder / "zero").parent


def flat(folder: Path) -> Path:
    return saved_in(folder)


def saved_in(folder: Path) -> Path:
    Image.fromarray(IMAGES[0]).save(folder / "1.png")
    return folder


COLOUR = np.stack([IMAGES[0]] * 3, -1) // [[[1, 2, 3]]]
CSV = csv_bytes(IMAGES, LABELS)
FIRST = CSV.partition(b"\n")[0]
REFUSED: dict[str, tuple[Made, str]] = {
    "another size": (ten_by_ten, "png has 10 x 10 pixels; a digit has 28 x 28. Give --resize"),
    "in colour": (saved(COLOUR.astype("u1")), "0.png is in colour or transparent; save it as grey"),
    "16 bits": (saved(IMAGES[0].astype("u2") * 256), "0.png has more than 8 bits a pixel"),
    "a text": (picture(lambda path: path.write_text("seven")), "0.png is no PNG or JPEG image; save it"),
    "a GIF": (picture(lambda path: Image.fromarray(IMAGES[0]).save(path, "GIF")), "is no PNG or JPEG image; save"),
    "cut": (picture(lambda path: path.write_bytes(path.read_bytes()[:90])), "0.png is a damaged image: "),
    "a large file": (picture(lambda path: path.write_bytes(bytes((16 << 20) + 1))), "0.png is larger than 16 MiB"),
    "another file": (
        picture(lambda path: path.with_name("notes.txt").write_text("")),
        "notes.txt is no PNG or JPEG image by its name; save it as PNG, or move it",
    ),
    "a folder": (picture(lambda path: path.with_name("x.png").mkdir()), "x.png is a folder; give a regular file"),
    "no picture of 4": (
        lambda folder: digit_files.pngs(folder, IMAGES[LABELS != 4], LABELS[LABELS != 4]),
        "folders has no image of 4",
    ),
    "an empty line": (changed(b"\n", b"\n\n"), "test.csv, line 2 has 1 number; a label and 784 pixels make 785"),
    "a column less": (changed(b",0", b""), "test.csv, line 1 has 784 numbers"),
    "semicolons": (csv(CSV.replace(b",", b";")), "by semicolons; write it with commas: tr ';' ','"),
    "tabs": (csv(CSV.replace(b",", b"\t")), r"by tabs; write it with commas: tr '\\t' ','"),
    "a fraction": (changed(b",0,", b",0.5,"), "line 1 holds '0.5'; labels are 0..9 and pixels whole numbers"),
    "256": (changed(b",0,", b",256,"), "line 1 holds '256'"),
    "-1": (changed(b",0,", b",-1,"), "line 1 holds '-1'"),
    "1000": (changed(b",0,", b",1000,"), "line 1 holds '1000'"),
    "nothing": (changed(b",0,", b",,"), "line 1 holds ''"),
    "in the second line": (changed(FIRST + b"\n", FIRST + b"\n+"), r"line 2 holds '\+\d'"),
    "after a header": (changed(b",0,", b",x,", HEADER), "line 2 holds 'x'"),
    "a label of 10": (csv(CSV.replace(FIRST[:2], b"10,", 1)), r"labels\[0\] is 10; labels are 0..9"),
    "no label": (csv(csv_bytes(IMAGES, LABELS, HEADER.removeprefix("label,"))), "has no labels .nor has Kaggle's"),
    "the label last": (
        csv(b"\n".join(b",".join(line.split(b",")[::-1]) for line in CSV.splitlines()) + b"\n"),
        "no header and its first column is 0 throughout",
    ),
    "an index": (csv(csv_bytes(IMAGES, LABELS, "," + HEADER)), "has 786 columns, 1 of .*index=False"),
    "UTF-16": (csv(CSV.decode().encode("utf-16")), "test.csv is UTF-16 text; save it as UTF-8"),
    "an endless line": (csv(b"1," * (2 << 20)), "has a line of over 1,048,576 bytes"),
    "an empty file": (csv(b""), "pixels is empty; at least one image"),
    "a damaged gzip": (csv(gzip.compress(CSV)[:-9], "mnist_test.csv.gz"), "is damaged: Compressed file ended"),
    "other columns": (table(pa.table({"a": [1]})), r"has the columns a \(int64\); image .with the bytes of a PNG. and"),
    "paths alone": (
        table(pa.table({"image": pa.array([{"path": "a"}]), "label": [1]})),
        r"has the columns image \(struct<path: string>\), label",
    ),
    "labels as text": (
        table(parquet_table(IMAGES, LABELS).set_column(1, "label", pa.array(LABELS.astype(str)))),
        "has labels of type string; labels are integers",
    ),
    "no image in a row": (
        table(parquet_table(IMAGES, LABELS).set_column(
            0, "image", pa.array([None] * 60, pa.struct([("bytes", pa.binary())]))
        )),
        "row 0 holds no image",
    ),
    "no PNG in a row": (
        table(pa.table({"image": pa.array([{"bytes": b"seven"}]), "label": [1]})),
        "test.parquet, row 0 is no PNG or JPEG image",
    ),
    "a cut Parquet file": (
        spoiled("parquet", "test-00000-of-00002.parquet", lambda whole: whole[:-9]),
        "of-00002.parquet is damaged: ",
    ),
    "several CSV files": (
        lambda folder: csv(CSV, "test-a.csv")(csv(CSV, "test-b.csv")(folder).parent).parent,
        "holds several CSV files of test or train digits; give one",
    ),
    "a zip of a table": (zipped, "is a zip of other files .mnist_test.csv.; unpack it"),
    "as torchvision keeps them": (deeper("MNIST/raw", digit_files.mnist), "has its digits in MNIST/raw; give /"),
    "as Hugging Face keeps them": (deeper("mnist", digit_files.parquet), "has its digits in mnist; give /"),
    "a .npz in a folder": (deeper("", digit_files.npz), r"has its digits in .*\.npz; give /"),
    "folders called by words": (worded, r"in folders of other names \(zero ...\); call each by its digit, 0 to 9"),
    "pictures without folders": (flat, "holds images without labels; put those of each digit into a folder 0 to 9"),
    "another file alone": (csv(b"%PDF-1.7", "digits.pdf"), "is none of the forms that are read; give a .npz"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_a_rule_of_its_form_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make, says = REFUSED[name]

    message = refusal(make(tmp_path))

    assert re.search(says, message), message


def test_resize_is_refused_where_there_are_no_pictures(tmp_path: Path) -> None:
    path = digit_files.npz(tmp_path, IMAGES, LABELS)

    with pytest.raises(UsageError, match="is no folder of images, which alone --resize scales"):
        load(path, resize=True)


def claiming(png: bytes, side: int) -> bytes:
    """A picture whose header claims so many rows and columns."""
    header = b"IHDR" + struct.pack(">II", side, side) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize("resize", [False, True])
def test_a_picture_of_a_billion_pixels_is_refused_before_it_is_unpacked(tmp_path: Path, resize: bool) -> None:
    folder = digit_files.pngs(tmp_path, IMAGES, LABELS)
    path = folder / str(LABELS[0]) / "0.png"
    path.write_bytes(claiming(path.read_bytes(), 30_000))
    tracemalloc.start()

    with pytest.raises(UsageError, match=r"0\.png has 30000 x 30000 pixels|0\.png is a damaged image: Image size"):
        load(folder, resize=resize)

    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_csv_bomb_is_refused_before_it_unfolds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mnist_test.csv.gz"
    path.write_bytes(gzip.compress(CSV * 100, 1))
    monkeypatch.setattr("harness.data.csv_file.MAX_BYTES", 785 * 900)

    assert "2 GiB of pixels are read at most" in refusal(path)


def test_a_parquet_file_that_declares_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digit_files.parquet(tmp_path, IMAGES, LABELS)
    monkeypatch.setattr("harness.data.parquet.MAX_BYTES", 784 * 39)

    assert "declares 40 rows of" in refusal(tmp_path)


def refusal(source: Path) -> str:
    with pytest.raises(UsageError) as refused:
        load(source)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 700
    return message
