"""Promises of every corruption and space, whatever it draws: contract, order, registry, golden bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.corruptions import (
    CORRUPTIONS,
    SPACES,
    Corruption,
    Rng,
    Space,
    corrupt,
    find,
    prepare,
    source,
    trial_at,
    user_code,
)
from harness.corruptions.randomness import normals, once
from harness.corruptions.sheet import contact_sheet
from harness.data.sources import load
from harness.errors import UsageError
from harness.records import CLEAN, SEVERITIES, AttackAt, Clean, Images, Severity, SpacePoint, Trial
from tests.support.folders import GOLDEN

HASHES = GOLDEN / "corruptions.txt"
MNIST_C = {
    "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "scale", "rotate", "brightness", "translate",
    "stripe", "fog", "spatter", "dotted_line", "zigzag", "canny_edges",
}  # fmt: skip

names = st.sampled_from(sorted(CORRUPTIONS))
severities = st.sampled_from(SEVERITIES)
every_name = pytest.mark.parametrize("name", sorted(CORRUPTIONS))


@cache
def digits() -> Images:
    """Twenty embedded digits, twenty of noise, one of paper and one of ink."""
    noisy = np.random.default_rng(1).integers(0, 256, size=(20, 28, 28), dtype=np.uint8)
    plain = np.zeros((2, 28, 28), dtype=np.uint8)
    plain[1] = 255
    return np.concatenate([load("embedded").images[:20], noisy, plain])


def spoiled(name: str, severity: int = 3, images: Images | None = None) -> Images:
    return corrupt(digits() if images is None else images, trial_at(name, severity), seed=11)


def test_the_fifteen_of_mnist_c_are_all_here_with_their_published_setting() -> None:
    marked = {name: made.published for name, made in CORRUPTIONS.items() if made.mnist_c}

    assert set(marked) == MNIST_C
    assert all(published in SEVERITIES for published in marked.values())


@every_name
def test_every_corruption_says_what_it_is(name: str) -> None:
    made = CORRUPTIONS[name]

    assert made.name == name
    assert made.source
    assert made.function.__doc__
    assert made.parameters
    assert all(len(parameter.values) == len(SEVERITIES) and parameter.unit for parameter in made.parameters)


@every_name
def test_the_input_is_untouched_and_the_output_is_new_and_of_the_same_kind(name: str) -> None:
    images = digits().copy()

    for severity in SEVERITIES:
        made = spoiled(name, severity, images)
        assert made.shape == images.shape
        assert made.dtype == np.uint8
        assert not np.shares_memory(made, images)
    assert np.array_equal(images, digits())


@every_name
def test_more_severity_never_changes_images_less(name: str) -> None:
    images = load("embedded").images

    changes = [np.abs(spoiled(name, severity, images).astype(int) - images).mean() for severity in SEVERITIES]

    assert changes == sorted(changes)
    assert changes[0] > 0


@every_name
@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one_are_batches_too(name: str, n: int) -> None:
    assert np.array_equal(spoiled(name, 2, digits()[:n]), spoiled(name, 2)[:n])


@settings(max_examples=60, deadline=None)
@given(names, severities, st.lists(st.integers(0, 42), max_size=4), st.integers(0, 2**63))
def test_any_split_into_blocks_gives_the_same_bytes(name: str, severity: int, cuts: list[int], seed: int) -> None:
    trial, ends = trial_at(name, severity), [0, *sorted(cuts), len(digits())]

    blocks = [corrupt(digits()[start:end], trial, seed=seed, first=start) for start, end in pairwise(ends)]

    assert np.array_equal(np.concatenate(blocks), corrupt(digits(), trial, seed=seed))


@settings(max_examples=60, deadline=None)
@given(names, severities, st.permutations(range(42)))
def test_any_order_gives_the_same_bytes(name: str, severity: int, order: list[int]) -> None:
    shuffled = corrupt(digits()[order], trial_at(name, severity), seed=11, indices=np.array(order))

    assert np.array_equal(shuffled, spoiled(name, severity)[order])


@every_name
def test_a_function_that_sees_more_images_at_a_time_makes_the_same_of_each(name: str) -> None:
    made, images = CORRUPTIONS[name], np.tile(digits(), (12, 1, 1))

    at_once = made.function(images, 4, Rng(11, name, 4, np.arange(len(images))))

    assert np.array_equal(at_once, spoiled(name, 4, images))


def test_threads_that_start_together_get_the_same_bytes() -> None:
    code = (
        "import hashlib, threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import numpy as np\n"
        "from harness.corruptions import CORRUPTIONS, corrupt, trial_at\n"
        "images = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)\n"
        "trials = [trial_at(name, severity) for name in CORRUPTIONS for severity in (2, 4)]\n"
        "start = threading.Barrier(2)\n"
        "def made(trials):\n"
        "    start.wait()\n"
        "    return [hashlib.sha256(corrupt(images, trial, seed=1).tobytes()).hexdigest() for trial in trials]\n"
        "with ThreadPoolExecutor(2) as threads:\n"
        "    first, second = threads.map(made, [trials, trials])\n"
        "assert first == second\n"
        "assert first == [hashlib.sha256(corrupt(images, t, seed=1).tobytes()).hexdigest() for t in trials]\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_table_that_two_threads_ask_for_is_built_once() -> None:
    built, start = [], threading.Barrier(2)

    @once
    def table(size: int) -> list[int]:
        built.append(size)
        return [size]

    def asked(_: int) -> list[int]:
        start.wait()
        return table(3)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(asked, range(2))

    assert built == [3]
    assert first is second


@pytest.mark.parametrize("name", ["gaussian_noise", "fog", "rotate", "elastic", "glass_blur"])
def test_seed_severity_and_index_all_matter(name: str) -> None:
    twins = np.repeat(load("embedded").images[:1], 40, axis=0)

    made = corrupt(twins, trial_at(name, 3), seed=1)

    assert len({image.tobytes() for image in made}) > 1
    assert not np.array_equal(made, corrupt(twins, trial_at(name, 3), seed=2))


def test_golden_bytes_of_every_corruption_and_severity() -> None:
    """A change of one bit shows here."""
    kept, made = (set(text.splitlines()) for text in (HASHES.read_text(encoding="utf-8"), hashes()))

    assert kept == made, (
        f"{', '.join(sorted({line.split()[0] for line in kept ^ made}))}: new, gone or of other bytes; where that is "
        "meant, python -m tests.unit.corruptions.test_corruptions writes tests/golden/corruptions.txt again"
    )


def hashes() -> str:
    lines = []
    for name in sorted(CORRUPTIONS):
        for severity in SEVERITIES:
            digest = hashlib.sha256(spoiled(name, severity).tobytes()).hexdigest()
            lines.append(f"{name}@{severity} {digest[:32]}\n")
    for trial in (
        trial_at("shift", 2, -1),
        trial_at("rotation", -45),
        trial_at("rotation", 1),
        trial_at("brightness_offset", -9),
    ):
        digest = hashlib.sha256(corrupt(digits(), trial, seed=0).tobytes()).hexdigest()
        lines.append(f"{trial.key} {digest[:32]}\n")
    return "".join(lines)


def test_clean_is_a_copy() -> None:
    made = corrupt(digits(), CLEAN, seed=0)

    assert np.array_equal(made, digits())
    assert not np.shares_memory(made, digits())


@pytest.mark.parametrize(
    ("name", "hint"),
    [("gausian_noise", "did you mean gaussian_noise?"), ("Motion-Blur", "motion_blur"), ("zzz", "module:function")],
)
def test_an_unknown_name_gets_a_way_out(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="there is no corruption") as raised:
        find(name)

    assert hint in str(raised.value)


@pytest.mark.parametrize("severity", [-1, 0, 6])
def test_a_severity_outside_one_to_five_is_refused(severity: int) -> None:
    with pytest.raises(UsageError, match=r"fog: severity .* is not one of 1 to 5"):
        corrupt(digits(), trial_at("fog", severity), seed=0)


@pytest.mark.parametrize("point", [(), (1, 2)])
def test_a_corruption_has_one_severity(point: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="fog has one severity"):
        trial_at("fog", *point)


def test_trials_of_all_kinds_are_told_apart_and_in_order() -> None:
    made = [trial_at("shift", 1, -1), trial_at("fog", 3), trial_at("clean"), trial_at("pgd_l2", 1)]
    made += [trial_at("shift", -1, 2), trial_at("fog", 1), trial_at("rotation", -6)]

    assert [type(trial) for trial in made[:4]] == [SpacePoint, Severity, Clean, AttackAt]
    keys = [trial.key for trial in sorted(made)]
    assert keys == ["clean", "fog@1", "fog@3", "pgd_l2@1", "rotation@-6", "shift@-1,2", "shift@1,-1"]
    assert len({*made, Severity("fog", 3), AttackAt("fog", 3)}) == len(made) + 1


@pytest.mark.parametrize("trial", [trial_at("shift", 7, 0), trial_at("shift", 1), trial_at("rotation", 46)])
def test_a_point_outside_its_space_is_refused(trial: Trial) -> None:
    with pytest.raises(UsageError, match=trial.name):
        corrupt(digits(), trial, seed=0)


@pytest.mark.parametrize("within", [0, 7])
def test_a_space_has_a_largest_size(within: int) -> None:
    with pytest.raises(UsageError, match=r"shift within .* outside 1 to 6 pixels"):
        SPACES["shift"].points(within)


def test_names_lead_to_what_they_name() -> None:
    assert isinstance(find("fog"), Corruption)
    assert isinstance(find("rotation"), Space)


USERS = """
import numpy as np
def halved(images, severity, rng): return images // 2
def noisy(images, severity, rng): return images ^ rng.sixteen_bits(784).reshape(images.shape).astype(np.uint8)
def meddling(images, severity, rng):
    images[:] = 0
    return images.copy()
