"""`retraind up`: everything on one machine: the embedded broker, a worker and the daemon, kept running.

Each is the very process that a service manager would run. One that dies is started again, a little
later each time; SIGTERM or Ctrl-C stops all, the daemon first, and gives a stage under way its grace.
"""

import signal
import sys
import threading
from dataclasses import dataclass

import structlog

from retraind.clock import Clock, SystemClock
from retraind.config.settings import Settings
from retraind.embedded_broker import EmbeddedBroker
from retraind.guarded import Guarded
from retraind.locks import only_up
from retraind.logs import configure_logging
from retraind.privacy import users_umask

_log = structlog.get_logger(__name__)
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
_HEALTHY_SECONDS = 60.0  # a process that lived so long starts with the first delay again
_LOOK_SECONDS = 0.5
_GUARD_GRACE_SECONDS = 5.0  # between asking and killing, should this process itself have been killed


@dataclass
class _Child:
    """One kept process. It is guarded: should this process be killed, it ends too."""

    name: str
    arguments: list[str]
    clock: Clock
    process: Guarded | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY_SECONDS
    not_before: float = 0.0

    def keep(self) -> None:
        """Starts the process if it is not running and its delay has passed."""
        now = self.clock.monotonic()
        if self.process is not None and self.process.exit_code is not None:
            if now - self.started > _HEALTHY_SECONDS:
                self.delay = _FIRST_DELAY_SECONDS
            _log.error("died", process=self.name, exit_code=self.process.exit_code, restart_seconds=self.delay)
            self.process.close()
            self.process, self.not_before = None, now + self.delay
            self.delay = min(self.delay * 2, _LONGEST_DELAY_SECONDS)
        if self.process is None and now >= self.not_before:
            self.process = Guarded.start(
                self.arguments,
                grace_seconds=_GUARD_GRACE_SECONDS,
                output=sys.stderr.buffer,
                umask=users_umask(),  # which it must know, to deploy as the user would
            )
            self.started = now
            _log.info("started", process=self.name)

    def stop(self, grace_seconds: float) -> None:
        """Asks the process to end; one that has not after its grace is killed with all that it started."""
        if self.process is None:
            return
        if self.process.exit_code is None:
            self.process.ask_to_end()
            if not self.process.ended_within(grace_seconds):
                _log.warning("killed", process=self.name, grace_seconds=grace_seconds)
        self.process.close()
        _log.info("stopped", process=self.name)


def up(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT. Returns the exit code.

    Raises Conflict when another `retraind up` runs on the same state directory.
    """
    configure_logging(settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with only_up(settings):
        _keep_all(settings, stopping)
    return 0


def _keep_all(settings: Settings, stopping: threading.Event) -> None:
    command = [sys.executable, "-m", "daemon.cli", "--config", str(settings.source_path)]
    clock = SystemClock()
    daemon = _Child("daemon", [*command, "run"], clock)
    worker = _Child("worker", [*command, "worker"], clock)
    broker = EmbeddedBroker(settings) if settings.broker == "embedded" else None
    if broker is not None:
        broker.start()
    try:
        while not stopping.wait(_LOOK_SECONDS):
            if broker is not None:
                broker.ensure()
            worker.keep()
            daemon.keep()
    finally:
        daemon.stop(grace_seconds=30.0)
        worker.stop(grace_seconds=settings.workers.grace.total_seconds() + 30.0)
        if broker is not None:
            broker.stop()
