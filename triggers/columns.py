"""Columns of Arrow tables as numpy arrays, with missing values told apart.

Called by the performance and drift triggers, who import it when they judge: pyarrow and numpy are
no part of reading a configuration. NaN counts as missing, as NULL does.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triggers.metrics import class_label

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


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The column as floats, NaN where a value is missing; times as their count of units since 1970.

    Raises ValueError for text that is no number.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        found = column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"holds {column.type} where numbers are needed") from error
    return np.concatenate([np.empty(0), *map(_floats, found.chunks)])


def _floats(array: pa.Array) -> NDArray[np.float64]:
    # pyarrow's own conversions import pandas, which a daemon does without.
    _, data = array.buffers()
    if data is None or array.null_count == len(array):
        return np.full(len(array), np.nan)
    values = np.frombuffer(data, dtype=np.float64)[array.offset : array.offset + len(array)]
    if array.null_count == 0:
        return values
    return np.where(np.from_dlpack(array.is_valid().cast(pa.uint8())) == 1, values, np.nan)


def category_counts(column: pa.ChunkedArray) -> tuple[dict[str, int], int]:
    """The number of rows of each category, as `class_label` writes it, and of rows where it is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    counts: dict[str, int] = {}
    missing = 0
    for entry in pc.value_counts(column).to_pylist():
        value, number = entry["values"], entry["counts"]
        if value is None or value != value:  # noqa: PLR0124 only NaN differs from itself
            missing += number
        else:
            label = class_label(value)
            counts[label] = counts.get(label, 0) + number
    return counts, missing


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
