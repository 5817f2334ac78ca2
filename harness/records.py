"""The nouns of the program, frozen. Imports numpy and the standard library only.

Axes: n images, 28 rows, 28 columns, k = 10 classes. Shares are 0..1, never percent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

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
LogProbabilities: TypeAlias = NDArray[np.floating[Any]]  # (n, k), natural logarithms
Mask: TypeAlias = NDArray[np.bool_]  # (n,), the images that are meant
Codes: TypeAlias = NDArray[np.int32]  # (n,), the unit or the value of each image, a number from 0 on
Matrix: TypeAlias = tuple[tuple[int, ...], ...]  # (k, k + 1) counts: true, said; last column: no answer

Status: TypeAlias = Literal["passed", "failed", "inconclusive", "not_evaluated"]
Level: TypeAlias = Literal["required", "warning"]
Decide: TypeAlias = Literal["proven", "point", "not-disproven"]
Rule: TypeAlias = Literal["at_least", "at_most"]
Against: TypeAlias = Literal["", "baseline", "anchor"]
Kind: TypeAlias = Literal["", "primary", "guard"]
Answer: TypeAlias = Literal["", "shown", "not shown", "not refuted", "refuted"]
MutantStatus: TypeAlias = Literal["stopped", "passed", "equivalent", "crashed"]
Word: TypeAlias = Literal["allowed", "allowed_with_warnings", "blocked", "no_verdict"]
Origin: TypeAlias = Literal["npz", "idx", "images", "csv", "parquet", "keras", "embedded"]
InputKind: TypeAlias = Literal["unit", "raw", "symmetric", "standardised", "inverted", "l2", "own"]
PixelType: TypeAlias = Literal["float32", "uint8"]
Precision: TypeAlias = Literal["", "float16", "bfloat16", "int8"]

MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081  # of the training pixels, 0..1; the figures that tutorials give


@dataclass(frozen=True)
class Dataset:
    """Labelled digits that have passed validation."""

    name: str
    """Name of the data set."""
    origin: Origin
    """Kind of the source."""
    images: Images
    """(n, 28, 28): the test images."""
    labels: Labels
    """(n,): the digit on each."""
    train_images: Images | None
    """(m, 28, 28): the training images, where the source has them."""
    train_labels: Labels | None
    """(m,): the digit on each."""
    facts: DataFacts
    """Counts and hash of the arrays."""
    groups: Groups | None = None
    """The sampling units and the slices of the test images, where the source names them."""


@dataclass(frozen=True)
class Column:
    """A column that slices the test images."""

    values: tuple[str, ...]
    """Values of the column, sorted."""
    codes: Codes
    """(n,): which value each image has."""


@dataclass(frozen=True)
class Groups:
    """Sampling units and slices of the test images. Names of units are never kept, only codes."""

    unit: str
    """Sampling unit: writer, page, patient; empty where images are declared independent."""
    codes: Codes | None
    """(n,): the unit of each image, by first appearance; None where images are declared independent."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    """The slices, by name."""

    def mean_size(self, mask: Mask | None = None) -> float:
        """Compute the mean number of images of the unit that an image is of (Kish), of all or of those marked."""
        if self.codes is None:
            return 1.0
        codes = self.codes if mask is None else self.codes[mask]
        sizes = np.bincount(codes).astype(np.float64)
        return float((sizes**2).sum() / max(1, len(codes)))

    def subset(self, mask: Mask) -> Groups:
        """Keep the images that ``mask`` (n,) marks; codes stay as they are."""
        columns = {name: replace(one, codes=one.codes[mask]) for name, one in self.columns.items()}
        return replace(self, codes=None if self.codes is None else self.codes[mask], columns=columns)


@dataclass(frozen=True)
class DataFacts:
    """Facts of the test images, for the outputs."""

    name: str
    """Name of the data set."""
    origin: Origin
    """Kind of the source."""
    sha256: str
    """SHA-256 of the test arrays: shapes, images, labels."""
    n: int
    """Test images."""
    train_n: int
    """Training images; 0 where there are none."""
    counts: tuple[int, ...]
    """Test images of each digit, 0 to 9."""
    duplicates: int
    """Test images that equal an earlier test image."""
    overlap: int
    """Test images that equal a training image."""
    unit: str = ""
    """Sampling unit of the test images; empty where they are taken to be independent."""
    units: int = 0
    """Units of the test images."""
    unit_sizes: tuple[float, ...] = ()
    """Mean size of the unit that a test image is of (Kish): of all images, then of each digit's."""
    shared_units: int = 0
    """Units that have images in the training part too."""
    trained_on: str = ""
    """The digits that the candidate was trained on, as declared; they stand for the training images."""
    trained_on_sha256: str = ""
    """SHA-256 of their arrays: shapes, images, labels."""


@dataclass(frozen=True)
class Layer:
    """A layer of the candidate."""

    name: str
    """Name of the layer."""
    kind: str
    """Class of the layer in Keras."""
    output: str
    """Shape of its output, as Keras writes it."""
    parameters: int
    """Number of its parameters, trainable or not."""


