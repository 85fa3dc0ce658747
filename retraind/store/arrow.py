"""What a statement brought, as a table of Arrow: for rows. With the first one come pyarrow and numpy."""

from typing import Any

from retraind.lean import without

# isort: split

with without("pandas", "polars"):  # 30 MiB for the conversions of a dataset that nobody here makes
    import pyarrow as pa
    import pyarrow.dataset  # the driver manager looks for it with its first table


def table(cursor: Any) -> pa.Table:
    """All that `cursor` has to give. Raises the driver's errors, OSError for what it could not go on with, and
    UnicodeDecodeError for text that is none."""
    try:
        found = cursor.fetch_arrow_table()
    except pa.ArrowException as error:
        raise OSError(str(error)) from error
    for column in found.columns:
        if pa.types.is_string(column.type):
            _refuse_bytes(column)
    return found


def _refuse_bytes(column: pa.ChunkedArray) -> None:
    """The driver passes on as text what SQLite was given as such."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        for value in column.cast(pa.binary()).drop_null().to_pylist():
            value.decode()
        raise OSError(str(error)) from error
