"""What `retraind up` becomes once all is checked: the process that keeps broker, worker and daemon running.

One that dies is started again, a little later each time; SIGTERM or Ctrl-C stops all, the daemon
first, and gives a stage under way its grace; a second one stops all now. It only waits, so it imports
little: no configuration (what it must know of one it is told), no database, no rich.
"""

import json
import os
import queue
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from retraind import lean  # noqa: F401  # before whatever imports structlog

# isort: split

import structlog

from retraind import tied
from retraind.clock import Clock, SystemClock
from retraind.embedded_broker import EmbeddedBroker
from retraind.errors import ConfigurationError, RetraindError
from retraind.guarded import Guarded
from retraind.logs import configure_logging
from retraind.privacy import keep_private, users_umask
from retraind.tied import Tied

_log = structlog.get_logger(__name__)
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
_HEALTHY_SECONDS = 60.0  # a process that lived so long starts with the first delay again
_LOOK_SECONDS = 2.0  # at what is well; the end of a child is told by a signal
_WAITING_SECONDS = 0.5  # while something is to be started again, or to end
_DAEMON_GRACE_SECONDS = 10.0
_HANDING_OVER_SECONDS = 30.0  # beyond the grace of a stage
_HURRY_SECONDS = 3.0  # that a process told to end now is given
_GUARD_GRACE_SECONDS = 5.0  # between asking and killing, should this process itself have been killed


@dataclass(frozen=True)
class Kept:
    """What is kept running, as handed on over an exec."""

    configuration: str  # the file
    state: Path
    embedded_broker: bool
    worker_grace_seconds: float  # that a stage under way is given
    umask: int  # the user's
    lock: int  # the descriptor that holds off every other `retraind up` on the state directory

    def replace_this_process(self) -> NoReturn:
        """Becomes a process that keeps this, under the same pid."""
        os.set_inheritable(self.lock, True)  # noqa: FBT003 - takes no keywords
        told = json.dumps({**asdict(self), "state": str(self.state)})
        # The first words are for people who look for `retraind up` among the processes.
        os.execv(sys.executable, [sys.executable, "-m", "daemon.keeping", "retraind up", told])  # noqa: S606

    @classmethod
    def of(cls, told: str) -> "Kept":
        """What `replace_this_process` handed on."""
        values = json.loads(told)
        return cls(**{**values, "state": Path(values["state"])})


@dataclass
class _Child:
    """One kept process. Should this process be killed, it ends too."""

    name: str
    arguments: list[str]
    clock: Clock
    process: Tied | Guarded | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY_SECONDS
    not_before: float = 0.0

    def keep(self) -> bool:
        """Starts the process if it is not running and its delay has passed. True when it runs."""
        now = self.clock.monotonic()
        if self.process is not None and self.process.exit_code is not None:
            if now - self.started > _HEALTHY_SECONDS:
                self.delay = _FIRST_DELAY_SECONDS
            _log.error("died", process=self.name, exit_code=self.process.exit_code, restart_seconds=self.delay)
            self.process.close()
            self.process, self.not_before = None, now + self.delay
            self.delay = min(self.delay * 2, _LONGEST_DELAY_SECONDS)
        if self.process is None and now >= self.not_before:
            self.process = tied.start(
                self.arguments,
                grace_seconds=_GUARD_GRACE_SECONDS,
                output=sys.stderr.buffer,
                umask=users_umask(),  # they must know it, to deploy as the user would
            )
            self.started = now
            _log.info("started", process=self.name)
        return self.process is not None

    def stop(self, grace_seconds: float, signals: "_Signals") -> None:
        """Asks the process to end, and tells it to end now once this process is asked again; one that has not after
        its grace is killed with all that it started."""
        if self.process is None:
            return
        if self.process.exit_code is None and not self._ends(grace_seconds, signals):
            _log.warning("killed", process=self.name, grace_seconds=grace_seconds)
        self.process.close()
        _log.info("stopped", process=self.name)

    def _ends(self, grace_seconds: float, signals: "_Signals") -> bool:
        assert self.process is not None  # noqa: S101  # the caller asked
        deadline = self.clock.monotonic() + grace_seconds
        self.process.ask_to_end()
        while signals.asked < 2 and self.clock.monotonic() < deadline:
            if self.process.exit_code is not None:
                return True
            signals.wait(_WAITING_SECONDS)
        self.process.ask_to_end(signal.SIGQUIT)
        return self.process.ended_within(_HURRY_SECONDS)


class _Signals:
    """How often this process was asked to end. A handler only puts into a queue: it may interrupt whoever holds the
    lock of an event."""

    def __init__(self) -> None:
        self.asked = 0
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda number, _frame: self._came.put(number))

    def wait(self, seconds: float) -> None:
        """Until the next signal, for so long at most."""
        try:
            self.asked += self._came.get(timeout=seconds) != signal.SIGCHLD
        except queue.Empty:
            return


def keep(kept: Kept) -> None:
    """Runs until SIGTERM or SIGINT; a second one is passed on too. Raises what the broker's first start raises."""
    signals = _Signals()
    command = [sys.executable, "-m", "daemon.serving", kept.configuration]
    clock = SystemClock()
    daemon = _Child("daemon", [*command, "run"], clock)
    worker = _Child("worker", [*command, "worker"], clock)
    broker = EmbeddedBroker(kept) if kept.embedded_broker else None
    if broker is not None:
        broker.start()
    try:
        while not signals.asked:
            served = broker is None or broker.ensure()
            well = all([served, worker.keep(), daemon.keep()])
            signals.wait(_LOOK_SECONDS if well else _WAITING_SECONDS)
    finally:
        daemon.stop(_DAEMON_GRACE_SECONDS, signals)
        worker.stop(kept.worker_grace_seconds + _HANDING_OVER_SECONDS, signals)
        if broker is not None:
            broker.stop()


def main() -> int:
    """Exits as the command does: 0 done, 1 failed, 2 the configuration is wrong."""
    kept = Kept.of(sys.argv[2])
    os.set_inheritable(kept.lock, False)  # noqa: FBT003
    os.umask(kept.umask)
    keep_private()
    configure_logging()
    try:
        keep(kept)
    except RetraindError as error:
        sys.stderr.write(f"retraind: {error}\n")
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
