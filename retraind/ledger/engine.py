"""Opens the ledger's database: the one place that knows how SQLite and Postgres differ."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from retraind.errors import ConfigurationError
from retraind.ledger.forking import unforked

BUSY_SECONDS = 30.0


def open_engine(url: str, *, lasting: bool = True) -> Engine:
    """An engine for `url` (sqlite:///PATH or postgresql+psycopg://...). SQLite waits for the disk only where what is
    written is to be `lasting`.

    Raises ConfigurationError for a URL of another kind.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(f"ledger: {url!r} is not a database URL; write sqlite:///PATH") from None
    if parsed.drivername == "sqlite":
        return _sqlite(parsed, "FULL" if lasting else "OFF")
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return _postgres(parsed.set(drivername="postgresql+psycopg"))
    raise ConfigurationError(
        f"ledger: {parsed.drivername!r} is not a ledger; write sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
    ) from NoSuchModuleError(parsed.drivername)


@contextmanager
def transaction(engine: Engine, *, write: bool) -> Iterator[Connection]:
    """A connection in a transaction, committed at the end.

    A listener to the engine's own `begin` would do for SQLite, but then every statement is told to listeners, which
    costs a tenth of a decision.
    """
    with unforked, engine.connect() as connection, connection.begin():
        if engine.dialect.name == "sqlite":
            # A writer takes the lock at once: a read lock that must grow later fails with BUSY at any moment.
            driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]  # SQLite's own
            driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        yield connection


def _sqlite(url: Any, synchronous: str) -> Engine:
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun by `transaction`, not by the driver's guess
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgres(url: Any) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        connect_args={
            "connect_timeout": 5,
            "application_name": "retraind",
            # A server that vanished without a word is given up within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            # No transaction here is idle but that of a stopped process, and its locks hold up the others.
            "options": "-c lock_timeout=30s -c statement_timeout=60s -c idle_in_transaction_session_timeout=15s",
        },
    )