@dataclass(frozen=True)
class InputContract:
    """Contract of the input: the values that the candidate's preprocessing makes of grey levels 0..255."""

    kind: InputKind = "unit"
    """Shipped kind; own: a module that states the range itself."""
    low: float = 0.0
    """Smallest value of a pixel."""
    high: float = 1.0
    """Largest value of a pixel."""
    mean: float | None = None
    """Mean that is subtracted from pixels 0..1; of standardised only."""
    std: float | None = None
    """Standard deviation that the difference is divided by; of standardised only."""
    dtype: PixelType = "float32"
    """Type of the pixels."""
    one_hot: bool = True
    """True where the preprocessing encodes labels, too."""

    @classmethod
    def of(cls, kind: InputKind, mean: float | None = None, std: float | None = None) -> InputContract:
        """Make the contract of a shipped kind; standardised without figures takes those of MNIST."""
        if kind == "standardised":
            mean, std = MNIST_MEAN if mean is None else mean, MNIST_DEVIATION if std is None else std
            return cls(kind, -mean / std, (1 - mean) / std, mean, std)
        low, high = {"raw": (0.0, 255.0), "symmetric": (-1.0, 1.0)}.get(kind, (0.0, 1.0))
        return cls(kind, low, high)

    @property
    def affine(self) -> tuple[float, float] | None:
        """Return scale and offset of the map from grey levels; None where it is no such map, or not known."""
        if self.kind in ("own", "l2"):
            return None
        start, end = (self.high, self.low) if self.kind == "inverted" else (self.low, self.high)
        return (end - start) / 255, start


@dataclass(frozen=True)
class ModelFacts:
    """Facts of the candidate that the child reports after loading it; the hash and size are the parent's."""

    name: str
    """File name of the candidate."""
    sha256: str
    """SHA-256 of the file."""
    size: int
    """Bytes of the file."""
    kind: str
    """Class of the loaded object: Sequential, Functional, ..."""
    inputs: tuple[tuple[int | None, ...], ...]
    """Shape of each input; null for any length."""
    outputs: tuple[tuple[int | None, ...], ...]
    """Shape of each output; null for any length."""
    parameters: int
    """Parameters of all layers."""
    layers: tuple[Layer, ...]
    """The layers, from input to output."""
    preprocess: str
    """Module that normalises images for the candidate."""
    preprocess_sha256: str = ""
    """SHA-256 of that module's file."""
    contract: InputContract | None = None
    """Contract of that module, where it is not x / 255 beside a one-hot encoding."""
    keras: str = ""
    """Version of tf_keras, the kept Keras 2, where that ran the model; empty where the Keras of versions did."""
    precision: Precision = ""
    """Coarsest type that it computes in; empty for float32."""

    @property
    def fed(self) -> tuple[str, str, InputContract | None]:
        """Return what determines predictions: the model's file, the preprocessing's and its contract."""
        return self.sha256, self.preprocess_sha256, self.contract


@dataclass(frozen=True)
class Sandbox:
    """Protections against the candidate, and gaps in them, while it answered."""

    layers: tuple[str, ...]
    """Protections that were on, as the system had them: landlock abi 7, pid namespace, ..."""
    open: tuple[str, ...]
    """Actions open to the candidate all the same; empty where every promise was kept."""


class Trial(ABC):
    """A condition of the images, of a kind below; in order of name, then point, whatever the kind."""

    name: str

    @property
    @abstractmethod
    def point(self) -> tuple[int, ...]:
        """Return how much is changed, in whole numbers: none, a level, or a coordinate for each axis."""

    @property
    def key(self) -> str:
        """Return the name of the trial in files and messages: ``fog@3``, ``shift@-1,2``."""
        return f"{self.name}@{','.join(map(str, self.point))}" if self.point else self.name

    def __lt__(self, other: Trial) -> bool:
        return (self.name, self.point) < (other.name, other.point)


@dataclass(frozen=True)
class Clean(Trial):
    """The images as they are."""

    name: str = field(default="clean", init=False)

    @property
    def point(self) -> tuple[int, ...]:
        """Return no number."""
        return ()


@dataclass(frozen=True)
class Severity(Trial):
    """A corruption at one of its five severities."""

    name: str
    """Name of the corruption."""
    level: int
    """1 to 5."""

    @property
    def point(self) -> tuple[int, ...]:
        """Return the level."""
        return (self.level,)


@dataclass(frozen=True)
class SpacePoint(Trial):
    """A point of a finite space: a whole number of steps along each axis."""

    name: str
    """Name of the space."""
    coordinates: tuple[int, ...]
    """Steps along each axis; their unit is the space's."""

    @property
    def point(self) -> tuple[int, ...]:
        """Return the coordinates."""
        return self.coordinates

    @property
    def radius(self) -> int:
        """Return the largest step along any axis."""
        return max(map(abs, self.coordinates), default=0)


