"""A predictions store in Postgres: declared types can be relied on, and JSON values carry their own."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Text,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy import text as sql_text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from retraind.config.predictions import Predictions, TimestampFormat
from retraind.errors import StoreError
from retraind.nearest import did_you_mean
from retraind.store.backend import Backend, leads
from retraind.store.columns import Field, Kind, TableShape
from retraind.store.postgres_session import PostgresSession
from retraind.store.postgres_time import INSTANT, PostgresNumber, PostgresText, PostgresTimestamp
from retraind.store.session import bound
from retraind.store.timestamps import TimeColumn, epoch_unit, refuse_format

_WHOLE = frozenset({"int2", "int4", "int8"})
_FRACTIONS = frozenset({"float4", "float8", "numeric"})
_NUMBERS = _WHOLE | _FRACTIONS
_TEXTS = frozenset({"text", "varchar", "bpchar"})
_TIMES = frozenset({"timestamptz", "timestamp", "date"})
_NAN: ColumnElement[float] = literal_column("'NaN'::float8")

_TABLES = sql_text(
    "SELECT t.oid::bigint AS oid, t.relname::text AS name, n.nspname::text AS schema, t.relkind::text AS kind, "
    "pg_table_is_visible(t.oid) AS visible FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace "
    "WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "ORDER BY visible DESC, n.nspname"
)
_COLUMNS = (
    "SELECT a.attname::text AS name, coalesce(base.typname, y.typname)::text AS type "
    "FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid "
    "LEFT JOIN pg_type base ON base.oid = nullif(y.typbasetype, 0) "
    "WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
_INDEXES = (
    "SELECT i.indexrelid::bigint AS index_id, i.indisprimary AS is_key, a.attname::text AS name "
    "FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) "
    "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE i.indrelid = :oid AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts "
    "ORDER BY i.indexrelid, k.place"
)
# Of the table and all that inherit from it (partitions do). Which tables count their changes at all: permanent
# ones on a primary, where counting is not switched off.
_ACTIVITY = (
    "WITH RECURSIVE family(oid) AS (SELECT (:oid)::oid UNION SELECT inhrelid FROM pg_inherits "
    "JOIN family ON inhparent = family.oid) "
    "SELECT md5(string_agg(concat_ws(':', t.oid, t.relfilenode, s.n_tup_ins, s.n_tup_upd, s.n_tup_del), ',' "
    "ORDER BY t.oid)) AS activity, "
    "bool_and(t.relkind IN ('r', 'p') AND (t.relkind = 'p' OR s.relid IS NOT NULL)) "
    "AND NOT pg_is_in_recovery() AND current_setting('track_counts')::bool AS counted, "
    "pg_current_snapshot()::text AS snapshot "
    "FROM family JOIN pg_class t ON t.oid = family.oid LEFT JOIN pg_stat_user_tables s ON s.relid = t.oid"
)


class PostgresBackend(Backend):
    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.session = PostgresSession(url, timeout_seconds)
        self._heads: dict[int, list[ColumnElement[Any]]] = {}

    def describe(self, name: str) -> TableShape:
        found = self._find(name)
        oid = found["oid"]
        columns = self.session.records(sql_text(_COLUMNS).bindparams(oid=oid))
        indexes: dict[int, list[str]] = {}
        keys: set[int] = set()
        for row in self.session.records(sql_text(_INDEXES).bindparams(oid=oid)):
            indexes.setdefault(row["index_id"], []).append(row["name"] or "")
            if row["is_key"]:
                keys.add(row["index_id"])
        declared = {row["name"]: row["type"] for row in columns}
        key = next((indexes[index][0] for index in keys if len(indexes[index]) == 1), None)
        return TableShape(
            name=f"{self.session.name}: table {name!r}",
            clause=table(found["name"], *(column(each) for each in declared), schema=found["schema"]),
            declared=declared,
            key=key,
            is_view=found["kind"] in {"v", "f"},
            indexes=tuple(tuple(index) for index in indexes.values()),
        )

    def _find(self, name: str) -> dict[str, Any]:
        """The table's row of the catalogue: `SCHEMA.NAME`, or the first `NAME` on the search path."""
        tables = self.session.records(_TABLES)
        for row in tables:
            if name == f"{row['schema']}.{row['name']}" or (name == row["name"] and row["visible"]):
                return dict(row)
        known = [row["name"] if row["visible"] else f"{row['schema']}.{row['name']}" for row in tables]
        near = did_you_mean(name, known)
        raise StoreError(f"{self.session.name} has no table {name!r}{near}; correct predictions: {{table: ...}}")

    def time(self, shape: TableShape, column: str, wanted: TimestampFormat) -> TimeColumn | None:
        raw, declared = shape.column(column), shape.declared[column]
        where = f"{shape.name}: column {column!r}"
        if declared in _TIMES and wanted in {TimestampFormat.AUTO, TimestampFormat.NATIVE}:
            return PostgresTimestamp(raw, zoned=declared == "timestamptz")
        if declared in _TEXTS and wanted in {TimestampFormat.AUTO, TimestampFormat.ISO}:
            return PostgresText(raw)
        if declared not in _NUMBERS or wanted in {TimestampFormat.NATIVE, TimestampFormat.ISO}:
            raise refuse_format(wanted, f"values of type {declared}", where)
        raw = cast(raw, Double) if declared == "numeric" else raw  # the driver hands numeric over as text
        ends = (select(cast(end(raw), Double)).scalar_subquery() for end in (func.min, func.max))
        low, high = self.session.row(select(*ends))
        if low is None or high is None:
            return None
        unit = epoch_unit(low, high, wanted, where)
        return PostgresNumber(raw, 1000 if unit is TimestampFormat.MILLISECONDS else 1)

    def value(self, shape: TableShape, field: Field) -> ColumnElement[Any]:
        stored = shape.column(field.column)
        return stored if field.json_key is None else func.jsonb_extract_path(cast(stored, JSONB), bound(field.json_key))

    def output(self, value: ColumnElement[Any], field: Field, kind: Kind) -> ColumnElement[Any]:
        if field.json_key is not None:
            return _json_output(value, kind)
        sql_types: dict[Kind, TypeEngine[Any]] = {
            Kind.NUMBER: Double(),
            Kind.INTEGER: BigInteger(),
            Kind.TEXT: Text(),
            Kind.TIME: INSTANT,
        }
        return cast(value, sql_types[kind]) if kind in sql_types else value

    def misfits(self, value: ColumnElement[Any], field: Field, kind: Kind) -> ColumnElement[bool] | None:
        if field.json_key is None or kind is Kind.TEXT:
            return None
        return func.jsonb_typeof(value).in_([literal_column(f"'{each}'") for each in ("string", "object", "array")])

    def declared_kind(self, shape: TableShape, field: Field) -> Kind | None:
        if field.json_key is not None:
            return None
        declared = shape.declared[field.column]
        if declared in _WHOLE and field.is_label:
            return Kind.INTEGER
        kinds = {"bool": Kind.BOOLEAN, **dict.fromkeys(_NUMBERS, Kind.NUMBER), **dict.fromkeys(_TIMES, Kind.TIME)}
        return kinds.get(declared, Kind.TEXT)

    def value_type(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.jsonb_typeof(value)

    def is_known(self, shape: TableShape, field: Field) -> ColumnElement[bool]:
        value = self.value(shape, field)
        if shape.declared[field.column] not in _FRACTIONS:
            return value.is_not(None)
        return self.number(value) != _NAN  # NULL where the value is: that holds for no row either

    def text_among_numbers(self, shape: TableShape, field: Field) -> None:
        declared = shape.declared[field.column]
        if declared not in _NUMBERS | {"bool"}:
            raise StoreError(f"{shape.name}: column {field.column!r} holds {declared}, and errors are taken of numbers")

    def number(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(value, Double)

    def text(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(value, Text)

    def equals(self, shape: TableShape, column: str, wanted: str | int | bool) -> ColumnElement[bool]:  # noqa: FBT001
        declared, stored = shape.declared[column], shape.column(column)
        if declared in _NUMBERS | {"bool"} and isinstance(wanted, str):
            raise StoreError(
                f"{shape.name}: column {column!r} holds {declared}, never the text {wanted!r}; "
                f"write a number, true or false in predictions: {{only: {{{column}: ...}}}}"
            )
        if declared == "bool":
            return stored == bound(bool(wanted))
        if declared in _NUMBERS:
            return stored == bound(int(wanted))
        return (stored if declared in _TEXTS else self.text(stored)) == bound(str(wanted))

    def change_token(self, settings: Predictions) -> str:
        """The table's counters of rows inserted, updated and deleted. Backends report them after a commit, at most
        a second apart while they work, within 10 s when they fall idle and in no case later than 60 s (pgstat.c): so
        long may an update go unnoticed. An insert shows at once where the timestamp or the key is indexed, by its
        greatest value. What counts no changes (a view, a foreign table, a standby) is judged by the snapshot
        instead: no commit of anybody escapes it, whichever table it touched."""
        oid = self._find(settings.table)["oid"]
        row = self.session.records(sql_text(_ACTIVITY).bindparams(oid=oid))[0]
        if not row["counted"]:
            return str(row["snapshot"])
        if oid not in self._heads:
            self._heads = {oid: self._indexed(self.describe(settings.table), settings)}
        try:
            greatest = self.session.row(select(*self._heads[oid])) if self._heads[oid] else ()
        except StoreError:
            self._heads = {}
            raise
        return ":".join([str(self.session.connected()), row["activity"], *map(str, greatest)])

    def _indexed(self, shape: TableShape, settings: Predictions) -> list[ColumnElement[Any]]:
        """The greatest timestamp and key, of those that an index finds at once."""
        key = settings.columns.id or shape.key
        watched = [settings.columns.timestamp, *([key] if key else [])]
        return [
            select(self.text(func.max(shape.column(name)))).scalar_subquery()
            for name in dict.fromkeys(watched)
            if name in shape.declared and any(leads(index, name, ()) for index in shape.indexes)
        ]


def _json_output(value: ColumnElement[Any], kind: Kind) -> ColumnElement[Any]:
    """Numbers as they are, true and false as 1 and 0 (as SQLite has them), text as it is, the rest as JSON text."""
    text: ColumnElement[Any] = value.op("#>>", return_type=Text())(literal_column("'{}'::text[]"))
    if kind is Kind.TEXT:
        return text
    kind_of_json = func.jsonb_typeof(value)
    truth = cast(cast(text == literal_column("'true'"), Integer), Double)
    return case(
        (kind_of_json == literal_column("'number'"), cast(text, Double)),
        (kind_of_json == literal_column("'boolean'"), truth),
    )
