"""Corruptions and finite spaces: their records, found by name and applied to images."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from harness.corruptions import user_code
from harness.corruptions.attacks import ATTACKS, Attack
from harness.corruptions.randomness import Indices, Rng
from harness.errors import UsageError
from harness.records import (
    CLEAN,
    SEVERITIES,
    SIDE,
    TRIGGER,
    AttackAt,
    Clean,
    Images,
    Severity,
    SpacePoint,
    Trial,
    Triggered,
)

Function: TypeAlias = Callable[[Images, int, Rng], Images]  # images, severity 1..5, rng -> new images
Move: TypeAlias = Callable[[Images, tuple[int, ...]], Images]  # images, point -> new images
Point: TypeAlias = tuple[int, ...]

AT_ONCE = 250  # images handed to a function at a time, so that what it makes on the way stays in the cache
MANY_AT_ONCE = 2000  # for a function that groups images by the map each has drawn from a large bank


@dataclass(frozen=True)
class Parameter:
    """A setting of a corruption: its value at severities 1 to 5."""

    name: str
    unit: str
    values: tuple[float, float, float, float, float]

    def at(self, severity: int) -> float:
        """Return the value at a severity."""
        return self.values[severity - 1]


@dataclass(frozen=True)
class Corruption:
    """A way of spoiling digits at five severities."""

    name: str
    function: Function
    source: str
    parameters: tuple[Parameter, ...]
    published: int | None  # the severity that is the paper's own setting
    family: str
    mnist_c: bool
    at_once: int = AT_ONCE


@dataclass(frozen=True)
class Space:
    """All changes of one kind up to a size, tried without a gap."""

    name: str
    unit: str
    largest: int  # of ``within``
    function: Move
    axes: int = 1

    def points(self, within: int) -> tuple[Point, ...]:
        """List all points at most ``within`` from 0 on each axis, ascending, without the one that changes nothing."""
        if not 1 <= within <= self.largest:
            raise UsageError(f"{self.name} within {within} is outside 1 to {self.largest} {self.unit}")
        steps = np.arange(-within, within + 1)
        grid = np.stack(np.meshgrid(*[steps] * self.axes, indexing="ij"), axis=-1).reshape(-1, self.axes)
        return tuple(tuple(map(int, point)) for point in grid if point.any())


_corruptions: dict[str, Corruption] = {}
_spaces: dict[str, Space] = {}
CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(_corruptions)
SPACES: Mapping[str, Space] = MappingProxyType(_spaces)


def corruption(
    *parameters: Parameter,
    source: str,
    published: int | None = None,
    mnist_c: bool = False,
    at_once: int = AT_ONCE,
) -> Callable[[Function], Function]:
    """Enter a function into the registry under its own name, in the family of its module."""

    def enter(function: Function) -> Function:
        name, family = function.__name__, function.__module__.rpartition(".")[2]
        _corruptions[name] = Corruption(name, function, source, parameters, published, family, mnist_c, at_once)
        return function

    return enter


def space(*, unit: str, largest: int, axes: int = 1) -> Callable[[Move], Move]:
    """Enter a function of (images, point) into the registry of finite spaces under its own name."""

    def enter(function: Move) -> Move:
        _spaces[function.__name__] = Space(function.__name__, unit, largest, function, axes)
        return function

    return enter


def find(name: str) -> Corruption | Space | Attack:
    """Find what has this name; ``package.module:function`` is imported from the user's own code."""
    known = CORRUPTIONS.get(name) or SPACES.get(name) or ATTACKS.get(name)
    if known is not None:
        return known
    if ":" in name:
        return _import(name)
    plain = name.lower().replace("-", "_").replace(" ", "_")
    close = difflib.get_close_matches(plain, [*CORRUPTIONS, *SPACES, *ATTACKS], n=1)
    hint = (
        f"did you mean {close[0]}?" if close else "harness corruptions lists them; your own is package.module:function"
    )
    raise UsageError(f"there is no corruption or space {name!r}; {hint}")


