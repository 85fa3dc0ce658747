"""Fixtures that every area shares: a real PostgreSQL and a real Valkey, started once per test process."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
import redis
from psycopg import sql
from servers import PostgresServer, ValkeyServer, postgres_server, valkey_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the session."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """`postgresql+psycopg://...` of a fresh, empty database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY FILE_COPY")  # half the time of WAL_LOG
        connection.execute(create.format(sql.Identifier(name)))
        yield postgres.url(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


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
