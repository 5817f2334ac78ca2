"""Stage 1: a request made into a session: the candidate's process, the digits, the policy and the output folder."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from harness import __version__, policy
from harness.candidate.parent.preprocessing import Preprocessing, named
from harness.candidate.parent.subject import Subject
from harness.corruptions import CORRUPTIONS, prepare
from harness.data import sources
from harness.data.groups import has_writers
from harness.errors import UsageError
from harness.evidence import backends, last_release
from harness.files import shipped_policies
from harness.formatting import command_line, one_line
from harness.outputs import ledger
from harness.records import Baseline, DataFacts, Dataset
from harness.run.fetch import fetched
from harness.run.finished_run import AGAIN, remove_outputs
from harness.sandbox import temporary

SUCCESSORS = {"embedded": "embedded_successor"}  # beside a baseline, by origin of the data
SEED = 2026


@dataclass(frozen=True)
class Request:
    """The options of a run; None means the default."""

    model: Path
    data: str | None = None
    policy: Path | None = None
    out: Path | None = None
    preprocess: str | None = None  # a shipped kind or a module
    seed: int = SEED
    own_split: bool = False  # the candidate was trained on the training part of this very data, by us
    baseline: tuple[Path, ...] = ()  # the last release, then others of its recipe: model files, run folders, files
    require_sandbox: bool = False  # rather no run than one whose sandbox leaves something open
    allow_code: bool = False  # the candidate may be a function, which is run to make the model
    resize: bool = False  # scale the images of a folder to 28 x 28
    junit_times: bool = False  # junit.xml says when it ran and how long
    engine: backends.Engine = backends.LOCAL  # where the sweep is done
    swept: bool = False  # another process of this run has left the evidence in ``out``
    columns: Path | None = None  # a table of the test images: their units and slices
    unit: str | None = None  # which of its columns was drawn at random; or none
    trained_on: str | None = None  # the digits that the candidate was trained on, as declared
    today: date | None = None  # that a policy's waivers are held against; without it there may be none
    ledger: Path | None = None  # file that remembers every verdict
    skip: tuple[str, ...] = ()  # names of trials that are not made: trigger
    fork_server: Path | None = None  # address of a server to fork the children from
    addresses: Mapping[Path, str] = field(default_factory=dict)  # of files that came from a registry

    def command(self) -> str:
        """Return the command line that repeats the run."""
        out = ["--out", str(self.out or "out")]
        if self.own_split:
            return command_line(
                ["harness", "demo", "--data", str(self.data), *(["--resize"] if self.resize else []), *out]
            )
        model, *baseline = (self.addresses.get(path, path) for path in (self.model, *self.baseline))
        words = ["harness", "run", str(model)]
        given = [("data", self.data), ("policy", self.policy), *(("baseline", path) for path in baseline)]
        given += [
            ("columns", self.columns),
            ("unit", self.unit),
            ("trained-on", self.trained_on),
            ("ledger", self.ledger),
        ]
        for flag, value in [*given, ("preprocess", self.preprocess)]:
            if value is not None:
                words += [f"--{flag}", str(value)]
        strict = ["--resize"] if self.resize else []
        strict += [word for name in self.skip for word in ("--skip", name)]
        strict += ["--junit-times"] if self.junit_times else []
        strict += ["--require-sandbox"] if self.require_sandbox else []
        strict += ["--allow-code"] if self.allow_code else []
        return command_line([*words, "--seed", str(self.seed), *strict, *out])


class Stopwatch:
    """Seconds that the parts of a run took, in the order in which they ended."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> Mapping[str, float]:
        """Return seconds by part."""
        return dict(self._seconds)

    def loaded(self) -> None:
        """Record once how long the candidate took to load, counted from the start of the session."""
        self._seconds.setdefault("start", time.monotonic() - self._began)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Record the seconds that the block takes, unless it raises."""
        began = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began


@dataclass(frozen=True)
class Session:
    """Inputs that the stages of one run share; nothing of it is assigned after it was opened."""

    request: Request
    subject: Subject
    dataset: Dataset
    policy: policy.Policy
    baseline: tuple[Baseline | Path, ...]  # accepted runs, the release first; of a model file, to be swept, the path
    out: Path
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@contextmanager
def open_session(request: Request, dataset: Dataset | None = None) -> Iterator[Session]:
    """Start loading the candidate in a child process and resolve data, policy and baseline meanwhile.

    ``dataset``: digits that are loaded already. UsageError where any of them cannot be used. The child ends with the
    block.
    """
    stopwatch = Stopwatch()
    with ExitStack() as stack:
        request = stack.enter_context(with_files(request))
        out = request.out or stack.enter_context(temporary.temporary())
        rules = policy.load(request.policy) if request.policy else None
        if rules:
            policy.check_waivers(rules, request.today)
        baseline = tuple(map(last_release.find, request.baseline))
        subject = stack.enter_context(start_subject(request, request.model, out, rules))
        dataset = dataset or digits(request)
        rules = rules or policy.load(default_policy(dataset.facts, succeeds=bool(baseline)))
        policy.check_against(rules, dataset.facts)
        check_ledger(rules, request.ledger)
        for accepted in baseline:
            if isinstance(accepted, Baseline):
                last_release.check(accepted, dataset.facts)
        if not request.swept and request.engine == backends.LOCAL:
            tables = {trial.name for trial in rules.trials()} & CORRUPTIONS.keys()
            threading.Thread(target=prepare, args=(tables,), daemon=True).start()
        yield Session(request, subject, dataset, rules, baseline, out, stopwatch)


@contextmanager
def with_files(request: Request) -> Iterator[Request]:
    """Give a request whose models of a registry are files, for the duration of a block."""
    with fetched([request.model, *request.baseline]) as files:
        model, *baseline = (files.get(path, (path, ""))[0] for path in (request.model, *request.baseline))
        addresses = {**request.addresses, **dict(files.values())}
        yield replace(request, model=model, baseline=tuple(baseline), addresses=addresses) if files else request


def check_ledger(rules: policy.Policy, path: Path | None) -> None:
    """Raise UsageError where a policy counts the uses of its test set and no ledger is named, or it cannot be read."""
    if rules.uses and path is None:
        raise UsageError(
            f"{rules.uses_at}: uses = {rules.uses} counts the candidates that a test set decides; "
            "harness run, harness gate and harness qualify remember them: --ledger releases.jsonl"
        )
    if path is not None:
        ledger.read(path)


def digits(request: Request) -> Dataset:
    """Load the digits that a request names."""
    return sources.load(
        request.data,
        columns=request.columns,
        unit=request.unit,
        resize=request.resize,
        trained_on=request.trained_on,
    )


def start_subject(request: Request, model: Path, out: Path, rules: policy.Policy | None) -> Subject:
    """Start a model in a child that sees neither the labels nor the outputs of the run."""
    fed = preprocessing(request, rules)
    return Subject.start(
        model,
        preprocess=fed.module,
        contract=fed.contract,
        limits=rules.limits if rules else None,
        hidden=[*sources.places(request.data, request.columns), *sources.places(request.trained_on), out],
        confined=request.require_sandbox,
        allow_code=request.allow_code,
        fork_server=request.fork_server,
    )


def preprocessing(request: Request, rules: policy.Policy | None) -> Preprocessing:
    """Return how the candidate is fed: as the option or the policy says. UsageError where these differ."""
    asked = None if request.preprocess is None else named(request.preprocess)
    ruled = rules.preprocessing if rules else None
    if rules and asked and ruled and asked != ruled:
        option = one_line(str(request.preprocess), 120)
        raise UsageError(
            f"--preprocess {option} is not what the policy asks for ({rules.where_preprocessing}); leave the option "
            "out, or change the policy"
        )
    return asked or ruled or Preprocessing()


@contextmanager
def claim(session: Session) -> Iterator[None]:
    """Wait until the candidate has loaded, lock the output folder and remove the outputs of an earlier run.

    UsageError where the candidate does not load or the folder is in use; earlier outputs are then left as they are.
    """
    session.subject.facts()
    session.stopwatch.loaded()
    with lock(session.out):
        for folder in (session.out, *session.out.glob(f"{AGAIN}*")):
            remove_outputs(folder)
        yield


def default_policy(data: DataFacts, *, succeeds: bool = False) -> Path:
    """Return the shipped policy for the data; ``succeeds``: the one for a candidate beside a baseline."""
    if succeeds:
        return shipped_policies()[SUCCESSORS.get(data.origin, "successor")]
    return shipped_policies()["writers" if has_writers(data) else policy.POLICIES.get(data.origin, "release")]


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number, read without importing them."""
    names = ("keras", "tensorflow", "numpy", "scipy", "scikit-learn", "hypothesis", "pytest")
    return {"harness": __version__, "python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@contextmanager
def lock(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which would mix their evidence with that of this run."""
    file_lock, shown = FileLock(out / "evidence" / ".lock"), one_line(str(out), 200)
    try:
        Path(file_lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        file_lock.acquire(blocking=False)
    except Timeout as error:
        raise UsageError(
            f"{shown} is in use by another run; wait until it has ended, or choose another --out"
        ) from error
    except NotImplementedError as error:
        raise UsageError(f"{shown} is on a file system that keeps no locks; choose another --out") from error
    except OSError as error:
        raise UsageError(f"cannot write into {shown}: {error.strerror}; choose another --out") from error
    try:
        yield
    finally:
        file_lock.release()
