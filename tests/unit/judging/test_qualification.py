"""The search along a ladder and what is made of it, on records."""

from __future__ import annotations

import numpy as np
import pytest

from harness.judging import qualification
from harness.records import CLEAN, Ladder, Mutant, Scope
from tests.support import samples

RUNGS = (1.0, 2.0, 3.0, 4.0, 5.0)


def searched(stops_from: int, rungs: int = 5) -> dict[int, float]:
    """The chances that a search along a ladder meets, of a policy that stops from a rung on."""
    chances: dict[int, float] = {}
    while (at := qualification.next_rung(chances, rungs)) is not None:
        assert at not in chances
        chances[at] = 1.0 if at >= stops_from else 0.1
    return chances


def mutant(strength: float, by: tuple[str, ...] = (), *, equal: bool = False) -> Mutant:
    return Mutant("any", strength, 0, "equivalent" if equal else "stopped" if by else "passed", by=by)


def ladder(*mutants: Mutant, name: str = "any") -> Ladder:
    return Ladder(name, "weights", RUNGS, mutants, qualification.shares(RUNGS, mutants))


@pytest.mark.parametrize("stops_from", range(6))
def test_the_weakest_rung_that_is_stopped_is_found_with_at_most_three_of_five(stops_from: int) -> None:
    chances = searched(stops_from)

    assert len(chances) <= 3
    assert min((at for at, chance in chances.items() if chance >= 0.8), default=5) == stops_from
    assert stops_from == 0 or stops_from - 1 in chances


def test_a_ladder_of_one_rung_is_judged_once() -> None:
    assert searched(0, rungs=1) == {0: 1.0}


def test_between_rungs_the_strength_of_eighty_percent_is_interpolated() -> None:
    assert qualification.detectable([0.0, 1.0, 2.0], [0.1, 0.6, 1.0]) == pytest.approx(1.5)


def test_a_chance_that_falls_on_the_way_is_pooled_with_its_neighbour() -> None:
    assert qualification.detectable([0.0, 1.0, 2.0], [0.0, 1.0, 0.6]) == pytest.approx(1.0)


def test_a_ladder_whose_end_is_let_through_has_no_strength() -> None:
    assert qualification.detectable([0.0, 1.0], [0.0, 0.7]) is None


def test_rungs_that_were_not_judged_follow_from_those_that_were() -> None:
    found = qualification.shares(RUNGS, [mutant(3.0), mutant(4.0, ("gate/a",))])

    assert found == (0.0, 0.0, 0.0, 1.0, 1.0)


def test_what_is_equivalent_is_not_counted_nor_what_is_weaker() -> None:
    found = qualification.shares(RUNGS, [mutant(3.0, equal=True), mutant(4.0), mutant(5.0, ("gate/a",))])

    assert found == (None, None, None, 0.0, 1.0)


def test_mutants_with_the_same_answers_are_counted_once() -> None:
    alike = [Mutant("any", strength, 0, "passed", digest="same") for strength in (3.0, 4.0)]

    assert qualification.shares(RUNGS, [*alike, mutant(5.0, ("gate/a",))]) == (0.0, 0.0, 0.0, None, 1.0)


def test_the_score_is_of_rungs_and_its_interval_of_operators() -> None:
    half = ladder(mutant(3.0), mutant(4.0, ("gate/a",)))
    found = qualification.score([half] * 20)
    apart = qualification.score([ladder(mutant(5.0)), ladder(mutant(1.0, ("gate/a",)))] * 3)

    assert found is not None
    assert (found.value, found.low, found.high, found.mutants, found.operators) == (0.4, 0.4, 0.4, 100, 20)
    assert apart is not None
    assert apart.low < 0.2 < apart.value == 0.5 < 0.8 < apart.high
    assert qualification.score([ladder(mutant(5.0, equal=True))]) is None


def test_gates_that_stop_nothing_are_told_from_gates_that_are_never_alone() -> None:
    found = [
        ladder(mutant(4.0, ("a", "b")), mutant(5.0, ("a", "b", "c")), name="x"),
        ladder(mutant(1.0, ("a",)), name="y"),
    ]
    gates = ("a", "b", "c", "d")

    assert qualification.idle(gates, found) == ("d",)
    assert qualification.never_alone(gates, found) == ("b", "c")
    assert [(one.said, one.by) for one in qualification.killed(found, "{} {:g}".format)] == [
        ("x 4", ("a", "b")),
        ("y 1", ("a",)),
    ]


def test_the_cover_takes_the_gate_that_stops_most_first() -> None:
    found = [ladder(mutant(1.0, ("a",)), mutant(2.0, ("a", "b")), mutant(3.0, ("b", "c")), mutant(4.0, ("c",)))]

    assert qualification.cover(found) == ("a", "c")


def test_the_gate_proposed_is_one_that_the_model_passes_and_the_mutant_misses_by_the_most() -> None:
    shown = samples.evidence((), n=500)
    said, eights = shown.answers[CLEAN].copy(), shown.labels == 8
    said[np.flatnonzero(eights)[: eights.sum() // 2]] = 3
    worse = samples.answering(shown, answers={**shown.answers, CLEAN: said})
    gates = qualification.reached([shown])

    assert {one.metric for one in gates} > {"accuracy", "recall", "worst_class_recall", "log_loss"}
    assert qualification.would_stop(gates, shown) is None
    found = qualification.would_stop(gates, worse)
    assert found in gates
    assert found is not None
    few = [one for one in gates if one.metric == "recall"]
    assert (best := qualification.would_stop(few, worse)) is not None
    assert best.scope == Scope(digit=8)
