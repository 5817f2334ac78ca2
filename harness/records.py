"""The nouns of the program, frozen. Imports numpy and the standard library only.

Axes: n images, 28 rows, 28 columns, k = 10 classes. Shares are 0..1, never percent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
SIDE = 28
NO_ANSWER = -1
SEVERITIES = (1, 2, 3, 4, 5)

Images: TypeAlias = NDArray[np.uint8]  # (n, 28, 28), ink 0..255, 0 is paper
Labels: TypeAlias = NDArray[np.uint8]  # (n,), 0..9
Classes: TypeAlias = NDArray[np.int8]  # (n,), 0..9, or NO_ANSWER where a row held no finite numbers
Probabilities: TypeAlias = NDArray[np.float32]  # (n, k), as the model gave them
Mask: TypeAlias = NDArray[np.bool_]  # (n,), the images that are meant
Matrix: TypeAlias = tuple[tuple[int, ...], ...]  # (k, k + 1) counts: true, said; last column: no answer

Status: TypeAlias = Literal["passed", "failed", "inconclusive", "not_evaluated"]
Level: TypeAlias = Literal["required", "warning"]
Decide: TypeAlias = Literal["proven", "point", "not-disproven"]
Rule: TypeAlias = Literal["at_least", "at_most"]
Against: TypeAlias = Literal["", "baseline"]
Word: TypeAlias = Literal["allowed", "allowed_with_warnings", "blocked", "no_verdict"]
Origin: TypeAlias = Literal["npz", "idx", "keras", "embedded"]


@dataclass(frozen=True)
class Dataset:
    """Labelled digits that have passed the checks at the door."""

    name: str
    origin: Origin
    images: Images
    labels: Labels
    train_images: Images | None
    train_labels: Labels | None
    facts: DataFacts


@dataclass(frozen=True)
class DataFacts:
    name: str
    origin: Origin
    sha256: str  # of the test arrays: shapes, images, labels
    n: int
    train_n: int
    counts: tuple[int, ...]  # test images per class
    duplicates: int  # test images that equal an earlier test image
    overlap: int  # test images that equal a training image


@dataclass(frozen=True)
class Layer:
    name: str
    kind: str
    output: str
    parameters: int


@dataclass(frozen=True)
class ModelFacts:
    """What the child said of the candidate after loading it; the hash and size are the parent's."""

    name: str
    sha256: str
    size: int  # bytes
    kind: str  # class of the loaded object: "Sequential", "Functional", ...
    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[tuple[int | None, ...], ...]
    parameters: int
    layers: tuple[Layer, ...]
    preprocess: str  # module that normalises for this candidate
    preprocess_sha256: str = ""  # of that module's file


@dataclass(frozen=True)
class Sandbox:
    """What kept the candidate in while it answered."""

    layers: tuple[str, ...]  # as the system had them: "landlock abi 7", "pid namespace", ...
    open: tuple[str, ...]  # what it could have done all the same; empty where each of the promises was held


class Trial(ABC):
    """One condition of the images, of one of the four kinds below; in order of name, then point, whatever the kind."""

    name: str

    @property
    @abstractmethod
    def point(self) -> tuple[int, ...]:
        """How much is changed, in whole numbers: none, a level, or a coordinate for each axis."""

    @property
    def key(self) -> str:
        return f"{self.name}@{','.join(map(str, self.point))}" if self.point else self.name

    def __lt__(self, other: Trial) -> bool:
        return (self.name, self.point) < (other.name, other.point)


@dataclass(frozen=True)
class Clean(Trial):
    """The images as they are."""

    name: str = field(default="clean", init=False)

    @property
    def point(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True)
class Severity(Trial):
    """A corruption at one of its five severities."""

    name: str
    level: int

    @property
    def point(self) -> tuple[int, ...]:
        return (self.level,)


@dataclass(frozen=True)
class SpacePoint(Trial):
    """One point of a finite space: a whole number of steps along each axis."""

    name: str
    coordinates: tuple[int, ...]

    @property
    def point(self) -> tuple[int, ...]:
        return self.coordinates

    @property
    def radius(self) -> int:
        """The largest step along any axis."""
        return max(map(abs, self.coordinates), default=0)


