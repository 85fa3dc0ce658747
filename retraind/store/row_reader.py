"""The rows of a store, in columns, and what is found out by reading rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from retraind.store.census import arrived, census
from retraind.store.chunks import reading
from retraind.store.columns import Kind, field_of, fixed_kinds
from retraind.store.contract import BATCH_ROWS, Problem
from retraind.store.conversion import ARROW_TYPES
from retraind.store.probe import probe
from retraind.store.source import UserTable
from triggers.evidence import RowsRequest, Window


class RowReader:
    """Part of a `TableReader`, whose methods have the same names."""

    def __init__(self, table: UserTable) -> None:
        self._table = table

    def rows(self, request: RowsRequest) -> pa.Table:
        with self._table.source() as rows:
            if rows is None:
                return self._no_rows(request)
            asked = reading(rows, request)
            chunks = [asked.newest(request.last)] if request.last is not None else list(asked.oldest_first(BATCH_ROWS))
            if not chunks:
                return asked.schema.empty_table()
            table = pa.concat_tables([chunk.table for chunk in chunks])
            return _in_order(table, pa.concat_arrays([chunk.instants for chunk in chunks]))

    def batches(self, request: RowsRequest, batch_rows: int) -> Iterator[pa.RecordBatch]:
        with self._table.source() as rows:
            if rows is None:
                return
            asked = reading(rows, request)
            if request.last is not None:
                yield from asked.newest(request.last).table.to_batches(batch_rows)
                return
            for chunk in asked.oldest_first(batch_rows):
                yield from chunk.table.to_batches()

    def census(self, window: Window, width: timedelta, version: str | None) -> dict[datetime, int]:
        with self._table.source() as rows:
            return {} if rows is None else census(rows, window, width, version)

    def arrived(self, request: RowsRequest, since: int, until: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
        with self._table.source() as rows:
            if rows is None:
                return
            for chunk in arrived(reading(rows, request), since, until, batch_rows):
                yield from chunk.table.to_batches()

    def probe(self) -> list[Problem]:
        return probe(self._table.backend, self._table.settings)

    def _no_rows(self, request: RowsRequest) -> pa.Table:
        """An empty table with the columns asked for, of the types that their declarations promise."""
        settings, shape = self._table.settings, self._table.shape()
        fixed = fixed_kinds(settings.columns)
        types = []
        for name in request.columns:
            field = field_of(name, settings.columns, shape)
            kind = None if field is None else fixed.get(name) or self._table.backend.declared_kind(shape, field)
            types.append((name, ARROW_TYPES[kind or Kind.NUMBER]))
        return pa.schema(types).empty_table()


def _in_order(table: pa.Table, instants: pa.Array) -> pa.Table:
    """Oldest first; rows of one instant stay as they are."""
    if len(instants) < 2 or pc.all(pc.less_equal(instants[:-1], instants[1:])).as_py():
        return table
    return table.take(pc.sort_indices(instants))
