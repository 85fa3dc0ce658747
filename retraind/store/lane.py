"""A thread of its own for a database driver, so that a caller waits no longer than it said.

Neither driver can be interrupted from outside in every case (SQLite's cannot at all, and a frozen
Postgres host answers nothing), and a look at one model must never delay another. A call that
outlives its deadline runs on alone; until it has ended, the lane is busy and takes no other.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")


class Busy(Exception):
    """The deadline passed, or an earlier call that outlived its own is still running."""


class Lane:
    """Runs one call at a time, in the order of asking, in a daemon thread that starts with the first."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: Future[Any] | None = None

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """What `call` returns or raises. Raises Busy after `seconds`."""
        if not self._turn.acquire(timeout=seconds):
            raise Busy
        try:
            if not self.idle:
                raise Busy
            if self._thread is None:
                self._thread = threading.Thread(target=_serve, args=(self._calls,), name="predictions", daemon=True)
                self._thread.start()
            answer: Future[T] = Future()
            self._running = answer
            self._calls.put((call, answer))
            wait([answer], timeout=seconds)
            if not answer.done():
                raise Busy
            return answer.result()
        finally:
            self._turn.release()

    @property
    def idle(self) -> bool:
        """Whether no call is running, not even one that outlived its deadline."""
        return self._running is None or self._running.done()

    def close(self, last: Callable[[], None], seconds: float = 5.0) -> None:
        """Runs `last` after whatever runs, ends the thread and waits up to `seconds` for it."""
        with self._turn:
            if self._thread is None:
                return
            self._calls.put((last, Future()))
            self._calls.put(None)
            self._thread.join(seconds)
            self._thread = None


def _serve(calls: "queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]") -> None:
    while (item := calls.get()) is not None:
        call, answer = item
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the call was made
            answer.set_exception(error)
        del call, answer, item
