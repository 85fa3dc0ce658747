"""Answers for a predictions store: evidence for triggers, rows for training. Built by `open_store`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, case, func, null, select

from retraind.config.predictions import Predictions
from retraind.errors import StoreError
from retraind.store.backend import Backend
from retraind.store.census import arrived, census, newest_key
from retraind.store.chunks import reading
from retraind.store.columns import ARROW_TYPES, Kind, TableShape, field_of, fixed_kinds
from retraind.store.contract import BATCH_ROWS, Problem
from retraind.store.probe import probe
from retraind.store.session import bound
from retraind.store.source import Source, describe, source, within
from retraind.store.sums import arrivals, tally
from retraind.store.timestamps import EPOCH, FIRST, LAST, MICROSECOND
from triggers.evidence import Arrival, ArrivalRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import Tally


class TableReader:
    """A `retraind.store.PredictionsStore` over one table of a database."""

    def __init__(self, settings: Predictions, backend: Backend) -> None:
        self.settings = settings
        self._backend = backend
        self._shape: TableShape | None = None

    @property
    def name(self) -> str:
        return self._backend.session.name

    def counts(self, window: Window) -> Counts:
        with self._source() as rows:
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
        with self._source() as rows:
            return Tally() if rows is None else tally(rows, request)

    def arrivals(self, request: ArrivalRequest) -> tuple[Arrival, ...]:
        with self._source() as rows:
            return (Arrival(Tally(), {}),) * request.parts if rows is None else arrivals(rows, request)

    def rows(self, request: RowsRequest) -> pa.Table:
        with self._source() as rows:
            if rows is None:
                return self._no_rows(request)
            asked = reading(rows, request)
            chunks = [asked.newest(request.last)] if request.last is not None else list(asked.oldest_first(BATCH_ROWS))
            if not chunks:
                return asked.schema.empty_table()
            table = pa.concat_tables([chunk.table for chunk in chunks])
            return _in_order(table, pa.concat_arrays([chunk.instants for chunk in chunks]))

    def batches(self, request: RowsRequest, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        with self._source() as rows:
            if rows is None:
                return
            asked = reading(rows, request)
            if request.last is not None:
                yield from asked.newest(request.last).table.to_batches(batch_rows)
                return
            for chunk in asked.oldest_first(batch_rows):
                yield from chunk.table.to_batches()

    def census(self, window: Window, width: timedelta, version: str | None = None) -> dict[datetime, int]:
        with self._source() as rows:
            return {} if rows is None else census(rows, window, width, version)

    def newest_key(self) -> int | None:
        with self._source() as rows:
            return None if rows is None else newest_key(rows)

    def arrived(
        self, request: RowsRequest, since: int, until: int, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        with self._source() as rows:
            if rows is None:
                return
            for chunk in arrived(reading(rows, request), since, until, batch_rows):
                yield from chunk.table.to_batches()

    def change_token(self) -> str:
        return self._backend.change_token(self.settings)

    def span(self) -> tuple[datetime, datetime] | None:
        with self._source() as rows:
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
        return probe(self._backend, self.settings)

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

    @contextmanager
    def _source(self) -> Iterator[Source | None]:
        """The model's rows as the table stands now. The table's shape is looked up again after any failure: a
        failure may be its change."""
        try:
            if self._shape is None:
                self._shape = describe(self._backend, self.settings)
            yield source(self._backend, self.settings, self._shape)
        except StoreError:
            self._shape = None
            raise

    def _ends(self, raw: ColumnElement[Any], conditions: list[ColumnElement[bool]]) -> tuple[Any, ...]:
        ends = (select(end(raw)).where(*conditions).scalar_subquery() for end in (func.min, func.max))
        return self._backend.session.row(select(*ends))

    def _no_rows(self, request: RowsRequest) -> pa.Table:
        """An empty table with the columns asked for, of the types that their declarations promise."""
        shape = self._shape or describe(self._backend, self.settings)
        fixed = fixed_kinds(self.settings.columns)
        types = []
        for name in request.columns:
            field = field_of(name, self.settings.columns, shape)
            kind = None if field is None else fixed.get(name) or self._backend.declared_kind(shape, field)
            types.append((name, ARROW_TYPES[kind or Kind.NUMBER]))
        return pa.schema(types).empty_table()


def _in_order(table: pa.Table, instants: pa.Array) -> pa.Table:
    """Oldest first; rows of one instant stay as they are."""
    if len(instants) < 2 or pc.all(pc.less_equal(instants[:-1], instants[1:])).as_py():
        return table
    return table.take(pc.sort_indices(instants))


def _instant(value: Any) -> datetime:
    return EPOCH + value * MICROSECOND if isinstance(value, int) else value