@dataclass(frozen=True)
class AttackAt(Trial):
    """A white-box attack at one of its five levels."""

    name: str
    """Name of the attack."""
    level: int
    """1 to 5."""

    @property
    def point(self) -> tuple[int, ...]:
        """Return the level."""
        return (self.level,)


@dataclass(frozen=True)
class Triggered(Trial):
    """The images with the patch that a search for triggers has chosen against the candidate."""

    name: str = field(default="trigger", init=False)

    @property
    def point(self) -> tuple[int, ...]:
        """Return no number."""
        return ()


CLEAN: Trial = Clean()
TRIGGER: Trial = Triggered()
LIGHT: tuple[Trial, ...] = (SpacePoint("rotation", (-6,)), SpacePoint("rotation", (6,)))  # the same digit to any reader


@dataclass(frozen=True)
class AcceptedRun:
    """An accepted model of a recipe."""

    model: str
    """Name of its file."""
    sha256: str
    """SHA-256 of its file."""


@dataclass(frozen=True)
class BaselineFacts:
    """Identity of the release that a candidate is compared with, and who accepted it."""

    model: str
    """Name of the baseline's model."""
    sha256: str
    """SHA-256 of its model file."""
    data_sha256: str
    """SHA-256 of the test arrays that it answered to."""
    seed: int
    """Seed that its corruptions were drawn with."""
    accepted_by: str = ""
    """Person who accepted it as the last release."""
    because: str = ""
    """Reason given."""
    pool: tuple[AcceptedRun, ...] = ()
    """The other accepted runs of its recipe; gates compare with the mean of all."""
    anchor: tuple[AcceptedRun, ...] = ()
    """The accepted runs that gates against the anchor compare with; none where the baseline is the first."""
    anchor_because: str = ""
    """Reason why these are the anchor."""
    accepted_on: str = ""
    """Day when it was accepted, in UTC."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one model to every trial; equal to itself alone. ValueError where arrays are not of n images."""

    answers: Mapping[Trial, Classes]
    """The class of each image under each trial."""
    probabilities: Probabilities
    """Probabilities of the clean images; no rows where these were not tried."""
    seed: int
    """Seed that the corruptions were drawn with."""
    drawn: Mapping[Trial, str] = field(default_factory=dict)
    """SHA-256 of each trial's specimen: equal where two models were given the same images."""

    def __post_init__(self) -> None:
        sizes = {answers.shape for answers in self.answers.values()}
        clean = {(len(self.probabilities),)} if CLEAN in self.answers else set()
        if len(sizes | clean) > 1 or any(len(size) != 1 for size in sizes):
            raise ValueError("its arrays do not belong together")

    @property
    def n(self) -> int:
        """Count the images that were answered; 0 without a trial."""
        return max(map(len, self.answers.values()), default=0)

    def subset(self, mask: Mask) -> Predictions:
        """Keep the images that ``mask`` (n,) marks."""
        answers = {trial: classes[mask] for trial, classes in self.answers.items()}
        rows = self.probabilities
        return replace(self, answers=answers, probabilities=rows[mask] if len(rows) else rows)


@dataclass(frozen=True)
class Scope:
    """Images and trials that a number is of: all, one digit, one corruption at a severity, all of a finite space, or
    the slices of a property.
    """

    digit: int | None = None
    """The true digit that it is of."""
    corruption: str | None = None
    """Name of a corruption, an attack or a finite space."""
    severity: int | None = None
    """Severity of the corruption, 1 to 5."""
    within: int | None = None
    """Largest step along each axis of a finite space."""
    property: str | None = None
    """Property whose slices it is of."""
    slice: int | None = None
    """Fifth of the images by the property, 1 to 5; 1 has the lowest values."""
    corruptions: tuple[str, ...] = ()
    """Corruptions, each at its severity (``fog@2``), that it is the mean of."""
    column: str | None = None
    """Column of the data whose values are the slices that it is of."""
    reaching: float | None = None
    """Accuracy that the units counted reach."""


@dataclass(frozen=True)
class RetrainingMargin:
    """Largest loss beyond the accepted runs that a model of the same recipe may have, and its parts.

    In the metric's unit, of the mean loss: larger is worse.
    """

    value: float
    """The margin."""
    floor: float
    """The smallest margin of this gate."""
    losses: tuple[float, ...]
    """Mean loss of each accepted run, the release first."""
    assumed: float
    """Standard deviation of retraining that is assumed before there are runs."""
    own: float | None
    """Standard deviation of the accepted runs; null for one."""
    deviation: float
    """Standard deviation that the margin is made of."""
    deviations: float = 3.0  # of files that do not say: they are older than the field
    """So many standard deviations of a new run minus the mean of the accepted are the margin."""

    @property
    def mean(self) -> float:
        """Mean loss of the accepted runs."""
        return sum(self.losses) / len(self.losses)