def floating(images, severity, rng): return images / 255
def shrinking(images, severity, rng): return images[:, ::2, ::2]
def silent(images, severity, rng): pass
def raising(images, severity, rng): raise RuntimeError("no\\nluck")
class Mute(Exception):
    def __str__(self): raise ValueError
def mute(images, severity, rng): raise Mute
def leaving(images, severity, rng): raise SystemExit(0)
def late(images, severity, rng): raise TimeoutError("of its own")
nothing = 3
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spoilers.py").write_text(USERS, encoding="utf-8")
    (tmp_path / "broken_spoilers.py").write_text("raise ValueError('half\\nbaked')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spoilers", raising=False)


@pytest.mark.usefixtures("users")
def test_a_users_function_is_a_corruption_like_any_other() -> None:
    made = corrupt(digits(), trial_at("spoilers:noisy", 2), seed=3)

    assert np.array_equal(corrupt(digits(), trial_at("spoilers:halved", 1), seed=0), digits() // 2)
    assert np.array_equal(corrupt(digits()[9:], trial_at("spoilers:noisy", 2), seed=3, first=9), made[9:])


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spoilers:meddling", "changed its input"),
        ("spoilers:floating", "changed the dtype from uint8 to float64"),
        ("spoilers:shrinking", "changed the shape"),
        ("spoilers:silent", "returned NoneType"),
        ("spoilers:raising", "raised at severity 4: RuntimeError: no luck"),
        ("spoilers:mute", "raised at severity 4: Mute"),
        ("spoilers:leaving", "raised at severity 4: SystemExit: 0"),
        ("spoilers:late", "raised at severity 4: TimeoutError: of its own"),
        ("spoilers:nothing", "is a int, not a function"),
        ("spoilers:absent", "cannot be imported: AttributeError"),
        ("absent_spoilers:x", "cannot be imported: ModuleNotFoundError"),
        ("broken_spoilers:x", "cannot be imported: ValueError: half baked"),
    ],
)
def test_a_users_function_that_breaks_the_contract_is_named_in_one_line(name: str, said: str) -> None:
    images = digits().copy()

    with pytest.raises(UsageError) as raised:
        corrupt(images, trial_at(name, 4), seed=0)

    assert name in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert np.array_equal(images, digits())


