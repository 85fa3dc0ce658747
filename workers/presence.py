"""Lets the ledger and the service manager know that this worker is alive, and frees what its dead children held."""

import os
import queue
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from retraind import notify
from retraind.errors import BrokerUnreachable, LedgerError, LedgerNewer
from retraind.ledger import leases, work
from workers import ending, refusals
from workers.session import Session

_log = structlog.get_logger(__name__)
BEAT_SECONDS = 5.0


@dataclass
class _Presence:
    # What wakes the beat: True for its next turn, False for its end. Handlers of signals may put into it.
    wakes: "queue.SimpleQueue[bool]" = field(default_factory=queue.SimpleQueue)
    thread: threading.Thread | None = None
    refusal: LedgerNewer | None = None


_presence = _Presence()


def begin(session: Session) -> None:
    """Called in the parent's main thread before it first connects to the broker; later calls do nothing."""
    if _presence.thread is not None:
        return
    ending.take_signals(session)
    signal.signal(signal.SIGCHLD, lambda *_: _presence.wakes.put(True))  # noqa: FBT003
    _presence.thread = threading.Thread(target=_live, args=(session,), name="presence", daemon=True)
    _presence.thread.start()


def waiting() -> None:
    """Called when there is no broker: the worker is as ready as it can be."""
    notify.status("waiting for the broker")
    notify.ready()


def ready() -> None:
    """Called when the worker takes messages."""
    notify.status("takes jobs")
    notify.ready()


def refusal() -> str | None:
    """Why this worker cannot work on this ledger, and stops. None: it can."""
    return None if _presence.refusal is None else str(_presence.refusal)


def end(session: Session) -> None:
    """Called in the parent when nothing is under way any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ending.over()
    if _presence.thread is None:
        return
    _presence.wakes.put(False)  # noqa: FBT003
    _presence.thread.join(timeout=BEAT_SECONDS)
    try:
        with session.ledger.write(session.name) as transaction:
            leases.gone(transaction, session.name)
    except LedgerError as error:
        _log.info("goodbye_unsaid", error=str(error))


def _live(session: Session) -> None:
    """One beat and one watchdog ping at a time, and between them a look whenever a child has died."""
    started_at = session.clock.now()
    next_beat = session.clock.monotonic()
    while True:
        try:
            if session.clock.monotonic() >= next_beat:
                next_beat = session.clock.monotonic() + BEAT_SECONDS
                _ask_for_broker(session)
                _beat(session, started_at)
            free_orphans(session)
        except LedgerNewer as error:
            _log.error("ledger_newer", error=str(error))
            _presence.refusal = error
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except LedgerError as error:
            _log.debug("beat_failed", error=str(error))  # told where it arose
        except Exception:  # noqa: BLE001  # the boundary of a tick: the next one is tried all the same
            _log.exception("beat_raised")
        refusals.tell()
        notify.watchdog()
        if not _wait(max(next_beat - session.clock.monotonic(), 0.0)):
            return


def _beat(session: Session, started_at: datetime) -> None:
    with session.ledger.write(session.name) as transaction:
        host, pid = socket.gethostname(), os.getpid()
        leases.beat(transaction, session.name, "worker", host, pid, started_at, session.broker.since)
        leases.note_refused(transaction, session.name, refusals.total())
        leases.forget_silent(transaction, transaction.now - timedelta(hours=1))


def _ask_for_broker(session: Session) -> None:
    """Ends the absence of a broker that is back: whoever noted it asks again only when there is something to send."""
    if session.broker.since is not None:
        with suppress(BrokerUnreachable):
            session.queue.probe()


def free_orphans(session: Session) -> None:
    """Gives back the jobs of processes that died on this machine, and wakes a worker for each. Raises LedgerError."""
    for job in work.take_from_dead(session.ledger, session.name):
        _log.warning("job_taken_from_dead", job=job)
        try:
            session.queue.announce(job, session.name)
        except BrokerUnreachable as error:
            _log.info("announce_failed", job=job, error=str(error))


def _wait(seconds: float) -> bool:
    """Until so long, or woken. False: this is the end."""
    try:
        going_on = _presence.wakes.get(timeout=seconds)
        while going_on and not _presence.wakes.empty():  # children that ended together are looked after together
            going_on = _presence.wakes.get()
    except queue.Empty:
        return True
    return going_on
