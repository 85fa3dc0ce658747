"""Sends alerts from the ledger's events, after the fact, to every receiver that asked for them.

The leading daemon runs it. Each receiver has a thread and a cursor in the ledger of its own, so a dead
one delays nothing, and one that comes back is told what it missed, in order. The cursor moves after a
message was taken: a crash in between sends that one again, nothing else does.
"""

import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from daemon.receiver import Receiver
from retraind.alerts import Event, compose, digest, is_wanted, receiver_key
from retraind.clock import Clock
from retraind.config.settings import Alert
from retraind.errors import AlertUndelivered, ConfigurationError, LedgerError, RetraindError
from retraind.ledger import Ledger, receivers, trail

_ACTOR = "daemon"
_BATCH = 500  # events looked at together
_MOST_SINGLE = 5  # more that wait together become one message
_STOP_SECONDS = 1.0  # for all of them together

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delays:
    """Times of every receiver, in seconds."""

    look: float = 2.0  # between looks for what other processes wrote
    first: float = 1.0  # after a failure; doubled after each more
    longest: float = 300.0

    def after(self, failures: int) -> float:
        """The wait after so many failures in a row, one or more."""
        return min(self.first * 2.0 ** min(failures - 1, 60), self.longest)


class AlertSender:
    """Sends to `alerts` between `start` and `stop`. `stopping` is waited on between attempts."""

    def __init__(
        self,
        ledger: Ledger,
        alerts: Sequence[Alert],
        clock: Clock,
        *,
        stopping: threading.Event | None = None,
        delays: Delays | None = None,
    ) -> None:
        self._ledger = ledger
        self._stopping = stopping or threading.Event()
        wanted: dict[str, frozenset[str]] = {}
        for alert in alerts:  # a receiver named twice is one, and gets each event once
            wanted[alert.url] = wanted.get(alert.url, frozenset()) | frozenset(alert.on)
        self._senders = [
            _Sender(ledger, url, on, clock, self._stopping, delays or Delays()) for url, on in wanted.items()
        ]

    def start(self) -> None:
        """A receiver that is new to the ledger is told what happens from now on. Never raises."""
        self._register()
        for sender in self._senders:
            sender.start()

    def notify(self) -> None:
        """There may be something new to send."""
        for sender in self._senders:
            sender.wake.set()

    def stop(self) -> None:
        """Ends all threads; one that waits for a receiver to answer is left to itself after a while."""
        self._stopping.set()
        self.notify()
        deadline = time.monotonic() + _STOP_SECONDS
        for sender in self._senders:
            if sender.is_alive():
                sender.join(max(deadline - time.monotonic(), 0.0))

    def _register(self) -> None:
        keys = [sender.key for sender in self._senders]
        try:
            with self._ledger.write(_ACTOR) as transaction:
                receivers.forget_others(transaction, keys)
                for key in keys:
                    receivers.register(transaction, key)
        except LedgerError as error:  # the threads register themselves once the ledger answers
            _log.warning("alerts_unregistered", error=str(error))


class _Sender(threading.Thread):
    """The thread of one receiver."""

    def __init__(
        self, ledger: Ledger, url: str, on: frozenset[str], clock: Clock, stopping: threading.Event, delays: Delays
    ) -> None:
        self.receiver = Receiver(url)
        super().__init__(name=f"alerts {self.receiver.name}", daemon=True)
        self.key = receiver_key(url)
        self.wake = threading.Event()
        self._ledger = ledger
        self._on = on
        self._clock = clock
        self._stopping = stopping
        self._delays = delays
        self._failures = 0
        self._failing_since = 0.0

    def run(self) -> None:
        """Until stopping: 1. send what waits; 2. after a failure wait ever longer; 3. otherwise wait for more."""
        while not self._stopping.is_set():
            try:
                more = self.send_next()
            except LedgerError as error:
                _log.debug("alerts_wait_for_ledger", receiver=self.receiver.name, error=str(error))
                self._stopping.wait(self._delays.look)
            except (RetraindError, OSError) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the boundary of a tick: a plugin of Apprise may raise anything
                raised = self.receiver.redacted(traceback.format_exc())
                _log.error("alert_raised", receiver=self.receiver.name, exception=raised)
                self._failed(error)
            else:
                self._recovered()
                if not more:
                    self.wake.wait(self._delays.look)
                    self.wake.clear()

    def send_next(self) -> bool:
        """Sends the wanted ones among the next events and moves the cursor past all. False: there were none.

        Raises AlertUndelivered, ConfigurationError or LedgerError; the cursor then stands behind what was taken.
        """
        with self._ledger.read() as connection:
            start = receivers.position(connection, self.key)
            events = trail.beyond(connection, start, limit=_BATCH) if start is not None else []
        if start is None:
            with self._ledger.write(_ACTOR) as transaction:
                receivers.register(transaction, self.key)
            return False
        if not events:
            return False
        wanted = [event for event in events if is_wanted(event, self._on)]
        if len(wanted) > _MOST_SINGLE:
            self.receiver.send(digest(wanted))
        else:
            for event in wanted:
                if self._stopping.is_set():
                    return False
                self.receiver.send(compose(event, self._history(event)))
                if not self._move(start, event["seq"]):
                    return True
                start = event["seq"]
        if events[-1]["seq"] > start:
            self._move(start, events[-1]["seq"])
        return True

    def _history(self, event: Event) -> list[Event]:
        """The earlier events of the event's job."""
        if event["job"] is None:
            return []
        with self._ledger.read() as connection:
            return [past for past in trail.of_job(connection, event["job"]) if past["seq"] < event["seq"]]

    def _move(self, before: int, to: int) -> bool:
        """False when another daemon has moved the cursor: it leads, and goes on from there."""
        with self._ledger.write(_ACTOR) as transaction:
            return receivers.move(transaction, self.key, before, to)

    def _failed(self, error: Exception) -> None:
        """Told once when a receiver begins to fail, counted in the ledger each time."""
        if self._failures == 0:
            self._failing_since = self._clock.monotonic()
            told = str(error) if isinstance(error, RetraindError) else type(error).__name__
            _log.warning("receiver_failing", receiver=self.receiver.name, error=told)
        self._failures += 1
        if isinstance(error, (AlertUndelivered, ConfigurationError)):
            self._note(str(error))
        self._stopping.wait(self._delays.after(self._failures))

    def _note(self, error: str) -> None:
        try:
            with self._ledger.write(_ACTOR) as transaction:
                receivers.note_failure(transaction, self.key, error)
        except LedgerError as problem:
            _log.warning("failure_unnoted", receiver=self.receiver.name, error=str(problem))

    def _recovered(self) -> None:
        if self._failures:
            seconds = self._clock.monotonic() - self._failing_since
            _log.info("receiver_recovered", receiver=self.receiver.name, failures=self._failures, seconds=seconds)
            self._failures = 0
