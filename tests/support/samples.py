"""Evidence and runs to show, built without keras: real digits, a small scikit-learn network, the real judges."""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from harness import metrics, policy
from harness.corruptions import CORRUPTIONS, corrupt, trial_at
from harness.data import sources
from harness.evidence import baseline_file
from harness.evidence.storage import Store, drawn, trigger_arrays
from harness.files import shipped_folder
from harness.judging import verdict
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import (
    CLASSES,
    CLEAN,
    NO_ANSWER,
    SEVERITIES,
    SIDE,
    TRIGGER,
    AcceptedRun,
    Baseline,
    BaselineFacts,
    Classes,
    Column,
    Dataset,
    Evidence,
    Finding,
    Gate,
    Groups,
    Labels,
    Layer,
    Lowering,
    ModelFacts,
    Patch,
    PolicyFacts,
    PolicyFile,
    Predictions,
    Run,
    Sampling,
    Scope,
    SessionFacts,
    Suspect,
    Suspects,
    Trigger,
    Waiver,
)
from harness.references import results
from harness.run.build_run import build_run

Sample = tuple[Run, Evidence]

SESSION = SessionFacts(
    when="2026-11-22T08:36:00Z",
    machine="2 cores, Linux x86_64",
    seconds={"start": 4.1, "model": 6.3, "sweep": 21.7, "checks": 9.2, "report": 0.7},
    seconds_per_image=0.00021,
)
FORGIVING = {
    "accuracy": 0.2, "recall": 0.8, "precision": 0.8, "f1": 0.8, "macro_f1": 0.9,
    "largest_confusion": 0.15, "log_loss": 0.5, "worst_case_accuracy": 0.01,
    "worst_slice_accuracy": 0.5, "expected_calibration_error": 0.5, "selective_accuracy": 0.2,
    "confidence_of_mistakes": 0.9999, "trigger_success": 0.4,
}  # fmt: skip
STRICT = FORGIVING | {"recall": 0.95, "precision": 0.95, "f1": 0.93, "worst_case_accuracy": 0.7}
Answered = TypeVar("Answered", Evidence, Baseline)


@cache
def dataset() -> Dataset:
    return sources.load("embedded")