def trial_at(name: str, *point: int) -> Trial:
    """Make the trial of a corruption, space or attack from its numbers; ValueError where these are not one level."""
    if not point and name in (CLEAN.name, TRIGGER.name):
        return CLEAN if name == CLEAN.name else TRIGGER
    if name in SPACES:
        return SpacePoint(name, point)
    if len(point) != 1:
        raise ValueError(f"{name} has one severity, not {len(point)}")
    return (AttackAt if name in ATTACKS else Severity)(name, *point)


def trial_named(key: str) -> Trial:
    """Read the key of a corruption at a severity, ``fog@2``; ValueError where it is none."""
    name, _, level = key.rpartition("@")
    if not name or level not in ("1", "2", "3", "4", "5"):
        raise ValueError(f"{key!r} is no corruption at a severity; write it as fog@2")
    return trial_at(name, int(level))


def corrupt(images: Images, trial: Trial, *, seed: int, first: int = 0, indices: Indices | None = None) -> Images:
    """Change images as a trial says; returns a new array.

    ``first`` is the place of the first image in its data set and ``indices`` the places of all, where they are not
    consecutive: they, the seed and the trial are all that the randomness depends on.
    """
    _check_images(images)
    match trial:
        case Clean():
            return images.copy()
        case SpacePoint(name, coordinates):
            moves = SPACES[name]
            return moves.function(images, _checked_point(moves, coordinates))
        case AttackAt() | Triggered():
            raise ValueError(f"{trial.name} is against a candidate, which alone can make it")
        case Severity(name, severity):
            entry = _checked_severity(find(name), severity)
    places = np.arange(first, first + len(images)) if indices is None else np.asarray(indices, dtype=np.int64)
    if len(places) != len(images):
        raise ValueError(f"indices={len(places)} places for {len(images)} images")
    corrupted = np.empty_like(images)
    for start in range(0, len(images), entry.at_once):
        part = slice(start, start + entry.at_once)
        corrupted[part] = entry.function(images[part], severity, Rng(seed, entry.name, severity, places[part]))
    return corrupted


def source(name: str) -> str:
    """Hash the file that a user's corruption is in, which may change; empty for one of ours, which may not."""
    if ":" not in name:
        return ""
    find(name)
    return user_code.sha256_of(name)


def prepare(names: Iterable[str]) -> None:
    """Build the tables and banks of these corruptions now; each is built once a process, whoever asks first."""
    blank = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    for name in names:
        if isinstance(find(name), Corruption):
            for severity in SEVERITIES:
                corrupt(blank, Severity(name, severity), seed=0)


def _check_images(images: Images) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images={images.dtype}{images.shape} is not uint8 (n, {SIDE}, {SIDE})")


def _checked_severity(entry: Corruption | Space | Attack, severity: int) -> Corruption:
    if not isinstance(entry, Corruption) or severity not in SEVERITIES:
        raise UsageError(f"{entry.name}: severity {severity} is not one of 1 to {SEVERITIES[-1]}")
    return entry


def _checked_point(space: Space, point: Point) -> Point:
    if len(point) != space.axes or any(abs(step) > space.largest for step in point):
        raise UsageError(
            f"{space.name}: point {point} is not {space.axes} whole number(s) of at most ±{space.largest} {space.unit}"
        )
    return point


def _import(name: str) -> Corruption:
    function = user_code.imported("corruption", name, "(images, severity, rng)")
    return Corruption(name, _guarded(name, function), "user", (), None, "user", False)


def _guarded(name: str, function: Function) -> Function:
    """Hold the user's function to the contract that ours are tested for."""

    def guarded(images: Images, severity: int, rng: Rng) -> Images:
        lent = images.copy()
        given = user_code.called(
            f"corruption {name}", f" at severity {severity}", lambda: function(lent, severity, rng)
        )
        if not np.array_equal(lent, images):
            raise UsageError(f"corruption {name} changed its input at severity {severity}; it must return a new array")
        if not isinstance(given, np.ndarray):
            raise UsageError(f"corruption {name} returned {type(given).__name__}, not an array of images")
        if given.dtype != np.uint8:
            raise UsageError(f"corruption {name} changed the dtype from uint8 to {given.dtype}; return uint8, 0 to 255")
        if given.shape != images.shape:
            raise UsageError(f"corruption {name} changed the shape from {images.shape} to {given.shape}")
        return given

    return guarded
