"""Training data from a query of the user's own, in a session that can only read. Called by the `ingest` stage."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from retraind.errors import StoreError
from retraind.store.opening import open_backend

_TIMEOUT_SECONDS = 600.0
_PARAMETER = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ::
    | (?<![\w\]]):(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)


def read_sql(
    url: str, sql: str, parameters: Mapping[str, datetime | None], timeout_seconds: float = _TIMEOUT_SECONDS
) -> pa.Table:
    """The rows of a SELECT, under its own column names.

    `:start` and `:end` in it (outside of quotes and comments) are bound to `parameters`: aware
    instants, None for an open side. Postgres gets them as timestamptz. SQLite gets UTC text as its
    own datetime() writes it, `2026-01-31 14:05:09`; unixepoch(:start) compares with numbers, and
    datetime(COLUMN) brings text of another spelling to this one.

    Raises StoreError for a query that fails, that writes, or that names another parameter.
    """
    backend = open_backend(url, timeout_seconds)
    marks = "?" if url.startswith("sqlite:") else "$"
    values: list[Any] = []

    def placed(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        if name not in parameters:
            raise StoreError(f"the training query names :{name}; only :start and :end have values, write one of them")
        values.append(_text(_closed(parameters[name], name)) if marks == "?" else _closed(parameters[name], name))
        return "?" if marks == "?" else f"${len(values)}"

    try:
        return _plain(backend.session.read_sql(_PARAMETER.sub(placed, sql), values))
    finally:
        backend.session.close()


def _closed(instant: datetime | None, name: str) -> datetime:
    """An open side as the first or last instant of the calendar: a comparison with NULL would hold for no row."""
    if instant is None:
        return datetime.min.replace(tzinfo=UTC) if name == "start" else datetime.max.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


def _text(instant: datetime) -> str:
    """Without a fraction where there is none: `14:05:09` sorts before `14:05:09.000`, which is the same instant."""
    return instant.replace(tzinfo=None).isoformat(sep=" ")


def _plain(table: pa.Table) -> pa.Table:
    """`table` without the driver's own types: numeric as float64, uuid and anything else as text."""
    for place, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            table = table.set_column(place, field.name, _storage(table[place].combine_chunks(), field.type))
    return table.replace_schema_metadata(None)


def _storage(values: Any, kind: Any) -> pa.Array:
    storage = values.storage
    if getattr(kind, "type_name", "") == "numeric":
        return storage.cast(pa.float64())
    if pa.types.is_fixed_size_binary(storage.type):
        return pa.array(
            [None if each is None else str(uuid.UUID(bytes=each)) for each in storage.to_pylist()], pa.string()
        )
    return storage
