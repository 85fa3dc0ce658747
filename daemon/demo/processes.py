"""The two sides of the demo as processes: the system, as `retraind up` runs it, and the serving application.

Neither outlives the demo, however that ends: the system runs under a guard, and the serving
application ends when its standard input does.
"""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import IO

import psutil

from daemon.demo.place import Place
from retraind.clock import rfc3339
from retraind.config.loading import load
from retraind.errors import RetraindError
from retraind.guarded import Guarded
from retraind.ledger import Ledger, leases

# Threads that wait for each other in turns get little done while five processes share two cores: with two
# of them a training takes several times as long as with one.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
STOP_SECONDS = 45.0  # longer than `retraind up` gives its own processes when nothing is under way
_LAST_LINES = 5


def command(place: Place, *verb: str) -> list[str]:
    """The call of `retraind VERB` on the demo's configuration."""
    return [sys.executable, "-m", "daemon.cli", *verb, "--config", str(place.configuration)]


class System:
    """`retraind up`, from its start to its end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        with place.system_log.open("ab") as log:
            self._up = Guarded.start(
                command(place, "up"), grace_seconds=10.0, output=log, environment=ENVIRONMENT, directory=place.root
            )

    def is_ready(self) -> bool:
        """True once the ledger knows of a living daemon and a living worker."""
        self.check()
        settings = load(self._place.configuration, os.environ)
        if not (settings.state / "ledger.db").exists():
            return False
        ledger = Ledger.open(settings.ledger_url)
        try:
            with ledger.read() as connection:
                return {row.kind for row in leases.processes(connection)} >= {"daemon", "worker"}
        finally:
            ledger.close()

    def check(self) -> None:
        """Raises RetraindError when the system has ended."""
        if self._up.exit_code is not None:
            raise RetraindError(f"`retraind up` ended with {self._up.exit_code}: {last_lines(self._place.system_log)}")

    def stop(self) -> None:
        """Asks as a service manager does, with SIGTERM to `retraind up` alone; what is left then is ended by force."""
        processes = self._up.descendants()
        inside = {process.pid for process in processes}
        for process in processes:
            try:
                if process.ppid() not in inside:
                    process.terminate()
            except psutil.NoSuchProcess:  # it has just ended
                continue
        self._up.ended_within(STOP_SECONDS)
        self._up.close()


class Serving:
    """The serving application, from its start to the year's end."""

    def __init__(self, place: Place, seconds_per_day: float) -> None:
        self._log = place.serving_log
        arguments = [str(place.store), str(place.models), str(seconds_per_day)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daemon.demo.serving", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )

    def said(self, word: str) -> bool:
        """True once it has said `word`. Raises RetraindError when it has ended otherwise than well."""
        if self._process.poll() not in {None, 0}:
            raise RetraindError(f"the serving application ended: {last_lines(self._log)}")
        return word in self._log.read_text(errors="replace").splitlines()

    def begin(self, instant: datetime) -> None:
        """Lets the year pass from the real `instant` on."""
        self._input.write(f"{rfc3339(instant)}\n".encode())
        self._input.flush()

    def is_over(self) -> bool:
        """True when the year is over. Raises RetraindError when it ended otherwise than well."""
        self.said("")
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ends it, wherever it is in the year. Twice does nothing more."""
        self._input.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  # it was asked for as a pipe
        return self._process.stdin


def call(place: Place, *verb: str) -> subprocess.CompletedProcess[str]:
    """Runs a short verb as a person would, to its end."""
    return subprocess.run(command(place, *verb), capture_output=True, text=True, check=False)


def last_lines(log: Path) -> str:
    """The end of a log, in one line; says so where it is empty."""
    lines = log.read_text(errors="replace").split("\n")
    return " | ".join([line for line in lines if line.strip()][-_LAST_LINES:]) or f"{log} is empty"
