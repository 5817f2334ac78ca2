"""Pipelined prediction: blocks of images are prepared and sent while earlier ones are predicted."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable

from harness.candidate.parent import responses
from harness.candidate.parent.channel import Channel, raise_if_raised
from harness.candidate.protocol import wire
from harness.formatting import one_line
from harness.records import Images, Probabilities


class _Feeder:
    """A thread that sends the blocks, numbered from 0, at most ``ahead`` before their responses."""

    def __init__(self, channel: Channel, blocks: Iterable[Images], ahead: int, request: wire.Header) -> None:
        self._channel, self._blocks, self._request = channel, blocks, request
        self._room = threading.Semaphore(ahead)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lock = threading.Lock()
        self._stopped = False
        self._error: BaseException | None = None
        self.sizes: list[int] = []
        self.done = False
        self._thread.start()

    def answered(self) -> None:
        self._room.release()

    def wait(self) -> None:
        """Wait at most 2 ms for the next block."""
        self._thread.join(0.002)

    def stop(self) -> None:
        """Stop sending; ``sizes`` is final afterwards."""
        with self._lock:
            self._stopped = True
        self._room.release()

    def raise_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for block in self._blocks:
                self._room.acquire()
                with self._lock:
                    if self._stopped:
                        return
                    self.sizes.append(len(block))
                request = {**self._request, "id": len(self.sizes) - 1}
                self._channel.send(request, (block,), self._channel.limits.answer_seconds)
        except BaseException as error:  # the consumer raises it
            self._error = error
        finally:
            self.done = True


def stream(channel: Channel, blocks: Iterable[Images], ahead: int, request: wire.Header) -> Generator[Probabilities]:
    """Send ``request`` with each block, in order; at most ``ahead`` are in flight."""
    channel.check()
    feeder = _Feeder(channel, blocks, ahead, request)
    waiting: dict[int, Probabilities] = {}
    first, since = 0, time.monotonic()
    try:
        while first < len(feeder.sizes) or not feeder.done:
            if first in waiting:
                rows, first = waiting.pop(first), first + 1  # before it is yielded: the last may never be resumed
                feeder.answered()
                yield rows
            elif first + len(waiting) < len(feeder.sizes):
                header, arrays = channel.receive(channel.seconds_for(sum(feeder.sizes[first : first + ahead])))
                raise_if_raised(header)
                number = header.get("id")
                if type(number) is not int or number in waiting or not first <= number < len(feeder.sizes):
                    raise channel.broken(f"it answered request {one_line(str(number), 40)}, which is not open")
                if not number:
                    channel.measured(feeder.sizes[0], time.monotonic() - since)
                waiting[number] = responses.probabilities(header, arrays, feeder.sizes[number])
            else:
                feeder.wait()
        feeder.raise_if_failed()
    finally:
        feeder.stop()
        if first < len(feeder.sizes):
            channel.close()  # answers of an abandoned stream must not be read as later ones
