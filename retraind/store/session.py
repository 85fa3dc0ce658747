"""One read-only conversation with a database: statements in; Arrow tables out, or a few Python values.

Statements are SQLAlchemy expressions: identifiers are quoted by the dialect and every value is
bound. All reads of a store go through the one ADBC driver, aggregates too. For SQLite that is a
matter of right and wrong: two copies of the SQLite library in one process (Python's own is the
second) drop each other's POSIX file locks (https://sqlite.org/howtocorrupt.html, 2.2.1).
A table brings pyarrow and numpy into the process, for as long as it lives; values bring neither.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy import TIMESTAMP, BigInteger, BindParameter, Boolean, Date, Dialect, Double, Text, literal
from sqlalchemy.sql import ClauseElement

from retraind.errors import StoreBusy, StoreError
from retraind.lean import without
from retraind.store.answers import Answer, answer
from retraind.store.binding import Value, bindable
from retraind.store.lane import Busy, Lane

# isort: split

with without("pandas", "polars", "pyarrow"):  # it takes what it finds; pyarrow it looks for again with its first table
    import adbc_driver_manager.dbapi

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

OFF_THE_CALENDAR = "a time before the year 1, after the year 9999 or without end; mend the rows"
DRIVER_ERRORS = (adbc_driver_manager.Error, OSError)
_BOUND: tuple[tuple[type, Any], ...] = (
    (bool, Boolean()),
    (int, BigInteger()),
    (float, Double()),
    (str, Text()),
    (date, Date()),
)
_GRACE_SECONDS = 2.0  # the database's own timeout comes first, and says more


def bound(value: bool | float | str | date) -> BindParameter[Any]:  # noqa: FBT001 - a value, not a switch
    """A bound value of the widest SQL type that it fits; whole numbers have 64 bits, datetimes microseconds."""
    if isinstance(value, datetime):
        return literal(value, TIMESTAMP(timezone=value.tzinfo is not None))
    return literal(value, next(kind for python, kind in _BOUND if isinstance(value, python)))


class ConnectionLost(Exception):
    """The connection is of no more use: it broke, or what it is connected to is no longer what the store names."""


class Session(ABC):
    """A connection that is made when first needed and made again when lost."""

    dialect: Dialect
    few_rows: ClassVar[Mapping[str, str]] = {}  # the driver's own options for answers of a few rows

    def __init__(self, name: str, timeout_seconds: float) -> None:
        self.name = name
        self.timeout_seconds = timeout_seconds
        self._lane = Lane()
        self._connection: Any = None
        self._connections = 0

    def read(self, statement: ClauseElement) -> "pa.Table":
        """The rows of `statement`. Raises StoreError."""
        return self.read_sql(*self.compiled(statement))

    def read_sql(self, sql: str, values: Sequence[Value]) -> "pa.Table":
        """The rows of a statement in the database's own SQL. Raises StoreError."""
        from retraind.store.arrow import table

        return self._in_lane(lambda: self._connected(lambda: self._fetch(table, sql, values)))

    def row(self, statement: ClauseElement) -> tuple[Any, ...]:
        """The first row of `statement`, which always has one. Raises StoreError."""
        return self._answer(statement).rows[0]

    def records(self, statement: ClauseElement) -> list[dict[str, Any]]:
        """The rows of `statement`, which are few, each by the names of its columns. Raises StoreError."""
        return self._answer(statement).records()

    def connected(self) -> int:
        """Connects if need be. The number of connections made so far: it tells one from the next. Raises StoreError."""
        return self._in_lane(lambda: self._connected(lambda: self._connections))

    def rest(self) -> None:
        """Holds no connection and no thread until the next question; where a call outlived its deadline, it stays."""
        if self._lane.idle:
            self.close()

    def close(self) -> None:
        self._lane.close(self._disconnect)

    def compiled(self, statement: ClauseElement) -> tuple[str, list[Value]]:
        compiled: Any = statement.compile(dialect=self.dialect)
        parameters = compiled.construct_params()
        return str(compiled), [parameters[name] for name in compiled.positiontup or ()]

    @abstractmethod
    def _connect(self) -> Any:
        """A new ADBC connection that can only read. Raises StoreError or a driver's error."""

    @abstractmethod
    def _translated(self, error: Exception) -> StoreError:
        """The StoreError that a driver's error means."""

    def _check(self) -> None:  # noqa: B027 - most databases need none
        """Raises ConnectionLost if the connection, though sound, should no longer be used."""

    def _lost(self, error: Exception) -> bool:  # noqa: ARG002 - part of the contract
        """Whether `error` says that the connection is gone."""
        return False

    def _values(self, values: Sequence[Value]) -> Sequence[Value]:
        """Bound values as the driver takes them."""
        return values

    def _answer(self, statement: ClauseElement) -> Answer:
        sql, values = self.compiled(statement)
        return self._in_lane(lambda: self._connected(lambda: self._fetch(answer, sql, values, **self.few_rows)))

    def _in_lane(self, call: Callable[[], T]) -> T:
        try:
            return self._lane.run(call, self.timeout_seconds + _GRACE_SECONDS)
        except Busy:
            raise StoreBusy(
                f"{self.name} did not answer within {self.timeout_seconds:g} s; "
                "the next look tries again, or allow more with predictions: {timeout: ...}"
            ) from None

    def _connected(self, call: Callable[[], T]) -> T:
        """`call` on a live connection. A connection that turns out to be dead (the database restarted
        since the last look) is made again once: reads can be repeated."""
        try:
            fresh = self._connection is None
            if fresh:
                self._connection = self._connect()
                self._connections += 1
            try:
                self._check()
                return call()
            except (ConnectionLost, *DRIVER_ERRORS) as error:
                if not isinstance(error, ConnectionLost) and not self._lost(error):
                    raise
                self._disconnect()
                if fresh:
                    raise
            return self._connected(call)
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error
        except ConnectionLost:
            raise StoreBusy(f"{self.name} was replaced while it was being opened; the next look tries again") from None

    def _fetch(self, taken: Callable[[Any], T], sql: str, values: Sequence[Value], **options: str) -> T:
        """What the driver answers, as `taken` takes it from a cursor; `options` are its own, for this statement."""
        with self._connection.cursor() as cursor:
            if options:
                cursor.adbc_statement.set_options(**options)
            cursor.execute(sql, bindable(self._values(values)) if values else None)
            return self._held(taken, cursor)

    def _held(self, taken: Callable[[Any], T], cursor: Any) -> T:
        """What `cursor` brings. Raises StoreError for what a database holds and Python cannot."""
        try:
            return taken(cursor)
        except UnicodeDecodeError as error:  # SQLite keeps whatever bytes it is given as text
            held = f"{bytes(error.object)!r} as text, which is not UTF-8; write it anew as UTF-8"
            raise StoreError(f"{self.name} holds {held}") from None
        except (OverflowError, ValueError) as error:
            raise StoreError(f"{self.name} holds {OFF_THE_CALENDAR}") from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):
                connection.close()
