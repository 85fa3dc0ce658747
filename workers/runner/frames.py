"""Training and holdout data as pandas frames: every program reads its rows here, so that all see the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .boundary import Refusal


def read(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """The Parquet file's `columns`, in that order and in the file's order of rows.

    Whole numbers with missing values become floats, and so do booleans with missing values and
    decimals; missing texts are the pandas release's own missing value. Refuses a missing column.
    """
    there = pq.read_schema(path).names
    missing = [column for column in columns if column not in there]
    if missing:
        raise Refusal(f"the data has no column {', '.join(map(repr, missing))}; it has {', '.join(there)}.", data=True)
    table = pq.read_table(path, columns=list(columns))
    for index, field in enumerate(table.schema):
        column = table.column(index)
        gaps = pa.types.is_boolean(field.type) and column.null_count > 0
        if gaps or pa.types.is_decimal(field.type):
            table = table.set_column(index, field.name, column.cast(pa.float64()))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def weights(path: str | Path, column: str) -> pd.Series | None:
    """The rows' sample weights, or None where there is no such column: all count alike."""
    if column not in pq.read_schema(path).names:
        return None
    return read(path, [column])[column]
