"""A whole system in a temporary folder: the installed command, real processes, a store with real rows."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import threshold
import yaml
from templates import empty_mlflow

TRAINER = """
import os, shutil, time
from pathlib import Path

Path("training").write_text("here")
while Path("hold").exists():
    time.sleep(0.05)
shutil.copytree("template", os.environ["RETRAIND_MODEL_DIR"], dirs_exist_ok=True)
"""
TRAINING = "train.py"  # among the arguments of a training process


def fill_store(path: Path, rows: int = 1200, *, seed: int = 1) -> None:
    """Rows of the last 20 days: the actual follows x, the prediction mostly agrees."""
    random = np.random.default_rng(seed)
    now = datetime.now(UTC)
    x, noise = random.normal(size=rows), random.normal(size=rows)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE predictions (timestamp TEXT, x REAL, z REAL, prediction INTEGER, actual INTEGER)"
        )
        connection.executemany(
            "INSERT INTO predictions VALUES (?, ?, ?, ?, ?)",
            [
                (
                    (now - timedelta(days=20) * (1 - i / rows)).isoformat(),
                    float(x[i]),
                    float(noise[i]),
                    int(x[i] > 0),
                    int(x[i] + 0.3 * noise[i] > 0),
                )
                for i in range(rows)
            ],
        )


@dataclass
class System:
    """One project folder and the processes started in it."""

    folder: Path
    configuration: dict[str, Any]
    code: Path | None = None  # another version's packages; None: those that are tested
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "retraind.yaml").write_text(yaml.safe_dump(self.configuration))
        (self.folder / "train.py").write_text(TRAINER)
        if not (self.folder / "template").exists():
            threshold.write(self.folder / "template")
        if not (self.folder / "monitoring.db").exists():
            fill_store(self.folder / "monitoring.db")
        if not (self.folder / "state").exists():
            empty_mlflow(self.folder / "state" / "mlflow.db")

    def start(self, *verb: str) -> "subprocess.Popen[bytes]":
        """Starts `retraind VERB` in a session of its own; its output goes to a file in the folder."""
        log = (self.folder / f"{verb[0]}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon.cli", *verb],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=self._environment(),
        )
        self.processes.append(process)
        return process

    def run(self, *verb: str) -> "subprocess.CompletedProcess[str]":
        """Runs `retraind VERB` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "daemon.cli", *verb],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        path = {} if self.code is None else {"PYTHONPATH": str(self.code)}
        return {**os.environ, "RETRAIND_CONFIG": str(self.folder / "retraind.yaml"), **path}

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The audit log's lines, of one event or of all."""
        path = self.folder / "state" / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [event for event in found if name is None or event["event"] == name]

    def wait(self, what: str, arrived: Callable[[], Any], seconds: float = 150, every: float = 0.1) -> Any:
        """The first true answer, asked for so often. Fails with what the system said when none comes in time.

        Questions that start a process are asked less often: they keep a core busy, and the system waiting.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := arrived():
                return answer
            time.sleep(every)
        raise AssertionError(f"no {what} within {seconds:g} s\n{self.told()}")

    def wait_for(self, name: str, count: int = 1, seconds: float = 150) -> list[dict[str, Any]]:
        """The events of that name, once there are `count` of them."""

        def arrived() -> list[dict[str, Any]]:
            found = self.events(name)
            return found if len(found) >= count else []

        return self.wait(f"{name} x {count}", arrived, seconds)

    def told(self) -> str:
        logs = [f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("*.log"))]
        seen = [f"{event['seq']} {event['event']} {json.dumps(event['data'])[:200]}" for event in self.events()]
        return "\n".join([*logs, *seen])

    def stop(self) -> None:
        """Ends every process that is left, softly first."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                process.wait()

    def kill(self) -> None:
        """Ends every process that is left, at once."""
        for process in self.processes:
            if process.poll() is None:
                kill_tree(process.pid)
            process.wait()


def kill_tree(pid: int, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a process and all its descendants at one stroke."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def children_of(pid: int, argument: str) -> list[psutil.Process]:
    """The descendants that were started with this very argument; the guards before them do not count."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            command = child.cmdline()
            if argument in command and not any(part.endswith("/guard.py") for part in command):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def configuration(**changes: Any) -> dict[str, Any]:
    """A small model with quick leases; `changes` replace keys of the model."""
    model = {
        "predictions": {"url": "sqlite:///monitoring.db", "columns": {"features": ["x", "z"]}},
        "triggers": {"stale": {"type": "interval", "every": "1h"}},
        "training": {
            "data": {"window": {"rolling": "30d"}},
            "trainer": {"command": [sys.executable, "-IS", TRAINING]},
            "gates": [{"metric": "accuracy", "at_least": 0.6}],
        },
        "deploy": [{"mlflow": "delays"}, {"directory": "models/production"}],
        **changes,
    }
    return {
        "models": {"delays": model},
        "lease": {"length": "4s", "heartbeat": "1s"},
        "monitor": {"reconcile_every": "1s", "republish_after": "2s"},
        "workers": {"grace": "5s"},
    }
