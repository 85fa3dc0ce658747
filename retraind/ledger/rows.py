"""Rows as values, and the two writes that every table shares."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, Self

from sqlalchemy import Row, Table

from retraind.ledger.ledger import Transaction
from retraind.ledger.prepared import write
from retraind.states import OPEN_STATES, JobState


class FromRow:
    """A frozen dataclass whose fields are columns of a row."""

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        mapping = row._mapping
        return cls(**{name: mapping[name] for name in _field_names(cls)})  # type: ignore[arg-type]  # mypy's own view of Self


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@dataclass(frozen=True)
class Job(FromRow):
    """One retraining of one model. Instants are aware UTC; None means: not yet, or not at all."""

    id: str
    model: str
    state: str
    actor: str
    reason: str
    requested_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    forced: bool
    lease_owner: str | None
    lease_token: int
    lease_until: datetime | None
    not_before: datetime | None
    published_at: datetime | None
    publications: int
    cancelled_by: str | None
    approved_by: str | None
    approval_expires_at: datetime | None
    window_start: datetime | None
    window_end: datetime | None
    data_hash: str | None
    recipe_hash: str | None
    trained_at: datetime | None
    version: str | None
    metrics: Mapping[str, Any] | None
    error: str | None

    @property
    def is_open(self) -> bool:
        return JobState(self.state) in OPEN_STATES


@dataclass(frozen=True)
class Version(FromRow):
    """One registered model version. `directory` holds the model's files, `reference` the rows it was trained on."""

    model: str
    version: str
    job: str
    uri: str
    directory: str
    reference: str | None
    window_start: datetime | None
    window_end: datetime | None
    metrics: Mapping[str, Any] | None
    trained_at: datetime
    registered_at: datetime
    digest: str | None = None  # of the files, as registered; None: registered before digests were kept


@dataclass(frozen=True)
class Deployment(FromRow):
    """One act of making a version champion: `kind` is deploy, rollback or revert."""

    id: int
    model: str
    version: str
    job: str | None
    kind: str
    actor: str
    at: datetime


def insert_if_absent(transaction: Transaction, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts unless a unique constraint forbids it. True when the row is new."""
    connection = transaction.connection
    return write(connection, _insert_if_absent(connection.dialect.name, table), values) > 0


def upsert(transaction: Transaction, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Inserts the row with primary key `key`, or sets `values` in it."""
    connection = transaction.connection
    statement = _upsert(connection.dialect.name, table, tuple(key), tuple(values))
    write(connection, statement, {**key, **values})


# Statements are made once: to make one and to look for its compiled form takes five times as long as to run it.


@cache
def _insert_if_absent(dialect: str, table: Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing().inline()  # nobody asks for the new row's key


@cache
def _upsert(dialect: str, table: Table, key: tuple[str, ...], values: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table)
    new = {name: statement.excluded[name] for name in values}
    return statement.on_conflict_do_update(index_elements=list(key), set_=new)


def _insert(dialect: str, table: Table) -> Any:
    """The dialect's own insert, which knows conflicts; only the dialect at hand is imported."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
