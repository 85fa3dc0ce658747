"""What a predictions store answers, whatever database it is. `retraind.store.reader` implements it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from triggers.evidence import Arrival, ArrivalRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import Tally

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Problem:
    """Something `retraind check` tells about a store: one sentence. `fatal` False is advice, True stops reading."""

    sentence: str
    fatal: bool = True


class PredictionsStore(Protocol):
    """One model's rows of a table.

    Every method but `probe` raises StoreError when the store cannot answer, and StoreBusy when it
    cannot answer just now. Rows without a timestamp are in no window. Calls from several threads
    wait for each other.
    """

    @property
    def name(self) -> str:
        """The store as messages call it: a path, or a database's address without its password."""

    def counts(self, window: Window) -> Counts:
        """How many rows the window has, and how many of them have an actual."""

    def tally(self, request: TallyRequest) -> Tally:
        """Sums over the window's rows that have both a prediction and an actual, computed in the database."""

    def arrivals(self, request: ArrivalRequest) -> tuple[Arrival, ...]:
        """The same of each part of a window, with the rows that have a prediction and no actual."""

    def rows(self, request: RowsRequest) -> "pa.Table":
        """The rows asked for, oldest first, with `request.columns` in their order.

        `timestamp` is timestamp[us, UTC], `version` a string, `score` and numeric features float64,
        other features string, bool or timestamp. Classes and targets are int64, float64, bool or
        string, as the store has them. A column without any value is float64. Missing values are null.
        """

    def batches(self, request: RowsRequest, batch_rows: int = BATCH_ROWS) -> "Iterator[pa.RecordBatch]":
        """The same in batches of about `batch_rows` rows, all of one schema; none where there are no rows.

        Each batch is a read of its own, so that a slow taker holds nothing open in the store. Rows
        come oldest first unless timestamps are text that spells UTC in several ways or carries other
        zones: then the order is the text's.
        """

    def census(self, window: Window, width: timedelta, version: str | None = None) -> dict[datetime, int]:
        """How many rows each stretch of `width` has, by where it begins: at multiples of `width` since 1970, of those
        that have any. The window has both ends; of `version` as in TallyRequest."""

    def newest_key(self) -> int | None:
        """The greatest key in the table, which grows with most rows that come; None: there is none of whole numbers."""

    def arrived(
        self, request: RowsRequest, since: int, until: int, batch_rows: int = BATCH_ROWS
    ) -> "Iterator[pa.RecordBatch]":
        """The rows asked for whose key is above `since`, up to `until`, in batches as `batches` has them, in the order
        of keys. Only for a store that has keys (`newest_key`); `request.last` is none."""

    def change_token(self) -> str:
        """A text that stays the same while nothing new has come, and is cheap to ask for.

        Tokens of one store object are compared, never stored: another object's mean nothing. How
        long a change may go unnoticed: `SqliteBackend.change_token`, `PostgresBackend.change_token`.
        """

    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last row's instant. None: there are no rows."""

    def probe(self) -> list[Problem]:
        """What stands in the way of reading this store, and advice; empty when all is well. Never raises StoreError."""

    def rest(self) -> None:
        """Holds nothing open until the next question."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
