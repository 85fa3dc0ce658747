"""What differs between the databases that a predictions store may be in. `retraind.store.reader` asks it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from retraind.config.predictions import Predictions, TimestampFormat
from retraind.store.columns import Field, Kind, TableShape
from retraind.store.session import Session
from retraind.store.timestamps import TimeColumn


class Backend(ABC):
    """One database. Everything that reads raises StoreError."""

    session: Session

    @abstractmethod
    def describe(self, table: str) -> TableShape:
        """The table or view `NAME` or `SCHEMA.NAME`. Raises StoreError, with the nearest name, if there is none."""

    @abstractmethod
    def time(self, shape: TableShape, column: str, wanted: TimestampFormat) -> TimeColumn | None:
        """The time column as the table has it now. None: no row has a time.

        Raises StoreError for a mixture of formats, an unreadable one or another than `wanted`.
        """

    @abstractmethod
    def value(self, shape: TableShape, field: Field) -> ColumnElement[Any]:
        """The field's value in a row, as the database has it."""

    @abstractmethod
    def output(self, value: ColumnElement[Any], field: Field, kind: Kind) -> ColumnElement[Any]:
        """`value` as it is to be fetched for `kind`."""

    @abstractmethod
    def misfits(self, value: ColumnElement[Any], field: Field, kind: Kind) -> ColumnElement[bool] | None:
        """Whether a row's value cannot be of `kind`, where fetching it would not show that. None: it would."""

    @abstractmethod
    def declared_kind(self, shape: TableShape, field: Field) -> Kind | None:
        """The kind that the column's declaration promises. None: the values must be asked."""

    @abstractmethod
    def value_type(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """The name of a value's own type (`null` of a missing one): integer, real, number, boolean, text, blob ..."""

    @abstractmethod
    def is_known(self, shape: TableShape, field: Field) -> ColumnElement[bool]:
        """Whether a row has a value: neither NULL nor NaN."""

    @abstractmethod
    def text_among_numbers(self, shape: TableShape, field: Field) -> ColumnElement[Any] | None:
        """The value, where it is text, else NULL. None: the declaration already rules text out.

        Raises StoreError where the declaration says that it is not a number.
        """

    @abstractmethod
    def number(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """`value` as a double."""

    @abstractmethod
    def text(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """`value` as text."""

    @abstractmethod
    def equals(self, shape: TableShape, column: str, wanted: str | int | bool) -> ColumnElement[bool]:  # noqa: FBT001
        """Whether a row's column is `wanted`, as `only` writes it. Raises StoreError where it never can be."""

    @abstractmethod
    def change_token(self, settings: Predictions) -> str:
        """See PredictionsStore.change_token."""


def leads(index: Sequence[str], column: str, fixed: Sequence[str]) -> bool:
    """Whether an index finds a span of `column` quickly, when the columns `fixed` are held to one value each."""
    return column in index and all(name in fixed for name in index[: index.index(column)])
