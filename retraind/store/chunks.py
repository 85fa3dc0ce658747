"""Reads a window chunk by chunk, in columns: each chunk is one short statement, so that no reader holds a WAL open."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Select, or_, select

from retraind.errors import StoreError
from retraind.store.columns import Field, Kind, fixed_kinds
from retraind.store.conversion import ARROW_TYPES, converted, misfit, off_the_calendar
from retraind.store.kinds import kinds
from retraind.store.newest import beginning, newest_first
from retraind.store.session import OFF_THE_CALENDAR, bound
from retraind.store.source import Source, within
from retraind.store.written_time import instants as instants_of
from triggers.evidence import RowsRequest

_INSTANT = "instant"


class Chunk(NamedTuple):
    """Rows with the columns asked for, and the instants of the same rows beside them."""

    instants: pa.Array
    table: pa.Table


@dataclass(frozen=True)
class Reading:
    """One request on its way: the fields to read, in order and by the name asked for (None: always missing)."""

    rows: Source
    fields: Mapping[str, Field | None]
    kinds: Mapping[str, Kind]
    conditions: tuple[ColumnElement[bool], ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, ARROW_TYPES[self.kinds[name]]) for name in self.fields])

    def oldest_first(self, batch_rows: int) -> Iterator[Chunk]:
        """Chunks in the order of raw time.

        The next chunk begins at the time that the last one ended with, whose rows are read again
        instead of kept: a limit may have cut through rows of one time. Where all of a chunk has one
        time, a longer one is read.
        """
        limit = batch_rows
        later: list[ColumnElement[bool]] = []
        raw = self.rows.time.raw
        order = [raw, *([self.rows.key] if self.rows.key is not None else [])]
        while True:
            found = self.read([*self.conditions, *later], order, limit)
            if found.num_rows < limit:
                if found.num_rows:
                    yield self.finished(found)
                return
            end = found["raw"][-1]
            whole = found.num_rows - (pc.sum(pc.equal(found["raw"], end)).as_py() or 0)
            if whole == 0:
                limit *= 2
                continue
            yield self.finished(found.slice(0, whole))
            later, limit = [raw >= bound(end.as_py())], batch_rows

    def newest(self, last: int) -> Chunk:
        """The newest `last` rows, oldest first."""
        conditions = [*self.conditions, *beginning(self.rows, list(self.conditions), last)]
        found = self.read(conditions, newest_first(self.rows), last)
        return self.finished(found.take(pa.array(range(found.num_rows - 1, -1, -1), pa.int64())))

    def _statement(self, *, instants: bool) -> Select[Any]:
        backend, shape = self.rows.backend, self.rows.shape
        columns = [self.rows.time.raw.label("raw")]
        columns += [self.rows.time.instant.label(_INSTANT)] if instants else []
        odd = []
        for place, field, kind in self._stored():
            value = backend.value(shape, field)
            columns.append(backend.output(value, field, kind).label(f"c{place}"))
            misfits = backend.misfits(value, field, kind)
            odd += [misfits] if misfits is not None else []
        return select(*columns, *([or_(*odd).label("odd")] if odd else []))

    def _stored(self) -> list[tuple[int, Field, Kind]]:
        """The fields that stand in the table, with their place in the answer; time is read as the instant."""
        return [
            (place, field, self.kinds[name])
            for place, (name, field) in enumerate(self.fields.items())
            if field is not None and name != "timestamp"
        ]

    def read(
        self,
        conditions: Sequence[ColumnElement[bool]],
        order: Sequence[ColumnElement[Any]],
        limit: int,
        also: Sequence[ColumnElement[Any]] = (),
    ) -> pa.Table:
        """So many rows of the table, with what `finished` takes and the columns `also`. Raises StoreError."""
        session, time = self.rows.backend.session, self.rows.time
        for instants in ([False] if time.read_here else []) + [True]:
            statement = self._statement(instants=instants).add_columns(*also)
            found = session.read(statement.where(*conditions).order_by(*order).limit(limit))
            if not instants:
                none = pa.chunked_array([], ARROW_TYPES[Kind.TIME])
                read = instants_of(found["raw"]) if found.num_rows else none
                if read is None:
                    time.read_here = False
                    continue
                found = found.append_column(_INSTANT, read)
            self._refuse_unreadable(found)
            return found
        raise AssertionError("the database is asked in the end")

    def _refuse_unreadable(self, found: pa.Table) -> None:
        unreadable = off_the_calendar(found[_INSTANT])
        if not pc.any(unreadable).as_py():
            return
        raw = found["raw"].filter(unreadable)[0]
        if pa.types.is_temporal(raw.type):
            raise StoreError(f"{self.rows.where(self.rows.settings.columns.timestamp)} holds {OFF_THE_CALENDAR}")
        self.rows.refuse_unreadable(raw.as_py())

    def finished(self, found: pa.Table) -> Chunk:
        """The columns by name and of their types. Raises StoreError for a value that does not fit."""
        instants = found[_INSTANT].combine_chunks()
        if "odd" in found.column_names and pc.any(found["odd"]).as_py():
            self._refuse_odd()
        instants = instants.cast(ARROW_TYPES[Kind.TIME])
        columns = {}
        for place, (name, field) in enumerate(self.fields.items()):
            if name == "timestamp":
                columns[name] = instants
            elif field is None:
                columns[name] = pa.nulls(found.num_rows, ARROW_TYPES[self.kinds[name]])
            else:
                values = found[f"c{place}"].combine_chunks()
                columns[name] = converted(values, self.kinds[name], self._where(field))
        return Chunk(instants, pa.table(list(columns.values()), names=list(columns)))

    def _refuse_odd(self) -> None:
        """Finds the value that `misfits` saw. Raises StoreError."""
        backend, shape = self.rows.backend, self.rows.shape
        for _, field, kind in self._stored():
            value = backend.value(shape, field)
            misfits = backend.misfits(value, field, kind)
            if misfits is None:
                continue
            shown = backend.output(value, field, Kind.TEXT)
            found = backend.session.records(select(shown.label("shown")).where(*self.conditions, misfits).limit(1))
            if found:
                raise misfit(found[0]["shown"], kind, self._where(field))

    def _where(self, field: Field) -> str:
        where = self.rows.where(field.column)
        return where if field.json_key is None else f"{where}, key {field.json_key!r}"


def reading(rows: Source, request: RowsRequest) -> Reading:
    """Prepares a request. Raises StoreError for a column that is not there."""
    fields = {name: rows.field(name) for name in request.columns}
    conditions = within(rows, request.window, request.version)
    if request.labelled:
        conditions.append(rows.known("actual"))
    return Reading(rows, fields, _kinds(rows, fields, conditions), tuple(conditions))


def _kinds(
    rows: Source, fields: Mapping[str, Field | None], conditions: Sequence[ColumnElement[bool]]
) -> dict[str, Kind]:
    fixed = fixed_kinds(rows.settings.columns)
    fixed |= {name: Kind.NUMBER for name, field in fields.items() if field is None}
    open_fields = [field for name, field in fields.items() if field is not None and name not in fixed]
    return fixed | kinds(rows.backend, rows.shape, open_fields, rows.only, conditions)