@dataclass(frozen=True)
class AttackAt(Trial):
    """A white-box attack at one of its five levels."""

    name: str
    level: int

    @property
    def point(self) -> tuple[int, ...]:
        return (self.level,)


CLEAN: Trial = Clean()
LIGHT: tuple[Trial, ...] = (SpacePoint("rotation", (-6,)), SpacePoint("rotation", (6,)))  # the same digit to any reader


@dataclass(frozen=True)
class BaselineFacts:
    """Which release a candidate is held against, and who let it become that."""

    model: str  # its name
    sha256: str  # of the model file
    data_sha256: str
    seed: int
    accepted_by: str = ""
    because: str = ""


@dataclass(frozen=True)
class Predictions:
    """The answers of one model to every trial. ValueError where arrays are not of the same n images."""

    answers: Mapping[Trial, Classes]
    """The class of each image under each trial."""
    probabilities: Probabilities
    """Those of the clean images; no rows where these were not tried."""
    seed: int
    """What the corruptions were drawn with."""
    drawn: Mapping[Trial, str] = field(default_factory=dict)
    """SHA-256 of each trial's specimen: equal where two models were given the same images."""

    def __post_init__(self) -> None:
        sizes = {answers.shape for answers in self.answers.values()}
        clean = {(len(self.probabilities),)} if CLEAN in self.answers else set()
        if len(sizes | clean) > 1 or any(len(size) != 1 for size in sizes):
            raise ValueError("its arrays do not belong together")

    @property
    def n(self) -> int:
        """How many images were answered; 0 without a trial."""
        return max(map(len, self.answers.values()), default=0)

    def subset(self, mask: Mask) -> Predictions:
        """Keep the images that ``mask`` (n,) marks."""
        answers = {trial: classes[mask] for trial, classes in self.answers.items()}
        rows = self.probabilities
        return replace(self, answers=answers, probabilities=rows[mask] if len(rows) else rows)


@dataclass(frozen=True)
class Baseline:
    """The predictions of the last release, and who accepted it as that."""

    facts: BaselineFacts
    predictions: Predictions


@dataclass(frozen=True)
class Evidence:
    """All that judging and showing need of a sweep. ValueError where arrays are not of the same n images."""

    model: ModelFacts
    data: DataFacts
    """The data set that was swept, also where this is a subset of its images."""
    images: Images
    labels: Labels
    predictions: Predictions
    """Those of the candidate."""
    specimens: Mapping[Trial, Images]
    """(1, 28, 28): the first image of the data set under every trial."""
    fault: str = ""
    """Why predictions are missing: the candidate died, hung or answered nonsense."""
    baseline: Baseline | None = None
    sandbox: Sandbox | None = None
    """None where it is not known."""
    light: Mapping[Trial, Probabilities] = field(default_factory=dict)
    """Probabilities under LIGHT, where it was tried."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        answered = {self.predictions.n} if self.answers else set()
        if {len(self.images), *answered, *map(len, self.light.values())} != {n}:
            raise ValueError("its arrays do not belong together")

    @property
    def answers(self) -> Mapping[Trial, Classes]:
        """The candidate's answers."""
        return self.predictions.answers

    @property
    def probabilities(self) -> Probabilities:
        """The candidate's probabilities of the clean images."""
        return self.predictions.probabilities

    @property
    def seed(self) -> int:
        """The seed of the corruptions."""
        return self.predictions.seed

    def subset(self, mask: Mask) -> Evidence:
        """Keep the images that ``mask`` (n,) marks, of the candidate and of a baseline that answered as many."""
        baseline = self.baseline
        if baseline is not None and baseline.predictions.n == len(mask):
            baseline = replace(baseline, predictions=baseline.predictions.subset(mask))
        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            predictions=self.predictions.subset(mask),
            baseline=baseline,
            light={trial: rows[mask] for trial, rows in self.light.items()},
        )


@dataclass(frozen=True)
class Scope:
    """What a number is of: everything, one digit, one corruption at a severity, all of a finite space, or the slices
    of a property.
    """

    digit: int | None = None
    corruption: str | None = None
    severity: int | None = None
    within: int | None = None
    property: str | None = None