@pytest.mark.usefixtures("users")
def test_a_users_function_that_never_ends_is_named_and_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleepers.py").write_text("import time\ndef waits(images, severity, rng): time.sleep(3600)\n")
    monkeypatch.setattr(user_code, "SECONDS", 0.2)

    with pytest.raises(UsageError, match=r"corruption sleepers:waits gave nothing within 0\.2 s at severity 2"):
        corrupt(digits(), trial_at("sleepers:waits", 2), seed=0)


def test_a_users_function_is_found_in_the_working_folder_but_never_before_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here_spoilers.py").write_text("def same(images, severity, rng): return images.copy()\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)

    made = corrupt(digits(), trial_at("here_spoilers:same", 1), seed=0)

    assert np.array_equal(made, digits())
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.usefixtures("users")
def test_the_source_of_a_users_function_is_known_and_changes_with_it(tmp_path: Path) -> None:
    before = source("spoilers:halved")
    (tmp_path / "spoilers.py").write_text(USERS + "# changed\n")

    assert len(before) == 64
    assert source("spoilers:halved") != before
    assert source("fog") == source("shift") == source("clean") == ""


def test_importing_the_front_door_loads_nothing_heavy() -> None:
    code = (
        "import sys, harness.corruptions\n"
        "heavy = {'scipy', 'sklearn', 'cv2', 'skimage', 'PIL', 'keras', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_prepare_builds_tables_without_an_image_and_minds_names() -> None:
    prepare(["fog", "shift", "brightness"])

    with pytest.raises(UsageError, match="there is no corruption"):
        prepare(["fogg"])


def test_random_words_are_fair_and_images_are_independent() -> None:
    words = Rng(5, "x", 1, np.arange(2000)).words(100)
    bits = np.unpackbits(words.view(np.uint8))

    assert abs(bits.mean() - 0.5) < 4 * 0.5 / np.sqrt(bits.size)
    assert len(np.unique(words)) == words.size
    shares = words.astype(np.float64) / 2.0**64
    assert abs(np.corrcoef(shares[:-1].ravel(), shares[1:].ravel())[0, 1]) < 0.01  # the image before
    assert abs(np.corrcoef(shares[:, :-1].ravel(), shares[:, 1:].ravel())[0, 1]) < 0.01  # the word before


def test_sixteen_bits_are_uniform() -> None:
    counts = np.bincount(Rng(5, "x", 1, np.arange(4000)).sixteen_bits(784).ravel() >> 8, minlength=256)

    chi = np.sum((counts - counts.mean()) ** 2 / counts.mean())  # of 255 degrees of freedom, spread 22.6

    assert 165 < chi < 345


@pytest.mark.parametrize("limit", [2, 4, 27, 1024])
def test_below_reaches_every_number_alike(limit: int) -> None:
    counts = np.bincount(Rng(5, "x", 1, np.arange(limit * 400)).below(limit), minlength=limit)

    assert len(counts) == limit
    assert np.sum((counts - 400) ** 2 / 400) < limit + 5 * np.sqrt(2 * limit)


def test_the_table_of_normals_is_a_standard_normal_to_four_digits() -> None:
    table = normals().astype(np.float64)

    assert abs(table.mean()) < 1e-6
    assert abs(table.std() - 1) < 1e-4
    assert abs(np.mean(table**4) - 3) < 5e-3
    assert table[-1] > 4.3


def test_a_contact_sheet_is_the_same_png_every_time() -> None:
    cv2 = pytest.importorskip("cv2")
    sheet = contact_sheet(digits()[:2], ["fog", "scale"], seed=1, scale=1)

    picture = cv2.imdecode(np.frombuffer(sheet, dtype=np.uint8), cv2.IMREAD_UNCHANGED)

    assert sheet == contact_sheet(digits()[:2], ["fog", "scale"], seed=1, scale=1)
    assert picture.shape == (2 * 30, 18 * 6 + 6 * 68)
    assert np.array_equal(picture[:28, 108 : 108 + 28], digits()[0])
    assert np.array_equal(picture[30:58, 108 + 5 * 68 + 30 : 108 + 5 * 68 + 58], spoiled_first("scale", 5)[1])


def spoiled_first(name: str, severity: int) -> Images:
    return corrupt(digits()[:2], trial_at(name, severity), seed=1)


@pytest.mark.parametrize("wanted", [["shift"], []])
def test_a_contact_sheet_needs_corruptions(wanted: list[str]) -> None:
    with pytest.raises(UsageError):
        contact_sheet(digits(), wanted, seed=1)


if __name__ == "__main__":
    HASHES.write_text(hashes(), encoding="utf-8")
