"""An installed Keras with known holes loads no candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.candidate.parent import keras_release
from harness.cli import main
from harness.errors import UsageError


@pytest.fixture
def keras_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Install metadata that say that this is that version of Keras."""
    version = str(request.param)
    folder = tmp_path / "site" / f"keras-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: keras\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return version


@pytest.mark.parametrize(
    "keras_is", ["2.15.0", "3.9.0", "3.12.3", "3.13.0", "3.13.2", "3.14.1", "3.15.0", "unknown"], indirect=True
)
def test_a_release_with_known_holes_is_refused_by_its_number(keras_is: str) -> None:
    with pytest.raises(UsageError, match=f"^Keras {keras_is} has known holes .*pip install 'keras>=3.15.1,<4'$"):
        keras_release.check()


@pytest.mark.parametrize("keras_is", ["3.12.4", "3.12.11", "3.15.1", "3.16.0", "3.20.0.dev0"], indirect=True)
def test_a_release_without_them_is_taken(keras_is: str) -> None:
    keras_release.check()


@pytest.mark.parametrize("keras_is", ["3.15.1"], indirect=True)
@pytest.mark.parametrize(
    ("version", "way_out"),
    [
        ("", "save it again with model.save"),
        ("3.15.1", "save it again with model.save"),
        ("3.16", "python -m pip install 'keras>=3.16.0,<4'"),
        ("4.0.0", "load it where it was trained, and there model.export('folder')"),
        ("3.4.1", "load it where it was trained, and there model.export('folder')"),
        ("2.21.0", "load it where it was trained, and there model.export('folder')"),
    ],
)
def test_the_way_out_for_a_file_depends_on_the_release_that_wrote_it(version: str, way_out: str, keras_is: str) -> None:
    assert keras_release.way_out(version) == way_out


@pytest.mark.parametrize("keras_is", ["3.14.1"], indirect=True)
def test_a_run_with_such_a_release_ends_in_one_line_before_anything_is_loaded(
    keras_is: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model.keras", tmp_path / "out"
    model.write_bytes(b"not even looked at")

    code = main(["run", str(model), "--data", "embedded", "--out", str(out)])

    said, told = capfd.readouterr()
    assert (code, said, told.count("\n")) == (4, "", 1)
    assert told.startswith("harness: Keras 3.14.1 has known holes")
    assert not (out / "run.json").exists()