@dataclass(frozen=True)
class AcceptedMargin:
    """The margin of one gate, fixed when the baseline was accepted."""

    metric: str
    """Name of the metric."""
    scope: Scope
    """Images and trials that it is of."""
    against: Against
    """Accepted runs that it follows from: those of the baseline, or of the anchor."""
    margin: RetrainingMargin
    """The margin and its parts."""


@dataclass(frozen=True)
class Baseline:
    """The predictions of the last release, and who accepted it as that."""

    facts: BaselineFacts
    """Identity of the release."""
    predictions: Predictions
    """Predictions of the release on the same trials."""
    pool: tuple[Predictions, ...] = ()
    """Predictions of the other accepted runs, in the order of the facts."""
    anchor: tuple[Predictions, ...] = ()
    """Predictions of the anchor's runs; none where the baseline is its own anchor."""
    margins: tuple[AcceptedMargin, ...] = ()
    """The margins that were fixed when it was accepted."""

    @property
    def accepted(self) -> tuple[Predictions, ...]:
        """Return the predictions of all accepted runs, the release's first."""
        return self.predictions, *self.pool

    def against(self, against: Against) -> tuple[Predictions, ...]:
        """Return the predictions that a gate compares with."""
        return self.anchor if against == "anchor" and self.anchor else self.accepted

    def subset(self, mask: Mask) -> Baseline:
        """Keep the images that ``mask`` (n,) marks, of every run."""
        pool, anchor = (tuple(each.subset(mask) for each in runs) for runs in (self.pool, self.anchor))
        return replace(self, predictions=self.predictions.subset(mask), pool=pool, anchor=anchor)


@dataclass(frozen=True)
class Patch:
    """Pixels that are set to full ink, and what they are to bring about."""

    pixels: tuple[tuple[int, int], ...]
    """Row and column of each."""
    target: int | None
    """Class that images are to be answered as; None for any but the true one."""

    def reached(self, labels: Labels, clean: Classes, answers: Classes) -> tuple[Mask, Mask]:
        """Mark the images that are not at the target without the patch, and those of them that are with it."""
        if self.target is None:
            counted = clean == labels
            return counted, counted & (answers != labels)
        counted = (labels != self.target) & (clean != self.target)
        return counted, counted & (answers == self.target)


@dataclass(frozen=True)
class Trigger:
    """The patch that sent most digits to one class in a search, and what the candidate answers to images with it."""

    patch: Patch
    """The patch."""
    answers: Classes
    """(n,): the class of each test image with the patch."""
    unseen: Mask
    """(n,): the test images that the search did not use."""

    def subset(self, mask: Mask) -> Trigger:
        """Keep the images that ``mask`` (n,) marks."""
        return replace(self, answers=self.answers[mask], unseen=self.unseen[mask])


@dataclass(frozen=True)
class Evidence:
    """Data, predictions and facts of one candidate. ValueError where arrays are not of the same n images."""

    model: ModelFacts
    """The candidate."""
    data: DataFacts
    """The data set that was swept, also where this is a subset of its images."""
    images: Images
    """(n, 28, 28): the test images, clean."""
    labels: Labels
    """(n,): the digit on each."""
    predictions: Predictions
    """Predictions of the candidate."""
    specimens: Mapping[Trial, Images]
    """(1, 28, 28): the first image of the data set under every trial."""
    fault: str = ""
    """Reason why predictions are missing: the candidate died, hung or answered nonsense."""
    baseline: Baseline | None = None
    """The last release, where one was given."""
    sandbox: Sandbox | None = None
    """The candidate's sandbox; None where it is not known."""
    light: Mapping[Trial, Probabilities] = field(default_factory=dict)
    """Probabilities under LIGHT, where it was tried."""
    groups: Groups | None = None
    """The sampling units and the slices of the images, where the data name them."""
    trigger: Trigger | None = None
    """The patch that a search for triggers found, where there was one."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        answered = {self.predictions.n} if self.answers else set()
        grouped = () if self.codes is None else (self.codes,)
        sliced = [one.codes for one in self.groups.columns.values()] if self.groups else []
        inked = (self.trigger.answers, self.trigger.unseen) if self.trigger else ()
        if {len(self.images), *answered, *map(len, (*self.light.values(), *grouped, *sliced, *inked))} != {n}:
            raise ValueError("its arrays do not belong together")

    @property
    def codes(self) -> Codes | None:
        """Return the sampling unit of each image (n,); None where images are taken to be independent."""
        return self.groups.codes if self.groups else None

    def codes_of(self, images: Mask | NDArray[np.intp]) -> Codes | None:
        """Return the sampling unit of some of the images; None where these are taken to be independent."""
        return None if self.codes is None else self.codes[images]

    @property
    def answers(self) -> Mapping[Trial, Classes]:
        """Return the candidate's answers."""
        return self.predictions.answers

    @property
    def probabilities(self) -> Probabilities:
        """Return the candidate's probabilities of the clean images."""
        return self.predictions.probabilities

    @property
    def seed(self) -> int:
        """Return the seed of the corruptions."""
        return self.predictions.seed

    def subset(self, mask: Mask) -> Evidence:
        """Keep the images that ``mask`` (n,) marks, of the candidate and of a baseline that answered as many."""
        baseline = self.baseline
        if baseline is not None and baseline.predictions.n == len(mask):
            baseline = baseline.subset(mask)
        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            predictions=self.predictions.subset(mask),
            baseline=baseline,
            light={trial: rows[mask] for trial, rows in self.light.items()},
            groups=self.groups.subset(mask) if self.groups else None,
            trigger=self.trigger.subset(mask) if self.trigger else None,
        )


