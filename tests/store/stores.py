"""Databases with a table of predictions, as an application would leave them, and stores that read them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from retraind.config.predictions import Predictions
from retraind.store import PredictionsStore, open_store
from triggers.evidence import Window

START = datetime(2026, 1, 31, 22, 0, tzinfo=UTC)
ALWAYS = Window(None, None)


class Database:
    """One of the two databases, written to as the serving application does: by its own ordinary driver."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def run(self, sql: str, rows: Iterable[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        """Runs a statement, once for each of `rows` where they are given; `?` marks a value."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute("PRAGMA synchronous=OFF")
                if rows is None:
                    return connection.execute(sql).fetchall()
                connection.executemany(sql, list(rows))
                return []
        url = self.url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            if rows is None:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
            cursor.executemany(sql.replace("?", "%s"), list(rows))
            return []

    def of_both(self, sqlite: str, postgres: str) -> str:
        return sqlite if self.kind == "sqlite" else postgres

    def plain_table(self, rows: Iterable[Sequence[Any]], table: str = "predictions") -> None:
        """The plainest table: timestamp, prediction, actual, with classes for labels."""
        time = self.of_both("TEXT", "timestamptz")
        self.run(f"CREATE TABLE {table} (timestamp {time}, prediction INTEGER, actual INTEGER)")
        self.run(f"CREATE INDEX {table}_time ON {table} (timestamp)")
        self.run(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)

    @contextmanager
    def store(self, **settings: Any) -> Iterator[PredictionsStore]:
        with open_store(Predictions(url=self.url, **settings)) as store:
            yield store


@pytest.fixture(name="database", params=["sqlite", "postgres"])
def database_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        database = Database("sqlite", f"sqlite:///{tmp_path / 'monitoring.db'}")
        database.run("PRAGMA journal_mode=WAL")
        return database
    return Database("postgres", request.getfixturevalue("postgres_url"))


@pytest.fixture(name="sqlite_database")
def sqlite_fixture(tmp_path: Path) -> Database:
    database = Database("sqlite", f"sqlite:///{tmp_path / 'monitoring.db'}")
    database.run("PRAGMA journal_mode=WAL")
    return database


@pytest.fixture(name="postgres_database")
def postgres_fixture(postgres_url: str) -> Database:
    return Database("postgres", postgres_url)
