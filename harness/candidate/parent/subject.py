"""The system under test, behind a process boundary: images in, predictions out, and every fault one line."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.parent import candidate_file, keras_release, responses, visible_files
from harness.candidate.parent import fork_server as fork_servers
from harness.candidate.parent.candidate_file import CandidateFile
from harness.candidate.parent.channel import Channel
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.preprocessing import CONTRACTS, REFERENCE
from harness.candidate.parent.process import Child, workers
from harness.candidate.parent.streaming import stream
from harness.candidate.protocol import wire
from harness.errors import Refused, SubjectFault, Unattackable, Unmutable, UsageError
from harness.formatting import one_line
from harness.records import Images, InputContract, InputKind, ModelFacts, Probabilities, Sandbox
from harness.sandbox import still_open, temporary

if TYPE_CHECKING:
    from harness.corruptions.attacks import Attack


BLOCK = 500  # images of one request: as many as the child predicts at once, so that each has its own deadline


@dataclass(frozen=True)
class Processed:
    """The result of a preprocessing function, and whether it changed its own input."""

    values: NDArray[Any]
    modified: bool


class Subject:
    """A candidate in a child process. ``start`` returns while the child still loads; ``facts`` waits for it."""

    def __init__(
        self,
        candidate: CandidateFile,
        child: Child,
        stderr: IO[bytes],
        preprocess: str,
        contract: InputContract | None,
        limits: Limits,
    ) -> None:
        self._candidate = candidate
        self._preprocess, self._contract = preprocess, contract
        self._threads = workers()
        self._child = child
        self._channel = Channel(child, stderr, limits)
        self._facts: ModelFacts | None = None
        self._loading = threading.Lock()
        request = {
            "kind": candidate.kind,
            "path": candidate.name if candidate.kind == "factory" else str(candidate.path),
            "preprocess": preprocess,
            "contract": contract and {"kind": contract.kind, "mean": contract.mean, "std": contract.std},
            "folder": str(Path.cwd()),
            "threads": self._threads,
            "id": 0,
        }
        self._channel.send(request, (), limits.start_seconds)

    @classmethod
    def start(
        cls,
        path: Path,
        *,
        preprocess: str = REFERENCE,
        contract: InputContract | None = None,
        limits: Limits | None = None,
        hidden: Sequence[Path] = (),
        confined: bool = False,
        allow_code: bool = False,
        fork_server: Path | None = None,
    ) -> Subject:
        """Copy ``path`` and start loading the copy in a child. UsageError where it cannot be a model.

        ``contract``: of a shipped kind, where ``preprocess`` is the module CONTRACTS. The child cannot see what is
        ``hidden``. Where ``confined``, a sandbox that leaves something open is UsageError.
        With the address of a ``fork_server`` the child is forked from it, otherwise it starts an interpreter.
        """
        keras_release.check()
        limits, folder = limits or Limits(), _folder()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        child = Child(folder, stderr, fork_server or fork_servers.default())
        try:
            child.make_folder()
            candidate = candidate_file.copy_candidate(path, folder, allow_code=allow_code)
            modules = [] if preprocess in (REFERENCE, CONTRACTS) else [preprocess]
            modules += [candidate.name.partition(":")[0]] if candidate.kind == "factory" else []
            child.begin(visible_files.plan(folder, candidate.path, modules, hidden, limits))
            if confined and (left := still_open(child.layers())):
                raise UsageError(_not_confined(left, child.layers()))
            return cls(candidate, child, stderr, preprocess, contract, limits)
        except BaseException:
            child.end()
            stderr.close()
            raise

    @classmethod
    def start_from(cls, content: bytes, facts: ModelFacts, name: str, *, limits: Limits, confined: bool) -> Subject:
        """Start loading a model file that is given by its content, fed as its ``facts`` say."""
        contract = facts.contract if facts.preprocess == CONTRACTS else None
        with temporary.temporary() as folder:
            path = folder / name
            path.write_bytes(content)
            return cls.start(path, preprocess=facts.preprocess, contract=contract, limits=limits, confined=confined)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._child.pid

    @property
    def hashed(self) -> bool:
        """Tell whether the hashed files determine the predictions; other preprocessing and code may read more."""
        return self._candidate.kind != "factory" and self._preprocess in (REFERENCE, CONTRACTS)

    @property
    def contract(self) -> InputContract:
        """Wait for the model and return what it is fed with."""
        return self.facts().contract or InputContract()

    def sandbox(self) -> Sandbox:
        """Return the layers of the child's sandbox and what they leave possible."""
        layers = self._child.layers()
        return Sandbox(layers, still_open(layers))

    def facts(self) -> ModelFacts:
        """Wait for the model and describe it. UsageError where it does not load."""
        with self._loading:
            if self._facts is None:
                self._facts = self._loaded()
        return self._facts

    def _loaded(self) -> ModelFacts:
        from harness.candidate.parent import handshake

        left = self._channel.limits.start_seconds - (time.monotonic() - self._channel.opened)
        name = self._candidate.name
        try:
            header, _ = self._channel.receive(max(left, 0.1))
            if "raised" in header:
                raise UsageError(responses.why_not(name, header))
            if header.get("sha256") not in (None, self._candidate.sha256):
                raise UsageError(f"{one_line(name)} changed while it was read; run again on a finished file")
            return handshake.facts(self._candidate, header, self._contract)
        except SubjectFault as fault:
            self.close()
            raise UsageError(f"{one_line(name)} did not load: {fault}") from fault
        except UsageError:
            self.close()
            raise

    def normalize(self, images: NDArray[Any]) -> Processed:
        """Call the candidate's own ``normalize``. Raises Refused where it raises."""
        header, arrays = self._ask({"op": "normalize"}, images)
        return Processed(arrays[0], header.get("modified") is not False)

    def one_hot(self, labels: NDArray[Any]) -> Processed:
        """Call the candidate's own ``one_hot``. Raises Refused where it raises."""
        header, arrays = self._ask({"op": "one_hot"}, labels)
        return Processed(arrays[0], header.get("modified") is not False)

    def unfit_weights(self) -> tuple[str, ...]:
        """List the weights that hold NaN or infinity, by name."""
        header, _ = self._ask({"op": "unfit_weights"})
        unfit = header.get("unfit")
        if not isinstance(unfit, list):
            raise self._channel.broken("it does not say which of its weights are unfit")
        return tuple(one_line(str(name), 120) for name in unfit)

    def attacked(self, images: Images, attack: Attack, severity: int) -> Images:
        """Move images away from the candidate's own predictions, each by at most the attack's epsilon.

        Unattackable where it gives no gradients.
        """
        epsilon = attack.epsilon(severity)
        request = {"op": "attack", "norm": attack.norm, "epsilon": epsilon, "steps": attack.steps}
        try:
            _, (moved,) = self._ask(request, images)
        except Refused as refused:
            if refused.kind == "NoGradients":
                raise Unattackable(str(refused).partition(": ")[2]) from refused
            raise
        if moved.dtype != np.uint8 or moved.shape != images.shape or not attack.holds(images, moved, severity):
            raise self._channel.broken(f"the images it made under {attack.name} are not within {epsilon:g} grey levels")
        return moved

    def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
        """Plant a fault in the candidate's weights or preprocessing, in place of the one before; without a name none.

        Unmutable where it has nothing of the kind.
        """
        try:
            self._ask({"op": "mutate", "name": name, "strength": strength, "seed": seed})
        except Refused as refused:
            if refused.kind == "NotMutable":
                raise Unmutable(str(refused).partition(": ")[2]) from refused
            raise

    def predict(
        self, images: Images, *, batch: int | None = None, under: InputKind | None = None, fresh: bool = False
    ) -> Probabilities:
        """Predict probabilities ``(n, 10)``, ``batch`` images at a time.

        ``under``: fed as another kind of contract; ``fresh`` loads the file a second time and asks that model.
        """
        request = _prediction(batch=batch, under=under, fresh=fresh)
        size = BLOCK if batch is None and not fresh else max(len(images), 1)
        answers = []
        for start in range(0, len(images), size) or [0]:
            header, arrays = self._ask(request, images[start : start + size])
            answers.append(responses.probabilities(header, arrays, len(images[start : start + size])))
        return np.concatenate(answers)

    def stream(
        self, blocks: Iterable[Images], *, under: InputKind | None = None, logs: bool = False
    ) -> Generator[Probabilities]:
        """Predict each block, in order, while later blocks are prepared; few are in flight.

        ``under``: fed as another kind of contract; ``logs``: natural logarithms of the probabilities.
        """
        self.facts()
        yield from stream(self._channel, blocks, 2 * self._threads, _prediction(under=under, logs=logs))

    def close(self) -> None:
        """End the child and everything it started."""
        self._channel.close()

    def _ask(self, request: wire.Header, *given: NDArray[Any]) -> tuple[wire.Header, wire.Arrays]:
        self.facts()
        return self._channel.ask(request, *given)


def _prediction(
    batch: int | None = None, under: InputKind | None = None, fresh: bool = False, logs: bool = False
) -> wire.Header:
    return {"op": "predict", "batch": batch, "under": under, "fresh": fresh, "logs": logs}


def _folder() -> Path:
    """Choose an unused path for this subject's temporary folder, without making it."""
    try:
        return Path(tempfile.gettempdir()) / temporary.name()
    except OSError as error:
        raise UsageError(f"no temporary folder can be made: {error.strerror}; set TMPDIR") from error


def _not_confined(left: Sequence[str], layers: Sequence[str]) -> str:
    return (
        f"the sandbox does not keep the candidate from what it must not do here: {', '.join(left)} "
        f"(active: {', '.join(layers) or 'nothing'}); use Linux 5.13 or later, or leave out --require-sandbox"
    )