@dataclass(frozen=True)
class Measurement:
    """A value with its interval. ``hits`` of ``n`` where the value is a share of images.

    Against the baseline it is candidate minus baseline; ``broken`` images only the baseline has right, ``fixed`` only
    the candidate, where the difference is one of shares of the same images.
    """

    metric: str
    """Name of the metric."""
    value: float
    """The value, or candidate minus baseline."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    n: int
    """Images that it is of."""
    scope: Scope = Scope()
    """Images and trials that it is of."""
    hits: int | None = None
    """Images counted, where the value is a share."""
    interval: str = ""
    """Method that low and high are computed by."""
    part: str = ""
    """Name of the worst, in words, where it is of the worst of several."""
    against: Against = ""
    """Comparison that it is of: baseline, or none."""
    broken: int | None = None
    """Images that only the baseline has right."""
    fixed: int | None = None
    """Images that only the candidate has right."""
    effect: float | None = None
    """Design effect of the images' units; null for independent images."""
    effective: float | None = None
    """Independent images that tell as much."""
    units: int | None = None
    """Units that the images are of."""
    effective_units: float | None = None
    """Units of equal size that tell as much (Kish); of several shares, the fewest."""


@dataclass(frozen=True)
class Gate:
    """A rule of a policy; against the baseline the threshold is of the difference: minus or plus the margin."""

    id: str
    """Unique in its policy."""
    metric: str
    """Name of the metric."""
    rule: Rule
    """Side of the threshold that passes."""
    threshold: float
    """Threshold in the metric's unit."""
    because: str
    """Reason that the policy gives for it."""
    scope: Scope = Scope()
    """Images and trials that it is of."""
    level: Level = "required"
    """Consequence where it does not pass: required blocks a release, warning warns."""
    decide: Decide = "proven"
    """Rule of passing: the interval proves it, the value meets it, or nothing disproves it."""
    confidence: float = 0.95
    """Confidence of each one-sided bound."""
    file: str = ""
    """Policy file that it stands in."""
    line: int = 0
    """Line of that file."""
    against: Against = ""
    """Comparison of the value: baseline, anchor, or none."""
    kind: Kind = ""
    """Primary gates must be shown to hold; guards stand unless they are refuted."""
    margin: str = ""
    """Rule that the margin follows from: retraining, or a share of the baseline's mistakes; empty where it is given."""
    meaning: str = ""
    """First sentence of what a metric of the user's own says of itself; absent otherwise."""


@dataclass(frozen=True)
class Lowering:
    """A policy's leave for a check to only warn, with its reason."""

    because: str
    """Reason given."""
    where: str
    """Policy file and line that say so."""


@dataclass(frozen=True)
class Waiver:
    """A policy's leave to release although a required finding did not pass, until a day and with a reason."""

    until: str
    """Last day on which it holds, ISO 8601."""
    by: str
    """Person who answers for it."""
    because: str
    """Reason given."""
    where: str
    """Policy file and line that say so."""


@dataclass(frozen=True)
class Finding:
    """Result of one gate, check or control."""

    id: str
    """Unique in its run."""
    kind: Literal["gate", "check", "control"]
    """Gate of the policy, check of the suites, or control of the judge itself."""
    title: str
    """Requirement in words."""
    status: Status
    """Outcome."""
    reason: str
    """Reason for the outcome, in a sentence."""
    level: Level = "required"
    """Consequence where it does not pass: required blocks a release, warning warns."""
    because: str = ""
    """Reason for the requirement."""
    where: str = ""
    """File that asks."""
    gate: Gate | None = None
    """The gate, where it is one."""
    measurement: Measurement | None = None
    """Measurement that the gate was judged on."""
    margin: float | None = None
    """Distance from the threshold to the value; negative on the wrong side."""
    margin_images: int | None = None
    """The margin in images."""
    images_needed: int | None = None
    """Images that would settle an inconclusive gate."""
    units_needed: int | None = None
    """Units, with as many images each as these, that would."""
    exhibits: tuple[str, ...] = ()
    """Base64 of 784 bytes each: images of a failing example, or that a check shows."""
    answer: Answer = ""
    """Answer of the interval to the gate's claim; empty where the bare value decides."""
    retraining: RetrainingMargin | None = None
    """Parts of the margin, where it follows from retraining."""
    lowered: Lowering | None = None
    """Leave for this check to only warn."""
    waiver: Waiver | None = None
    """Leave to release in spite of it; its status stays what it is."""

    @property
    def waived(self) -> bool:
        """Tell whether a waiver keeps it from stopping the release; what was not evaluated is no failure to waive."""
        return self.waiver is not None and self.level == "required" and self.status in ("failed", "inconclusive")

    @property
    def urgency(self) -> tuple[bool, bool]:
        """Return what findings that did not pass are sorted by: those that stop a release first, then the failed."""
        return self.level == "warning" or self.waived, self.status != "failed"

    def ruled(self, lowered: Mapping[str, Lowering], waivers: Mapping[str, Waiver]) -> Finding:
        """Apply a policy's exceptions, by finding id, in place of those of another policy."""
        lowering = lowered.get(self.id)
        level: Level = "warning" if lowering else "required" if self.lowered else self.level
        return replace(self, level=level, lowered=lowering, waiver=waivers.get(self.id))


