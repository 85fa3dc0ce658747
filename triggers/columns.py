"""Columns of Arrow tables as numpy arrays, with missing values told apart.

Called by the performance and drift triggers, who import it when they judge: pyarrow and numpy are
no part of reading a configuration. NaN counts as missing, as NULL does.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["number", "category", "empty"]


def kind_of(column: pa.ChunkedArray) -> Kind:
    """What a column holds: numbers (times included), categories (booleans included), or nothing at all.

    Raises ValueError for nested and binary columns.
    """
    held = column.type
    if pa.types.is_dictionary(held):
        held = held.value_type
    if pa.types.is_null(held):
        return "empty"
    if (
        pa.types.is_integer(held)
        or pa.types.is_floating(held)
        or pa.types.is_decimal(held)
        or pa.types.is_temporal(held)
    ):
        return "number"
    if pa.types.is_boolean(held) or pa.types.is_string(held) or pa.types.is_large_string(held):
        return "category"
    if pa.types.is_string_view(held):
        return "category"
    raise ValueError(f"holds {held}, which is neither a number nor a category")


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without a dictionary: its nulls are all that is missing, but for NaN."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The column as floats, NaN where a value is missing; times and dates as microseconds since 1970.

    Raises ValueError for text that is no number.
    """
    column = plain(column)
    if pa.types.is_temporal(column.type):
        column = _in_microseconds(column).cast(pa.int64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        found = column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"holds {column.type} where numbers are needed") from error
    return np.concatenate([np.empty(0), *map(_floats, found.chunks)])


def _in_microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One unit for all, since one side of a comparison may come from a store and the other from a file."""
    if pa.types.is_time(column.type):
        return column.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(column.type):
        return column.cast(pa.duration("us"), safe=False)
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return column.cast(pa.timestamp("us", zone), safe=False)


def _floats(array: pa.Array) -> NDArray[np.float64]:
    # pyarrow's own conversions import pandas, which a daemon does without.
    _, data = array.buffers()
    if data is None or array.null_count == len(array):
        return np.full(len(array), np.nan)
    values = np.frombuffer(data, dtype=np.float64)[array.offset : array.offset + len(array)]
    if array.null_count == 0:
        return values
    return np.where(np.from_dlpack(array.is_valid().cast(pa.uint8())) == 1, values, np.nan)


def labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of categories as text, each class as `class_label` writes it, null where it is missing."""
    column = plain(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column if pa.types.is_large_string(column.type) else column.cast(pa.string())


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether it holds text. Raises ValueError for nested and binary columns."""
    return kind_of(column) == "category" and not pa.types.is_boolean(plain(column).type)


def encoded(column: pa.ChunkedArray) -> Any:
    """A column of text as one dictionary array."""
    return plain(column).dictionary_encode().unify_dictionaries().combine_chunks()


def text_array(texts: Sequence[str]) -> pa.Array:
    """`texts` as an Arrow array."""
    # pyarrow's own conversion of Python values imports pandas, which a daemon does without.
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def chosen(table: pa.Table, rows: NDArray[np.bool_]) -> pa.Table:
    """The rows of the table that are True in `rows`."""
    # pa.array would import pandas, which a daemon does without.
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return table.filter(pa.Array.from_buffers(pa.bool_(), rows.size, [None, bits]))


def labels_and_numbers(table: pa.Table, column: str, *, classes: bool) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The actuals (labels if `classes`, else floats) and `column` as floats, of rows that have both.

    Raises ValueError for text where numbers are needed.
    """
    other = _named_numbers(table, column)
    if classes:
        labels = np.array(table.column("actual").to_pylist(), dtype=object)
        present = ~np.isnan(other) & np.array([label is not None for label in labels], dtype=bool)
        return labels[present], other[present]
    actual = _named_numbers(table, "actual")
    present = ~np.isnan(other) & ~np.isnan(actual)
    return actual[present], other[present]


def _named_numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    try:
        return numbers(table.column(column))
    except ValueError as error:
        raise ValueError(f"column {column} {error}") from error
