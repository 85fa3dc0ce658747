"""Answers for a predictions store: evidence for triggers, rows for training. Built by `open_store`.

What is a number or two is asked here; rows come by `retraind.store.row_reader`, and with it pyarrow and numpy.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import ColumnElement, case, func, null, select

from retraind.config.predictions import Predictions
from retraind.store.backend import Backend
from retraind.store.contract import BATCH_ROWS, Problem
from retraind.store.newest import newest_key
from retraind.store.session import bound
from retraind.store.source import UserTable, within
from retraind.store.sums import arrivals, tally
from retraind.store.timestamps import EPOCH, FIRST, LAST, MICROSECOND
from triggers.evidence import Arrival, ArrivalRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import Tally

if TYPE_CHECKING:
    import pyarrow as pa

    from retraind.store.row_reader import RowReader


class TableReader:
    """A `retraind.store.PredictionsStore` over one table of a database."""

    def __init__(self, settings: Predictions, backend: Backend) -> None:
        self.settings = settings
        self._backend = backend
        self._table = UserTable(settings, backend)

    @property
    def name(self) -> str:
        return self._backend.session.name

    def counts(self, window: Window) -> Counts:
        with self._table.source() as rows:
            if rows is None:
                return Counts(0, 0)
            unreadable = rows.time.unreadable
            statement = select(
                func.count(),
                func.count(case((rows.known("actual"), 1), else_=null())),
                null() if unreadable is None else func.max(unreadable),
            ).select_from(rows.shape.clause)
            found, labelled, raw = self._backend.session.row(statement.where(*within(rows, window)))
            rows.refuse_unreadable(raw)
            return Counts(found, labelled)

    def tally(self, request: TallyRequest) -> Tally:
        with self._table.source() as rows:
            return Tally() if rows is None else tally(rows, request)

    def arrivals(self, request: ArrivalRequest) -> tuple[Arrival, ...]:
        with self._table.source() as rows:
            return (Arrival(Tally(), {}),) * request.parts if rows is None else arrivals(rows, request)

    def rows(self, request: RowsRequest) -> "pa.Table":
        return self._rows.rows(request)

    def batches(self, request: RowsRequest, batch_rows: int = BATCH_ROWS) -> "Iterator[pa.RecordBatch]":
        return self._rows.batches(request, batch_rows)

    def census(self, window: Window, width: timedelta, version: str | None = None) -> dict[datetime, int]:
        return self._rows.census(window, width, version)

    def newest_key(self) -> int | None:
        with self._table.source() as rows:
            return None if rows is None else newest_key(rows)

    def arrived(
        self, request: RowsRequest, since: int, until: int, batch_rows: int = BATCH_ROWS
    ) -> "Iterator[pa.RecordBatch]":
        return self._rows.arrived(request, since, until, batch_rows)

    def change_token(self) -> str:
        return self._backend.change_token(self.settings)

    def span(self) -> tuple[datetime, datetime] | None:
        with self._table.source() as rows:
            if rows is None:
                return None
            raw = rows.time.raw
            conditions = [*rows.only, raw.is_not(None)]
            low, high = self._ends(raw, conditions)
            if low is None or high is None:
                return None
            first, last = (rows.time.instant, rows.time.instant)
            if rows.time.in_order:
                near = ([raw == bound(low)], [raw == bound(high)])
            else:
                near = ([raw <= bound(rows.time.shifted(low, 3))], [raw >= bound(rows.time.shifted(high, -2))])
            (start,) = self._backend.session.row(select(func.min(first)).where(*conditions, *near[0]))
            (end,) = self._backend.session.row(select(func.max(last)).where(*conditions, *near[1]))
            for instant, raw in ((start, low), (end, high)):
                if isinstance(instant, int) and not FIRST <= instant <= LAST:
                    rows.refuse_unreadable(raw)
            return _instant(start), _instant(end)

    def probe(self) -> list[Problem]:
        return self._rows.probe()

    def rest(self) -> None:
        self._backend.session.rest()

    def close(self) -> None:
        self._backend.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _rows(self) -> "RowReader":
        from retraind.store.row_reader import RowReader

        return RowReader(self._table)

    def _ends(self, raw: ColumnElement[Any], conditions: list[ColumnElement[bool]]) -> tuple[Any, ...]:
        ends = (select(end(raw)).where(*conditions).scalar_subquery() for end in (func.min, func.max))
        return self._backend.session.row(select(*ends))


def _instant(value: Any) -> datetime:
    return EPOCH + value * MICROSECOND if isinstance(value, int) else value
