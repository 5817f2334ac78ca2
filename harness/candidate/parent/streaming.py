"""Many requests in flight: blocks of images are prepared and sent while earlier ones are predicted."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable

from harness.candidate.parent import responses
from harness.candidate.parent.channel import Channel, raise_if_raised
from harness.formatting import one_line
from harness.records import Images, Probabilities


class _Feeder:
    """Sends the blocks from a thread of its own, numbered from 0, as far ahead as there is room."""

    def __init__(self, channel: Channel, blocks: Iterable[Images], room: int) -> None:
        self._channel, self._blocks = channel, blocks
        self._room = threading.Semaphore(room)
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
        """A moment, for the next block."""
        self._thread.join(0.002)

    def stop(self) -> None:
        """Nothing is sent any more that is not in ``sizes`` now."""
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
                request = {"op": "predict", "batch": None, "scale": 1.0, "fresh": False, "id": len(self.sizes) - 1}
                self._channel.send(request, (block,), self._channel.limits.answer_seconds)
        except BaseException as error:  # the consumer raises it
            self._error = error
        finally:
            self.done = True


def stream(channel: Channel, blocks: Iterable[Images], room: int) -> Generator[Probabilities]:
    """Answers to each block, in order; at most ``room`` are in flight."""
    channel.check()
    feeder = _Feeder(channel, blocks, room)
    waiting: dict[int, Probabilities] = {}
    at = 0
    try:
        while at < len(feeder.sizes) or not feeder.done:
            if at in waiting:
                rows, at = waiting.pop(at), at + 1  # counted before it is given: the last may never be resumed
                feeder.answered()
                yield rows
            elif at + len(waiting) < len(feeder.sizes):
                header, arrays = channel.receive(channel.limits.answer_seconds)
                raise_if_raised(header)
                number = header.get("id")
                if type(number) is not int or number in waiting or not at <= number < len(feeder.sizes):
                    raise channel.broken(f"it answered request {one_line(str(number), 40)}, which is not open")
                waiting[number] = responses.answers(header, arrays, feeder.sizes[number])
            else:
                feeder.wait()
        feeder.raise_if_failed()
    finally:
        feeder.stop()
        if at < len(feeder.sizes):
            channel.close()  # answers of an abandoned stream must not be read as later ones