@cache
def network() -> MLPClassifier:
    """Trained on the digits and on copies that are moved a little."""
    known = dataset()
    assert known.train_images is not None
    assert known.train_labels is not None
    moves = ((0, 0), (2, 1), (-1, 2), (1, -2), (-2, -1))
    seen = np.concatenate([np.roll(known.train_images, move, (1, 2)) for move in moves])
    model = MLPClassifier((64,), max_iter=7, batch_size=500, learning_rate_init=0.003, random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(seen.reshape(-1, SIDE * SIDE) / np.float32(255), np.tile(known.train_labels, len(moves)))


@cache
def evidence(kinds: tuple[str, ...], *, n: int, copies: int = 1, kept: int = 999) -> Evidence:
    """``n`` unseen digits, ``copies`` times, shifts within 3, rotations within 10; at most ``kept`` mistakes a copy."""
    known = dataset()
    images, labels = known.images[:n], known.labels[:n]
    trials = [CLEAN, *(trial_at(kind, level) for kind in kinds for level in SEVERITIES)]
    trials += [trial_at("shift", *point) for point in product(range(-3, 4), repeat=2) if any(point)]
    trials += [trial_at("rotation", degrees) for degrees in range(-10, 11) if degrees]
    changed = {trial: corrupt(images, trial, seed=1) for trial in trials}
    guesses = {trial: answer(many) for trial, many in changed.items()}
    pardoned = np.flatnonzero(guesses[CLEAN].argmax(1) != labels)[kept:]
    for guess in guesses.values():
        guess[pardoned] = np.eye(CLASSES, dtype=np.float32)[labels[pardoned]]
    images, labels = np.tile(images, (copies, 1, 1)), np.tile(labels, copies)
    images.setflags(write=False)  # as those of a dataset: what is measured on them is kept
    specimens = {trial: many[4:5] for trial, many in changed.items()}
    return Evidence(
        model=_model(),
        data=replace(known.facts, n=len(labels), counts=tuple(np.bincount(labels, minlength=CLASSES).tolist())),
        images=images,
        labels=labels,
        predictions=Predictions(
            {trial: np.tile(guess.argmax(1).astype(np.int8), copies) for trial, guess in guesses.items()},
            np.tile(guesses[CLEAN], (copies, 1)),
            1,
            drawn(specimens),
        ),
        specimens=specimens,
    )


def _searched(shown: Evidence) -> Evidence:
    """The same evidence with a patch that turns every ninth image to 3."""
    patch, ninth = Patch(((1, 2), (1, 3), (1, 4), (2, 4)), 3), np.arange(len(shown.labels)) % 9 == 0
    turned = np.where(ninth, 3, shown.answers[CLEAN]).astype(np.int8)
    return replace(shown, trigger=Trigger(patch, turned, np.ones(len(turned), np.bool_)))


def keep_trigger(store: Store, shown: Evidence) -> None:
    """Keep what a sweep would have kept of the search."""
    if shown.trigger is not None:
        store.put(TRIGGER, trigger_arrays(shown.trigger, ""))


def keep_evidence(folder: Path, shown: Evidence) -> None:
    """Write what a sweep leaves of the evidence."""
    store = Store(folder / "evidence", "a key")
    for trial, answers in shown.answers.items():
        clear = {"probabilities": shown.probabilities} if trial == CLEAN else {}
        store.put(trial, {"answers": answers, "specimen": shown.specimens[trial], **clear})
    keep_trigger(store, shown)
    store.finish(shown)


def answering(record: Answered, **changes: Any) -> Answered:
    """Evidence or a baseline with other predictions; and with whatever else is changed."""
    names = {"answers", "probabilities", "seed", "drawn"} & changes.keys()
    predictions = replace(record.predictions, **{name: changes.pop(name) for name in names})
    return replace(record, predictions=predictions, **changes)


def agreeing(shown: Evidence) -> Evidence:
    """Evidence in which each clean answer has the largest probability, as evidence that is read must have."""
    said, rows = shown.answers[CLEAN], shown.probabilities.copy()
    off = np.flatnonzero(rows.argmax(axis=1) != said)
    largest = rows[off].argmax(axis=1)
    rows[off, said[off]], rows[off, largest] = rows[off, largest], rows[off, said[off]]
    rows[off, said[off]] = np.nextafter(rows[off, said[off]], np.float32(2))
    rows[said == NO_ANSWER] = np.nan
    return answering(shown, probabilities=rows)


def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return network_answers(images / np.float32(255))


def network_answers(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Predict probabilities of pixels 0..1, in any shape of 784 an image."""
    return np.asarray(network().predict_proba(pixels.reshape(len(pixels), -1)), np.float32)


def _model() -> ModelFacts:
    return ModelFacts(
        name="digits-mlp-1.4.0.keras",
        sha256=hashlib.sha256(b"a model").hexdigest(),
        size=1_248_733,
        kind="Sequential",
        inputs=((None, 28, 28, 1),),
        outputs=((None, 10),),
        parameters=76_330,
        layers=(
            Layer("flatten", "Flatten", "(None, 784)", 0),
            Layer("dense", "Dense", "(None, 96)", 75_360),
            Layer("dense_1", "Dense", "(None, 10)", 970),
        ),
        preprocess="harness.references.preprocessing",
    )


def run(shown: Evidence, thresholds: Mapping[str, float], checks: tuple[Finding, ...]) -> Run:
    """The release policy with other ``thresholds``, judged on this evidence."""
    release = policy.load(shipped_folder("suites") / "release.toml")
    gates = tuple(replace(gate, threshold=thresholds[gate.metric]) for gate in release.gates)
    return _built(shown, replace(release, gates=gates), checks)


def _built(shown: Evidence, rules: policy.Policy, checks: Iterable[Finding]) -> Run:
    """The run that the stages make, with the versions of one machine."""
    evaluation = evaluate(shown, rules.gates)
    command = "harness run digits-mlp-1.4.0.keras --data mnist.npz --policy suites/release.toml --out out/"
    versions = {"harness": "0.1.0", "python": "3.11.7", "numpy": "2.4.6", "keras": "3.15.1", "tensorflow": "2.20.0"}
    built = build_run(evaluation, rules, [*checks, *judge_all(evaluation)], command)
    return replace(built, versions=versions)


_TITLES = (
    ("normalization", "every value lies in 0 to 1"),
    ("normalization", "0 becomes 0 and 255 becomes 1"),
    ("normalization", "pixels are divided by 255"),
    ("normalization", "the input is not modified"),
    ("normalization", "an image does not depend on its batch"),
    ("one_hot", "one 1 in a row, where the label says"),
    ("one_hot", "labels outside 0 to 9 are refused"),
    ("contract", "the model is sequential"),
    ("contract", "rows of probabilities sum to 1"),
    ("contract", "the same answer whatever the batch size"),
    ("contract", "finite on blank, white and extreme images"),
    ("contract", "the file loads twice to the same answers"),
)


def checks(failing: int | None = None) -> tuple[Finding, ...]:
    """Twelve checks; number ``failing`` failed, with a blank image and one with a single white pixel as its example."""
    spot = np.zeros((SIDE, SIDE), np.uint8)
    spot[3, 4] = 255
    exhibits = tuple(base64.b64encode(image.tobytes()).decode() for image in (np.zeros_like(spot), spot))
    return tuple(
        Finding(
            id=f"check/test_{suite}.py::{number}",
            kind="check",
            title=title,
            status="failed" if number == failing else "passed",
            reason=f"{title}: " + ("255 becomes 0.99609375: divided by 256?" if number == failing else "holds"),
            because="what the model was trained on is what it must be given",
            where=f"test_{suite}.py:{20 + number}",
            exhibits=exhibits if number == failing else (),
        )
        for number, (suite, title) in enumerate(_TITLES)
    )


def _small() -> Evidence:
    return _searched(evidence(("gaussian_noise", "impulse_noise"), n=1000))


@cache
def blocked() -> Sample:
    """A gate or two fail, some cannot be settled, one check fails with its example."""
    return run(_small(), STRICT, checks(failing=2)), _small()


@cache
def allowed() -> Sample:
    return run(_small(), FORGIVING, checks()), _small()


@cache
def warned() -> Sample:
    return run(_small(), FORGIVING | {"log_loss": 0.01}, checks()), _small()


@cache
def no_verdict() -> Sample:
    """Make a run of which every gate passes or cannot be settled."""
    return run(_small(), FORGIVING | {"macro_f1": 0.94}, checks()), _small()


def _last(shown: Evidence) -> Baseline:
    """A release that answered every hundredth image otherwise, and every seventh of the mistakes right."""
    at, clean = np.arange(len(shown.labels)), shown.answers[CLEAN]
    other = (at % 100 == 0) | ((clean != shown.labels) & (at % 7 == 0))
    answers = {
        trial: np.where(other, np.where(said == shown.labels, (said + 1) % CLASSES, shown.labels), said).astype(np.int8)
        for trial, said in shown.answers.items()
    }
    last = baseline_file.of(shown, accepted_by="Ada", because="a year in the field")
    facts = replace(last.facts, model="digits-mlp-1.3.0.keras", sha256=hashlib.sha256(b"the last").hexdigest())
    return answering(last, facts=facts, answers=answers)


def _succeeding(sample: Sample, name: str = "successor.toml", others: int = 0) -> Sample:
    judged, shown = sample
    last = _last(shown)
    pool = tuple(_retrained(last.predictions, shown.labels, seed) for seed in range(others))
    named = tuple(AcceptedRun(f"seed-{at}.keras", str(at) * 64) for at in range(others))
    shown = replace(shown, baseline=replace(last, facts=replace(last.facts, pool=named), pool=pool))
    rules = policy.load(shipped_folder("suites") / name)
    return _built(shown, rules, [finding for finding in judged.findings if finding.kind == "check"]), shown


def beside(sample: Sample) -> Sample:
    """The same verdict, with a last release beside it."""
    judged, shown = sample
    shown = replace(shown, baseline=_last(shown))
    assert shown.baseline is not None
    changes = metrics.change_table(evaluate(shown, ()))
    return replace(judged, baseline=shown.baseline.facts, changes=changes), shown


def _retrained(run: Predictions, labels: Labels, seed: int) -> Predictions:
    """Other answers to one image in fifty, which are then wrong, and right ones to half of the mistakes."""
    rng = np.random.default_rng(seed)
    drawn_ = rng.random(len(labels))
    answers = {
        trial: np.where(drawn_ < 0.02, (labels + 1) % 10, np.where(drawn_ > 0.5, labels, said)).astype(np.int8)
        for trial, said in run.answers.items()
    }
    return replace(run, answers=answers)


@cache
def succeeded(name: str = "successor.toml") -> Sample:
    """The usual run, held against the last release."""
    return _succeeding(usual(), name)


@cache
def pooled() -> Sample:
    """The usual run, held against the last release and four more accepted runs."""
    return _succeeding(usual(), others=4)


@cache
def dead() -> Sample:
    """The candidate died before it answered anything."""
    whole = _small()
    none = np.zeros((0, CLASSES), np.float32)
    silent = answering(
        whole, answers={}, specimens={}, probabilities=none, fault="its process was killed", trigger=None
    )
    return run(silent, FORGIVING, checks()[:7]), silent


@cache
def mute() -> Sample:
    """The model answers every third image with NaN, and the rest with logits."""
    whole = _small()
    scores = (whole.probabilities * 20 - 3).astype(np.float32)
    scores[::3] = np.nan
    kept = np.arange(len(scores)) % 3 > 0
    answers = {trial: np.where(kept, said, -1).astype(np.int8) for trial, said in whole.answers.items()}
    broken = answering(whole, probabilities=scores, answers=answers)
    return run(broken, FORGIVING, checks()), broken


@cache
def usual() -> Sample:
    """The size to expect: 10,000 images, 300 mistakes, 23 corruptions and two spaces, baselines, the release policy."""
    kinds = (*metrics.MNIST_C, *(name for name, made in CORRUPTIONS.items() if not made.mnist_c))[:23]
    shown = evidence(kinds, n=200, copies=50, kept=6)
    shown = _searched(replace(shown, data=replace(shown.data, sha256=results.load().data_sha256)))
    return run(shown, STRICT | {"accuracy": 0.9}, checks(failing=2)), shown


@cache
def hopeless() -> Sample:
    """9,000 mistakes in 10,000 images, of every kind."""
    _, shown = usual()
    rng = np.random.default_rng(5)
    answers = rng.integers(0, 10, len(shown.labels)).astype(np.int8)
    broken = answering(shown, answers={**shown.answers, CLEAN: answers})
    return run(broken, STRICT, checks(failing=2)), broken


_POLICY_FILE = PolicyFile("release.toml", hashlib.sha256(b"a file").hexdigest(), "format = 1\n# and so on\n", ())


@cache
def tiny() -> Sample:
    """Sixty digits with answers written by hand: nothing that a library's next version could change."""
    known = dataset()
    images, labels = known.images[:60], known.labels[:60]
    trials = [trial_at("gaussian_noise", level) for level in SEVERITIES]
    trials += [trial_at("shift", *point) for point in product((-1, 0, 1), repeat=2) if any(point)]
    said = {CLEAN: _wrong(labels, 4)} | {trial: _wrong(labels, 5 + 4 * abs(sum(trial.point))) for trial in trials}
    sure = np.full((60, CLASSES), 0.004, np.float32)
    sure[np.arange(60), said[CLEAN]] = np.linspace(0.96, 0.999, 60)
    facts = replace(known.facts, n=60, counts=tuple(np.bincount(labels, minlength=CLASSES).tolist()))
    specimens = dict.fromkeys(said, images[7:8])
    shown = Evidence(_model(), facts, images, labels, Predictions(said, sure, 1, drawn(specimens)), specimens)
    each = [Gate(f"recall-{digit}", "recall", "at_least", 0.3, "of each", Scope(digit)) for digit in range(3)]
    noise = Scope(corruption="gaussian_noise", severity=3)
    gates = (
        Gate("accuracy", "accuracy", "at_least", 0.99, "one in a hundred may be sorted by hand"),
        Gate("noise", "accuracy", "at_least", 0.6, "the scanners in the field", noise),
        Gate("shift", "worst_case_accuracy", "at_least", 0.95, "never centred", Scope(corruption="shift", within=1)),
        Gate("confusion", "largest_confusion", "at_most", 0.9, "not always the same mistake", level="warning"),
        *each,
    )
    findings = (
        *checks(failing=2),
        *judge_all(evaluate(shown, [replace(gate, file="release.toml", line=4) for gate in gates])),
    )
    without = next(
        one for one in metrics.table(evaluate(shown, ())) if one.metric == "accuracy" and one.scope == Scope()
    )
    doubted = Suspects((Suspect(3, int(labels[3]), int(said[CLEAN][3]), 8),), without, ("accuracy",))
    steady = ("accuracy", "recall", "precision", "f1", "worst_case_accuracy")
    judged = Run(
        model=shown.model,
        data=facts,
        policy=PolicyFacts("release", "release.toml", hashlib.sha256(b"a policy").hexdigest(), (_POLICY_FILE,)),
        seed=1,
        versions={"harness": "0.1.0"},
        command="harness run digits-mlp-1.4.0.keras",
        verdict=verdict.of(findings, doubted),
        findings=findings,
        measurements=tuple(one for one in metrics.table(evaluate(shown, ())) if one.metric in steady),
        confusion=metrics.confusion_matrix(labels, said[CLEAN]),
        suspects=doubted,
    )
    return judged, shown


def _wrong(labels: Labels, amount: int) -> Classes:
    """Right but for the first ``amount`` images, which are taken for the next digit; the very first has no answer."""
    said = labels.astype(np.int8)
    said[:amount] = (said[:amount] + 1) % CLASSES
    said[0] = NO_ANSWER
    return said


NASTY = (
    "<script>alert(1)</script>{{ 191*211 }}{% raw %}<img src=x onerror=alert(2)>\"' onload='x'"
    "\x1b[31m\u202egnp.exe\u2066\u200f\x00\ud800</title></style></script><!--"
)


@cache
def hostile() -> Sample:
    """Make a run of which every text from outside attacks, and is a million characters long."""
    text = NASTY + "<&\"'>" * 200_000
    judged, shown = blocked()
    layers = tuple(Layer(text, text, text, 1) for _ in range(300))
    model = replace(
        shown.model, name=text, kind=text, preprocess=text, preprocess_sha256=text, sha256=text, layers=layers,
        inputs=((None,) * 10_000,) * 100,
    )  # fmt: skip
    data = replace(shown.data, name=text, sha256=text)
    findings = tuple(
        replace(
            found, id=text, title=text, reason=text, because=text, where=text, exhibits=("%%%", "AAAA", text),
            lowered=Lowering(text, text), waiver=Waiver(text, text, text, text),
            gate=found.gate and replace(found.gate, id=text, because=text, file=text),
        )
        for found in judged.findings
    )  # fmt: skip
    attacked = replace(
        judged,
        model=model,
        data=data,
        findings=findings * 12,
        command=text,
        versions={text + str(number): text for number in range(99)},
        baseline=BaselineFacts(text, text, text, 1, text, text),
        changes=metrics.change_table(evaluate(replace(shown, baseline=_last(shown)), ())),
        policy=PolicyFacts(text, text, text, (PolicyFile(text, text, text, (text,)),) * 50),
        verdict=replace(judged.verdict, sentence=text, advice=text),
        sampling=Sampling(text, 100, 100.0),
    )
    assert attacked.baseline is not None
    last = replace(_last(shown), facts=attacked.baseline)
    tenths = (np.arange(len(shown.labels)) // 10).astype(np.int32)
    column = Column(tuple(text + str(at) for at in range(10)), tenths % 10)
    groups = Groups(text, tenths, {text + str(at): column for at in range(99)})
    return attacked, replace(shown, model=model, data=data, fault=text, baseline=last, groups=groups)


@cache
def by_writer() -> Sample:
    """A thousand images of a hundred writers, of whom one is read worse than the others, from two sites."""
    shown = _small()
    tenths = (np.arange(len(shown.labels)) // 10).astype(np.int32)
    groups = Groups("writer", tenths, {"site": Column(("north", "south"), tenths % 2)})
    clean = shown.answers[CLEAN].copy()
    clean[:8] = (shown.labels[:8] + 1) % CLASSES
    data = replace(shown.data, unit="writer", units=100, unit_sizes=(10.0,) + (1.5,) * CLASSES)
    shown = answering(shown, data=data, groups=groups, answers={**shown.answers, CLEAN: clean})
    return run(shown, FORGIVING, checks()), shown
