"""The model's rows in the user's table, as SQL: which they are, when they were predicted, and which have an actual."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, false

from retraind.config.predictions import Predictions
from retraind.errors import StoreError
from retraind.store.backend import Backend
from retraind.store.columns import Field, TableShape, field_of, missing
from retraind.store.timestamps import TimeColumn, unreadable_time
from triggers.evidence import Window


@dataclass(frozen=True)
class Source:
    """What every query of one question stands on."""

    backend: Backend
    settings: Predictions
    shape: TableShape
    time: TimeColumn
    only: tuple[ColumnElement[bool], ...]

    def field(self, name: str) -> Field | None:
        return field_of(name, self.settings.columns, self.shape)

    def value(self, name: str) -> ColumnElement[Any]:
        """The value of a role that the settings name."""
        return self.backend.value(self.shape, self._named(name))

    def known(self, name: str) -> ColumnElement[bool]:
        """Whether a row has a value for the role; false everywhere for an actual that never comes."""
        field = self.field(name)
        return false() if field is None else self.backend.is_known(self.shape, field)

    def of_version(self, version: str | None) -> list[ColumnElement[bool]]:
        """The condition that `version` predicted a row; none where the store does not say, or for None."""
        if version is None or self.settings.columns.version is None:
            return []
        return [self.backend.text(self.value("version")) == version]

    @property
    def key(self) -> ColumnElement[Any] | None:
        """What orders rows of one instant, so that equal reads are equal in order. None: nothing does."""
        name = self.settings.columns.id or self.shape.key
        return self.shape.clause.c[name] if name is not None else None

    def where(self, column: str) -> str:
        """A column as messages call it."""
        return f"{self.shape.name}: column {column!r}"

    def refuse_unreadable(self, raw: object) -> None:
        """Raises StoreError if `raw` is the time of a row that could not be read; None says that all could."""
        if raw is not None:
            raise unreadable_time(raw, self.where(self.settings.columns.timestamp))

    def _named(self, name: str) -> Field:
        field = self.field(name)
        if field is None:
            raise StoreError(f"{self.shape.name}: predictions says that actuals never come; there is none to read")
        return field


class UserTable:
    """The table that a store is over, for one question after the other."""

    def __init__(self, settings: Predictions, backend: Backend) -> None:
        self.settings = settings
        self.backend = backend
        self._shape: TableShape | None = None

    @contextmanager
    def source(self) -> Iterator[Source | None]:
        """The model's rows as the table stands now. None: no row has a time. The table's shape is looked up again
        after any failure: a failure may be its change."""
        try:
            yield source(self.backend, self.settings, self.shape())
        except StoreError:
            self._shape = None
            raise

    def shape(self) -> TableShape:
        """As it was when last looked up. Raises StoreError."""
        if self._shape is None:
            self._shape = describe(self.backend, self.settings)
        return self._shape


def describe(backend: Backend, settings: Predictions) -> TableShape:
    """The table, with every column there that each question needs. Raises StoreError."""
    shape = backend.describe(settings.table)
    for name in (settings.columns.id, *settings.only):
        if name is not None and name not in shape.declared:
            setting = "only: ..." if name in settings.only else "columns: {id: ...}"
            raise StoreError(f"{missing(name, shape)}; correct predictions: {{{setting}}}")
    for role in ("timestamp", "prediction", "actual"):
        field_of(role, settings.columns, shape)
    return shape


def source(backend: Backend, settings: Predictions, shape: TableShape) -> Source | None:
    """None: the table has no row with a time. Raises StoreError."""
    time = backend.time(shape, settings.columns.timestamp, settings.timestamps)
    if time is None:
        return None
    only = tuple(backend.equals(shape, column, value) for column, value in settings.only.items())
    return Source(backend, settings, shape, time, only)


def within(rows: Source, window: Window, version: str | None = None) -> list[ColumnElement[bool]]:
    """Conditions for the window's rows, of one version where that is asked and known."""
    return [*rows.only, *rows.time.within(window), *rows.of_version(version)]
