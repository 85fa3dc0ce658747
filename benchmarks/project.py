"""A project in a temporary folder, and real processes in it: the installed command, a store with rows."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

ROWS = 1200
STOP_SECONDS = 60.0


def model(triggers: Mapping[str, Any]) -> dict[str, Any]:
    """One model as a user writes it, with these triggers."""
    return {
        "predictions": {"url": "sqlite:///monitoring.db", "columns": {"features": ["x", "z"]}},
        "triggers": dict(triggers),
        "training": {
            "data": {"window": {"rolling": "30d"}},
            "trainer": {"sklearn": "sklearn.linear_model.LogisticRegression"},
            "gates": [{"metric": "accuracy", "at_least": 0.6}],
        },
        "deploy": [{"mlflow": "delays"}, {"directory": "models/production"}],
    }


class Project:
    """One folder, the processes started in it, and its ledger."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        self.folder = folder
        self.file = folder / "retraind.yaml"
        self.file.write_text(yaml.safe_dump(dict(configuration)))
        self.data = folder / "data"
        self.data.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        _fill(folder / "monitoring.db")

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Starts `python COMMAND...`; what it says goes to a file of the folder."""
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": _root(), "RETRAIND_CONFIG": str(self.file), **(environment or {})},
        )
        self.processes.append(process)
        return process

    def retraind(self, *verb: str) -> None:
        """Runs `retraind VERB...` to its end. Raises CalledProcessError."""
        command = [sys.executable, "-m", "daemon.cli", "--config", str(self.file), *verb]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, env={**os.environ})

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What the ledger answers; nothing where it is not there yet."""
        ledger = self.folder / "state" / "ledger.db"
        try:
            connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=30)
        except sqlite3.OperationalError:
            return []
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            connection.close()

    def wait(self, what: str, arrived: Callable[[], Any], seconds: float = 120.0, every: float = 0.01) -> Any:
        """The first true answer. Raises TimeoutError, with what the processes said last."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := arrived():
                return answer
            time.sleep(every)
        said = "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))
        raise TimeoutError(f"no {what} within {seconds:g} s\n{said}")

    def stop(self) -> None:
        """Asks every process to end, the last one first, and kills what does not."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def project(configuration: Mapping[str, Any]) -> Iterator[Project]:
    """A project that is stopped and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="retraind-bench-", ignore_cleanup_errors=True) as folder:
        made = Project(Path(folder), configuration)
        try:
            yield made
        finally:
            made.stop()


def _root() -> str:
    return str(Path(__file__).parent.parent)


def _fill(path: Path) -> None:
    """Rows of the last 20 days: the actual follows x, the prediction mostly agrees."""
    chance = random.Random(1)
    now = datetime.now(UTC)
    rows = []
    for number in range(ROWS):
        x, noise = chance.gauss(0, 1), chance.gauss(0, 1)
        at = now - timedelta(days=20) * (1 - number / ROWS)
        rows.append((at.isoformat(), x, noise, int(x > 0), int(x + 0.3 * noise > 0)))
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE predictions (timestamp TEXT, x REAL, z REAL, prediction INTEGER, actual INTEGER)"
        )
        connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
