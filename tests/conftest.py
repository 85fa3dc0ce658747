"""Fixtures that every area shares: a real PostgreSQL and a real Valkey, started once per test process."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import redis
import structlog
from psycopg import sql
from servers import PostgresServer, ValkeyServer, postgres_server, valkey_server

from retraind import privacy


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
