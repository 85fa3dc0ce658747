"""Publishes apart from deciding: a broker that hangs or is away delays no look, no decision and no stop.

Whoever decided leaves the wish here and goes on. One thread publishes them in turn; while the broker is
absent it keeps them, tries again ever less often, and when the broker is back has everything announced
that nobody works on: what had been published before may be lost.
"""

import threading
from collections.abc import Callable, Sequence

import structlog

from retraind.errors import BrokerUnreachable, LedgerError
from retraind.ledger.rows import Job
from retraind.outage import Backoff
from retraind.queue import Queue

_log = structlog.get_logger(__name__)
PROBE_SECONDS = 15.0
_PROBE = ("broker", "")


class Announcer(threading.Thread):
    """Between `start` and `stop` it publishes what `announce` and `converge` were told. Wishes that are equal are one.

    `came_back` is called, in this thread, when the broker answers again. One that is not needed is asked now and
    then all the same, so that its absence is known before it matters.
    """

    def __init__(self, queue: Queue, came_back: Callable[[], None], backoff: Backoff | None = None) -> None:
        super().__init__(name="announcer", daemon=True)
        self._queue = queue
        self._came_back = came_back
        self._backoff = backoff or Backoff()
        self._wishes: dict[tuple[str, str], Callable[[], None]] = {}  # in the order of asking
        self._changed = threading.Condition()
        self._ended = False

    def announce(self, job_id: str, actor: str) -> None:
        """Has a worker woken for the job's next stage. Returns at once."""
        self._wish(("job", job_id), lambda: self._queue.announce(job_id, actor))

    def converge(self, model: str) -> None:
        """Has a worker look after the targets of `model`. Returns at once."""
        self._wish(("model", model), lambda: self._queue.converge(model))

    def tidy(self) -> None:
        """Has a worker free the disk. Returns at once."""
        self._wish(("disk", ""), self._queue.tidy)

    def lost(self, announced: Sequence[Job]) -> set[str]:
        """As `Queue.lost`; empty while the broker is absent."""
        if self._absent():
            return set()
        try:
            return self._queue.lost(announced)
        except BrokerUnreachable:
            self._wish(_PROBE, self._queue.probe)
            return set()

    def stop(self) -> None:
        """Publishes nothing more; what is left, the next leader announces."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def run(self) -> None:
        """Until `stop`: takes the oldest wish; one that could not be published is kept and waited with."""
        while (wish := self._next()) is not None:
            name, publish = wish
            absent = self._absent()
            try:
                publish()
                if absent:
                    self._came_back()
            except BrokerUnreachable:
                self._wish(*wish)  # a probe is none yet
                self._wait(self._backoff.next())
                continue
            except LedgerError as error:
                _log.info("announce_failed", kind=name[0], name=name[1], error=str(error))  # the reconciler asks again
            except Exception:  # noqa: BLE001  # the boundary of a tick: one wish must not end the thread
                _log.exception("announce_raised", kind=name[0], name=name[1])
            with self._changed:
                self._wishes.pop(name, None)
            self._backoff.reset()

    def _absent(self) -> bool:
        outage = self._queue.outage
        return outage is not None and outage.since is not None

    def _wish(self, name: tuple[str, str], publish: Callable[[], None]) -> None:
        with self._changed:
            self._wishes.setdefault(name, publish)
            self._changed.notify_all()

    def _next(self) -> tuple[tuple[str, str], Callable[[], None]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or bool(self._wishes), timeout=PROBE_SECONDS)
            return None if self._ended else next(iter(self._wishes.items()), (_PROBE, self._queue.probe))

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended, timeout=seconds)
