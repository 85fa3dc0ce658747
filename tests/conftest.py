"""What every area shares: a real PostgreSQL and a real Valkey, started once per test process; templates; threads."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import structlog
import templates
from psycopg import sql
from servers import PostgresServer, ValkeyServer, postgres_server, valkey_server

from retraind import privacy

HERE = Path(__file__).parent

# Several tests run at once, each with its own processes: more threads than one would wait for each other, and spin.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_library, "1")


# Areas of whole systems, or of much to be made first. Each begins the share of one test process: what takes long is
# under way early and one at a time, and what is short is left to whoever is free at the end.
FIRST = ("acceptance", "chaos", "workers")


@pytest.hookimpl(trylast=True)  # of what was chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deals the tests out to the processes that share them; of an area, those marked `long` come first."""
    shares: list[list[pytest.Item]] = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    if len(shares) == 1:
        return
    rest = []
    for item in items:
        area = item.path.relative_to(HERE).parts[0]
        (shares[FIRST.index(area) % len(shares)] if area in FIRST else rest).append(item)
    for place, share in enumerate(shares):
        share.sort(key=lambda item: item.get_closest_marker("long") is None)
        whole = len(items) * (place + 1) // len(shares) - len(items) * place // len(shares)
        room = max(whole - len(share), 0)
        share.extend(rest[:room])
        del rest[:room]
    items[:] = [item for share in shares for item in share] + rest


@pytest.fixture(scope="session", autouse=True)
def _templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The run's templates stand beside the directories of its test processes."""
    own = tmp_path_factory.getbasetemp()
    place: Path = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "templates"
    place.mkdir(exist_ok=True)
    templates.share(place)


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """A command that runs in the test process makes its files private and logs warnings alone: the next test begins
    as a user would."""
    before = os.umask(0o022)
    yield
    os.umask(before)
    privacy._users_umask.clear()
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the session."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def _used_databases() -> list[str]:
    """Databases of earlier tests, emptied: to rename one takes a tenth of the time that a new one takes."""
    return []


@pytest.fixture
def postgres_url(postgres: PostgresServer, _used_databases: list[str]) -> Iterator[str]:
    """`postgresql+psycopg://...` of a fresh, empty database of a name never used before."""
    with _database(postgres, _used_databases) as url:
        yield url


@pytest.fixture
def other_postgres_url(postgres: PostgresServer, _used_databases: list[str]) -> Iterator[str]:
    """The same, of another one."""
    with _database(postgres, _used_databases) as url:
        yield url


@contextmanager
def _database(postgres: PostgresServer, used: list[str]) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
        if used:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(used.pop()), sql.Identifier(name)))
        else:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY FILE_COPY")
            connection.execute(create.format(sql.Identifier(name)))
    yield postgres.url(name)
    with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
        _hang_up_others(connection)
        for (schema,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        ).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    used.append(name)


def _hang_up_others(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Ends what a test left connected, and waits until it has: a database in use cannot be renamed."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while connection.execute(f"SELECT count(pg_terminate_backend(pid)) {others}").fetchone() != (0,):
        time.sleep(0.005)  # the server's own clock runs here


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey server for the session."""
    with valkey_server() as server:
        yield server


@pytest.fixture
def valkey_url(valkey: ValkeyServer) -> Iterator[str]:
    """`redis://127.0.0.1:PORT/0` of an empty Valkey."""
    url = valkey.url()
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield url
