"""A predictions store in a SQLite file: declared types are hints there, so that values are asked what they are."""

import json
from typing import Any

from sqlalchemy import ColumnElement, Double, Text, case, cast, column, func, literal_column, null, select, table
from sqlalchemy import text as sql_text

from retraind.config.predictions import Predictions, TimestampFormat
from retraind.errors import StoreError
from retraind.nearest import did_you_mean
from retraind.store.backend import Backend
from retraind.store.columns import Field, Kind, TableShape
from retraind.store.session import bound
from retraind.store.sqlite_session import SqliteSession
from retraind.store.sqlite_time import IsoMicroseconds, SqliteNumber, SqliteText, SqliteTime
from retraind.store.timestamps import FIRST, LAST, epoch_unit, refuse_format, unreadable_time

_TABLES = sql_text(
    "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)
_COLUMNS = "SELECT name, lower(type) AS type, pk FROM pragma_table_xinfo(:name) WHERE hidden <> 1"
_INDEXES = (
    "SELECT list.name AS index_name, info.name AS column_name FROM pragma_index_list(:name) AS list, "
    "pragma_index_info(list.name) AS info WHERE list.partial = 0 ORDER BY list.seq, info.seqno"
)
_ROW_NUMBERS = ("rowid", "_rowid_", "oid")


class SqliteBackend(Backend):
    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.session = SqliteSession(url, timeout_seconds)

    def describe(self, name: str) -> TableShape:
        name, kind, without_row_number = self._find(name)
        found = self.session.records(sql_text(_COLUMNS).bindparams(name=name))
        declared = {row["name"]: row["type"] or "" for row in found}
        keys = [row["name"] for row in found if row["pk"]]
        indexes: dict[str, list[str]] = {}
        for row in self.session.records(sql_text(_INDEXES).bindparams(name=name)):
            indexes.setdefault(row["index_name"], []).append(row["column_name"] or "")
        if len(keys) == 1:
            indexes[""] = keys
        row_number = next((each for each in _ROW_NUMBERS if each not in declared), None)
        if kind != "table" or without_row_number or row_number is None:
            row_number = keys[0] if len(keys) == 1 else None
        names = dict.fromkeys([*declared, *([row_number] if row_number else [])])
        return TableShape(
            name=f"{self.session.name}: table {name!r}",
            clause=table(name, *(column(each) for each in names)),
            declared=declared,
            key=row_number,
            is_view=kind == "view",
            indexes=tuple(tuple(columns) for columns in indexes.values()),
        )

    def _find(self, name: str) -> tuple[str, str, bool]:
        """The table's own name, its kind (table, view, virtual) and whether it lacks row numbers."""
        tables = {row["name"]: row for row in self.session.records(_TABLES)}
        found = tables.get(name) or tables.get(name.removeprefix("main."))
        if found is None:
            near = did_you_mean(name, tables)
            known = f"it has {', '.join(sorted(tables))}" if tables else "it has no tables yet"
            raise StoreError(
                f"{self.session.name} has no table {name!r}{near}; {known}; correct predictions: {{table: ...}}"
            )
        return found["name"], found["type"], bool(found["wr"])

    def time(self, shape: TableShape, column: str, wanted: TimestampFormat) -> SqliteTime | None:
        """Text sorts behind numbers, so that the least and the greatest value together show a mixture."""
        raw = shape.column(column)
        low, high = self.session.row(select(*(select(end(raw)).scalar_subquery() for end in (func.min, func.max))))
        where = f"{shape.name}: column {column!r}"
        if low is None or high is None:
            return None
        if isinstance(high, bytes):  # which sort behind text, and so behind whatever they are mixed with
            raise StoreError(f"{where} holds bytes; write ISO 8601 text, or epoch seconds or milliseconds")
        if isinstance(low, str) != isinstance(high, str):
            raise StoreError(f"{where} mixes numbers ({low:.15g}) and text ({high!r}); write all times in one way")
        if isinstance(low, str):
            return self._text(raw, low, high, wanted, where)
        if wanted is TimestampFormat.ISO:
            raise refuse_format(wanted, f"numbers ({low:.15g})", where)
        unit = epoch_unit(low, high, _untyped(wanted), where)
        return SqliteNumber(raw, 1000 if unit is TimestampFormat.MILLISECONDS else 1)

    def _text(self, raw: ColumnElement[Any], low: str, high: str, wanted: TimestampFormat, where: str) -> SqliteTime:
        if wanted not in {TimestampFormat.ISO, TimestampFormat.NATIVE, TimestampFormat.AUTO}:
            raise refuse_format(wanted, f"text ({low!r})", where)
        ends = select(bound(low).label("low"), bound(high).label("high")).subquery()
        read = self.session.row(select(*(IsoMicroseconds(ends.c[end]) for end in ("low", "high"))).select_from(ends))
        for value, instant in zip((low, high), read, strict=True):
            if instant is None or not FIRST <= instant <= LAST:
                raise unreadable_time(value, where)
        return SqliteText(raw)

    def value(self, shape: TableShape, field: Field) -> ColumnElement[Any]:
        stored = shape.column(field.column)
        return stored if field.json_key is None else func.json_extract(stored, bound(_json_path(field.json_key)))

    def output(self, value: ColumnElement[Any], field: Field, kind: Kind) -> ColumnElement[Any]:  # noqa: ARG002 - contract
        return self.text(value) if kind is Kind.TEXT else value

    def misfits(self, value: ColumnElement[Any], field: Field, kind: Kind) -> None:
        """The driver shows text among numbers: it fetches the whole column as text then."""

    def declared_kind(self, shape: TableShape, field: Field) -> Kind | None:
        """By SQLite's rules of affinity (https://sqlite.org/datatype3.html, 3.1), except that dates, which get a
        number's affinity and hold text all the same, promise nothing; nor do integers of a class or target, which
        may stand beside fractions."""
        declared = "" if field.json_key is not None else shape.declared[field.column]
        rules: tuple[tuple[tuple[str, ...], Kind | None], ...] = (
            (("bool",), Kind.BOOLEAN),
            (("date", "time"), None),
            (("int",), None if field.is_label else Kind.NUMBER),
            (("char", "clob", "text"), Kind.TEXT),
            (("real", "floa", "doub"), Kind.NUMBER),
            (("dec", "num"), None if field.is_label else Kind.NUMBER),
        )
        return next((kind for words, kind in rules if any(word in declared for word in words)), None)

    def value_type(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.typeof(value)

    def is_known(self, shape: TableShape, field: Field) -> ColumnElement[bool]:
        return self.value(shape, field).is_not(None)

    def text_among_numbers(self, shape: TableShape, field: Field) -> ColumnElement[Any]:
        value = self.value(shape, field)
        return case((func.typeof(value).in_([literal_column("'text'"), literal_column("'blob'")]), value), else_=null())

    def number(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(value, Double)

    def text(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(value, Text)

    def equals(self, shape: TableShape, column: str, wanted: str | int | bool) -> ColumnElement[bool]:  # noqa: FBT001
        return shape.column(column) == bound(wanted)

    def change_token(self, settings: Predictions) -> str:  # noqa: ARG002 - contract
        """`PRAGMA data_version` on the kept connection: it differs after every commit of anybody else to this file, so
        that no change goes unnoticed; commits to other tables show too. The connection's number tells versions of
        different connections, and so of different files under this name, apart."""
        while True:
            connection = self.session.connected()
            (version,) = self.session.row(sql_text("PRAGMA data_version"))
            if self.session.connected() == connection:
                return f"{connection}:{version}"


def _json_path(key: str) -> str:
    """SQLite's path to a key of the outermost object; quoted as JSON, so that a dot or a quote in it means itself."""
    return f"$.{json.dumps(key, ensure_ascii=False)}"


def _untyped(wanted: TimestampFormat) -> TimestampFormat:
    """SQLite has no time type of its own: `native` is whatever the application's library wrote."""
    return TimestampFormat.AUTO if wanted is TimestampFormat.NATIVE else wanted
