"""Declared training digits: they stand for the training part and are compared with the test digits."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

from harness.cli import demo
from harness.cli import root as commands
from harness.data.sources import load
from harness.data.validation import content_hash
from harness.report import facts
from harness.run.session import Request
from tests.support import digit_files, samples

IMAGES, LABELS = digit_files.digits()


def test_the_declared_training_part_stands_for_that_of_the_data(tmp_path: Path) -> None:
    digits, known = load(digit_files.npz(tmp_path, IMAGES, LABELS), trained_on="embedded"), load("embedded")

    assert known.train_images is not None
    assert known.train_labels is not None
    assert np.array_equal(np.asarray(digits.train_images), known.train_images)
    assert digits.facts.trained_on == "the training part of embedded MNIST digits"
    assert digits.facts.trained_on_sha256 == content_hash(known.train_images, known.train_labels)
    assert digits.facts.train_n == len(known.train_images)


def test_the_embedded_digits_are_not_among_those_of_their_training_part() -> None:
    assert load("embedded", trained_on="embedded").facts.overlap == 0


def test_of_digits_without_a_training_part_all_are_what_it_was_trained_on(tmp_path: Path) -> None:
    path = digit_files.npz(tmp_path, IMAGES, LABELS)

    found = load(path, trained_on=str(path)).facts

    assert (found.trained_on, found.train_n, found.overlap) == (path.name, len(IMAGES), len(IMAGES))


def test_units_of_a_training_part_that_is_not_the_declared_one_are_no_shared_units(tmp_path: Path) -> None:
    units = np.arange(len(LABELS)) // 10
    path = tmp_path / "units.npz"
    np.savez(path, x_test=IMAGES, y_test=LABELS, x_train=IMAGES, y_train=LABELS, groups_test=units, groups_train=units)

    assert (load(path).facts.shared_units, load(path, trained_on="embedded").facts.shared_units) == (6, 0)


def test_nothing_is_said_of_it_where_it_was_not_declared() -> None:
    found = load("embedded").facts

    assert (found.trained_on, found.trained_on_sha256) == ("", "")


def test_the_report_shows_it_at_its_head_and_under_data() -> None:
    run = samples.allowed()[0]
    run = replace(run, data=replace(run.data, trained_on="the training part of x", trained_on_sha256="ab" * 32))

    shown = [item.text for item in (*facts.identity(run, None), *facts.data(run.data).items) if "declared" in item.term]
    assert shown == ["the training part of x"] * 2


def test_the_command_that_repeats_a_run_declares_it_again() -> None:
    request = Request(Path("m.keras"), "embedded", trained_on="my digits.npz")

    assert "--trained-on 'my digits.npz'" in request.command()


@pytest.mark.parametrize("resize", [False, True])
def test_what_the_demo_proposes_are_commands_that_there_are(resize: bool) -> None:
    lines = demo.proposed(Path("my out"), "embedded", resize).splitlines()

    for line in lines:
        harness, name, *words = shlex.split(line)
        command = commands.get_command(click.Context(commands), name)
        assert harness == "harness"
        assert command is not None
        command.make_context(name, words)
    assert len(lines) == 3
