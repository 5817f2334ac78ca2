"""Requests to a candidate's process and its responses, each with a deadline; the first fault ends the process."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import IO, Any

from numpy.typing import NDArray

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.process import Child
from harness.candidate.protocol import wire
from harness.errors import Refused, SubjectFault
from harness.formatting import one_line

_PATIENCE = 5  # how many times as long as before an answer may take


class Channel:
    """A request-response channel; any fault ends the child and is raised as the same SubjectFault from then on."""

    def __init__(self, child: Child, stderr: IO[bytes], limits: Limits) -> None:
        self._child, self._stderr, self.limits = child, stderr, limits
        self._fault: str | None = None
        self._lock = threading.Lock()
        self._next = 1
        self.opened = time.monotonic()
        self.seconds_per_image = 0.0  # the most that a block of images has taken so far

    def ask(self, request: wire.Header, *given: NDArray[Any]) -> tuple[wire.Header, wire.Arrays]:
        """Send a request and receive its response, with as many arrays as were given. Raises Refused and
        SubjectFault.
        """
        with self._lock:
            self.check()
            number, self._next = self._next, self._next + 1
            self.send({**request, "id": number}, given, self.limits.answer_seconds)
            images, began = len(given[0]) if request["op"] == "predict" else 0, time.monotonic()
            header, arrays = self.receive(self.seconds_for(images))
            if images:
                self.measured(images, time.monotonic() - began)
        if header.get("id") != number:
            raise self.broken(f"it answered request {one_line(str(header.get('id')), 40)} where {number} was asked")
        raise_if_raised(header)
        if len(arrays) != len(given):
            raise self.broken(f"it sent {len(arrays)} arrays where {len(given)} were asked")
        return header, arrays

    def send(self, header: wire.Header, arrays: wire.Arrays, seconds: float) -> None:
        """Write one frame to the child within ``seconds``. Raises SubjectFault."""
        pipe = self._child.stdin
        deadline = self._deadline(seconds)
        try:
            os.set_blocking(pipe.fileno(), False)
            for part in wire.pack(header, arrays):
                unsent = memoryview(part)
                while unsent:
                    if not select.select([], [pipe], [], max(deadline - time.monotonic(), 0))[1]:
                        raise self.broken(self._too_late(f"it did not read its input for {seconds:g} s"))
                    unsent = unsent[os.write(pipe.fileno(), unsent) :]
        except (BrokenPipeError, ValueError, OSError) as error:
            raise self.broken(self._obituary()) from error

    def receive(self, seconds: float) -> tuple[wire.Header, wire.Arrays]:
        """Read one frame from the child within ``seconds``. Raises SubjectFault."""
        self.check()
        pipe = self._child.stdout
        deadline = self._deadline(seconds)

        def read(size: int) -> bytearray:
            data = bytearray(size)
            missing = memoryview(data)
            while missing:
                if not select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
                    raise self.broken(self._too_late(f"it gave no answer within {seconds:.3g} s"))
                got = os.readv(pipe.fileno(), [missing])
                if got == 0:
                    raise self.broken(self._obituary())
                missing = missing[got:]
            return data

        try:
            return wire.unpack(read)
        except (wire.Malformed, OSError, ValueError) as error:
            raise self.broken(f"what it sent is no answer ({one_line(str(error), 120)})") from error

    def seconds_for(self, images: int) -> float:
        """Return how long to wait for answers to ``images``: longer where the blocks before took long."""
        return max(self.limits.answer_seconds, _PATIENCE * images * self.seconds_per_image)

    def measured(self, images: int, seconds: float) -> None:
        """Note how long a block of images took."""
        self.seconds_per_image = max(self.seconds_per_image, seconds / max(images, 1))

    def check(self) -> None:
        """Raise SubjectFault if the channel is closed or broken."""
        if self._fault is not None:
            raise SubjectFault(self._fault)

    def broken(self, reason: str) -> SubjectFault:
        """End the child for ``reason`` and return the fault that came first."""
        if self._fault is None:
            self._fault = reason
            self.close()
        return SubjectFault(self._fault)

    def close(self) -> None:
        """End the child and everything it started."""
        if self._fault is None:
            self._fault = "it was closed"
        self._child.end()
        self._stderr.close()

    def _deadline(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self.opened + self.limits.run_seconds)

    def _too_late(self, reason: str) -> str:
        if time.monotonic() >= self.opened + self.limits.run_seconds:
            reason = f"the run took longer than {self.limits.run_seconds:g} s in all"
        return f"{reason} ([limits] of the policy)"

    def _obituary(self) -> str:
        try:
            return self._child.obituary()
        except TimeoutError:
            return "it closed its pipe"
        except (OSError, ValueError):  # another thread has closed it
            return "it was closed"


def raise_if_raised(header: wire.Header) -> None:
    """Raise Refused if a response says that the candidate's own code raised."""
    if "raised" in header:
        raise Refused(str(header["raised"]), str(header.get("text", "")))
