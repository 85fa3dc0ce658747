"""Lets the ledger and the service manager know that this worker is alive, and its children that it stops."""

import os
import socket
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from retraind import notify
from retraind.errors import LedgerError
from retraind.ledger import leases
from workers import refusals
from workers.session import STOPPING, Session

_log = structlog.get_logger(__name__)
BEAT_SECONDS = 5.0


@dataclass
class _Presence:
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    hand_over: threading.Timer | None = None


_presence = _Presence()


def begin(session: Session) -> None:
    """Called in the parent once it is connected to the broker."""
    thread = threading.Thread(target=_beat, args=(session,), name="presence", daemon=True)
    _presence.thread = thread
    thread.start()
    notify.ready()


def stopping(session: Session) -> None:
    """Called in the parent when it is asked to stop: a stage under way is given its grace, then handed over."""
    notify.stopping()
    timer = threading.Timer(session.settings.workers.grace.total_seconds(), STOPPING.set)
    timer.daemon = True
    _presence.hand_over = timer
    timer.start()


def end(session: Session) -> None:
    """Called in the parent when nothing is under way any more."""
    _presence.ended.set()
    if _presence.hand_over is not None:
        _presence.hand_over.cancel()
    if _presence.thread is not None:
        _presence.thread.join(timeout=BEAT_SECONDS)
    try:
        with session.ledger.write(session.name) as transaction:
            leases.gone(transaction, session.name)
    except LedgerError as error:
        _log.warning("goodbye_unsaid", error=str(error))


def _beat(session: Session) -> None:
    """One beat and one watchdog ping at a time: a parent that cannot reach its ledger is alive but says so."""
    started_at = session.clock.now()
    while True:
        try:
            with session.ledger.write(session.name) as transaction:
                leases.beat(transaction, session.name, "worker", socket.gethostname(), os.getpid(), started_at)
                leases.note_refused(transaction, session.name, refusals.total())
                leases.forget_silent(transaction, transaction.now - timedelta(hours=1))
        except LedgerError as error:
            _log.warning("beat_failed", error=str(error))
        refusals.tell()
        notify.watchdog()
        if _presence.ended.wait(BEAT_SECONDS):
            return