@dataclass(frozen=True)
class Measurement:
    """A value with its interval. ``hits`` of ``n`` where the value is a share of images.

    Against the baseline it is candidate minus baseline; ``broken`` images only the baseline has right, ``fixed`` only
    the candidate, where the difference is one of shares of the same images.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    scope: Scope = Scope()
    hits: int | None = None
    interval: str = ""  # how low and high were found
    part: str = ""  # in words, which one it is of, where it is of the worst of several
    against: Against = ""
    broken: int | None = None
    fixed: int | None = None


@dataclass(frozen=True)
class Gate:
    """One rule of a policy; against the baseline the threshold is of the difference: minus or plus the margin."""

    id: str
    metric: str
    rule: Rule
    threshold: float
    because: str
    scope: Scope = Scope()
    level: Level = "required"
    decide: Decide = "proven"
    confidence: float = 0.95
    file: str = ""
    line: int = 0
    against: Against = ""


@dataclass(frozen=True)
class Finding:
    """What one gate or one check said."""

    id: str
    kind: Literal["gate", "check", "control"]
    title: str
    status: Status
    reason: str
    level: Level = "required"
    because: str = ""
    where: str = ""
    gate: Gate | None = None
    measurement: Measurement | None = None
    margin: float | None = None  # value to threshold; negative on the wrong side
    margin_images: int | None = None
    images_needed: int | None = None  # how many images would settle an inconclusive gate
    exhibits: tuple[str, ...] = ()  # base64 of 784 bytes each: images of a failing example, or that a check shows


@dataclass(frozen=True)
class Suspect:
    """An image whose label the model and most of its nearest neighbours doubt."""

    index: int
    label: int
    said: int  # what the model takes it for
    neighbours: int  # of the ten nearest images, how many bear that as their label


@dataclass(frozen=True)
class Suspects:
    images: tuple[Suspect, ...]  # the most doubted first
    without: Measurement  # accuracy on all other images
    turned: tuple[str, ...] = ()  # titles of required gates that they decide: these pass only with or only without them


@dataclass(frozen=True)
class Verdict:
    word: Word
    sentence: str
    advice: str
    exit_code: int
    counts: Mapping[Status | Literal["warned"], int]


@dataclass(frozen=True)
class PolicyFacts:
    name: str
    file: str
    sha256: str
    text: str


@dataclass(frozen=True)
class GatePower:
    """What one gate can tell. Distances are from the threshold, in the metric's unit; None: cannot be known."""

    id: str
    n: int
    shortfall: float | None = None  # a true miss this large fails with 80 % probability, as the only miss of all gates
    images: int | None = None  # the same, in images
    headroom: float | None = None  # a true value this much better passes with 80 % probability
    at_threshold: float | None = None  # chance that a model exactly at the threshold passes
    stopped: float | None = None  # chance that a model like this one does not pass, on other images
    failed: float | None = None  # chance that it fails


@dataclass(frozen=True)
class Power:
    """What a policy can tell, and how often it errs."""

    gates: tuple[GatePower, ...]
    family: int  # gates over which a fail is corrected (Holm)
    at_threshold: float | None  # chance that a model exactly at a required threshold is released: at most this
    released: float | None = None  # chances of a model like this one, on other images
    undecided: float | None = None
    blocked: float | None = None


@dataclass(frozen=True)
class Run:
    """Everything the outputs show. Equal inputs give equal bytes: SessionFacts hold the facts that differ."""

    model: ModelFacts
    data: DataFacts
    policy: PolicyFacts
    seed: int
    versions: Mapping[str, str]
    command: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    measurements: tuple[Measurement, ...]
    confusion: Matrix
    power: Power | None = None
    sandbox: Sandbox | None = None
    baseline: BaselineFacts | None = None
    changes: tuple[Measurement, ...] = ()  # against the baseline
    suspects: Suspects | None = None
    diagnostics: tuple[Measurement, ...] = ()  # they decide nothing


@dataclass(frozen=True)
class SessionFacts:
    """When, where and how long: the facts that differ between two equal runs."""

    when: str  # UTC, ISO 8601
    machine: str
    seconds: Mapping[str, float]  # start, model, sweep, checks, report
    seconds_per_image: float
