"""The matrix, the digits one by one, and the tiles at the head of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness import formatting
from harness.metrics import METRICS, display
from harness.records import CLASSES, CLEAN, Evidence, Measurement, Run, Scope
from harness.report.calibration import direction
from harness.report.safe import anchor
from harness.report.shown import Shown

STEPS = (0.0025, 0.005, 0.01, 0.02)  # of the row; the fifth step is more
MANY = ("zeros", "ones", "twos", "threes", "fours", "fives", "sixes", "sevens", "eights", "nines")
_MOST_CONFUSIONS = 5


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix."""

    count: int
    share: str
    step: int  # 0 none, 1..5 the colour of a mistake, 9 the diagonal
    href: str
    text: str


@dataclass(frozen=True)
class Line:
    """A row of the confusion matrix."""

    digit: int
    cells: tuple[Cell, ...]
    n: int
    recall: str


@dataclass(frozen=True)
class Confusion:
    """The section with the confusion matrix."""

    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    precisions: tuple[str, ...]
    legend: tuple[str, ...]
    largest: tuple[tuple[str, str], ...]  # address, sentence
    total: int


@dataclass(frozen=True)
class Digit:
    """The figures of one digit."""

    digit: int
    n: int
    figures: tuple[tuple[str, str], ...]  # value and interval of recall, precision, F1
    change: tuple[str, str]  # of recall since the baseline, and its interval; empty without one
    confused: str
    href: str


@dataclass(frozen=True)
class Tile:
    """A headline figure."""

    label: str
    value: str
    spread: str
    note: str
    href: str


def said_name(said: int) -> str:
    """Name a predicted class, or the lack of one."""
    return str(said) if said < CLASSES else "no answer"


def gallery(true: int, said: int) -> str:
    """Name the anchor of the pictures of one confusion."""
    return anchor("m", true, said if said < CLASSES else "none")


def confusion(run: Run, shown: Shown) -> Confusion:
    """Build the confusion matrix."""
    width = CLASSES + any(row[CLASSES] for row in run.confusion)
    cells = [_cell(run, true, said) for true, said in mistakes(run)]
    largest = sorted(cells, key=lambda cell: -cell.count)[:_MOST_CONFUSIONS]
    return Confusion(
        heads=tuple(str(digit) for digit in range(CLASSES)) + ("none",) * (width - CLASSES),
        lines=tuple(
            Line(true, tuple(_cell(run, true, said) for said in range(width)), sum(row), _bare(shown, "recall", true))
            for true, row in enumerate(run.confusion)
        ),
        precisions=tuple(_bare(shown, "precision", said) for said in range(CLASSES)),
        legend=(*(f"up to {formatting.percent_short(step)}" for step in STEPS), "more"),
        largest=tuple((cell.href, cell.text) for cell in largest),
        total=sum(map(sum, run.confusion)),
    )


def mistakes(run: Run) -> Iterator[tuple[int, int]]:
    """Yield (true, said) of every kind of mistake that happened; said 10 is no answer."""
    for true, row in enumerate(run.confusion):
        for said, count in enumerate(row):
            if said != true and count:
                yield true, said


def _cell(run: Run, true: int, said: int) -> Cell:
    count, n = run.confusion[true][said], sum(run.confusion[true])
    share = count / n if n else 0.0
    wrong = 1 + sum(share > edge for edge in STEPS) if count else 0
    step = 9 if said == true else wrong
    text = f"{MANY[true].capitalize()} "
    text += "without an answer" if said == CLASSES else f"taken for {said}"
    text += f": {formatting.count(count, 'image')}, {formatting.percent(share, 1.0)} of {n:,}"
    bare = formatting.percent(share, 1.0, 1).removesuffix(" %") if count else ""
    return Cell(count, bare, step, f"#{gallery(true, said)}" if 0 < step < 9 else "", text)


def _bare(shown: Shown, metric: str, digit: int) -> str:
    measured = shown.find(metric, Scope(digit))
    return shown.bare(measured) if measured else "–"


def digits(run: Run, shown: Shown) -> tuple[Digit, ...]:
    """Build the figures of each digit."""
    return tuple(_digit(run, shown, digit) for digit in range(len(run.confusion)))


def _digit(run: Run, shown: Shown, digit: int) -> Digit:
    row = run.confusion[digit]
    others = [(count, -said) for said, count in enumerate(row) if said != digit and count]
    count, said = max(others, default=(0, 0))
    figures = (shown.find(metric, Scope(digit)) for metric in ("recall", "precision", "f1"))
    return Digit(
        digit=digit,
        n=sum(row),
        figures=tuple((shown.value(one), shown.interval(one)) if one else ("–", "") for one in figures),
        change=_change(shown.change("recall", Scope(digit))),
        confused=f"{said_name(-said)} ({count:,}×)" if others else "",
        href=f"#{gallery(digit, -said)}" if others else "",
    )