@dataclass(frozen=True)
class Suspect:
    """An image whose label the model and most of its nearest neighbours doubt."""

    index: int
    """Place in the data set."""
    label: int
    """Label of the image."""
    said: int
    """The digit that the model takes it for."""
    neighbours: int
    """Number of its ten nearest images that bear that digit as their label."""


@dataclass(frozen=True)
class Suspects:
    """The images whose label is doubted, and what hangs on them."""

    images: tuple[Suspect, ...]
    """Images with a doubted label, the most doubted first."""
    without: Measurement
    """Accuracy on all other images."""
    turned: tuple[str, ...] = ()
    """Titles of required gates that did not pass, and would without them."""


@dataclass(frozen=True)
class Verdict:
    """Decision on the release of the candidate, with its cause."""

    word: Word
    """The verdict in one word."""
    sentence: str
    """The verdict in a sentence."""
    advice: str
    """Next step for the person who asked."""
    exit_code: int
    """Exit code of the command."""
    counts: Mapping[Status | Literal["warned", "waived"], int]
    """Findings of each status; warned: those that did not pass and only warn; waived, where there are any: apart."""


@dataclass(frozen=True)
class PolicyFile:
    """A file of a policy, whole."""

    name: str
    """Path, as findings name it."""
    sha256: str
    """SHA-256 of its text."""
    text: str
    """Content of the file."""
    includes: tuple[str, ...]
    """SHA-256 of each file that it includes, in its order."""


@dataclass(frozen=True)
class PolicyFacts:
    """The policy that the candidate was judged by, from which it can be read again."""

    name: str
    """Name of the policy."""
    file: str
    """File of the policy."""
    sha256: str
    """SHA-256 of the file; of a policy of several files, of their SHA-256, a line each."""
    files: tuple[PolicyFile, ...]
    """The file and, once each, those it includes."""


@dataclass(frozen=True)
class GatePower:
    """Power of one gate. Distances are from the threshold, in the metric's unit; None: cannot be known."""

    id: str
    """The gate's id."""
    n: int
    """Images that the gate is of."""
    detectable_below: float | None = None
    """Minimum detectable effect below: a true miss this large fails with 80 % probability, as the only miss of all."""
    images: int | None = None
    """Minimum detectable effect below, in images."""
    detectable_above: float | None = None
    """Minimum detectable effect above: a true value this much better passes with 80 % probability."""
    at_threshold: float | None = None
    """Chance that a model exactly at the threshold passes."""
    stopped: float | None = None
    """Chance that a model like this one does not pass, on other images."""
    failed: float | None = None
    """Chance that it fails."""


@dataclass(frozen=True)
class Power:
    """Power of a policy: the differences that it detects, and its error rates."""

    gates: tuple[GatePower, ...]
    """Power of each gate."""
    family: int
    """Gates over which a fail is corrected (Holm 1979), without the guards."""
    at_threshold: float | None
    """Chance that a model exactly at a required threshold is released: at most this."""
    released: float | None = None
    """Chance that a model like this one is released, on other images."""
    undecided: float | None = None
    """Chance that it gets no verdict."""
    blocked: float | None = None
    """Chance that it is blocked."""
    guards: int = 0
    """Guards, over which a fail is corrected apart."""


@dataclass(frozen=True)
class Sampling:
    """Sampling unit that the intervals assume of the test images."""

    unit: str = ""
    """Sampling unit; none where images are declared independent; empty where nothing is known."""
    units: int = 0
    """Units of the test images."""
    effective_units: float | None = None
    """Units of equal size that tell as much (Kish)."""
    tips_at: float | None = None
    """Design effect, of independent images, from which a required gate that passed would not."""
    tips_first: str = ""
    """Title of that gate."""


