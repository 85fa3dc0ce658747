"""`retraind run`: the daemon. Any number may run; one leads by a lease in the ledger, the others stand by.

Everything the leader commits carries the lease's token, so a daemon that lost the lead without
noticing can decide nothing.
"""

import os
import socket
import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from daemon.alerting import AlertSender
from daemon.announcer import Announcer
from daemon.ending import Ending
from daemon.monitor import LONGEST_SLEEP_SECONDS, Monitor
from daemon.reconciler import Reconciler
from retraind import lean, notify
from retraind.audit import AuditLog
from retraind.clock import Clock, StepWatch, SystemClock
from retraind.config.loading import load
from retraind.config.settings import Settings
from retraind.errors import ConfigurationError, LeaseLost, LedgerAbsent, LedgerError
from retraind.identity import marked
from retraind.ledger import Ledger, Transaction, leases
from retraind.ledger.leases import LEADER
from retraind.logs import configure_logging
from retraind.opening import open_ledger
from retraind.outage import Backoff, Outage
from retraind.privacy import refuse_writable
from retraind.queue import Queue

_log = structlog.get_logger(__name__)
_END_SECONDS = 0.5  # for a thread to notice; one that hangs is left alone
_STAND_BY_SECONDS = 1.0  # between looks whether anybody leads
_STUCK_SECONDS = 4 * LONGEST_SLEEP_SECONDS  # a loop that has not gone round for so long is hung


class Daemon:
    """One daemon process. `run` returns when it was asked to stop."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.name = f"daemon:{socket.gethostname()}:{os.getpid()}"
        self.owner = marked(self.name)
        self.started_at: datetime = self.clock.now()
        self.stopping = threading.Event()
        self._steps = StepWatch(self.clock)
        self.broker = Outage("broker", self.clock)
        self._ledger_outage = Outage("ledger", self.clock)
        self._introduced = False
        self._leader: _Leadership | None = None

    def run(self) -> None:
        """Stands by until it leads, leads until it is stopped or loses the lead, and so on.

        Raises LedgerNewer for a ledger that a newer retraind has made its own.
        """
        opened = self._open()
        if opened is None:
            return
        ledger, audit = opened
        notify.ready()
        try:
            while not self.stopping.is_set():
                self._turn(ledger, audit)
        finally:
            self._say_goodbye(ledger)
            ledger.close()

    def stop(self) -> None:
        self.stopping.set()
        if self._leader is not None:
            self._leader.end()

    def reload(self) -> None:
        """Takes up the configuration file again; a bad one is refused and the old one stays in force."""
        try:
            fresh = load(self.settings.source_path, os.environ)
            refuse_writable(fresh)
        except ConfigurationError as error:
            _log.error("reload_refused", error=str(error))
            return
        self.settings = fresh
        _log.info("reloaded", models=sorted(fresh.models))
        if self._leader is not None:
            self._leader.end()  # the next turn takes the lead again, with the new settings

    def _open(self) -> tuple[Ledger, AuditLog] | None:
        """A ledger that does not answer at the start is waited for, and said so. None: asked to stop meanwhile."""
        backoff = Backoff(first=1.0, longest=30.0)
        while not self.stopping.is_set():
            try:
                return open_ledger(self.settings, self.clock, self._ledger_outage)
            except LedgerAbsent as error:
                notify.status(f"waiting for the ledger: {error}")
                notify.watchdog()
                self.stopping.wait(backoff.next())
        return None

    def _turn(self, ledger: Ledger, audit: AuditLog) -> None:
        """One heartbeat as a standby, or one whole time of leading."""
        try:
            token = self._beat_and_ask(ledger)
        except LedgerError:  # told where it arose
            token = None
        if token is None:
            notify.watchdog()
            self._stand_by(ledger)
            return
        self._leader = _Leadership(self, ledger, audit, token)
        if self.stopping.is_set():  # it came before there was a leader to be told
            self._leader.end()
        try:
            self._leader.lead()
        except LedgerError as error:
            _log.info("lead_interrupted", error=str(error))
        finally:
            self._leader = None

    def _stand_by(self, ledger: Ledger) -> None:
        """Waits for the next heartbeat, or until nobody leads: a lead that was given back is taken at once."""
        deadline = self.clock.monotonic() + self.settings.lease.heartbeat.total_seconds()
        while not self.stopping.wait(_STAND_BY_SECONDS) and self.clock.monotonic() < deadline:
            try:
                with ledger.read() as connection:
                    if self._steady() and leases.is_free(
                        connection, LEADER, self.clock.now(), self.settings.lease.lead
                    ):
                        return
            except LedgerError:  # told where it arose
                continue

    def _beat_and_ask(self, ledger: Ledger) -> int | None:
        with ledger.write(self.name) as transaction:
            if not self._introduced:
                data = {"host": socket.gethostname(), "pid": os.getpid(), "models": sorted(self.settings.models)}
                transaction.event("daemon.started", data=data)
            self.beat(transaction)
            token = None
            if self._steady():
                token = leases.acquire(transaction, LEADER, self.owner, self.settings.lease.lead)
            if token is not None:
                transaction.event("daemon.led", data={"daemon": self.name, "token": token})
        self._introduced = True
        return token

    def _steady(self) -> bool:
        """False soon after a step of the clock, when a living leader's lease may look as if it had run out."""
        return self._steps.steady_for(2 * self.settings.lease.heartbeat.total_seconds())

    def beat(self, transaction: Transaction) -> None:
        host, pid = socket.gethostname(), os.getpid()
        leases.beat(transaction, self.name, "daemon", host, pid, self.started_at, self.broker.since)

    def _say_goodbye(self, ledger: Ledger) -> None:
        if not self._introduced:
            return
        try:
            with ledger.write(self.name) as transaction:
                leases.gone(transaction, self.name)
                transaction.event("daemon.stopped", data={"daemon": self.name})
        except LedgerError as error:
            _log.warning("goodbye_unsaid", error=str(error))


