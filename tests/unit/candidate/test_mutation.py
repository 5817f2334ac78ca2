"""Changes by each operator, on arrays; at strength nil none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
from harness.candidate.mutation import MUTATIONS, NotMutable, closest
from harness.candidate.mutation.weights import Tensor
from harness.references.preprocessing import normalize, one_hot

RNG = np.random.default_rng(0)
DIGITS = (np.arange(1000) % 10).astype(np.uint8)
IMAGES = RNG.integers(0, 256, (20, 28, 28)).astype(np.uint8)
ROWS = RNG.dirichlet(np.ones(10), 500).astype(np.float32)
WEIGHTS = tuple(
    Tensor(layer, role, RNG.normal(size=shape).astype(np.float32))
    for layer, role, shape in (
        (0, "kernel", (9, 9, 1, 16)),
        (0, "bias", (16,)),
        (2, "kernel", (40, 10)),
        (2, "bias", (10,)),
    )
)
THINGS: dict[str, Any] = {"labels": DIGITS, "answers": ROWS, "pixels": IMAGES, "weights": WEIGHTS}
ON_ARRAYS = [name for name, one in MUTATIONS.items() if one.family != "preprocessing"]


def values(thing: Any) -> list[np.ndarray]:
    return [tensor.values for tensor in thing] if isinstance(thing, tuple) else [thing]


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(values(one), values(other), strict=True))


def planted(name: str, strength: float, seed: int | None = None) -> Any:
    operator = MUTATIONS[name]
    return operator.function(THINGS[operator.family], strength, operator.seeds[0] if seed is None else seed)


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_strength_nil_plants_no_fault(name: str) -> None:
    assert same(planted(name, MUTATIONS[name].nil), THINGS[MUTATIONS[name].family])


@pytest.mark.parametrize("name", [name for name in ON_ARRAYS if name != "minus_one_to_one"])
def test_the_strongest_rung_changes_something_and_neither_shape_nor_type_nor_what_was_given(name: str) -> None:
    whole = values(THINGS[MUTATIONS[name].family])
    before = [one.copy() for one in whole]

    made = values(planted(name, MUTATIONS[name].ladder[-1]))

    assert any(not np.array_equal(*pair) for pair in zip(made, before, strict=True))
    assert [(one.shape, one.dtype) for one in made] == [(one.shape, one.dtype) for one in before]
    assert all(np.array_equal(*pair) for pair in zip(whole, before, strict=True))


@pytest.mark.parametrize("name", ["weights_noise", "sign_flips", "dead_units", "bit_flips", "labels_wrong"])
def test_a_ladder_is_of_one_fault_that_grows(name: str) -> None:
    weak, strong = (planted(name, strength) for strength in MUTATIONS[name].ladder[-2:])
    whole = THINGS[MUTATIONS[name].family]

    for part, less, more in zip(values(whole), values(weak), values(strong), strict=True):
        assert np.array_equal(less != part, (less != part) & (more != part))


def test_strengths_are_what_they_say() -> None:
    assert (planted("labels_wrong", 0.05) != DIGITS).mean() == 0.05
    fours = DIGITS == 4
    assert set(planted("labels_4_as_9", 0.3)[~fours] == DIGITS[~fours]) == {True}
    assert (planted("labels_4_as_9", 0.3)[fours] == 9).mean() == 0.3
    assert (planted("stale", 0.1) != ROWS).any(axis=1).sum() == 50
    assert [len(np.unique(one)) <= 3 for one in values(planted("quantise", 2))] == [True] * 4
    assert [(one == 0).mean() for one in values(planted("prune", 0.5))] == [0.5, 0, 0.5, 0]
    assert (planted("dead_units", 0.5)[2].values == 0).all(axis=1).sum() == 20
    assert (planted("dead_filters", 4)[0].values == 0).all(axis=(0, 1, 2)).sum() == 4


def test_the_logits_of_digits_move_as_they_should() -> None:
    bias, kernel = WEIGHTS[3].values, WEIGHTS[2].values

    assert np.flatnonzero(planted("class_suppressed", 2.5, seed=6)[3].values != bias).tolist() == [6]
    assert planted("class_favoured", 2.5, seed=6)[3].values[6] == bias[6] + np.float32(2.5)
    assert np.array_equal(planted("classes_mixed", 1)[2].values[:, [4, 9]], kernel[:, [9, 4]])
    assert np.array_equal(planted("logits_sharpened", 2)[2].values, 2 * kernel)


def test_pixels_move_as_they_should() -> None:
    assert np.array_equal(planted("shifted_right", 2)[:, :, 2:], IMAGES[:, :, :-2])
    assert np.array_equal(planted("shifted_down", 1)[:, 1:], IMAGES[:, :-1])
    assert np.array_equal(planted("part_inverted", 1.0), 255 - IMAGES)
    assert np.array_equal(planted("overflowed", 2.0), (2 * IMAGES.astype(int) % 256).astype(np.uint8))
    assert set(np.unique(planted("binarised", 0.5))) == {0, 255}
    assert set(np.unique(planted("scaled", 1 / 255))) == {0, 1}
    assert MUTATIONS["minus_one_to_one"].under == "symmetric"


@pytest.mark.parametrize("name", [name for name, one in MUTATIONS.items() if one.family == "preprocessing"])
def test_each_fault_of_preprocessing_differs_from_what_is_right(name: str) -> None:
    good, given = (one_hot, DIGITS) if name.startswith("one_hot") else (normalize, IMAGES)
    lent = given.copy()
    right, made = good(given), MUTATIONS[name].function(good, lent)

    assert made.dtype != right.dtype or not np.array_equal(made, right) or not np.array_equal(lent, given)


@pytest.mark.parametrize("name", ["class_suppressed", "classes_mixed", "dead_units", "dead_filters"])
def test_a_model_without_ten_logits_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(NotMutable, match=r"ten logits|no kernel"):
        MUTATIONS[name].function((Tensor(0, "gamma", np.ones(4, np.float32)),), 1.0, 3)


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_a_ladder_climbs_and_its_places_lead_back(name: str) -> None:
    operator = MUTATIONS[name]
    places = [operator.place(strength) for strength in operator.ladder]

    assert places == sorted(places)
    if name != "gamma":  # whose weakest rung lies on the other side of 1
        assert [operator.at(place) for place in places] == pytest.approx(operator.ladder)


def test_a_strength_is_said_in_words() -> None:
    assert MUTATIONS["labels_wrong"].words(0.05) == "5 % of labels wrong"
    assert MUTATIONS["logits_sharpened"].words(1.9) == "logits x 1.9"
    assert closest("label-wrong") == "labels_wrong"
    assert closest("zzz") == ""
    assert harness.MUTATIONS is MUTATIONS