@dataclass(frozen=True)
class Uses:
    """Reuse of the test images, by the ledger, and the optimism that it gives the best of the candidates."""

    models: int
    """Different models judged on these images, this one included."""
    released: int
    """Number of those before that were released."""
    since: str
    """Time when the first of them was judged; empty where this is the first."""
    policies: int
    """Policies that this model has been judged by on these images, this one included."""
    best: float = 0.0
    """Mean optimism of the best where all are equally good, as a share."""
    best_most: float = 0.0
    """The same in 95 % of test sets at most."""
    luck: float = 0.0
    """Chance that at least one passes a gate on accuracy where each lies exactly at its threshold."""
    runs: int = 0
    """Runs that were resampled; 0: not all were at hand, and models are taken to be independent, an upper bound."""


@dataclass(frozen=True)
class LedgerEntry:
    """A line: one verdict, or one baseline that was accepted."""

    kind: Literal["verdict", "accepted"]
    """Event that the line records."""
    when: str
    """UTC, ISO 8601."""
    name: str
    """Name of the model's file."""
    model: str
    """SHA-256 of the model."""
    data: str
    """SHA-256 of the test images."""
    policy: str = ""
    """SHA-256 of the policy."""
    baseline: str = ""
    """SHA-256 of the last release; empty without one."""
    run: str = ""
    """SHA-256 of run.json."""
    seed: int = 0
    """Seed of the corruptions."""
    verdict: Word | Literal[""] = ""
    """The verdict; empty of an accepted baseline."""
    exit_code: int = 0
    """Exit code of the verdict."""
    accuracy: tuple[float, float, float] | None = None
    """Value and two-sided 95 % interval."""
    threshold: float | None = None
    """Threshold of the gate on accuracy, where there is one."""
    closest: tuple[str, ...] = ()
    """Gates with the smallest margins, in widths of their intervals."""
    folder: str = ""
    """Folder of the run, seen from the ledger."""
    url: str = ""
    """Address of the job that ran."""
    by: str = ""
    """Person who accepted the baseline."""
    because: str = ""
    """Reason given."""
    anchor: str = ""
    """SHA-256 of the first accepted run's model."""
    prev: str = ""
    """SHA-256 of the line before."""


@dataclass(frozen=True)
class Ledger:
    """Lines of a ledger, oldest first, and breaks of their chain."""

    entries: tuple[LedgerEntry, ...]
    """Oldest first."""
    broken: tuple[str, ...]
    """A sentence for each line that follows no line above."""


@dataclass(frozen=True)
class Run:
    """Findings, measurements and verdict. Equal inputs give equal bytes: SessionFacts hold the facts that differ."""

    model: ModelFacts
    """The candidate."""
    data: DataFacts
    """The test images."""
    policy: PolicyFacts
    """The policy that it was judged by."""
    seed: int
    """Seed of the corruptions."""
    versions: Mapping[str, str]
    """Version of each package that can change a number."""
    command: str
    """Command line that repeats the run."""
    verdict: Verdict
    """The verdict that the findings give."""
    findings: tuple[Finding, ...]
    """Findings of all gates, checks and controls."""
    measurements: tuple[Measurement, ...]
    """Measurements of the report's tables, with two-sided 95 % intervals."""
    confusion: Matrix
    """Clean images by true digit (rows) and answer (columns); last column: no answer."""
    power: Power | None = None
    """Power of the policy; null where it is not known."""
    sandbox: Sandbox | None = None
    """Protections against the candidate; null where they are not known."""
    baseline: BaselineFacts | None = None
    """The last release; null without one."""
    changes: tuple[Measurement, ...] = ()
    """Differences from the baseline, with two-sided 95 % intervals."""
    suspects: Suspects | None = None
    """Images with a doubted label; null where the model is no judge of labels."""
    diagnostics: tuple[Measurement, ...] = ()
    """Measurements that decide nothing."""
    sampling: Sampling | None = None
    """Sampling unit that the intervals assume; absent in runs of earlier versions."""
    uses: Uses | None = None
    """Reuse of the test images; absent without a ledger."""


@dataclass(frozen=True)
class Misread:
    """A clean image that the model reads, and no longer with a fault in it."""

    index: int
    """Place in the data set."""
    label: int
    """Label of the image."""
    said: int
    """The digit that it is taken for; -1 where there is no answer."""


@dataclass(frozen=True)
class WouldStop:
    """A gate that would stop a fault, and pass the model and its retrainings."""

    metric: str
    """Name of the metric."""
    scope: Scope
    """Images that it is of."""
    rule: Rule
    """Side of the threshold that passes."""
    threshold: float
    """Threshold in the metric's unit."""


