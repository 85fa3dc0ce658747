"""Values for the marks of a statement, as the one row of Arrow columns that the driver binds them from.

Built by nanoarrow, buffer by buffer: the driver manager's own conversion takes pyarrow, which brings numpy.
"""

import struct
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

import nanoarrow as na
from nanoarrow.c_array import CArray
from nanoarrow.c_schema import CSchema, c_schema

from retraind.store.timestamps import EPOCH, MICROSECOND

Value = bool | int | float | str | date

_BOOLEAN = c_schema(na.bool_())
_INTEGER = c_schema(na.int64())
_DOUBLE = c_schema(na.float64())
_TEXT = c_schema(na.string())
_INSTANT = c_schema(na.timestamp("us", "UTC"))
_LOCAL_TIME = c_schema(na.timestamp("us"))
_DAY = c_schema(na.date32())


def bindable(values: Sequence[Value]) -> CArray:
    """`values` as a record batch of one row, by place. Raises OverflowError for an integer of more than 64 bits."""
    columns = [_column(value) for value in values]
    arrays = [na.c_array_from_buffers(kind, 1, [None, *buffers], null_count=0) for kind, buffers in columns]
    row = _row(tuple(kind for kind, _ in columns))
    return na.c_array_from_buffers(row, 1, [None], null_count=0, children=arrays, move=True)


@lru_cache(maxsize=64)  # a schema costs several times what its values do, and the statements are few
def _row(kinds: tuple[CSchema, ...]) -> CSchema:
    return c_schema(na.struct({str(place): kind for place, kind in enumerate(kinds)}))


def _column(value: Value) -> tuple[CSchema, list[bytes]]:
    """The type of a value, and what its column holds: https://arrow.apache.org/docs/format/Columnar.html."""
    if isinstance(value, str):
        text = value.encode()
        return _TEXT, [struct.pack("=2i", 0, len(text)), text]
    if isinstance(value, bool):
        return _BOOLEAN, [struct.pack("=?", value)]
    if isinstance(value, int):
        return _INTEGER, [_whole(value, 8)]
    if isinstance(value, float):
        return _DOUBLE, [struct.pack("=d", value)]
    if isinstance(value, datetime):
        kind = _LOCAL_TIME if value.tzinfo is None else _INSTANT
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return kind, [_whole((instant - EPOCH) // MICROSECOND, 8)]
    return _DAY, [_whole((value - EPOCH.date()).days, 4)]


def _whole(number: int, size: int) -> bytes:
    return number.to_bytes(size, sys.byteorder, signed=True)
