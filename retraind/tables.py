"""Tables in files: CSV and Parquet, one or many by a glob. Read for drift references, training and holdouts."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retraind.errors import StoreError
from retraind.nearest import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

_CSV = (".csv", ".csv.gz", ".tsv")


def read_table(pattern: str, columns: Sequence[str] | None) -> "pa.Table":
    """The rows of the file, or of all files that the glob matches in the order of their names.

    `columns` picks and orders columns; None takes all. Raises StoreError, naming the file, for one that
    is missing, cannot be read, or lacks a column.
    """
    import pyarrow as pa

    parts = [_read(path, columns) for path in matching(pattern)]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise StoreError(f"the files that match {pattern} do not have columns of the same types: {error}") from error


def matching(pattern: str) -> list[Path]:
    """The files that `pattern` (a path or a glob) names, by name. Raises StoreError when there are none."""
    paths = [Path(pattern)] if Path(pattern).is_file() else sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207  # Path.glob takes no absolute one
    found = [path for path in paths if path.is_file()]
    if not found:
        raise StoreError(f"there is no file {pattern}; check the path, or let whatever writes it run first")
    return found


def _read(path: Path, columns: Sequence[str] | None) -> "pa.Table":
    import pyarrow as pa

    try:
        table = _read_csv(path) if path.name.endswith(_CSV) else _read_parquet(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if columns is None:
        return table
    for name in columns:
        if name not in table.column_names:
            near = did_you_mean(name, table.column_names)
            raise StoreError(f"{path} has no column {name!r}{near}; it has {', '.join(table.column_names)}")
    return table.select(list(columns))


def _read_csv(path: Path) -> Any:
    from pyarrow import csv

    delimiter = "\t" if path.name.endswith(".tsv") else ","
    return csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter))


def _read_parquet(path: Path) -> Any:
    from pyarrow import parquet

    # A plain file, not a data set: the directory's name must not become a column.
    return parquet.ParquetFile(path).read()