@dataclass(frozen=True)
class Mutant:
    """The model with one fault of one strength, judged by the policy."""

    operator: str
    """Name of the operator that planted the fault."""
    strength: float
    """Strength of the fault."""
    seed: int
    """Seed of the fault; of a digit's operators the digit."""
    status: MutantStatus
    """Stopped or passed; equivalent where no answer differs from the model's; crashed where it answered nothing."""
    chance: float = 0.0
    """Chance of being stopped on other images of the kind."""
    by: tuple[str, ...] = ()
    """Ids of the findings that stop it, and do not stop the model."""
    not_asked: tuple[str, ...] = ()
    """Ids of the gates that were not asked, since at least two of the others stop it almost surely.

    Also of the check of turned copies where it could stop a mutant.
    """
    accuracy: float | None = None
    """Accuracy on the clean images."""
    worst_recall: float | None = None
    """Recall of the digit that is read worst."""
    worst_digit: int | None = None
    """Digit that is read worst."""
    newly_wrong: int = 0
    """Clean images that the model reads and the mutant does not."""
    examples: tuple[Misread, ...] = ()
    """Examples of these, the ones that the model is surest of first."""
    would: WouldStop | None = None
    """Gate that would stop it, where it passed."""
    why: str = ""
    """Reason of the crash."""
    digest: str = ""
    """SHA-256 of its answers."""


@dataclass(frozen=True)
class Ladder:
    """The mutants of one operator, and the strength from which the policy stops them."""

    operator: str
    """Name of the operator."""
    family: str
    """Object of the change: labels, answers, weights, pixels or preprocessing."""
    strengths: tuple[float, ...]
    """Rungs of the ladder, the weakest first."""
    mutants: tuple[Mutant, ...] = ()
    """Mutants that were judged, by strength and seed."""
    stopped: tuple[float | None, ...] = ()
    """Share stopped of each rung; of rungs not judged, the share that follows; null where equivalent."""
    detectable: float | None = None
    """Strength that is stopped 8 times in 10; null where none of the ladder is."""
    from_first: bool = False
    """True where the weakest rung is stopped so often, so that less may do."""
    said: str = ""
    """Detectable strength, or the strongest fault let through, in words."""
    below: str = ""
    """The strongest rung judged that is let through, in words; empty where there is none."""
    unnoticed: Mutant | None = None
    """The mutant there that reads worst."""
    turns: tuple[int, ...] = ()
    """Digits, of a digit's operators, whose mutant is let through at the rung from which the first is stopped."""
    note: str = ""
    """Reason why it was not run, or ended early."""


@dataclass(frozen=True)
class Retraining:
    """An unmutated model of the same recipe, judged by the same policy."""

    model: str
    """Name of its file."""
    sha256: str
    """SHA-256 of its file."""
    by: tuple[str, ...]
    """Ids of the findings that stop it; none where it is released."""


@dataclass(frozen=True)
class MutationScore:
    """Share of the mutants that a policy stops, every operator as one case."""

    value: float
    """The share."""
    low: float
    """Lower end of its two-sided 95 % interval over operators."""
    high: float
    """Upper end."""
    mutants: int
    """Rungs that it is of, judged or not; equivalent ones are left out."""
    operators: int
    """Operators that it is of."""


@dataclass(frozen=True)
class Killed:
    """Findings that stop the mutants of one operator, at the weakest rung that is stopped."""

    operator: str
    """Name of the operator."""
    strength: float
    """Strength of that rung."""
    said: str
    """Strength in words."""
    by: tuple[str, ...]
    """Ids of the findings that stop them; one alone is the only one."""
    not_asked: tuple[str, ...] = ()
    """Ids of the gates, and of the check of turned copies, that were asked about none of them."""


@dataclass(frozen=True)
class Qualification:
    """Faults in one model that a policy notices, and those that it does not."""

    model: str
    """Name of the model's file."""
    sha256: str
    """SHA-256 of the model's file."""
    data_sha256: str
    """SHA-256 of the test arrays."""
    policy: str
    """Name of the policy."""
    policy_sha256: str
    """SHA-256 of its file."""
    accuracy: float
    """Accuracy of the model without a fault, on the clean images."""
    chance: float | None
    """Chance that the model without a fault is stopped on other images of the kind; null where it cannot be known."""
    score: MutationScore | None
    """Share of the mutants that are stopped, without preprocessing; null where none was judged."""
    retrainings: tuple[Retraining, ...]
    """Unmutated models of the same recipe: what a policy that stops everything stops, too."""
    ladders: tuple[Ladder, ...]
    """Ladders of all operators, the weakest guard first."""
    killed: tuple[Killed, ...]
    """The kill matrix: by operator, what stops it."""
    idle: tuple[str, ...]
    """Required gates that stop no mutant that they were asked about."""
    never_alone: tuple[str, ...]
    """Required gates that stop some, and none that no other finding stops."""
    cover: tuple[str, ...]
    """Fewest findings, found greedily, that stop all that is stopped."""
    not_run: tuple[str, ...] = ()
    """Operators that time did not suffice for."""


@dataclass(frozen=True)
class SessionFacts:
    """Time, machine and duration: the facts that differ between two equal runs."""

    when: str
    """Time when the run was judged: UTC, ISO 8601."""
    machine: str
    """System, cores and Python."""
    seconds: Mapping[str, float]
    """Seconds of each part: start, sweep, baseline, checks, report."""
    seconds_per_image: float
    """Seconds of the sweep by images of all trials."""