class _Leadership:
    """The time during which a daemon leads: monitor, reconciler, alerts and heartbeat, each in its thread."""

    def __init__(self, daemon: Daemon, ledger: Ledger, audit: AuditLog, token: int) -> None:
        self.daemon = daemon
        self.settings = daemon.settings
        self.ledger = ledger
        self.token = token
        self.announcer = Announcer(Queue(self.settings, ledger, daemon.broker), self._announce_all)
        self.reconciler = Reconciler(self.settings, ledger, audit, self.announcer, self.guard)
        self.monitor = Monitor(
            self.settings, ledger, self.announcer, self.guard, lambda: self.reconciler.audit_unwritable
        )
        self.alerts = AlertSender(ledger, self.settings.alerts, daemon.clock)
        self._ended = threading.Event()

    def _announce_all(self) -> None:
        self.reconciler.announce_all()  # which is made after the announcer

    def guard(self, transaction: Transaction) -> None:
        """Raises LeaseLost inside the transaction when another daemon leads."""
        leases.renew(transaction, LEADER, self.token, self.settings.lease.lead)

    def lead(self) -> None:
        """Leads until `end`, or until the lease is lost."""
        _log.info("leading", daemon=self.daemon.name, token=self.token)
        notify.status(f"leading; watching {len(self.settings.models)} models")
        threads = [
            threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True),
            threading.Thread(target=self._reconcile, name="reconcile", daemon=True),
        ]
        for thread in threads:
            thread.start()
        self.announcer.start()
        self.alerts.start()
        try:
            self.monitor.run()
        except LeaseLost as error:
            _log.warning("lead_lost", reason=str(error))
        finally:
            self.end()
            # From here on nothing of what hangs can commit, and another may lead.
            self._release()
            self.alerts.stop()
            for thread in threads:
                thread.join(_END_SECONDS)

    def end(self) -> None:
        self._ended.set()
        self.announcer.stop()
        self.monitor.stop()

    def _release(self) -> None:
        try:
            with self.ledger.write(self.daemon.name) as transaction:
                leases.release(transaction, LEADER, self.token)
        except LedgerError as error:
            _log.warning("lead_unreleased", error=str(error))

    def _heartbeat(self) -> None:
        """Renews the lead and pings the service manager, as long as the loop itself makes progress."""
        beat_seconds = self.settings.lease.heartbeat.total_seconds()
        while not self._ended.wait(beat_seconds):
            try:
                with self.ledger.write(self.daemon.name) as transaction:
                    self.guard(transaction)
                    self.daemon.beat(transaction)
            except LeaseLost as error:
                if not self._ended.is_set():  # else it was given back
                    _log.warning("lead_lost", reason=str(error))
                self.end()
                return
            except LedgerError as error:
                _log.debug("heartbeat_failed", error=str(error))
            if self.daemon.clock.monotonic() - self.monitor.progress < _STUCK_SECONDS:
                notify.watchdog()
            self.alerts.notify()

    def _reconcile(self) -> None:
        every = self.settings.monitor.reconcile_every.total_seconds()
        scan_every = self.settings.monitor.files_scan_every.total_seconds()
        next_scan = 0.0
        while not self._ended.is_set():
            self._safely(self.reconciler.pass_once)
            if self.daemon.clock.monotonic() >= next_scan:
                next_scan = self.daemon.clock.monotonic() + scan_every
                self._safely(self.monitor.check_files)
            self._ended.wait(every)

    def _safely(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001  # the boundary of a tick: the next one is tried all the same
            _log.exception("tick_failed")


def run(settings: Settings) -> int:
    """Runs the daemon in this process until SIGTERM or SIGINT. Returns the exit code."""
    configure_logging(settings)
    lean.share_one_heap()
    daemon = Daemon(settings)
    Ending(daemon.stop, daemon.reload).wait(daemon.run)
    return 0