def _change(change: Measurement | None) -> tuple[str, str]:
    if change is None:
        return "", ""
    return display.difference(change.metric, change.value), display.interval(change)


def tiles(run: Run, evidence: Evidence, shown: Shown) -> tuple[Tile, ...]:
    """Build the tiles of the first screen: the whole, the worst digit, the worst corruption, the mistakes."""
    accuracy = [one for one in shown.all("accuracy") if one.scope == Scope()]
    recalls = [one for one in shown.all("recall") if one.scope.digit is not None]
    noisy = [one for one in shown.all("accuracy") if one.scope.corruption is not None]
    spaces = shown.all("worst_case_accuracy")
    row = []
    if accuracy:
        row.append(_tile("Accuracy", accuracy[0], shown, "#confusion"))
    if recalls:
        worst = min(recalls, key=lambda one: one.value)
        row.append(_tile(f"Worst digit: recall of {worst.scope.digit}", worst, shown, f"#class-{worst.scope.digit}"))
    row += [_tile("Mean over MNIST-C", one, shown, "#robustness") for one in shown.all("mean_corruption_accuracy")]
    for label, many in (("Worst corruption", noisy), ("Worst case", spaces)):
        if many:
            worst = min(many, key=lambda one: one.value)
            name = display.title("", worst.scope).removeprefix(" under ")
            row.append(_tile(f"{label}: {name}", worst, shown, "#" + anchor("robustness", worst.scope.corruption)))
    for one in shown.all("expected_calibration_error"):
        tile = _tile("Confidence is off by", one, shown, "#calibration")
        row.append(replace(tile, note=tile.note.replace(f"n = {one.n:,}", direction(evidence))))
    row.append(_mistakes(run, evidence, shown))
    return tuple(row)


def _tile(label: str, measured: Measurement, shown: Shown, href: str) -> Tile:
    change, note = shown.change(measured.metric, measured.scope), f"n = {measured.n:,}"
    if change is not None:
        note += f", {display.difference(change.metric, change.value)} since the baseline"
    return Tile(label, shown.value(measured), shown.interval(measured), note, href)


def _mistakes(run: Run, evidence: Evidence, shown: Shown) -> Tile:
    clean = evidence.answers.get(CLEAN)
    if clean is None:
        return Tile("Mistakes", "unknown", "the model gave no answers", "", "#gates")
    wrong = int((clean != evidence.labels).sum())
    kinds = [(run.confusion[true][said], -true, -said) for true, said in mistakes(run)]
    if not kinds:
        return Tile("Mistakes", f"{wrong:,}", f"of {formatting.count(len(evidence.labels), 'image')}", "", "#mistakes")
    count, true, said = max(kinds)
    if (change := shown.change("accuracy")) is not None:
        flips = f"{change.broken:,} newly wrong, {change.fixed:,} newly right"
        return Tile(
            "Mistakes", f"{wrong:,}", f"of {formatting.count(len(evidence.labels), 'image')}", flips, "#changes"
        )
    most = f"most: {-true} taken for {said_name(-said)}, {count:,}×"
    return Tile("Mistakes", f"{wrong:,}", f"of {formatting.count(len(evidence.labels), 'image')}", most, "#mistakes")


def resolution(shown: Shown) -> str:
    """Say in one line what these images can tell."""
    accuracy = shown.find("accuracy")
    if accuracy is None or not accuracy.n:
        return ""
    below, above = formatting.points(accuracy.low - accuracy.value), formatting.points(accuracy.high - accuracy.value)
    grain = formatting.points(1 / accuracy.n).lstrip("+")
    n = formatting.count(accuracy.n, "image")
    return f"What the test set can tell: with {n} accuracy is known to {below} / {above}; one image is {grain}."


def overall(shown: Shown) -> tuple[Tile, ...]:
    """Build the tiles of the numbers that are of all digits together."""
    whole = (one for one in shown.everything() if one.scope == Scope() and _of_digits(one.metric))
    others = (one for one in whole if one.metric not in METRICS or METRICS[one.metric].section != "calibration")
    return tuple(_tile(formatting.capital(display.title(one.metric, one.scope)), one, shown, "") for one in others)


def _of_digits(metric: str) -> bool:
    return "corruption" not in metric and metric != "trigger_success"
