"""A world: one project with its servers and its supervised processes, all of which chaos may strike."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import project
import psutil
from grounds import FullDisk, Postgres, Valkey, broker_client, make_postgres, make_valkey
from plan import Plan
from sqlalchemy import Engine, create_engine, func, select

from retraind.faults import VARIABLE
from retraind.ledger import tables

ROOT = Path(__file__).parents[2]
MARK = "RETRAIND_CHAOS"  # in the environment of everything that a world starts
KINDS = ("sqlite-embedded", "postgres-redis", "sqlite-redis", "postgres-embedded")


@dataclass
class Supervised:
    """A process that is started again whenever it has ended, as a service manager would."""

    name: str
    verb: str
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0
    not_before: float = 0.0


@dataclass
class World:
    """`kind` is LEDGER-BROKER: where the ledger stands, and whether `retraind up` brings the broker."""

    kind: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="retraind-chaos-")))
    stack: ExitStack = field(default_factory=ExitStack)
    supervised: list[Supervised] = field(default_factory=list)
    postgres: Postgres | None = None
    valkey: Valkey | None = None
    clock_hours: float = 0.0

    def __enter__(self) -> "World":
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self) -> None:
        ledger, broker = self.kind.split("-")
        self.mark = self.folder.name
        self.plan = Plan(self.folder / "faults")
        self.disks = {
            name: FullDisk(self.folder / name, size) for name, size in (("state", 160), ("log", 8), ("models", 16))
        }
        for disk in self.disks.values():
            self.stack.callback(disk.unmount)
        if ledger == "postgres":
            self.postgres = make_postgres(self.stack)
        if broker == "redis":
            self.valkey = make_valkey(self.stack)
        urls = (self.postgres.url if self.postgres else None, self.valkey.url if self.valkey else None)
        project.write(self.folder, project.configuration(*urls))
        verbs = (
            ["up", "run", "worker", "worker"] if broker == "embedded" else ["run", "run", "worker", "worker", "worker"]
        )
        self.supervised = [Supervised(f"{verb}-{number}", verb) for number, verb in enumerate(verbs)]
        self.stack.callback(self._end_processes)
        url = self.postgres.url if self.postgres else f"sqlite:///{self.folder / 'state' / 'ledger.db'}"
        self.engine: Engine = create_engine(url, pool_pre_ping=True)
        self.stack.callback(self.engine.dispose)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            VARIABLE: str(self.plan.directory),
            MARK: self.mark,
            "RETRAIND_CONFIG": str(self.folder / "retraind.yaml"),
            "PYTHONPATH": str(ROOT),  # this checkout, wherever the environment was installed from
        }

    def keep(self) -> int:
        """Starts what has ended again. Returns how many were."""
        started = 0
        for each in self.supervised:
            if each.process is not None and each.process.poll() is not None and each.not_before == 0.0:
                each.not_before = time.monotonic() + 0.3
            if (each.process is None or each.process.poll() is not None) and time.monotonic() >= each.not_before:
                self._start(each)
                started += 1
        return started

    def _start(self, each: Supervised) -> None:
        each.starts += 1
        each.not_before = 0.0
        with (self.folder / f"{each.name}.log").open("ab") as log:
            each.process = subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", each.verb],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def call(self, *verb: str, seconds: float = 60.0) -> "subprocess.Popen[bytes]":
        """Starts one `retraind` command of a person; it is not waited for."""
        with (self.folder / "commands.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", *verb],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def processes(self) -> Iterator[psutil.Process]:
        """Every living process that descends from this world's, by the mark in its environment."""
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and self._is_ours(process):
                    yield process
            except (psutil.Error, OSError):
                continue

    def _is_ours(self, process: psutil.Process) -> bool:
        """Valkey writes its title over its environment: it is known by its parent's."""
        if process.name().startswith("valkey"):
            return (parent := process.parent()) is not None and parent.environ().get(MARK) == self.mark
        return process.environ().get(MARK) == self.mark

    def of_role(self, role: str) -> list[psutil.Process]:
        """The processes of a role: daemon, worker (the parents), child (of a worker's pool), training, broker, up."""
        found = []
        for process in self.processes():
            try:
                if _role(process) == role:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def broker(self) -> Any:
        if self.valkey is not None:
            return broker_client(self.valkey.url)
        return broker_client(f"unix://{self._socket()}")

    def _socket(self) -> Path:
        from retraind.broker import socket_path

        return socket_path(self.folder / "state")

    def lock_sqlite(self, database: str) -> "sqlite3.Connection | None":
        """Holds the write lock of a SQLite file; None where it is not to be had now."""
        path = self.folder / "state" / database
        if not path.exists():
            return None
        connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            connection.close()
            return None
        return connection

    def counts(self) -> tuple[int, int, int]:
        """Jobs decided, deployments made, and what had to be repaired."""
        events = tables.events
        with self.engine.connect() as connection:
            told = dict(connection.execute(select(events.c.event, func.count()).group_by(events.c.event)).all())
        repairs = ("target.repaired", "registry.repaired", "audit.repaired", "job.recovered")
        return told.get("job.requested", 0), told.get("model.deployed", 0), sum(told.get(name, 0) for name in repairs)

    def _end_processes(self) -> None:
        for each in self.supervised:
            if each.process is not None and each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
        for process in list(self.processes()):
            try:
                process.kill()
            except psutil.Error:
                continue
        for each in self.supervised:
            if each.process is not None:
                each.process.wait()
        psutil.wait_procs(list(self.processes()), timeout=10)

    def close(self) -> None:
        """Ends everything. The folder stays until `delete`."""
        self.stack.close()

    def delete(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _role(process: psutil.Process) -> str | None:
    command = process.cmdline()
    if any(part.endswith("/guard.py") for part in command):
        return "guard"
    for part, role in {"train.py": "training", "daemon.keeping": "up"}.items():  # what `retraind up` becomes
        if part in command:
            return role
    if any("valkey-server" in part for part in command):
        return "broker"
    if {"daemon.cli", "daemon.serving"} & {*command}:
        verb = command[-1]
        if verb == "worker":
            parent = process.parent()
            above = parent.cmdline() if parent is not None else []
            return "child" if above[-1:] == ["worker"] and not any("guard.py" in part for part in above) else "worker"
        return {"run": "daemon", "up": "up"}.get(verb)
    return None
