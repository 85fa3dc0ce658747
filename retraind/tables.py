"""Tables in files: drift references, training sources and holdouts, as CSV or Parquet.

Called by the daemon (references) and the workers. Raises ConfigurationError throughout: which file
is read is the configuration's affair. pyarrow is imported where it is used.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retraind.errors import ConfigurationError
from retraind.nearest import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.zst")


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a CSV or Parquet file, of all files that a glob matches, or of all in a directory, in the order
    of their paths. `columns` chooses columns and their order; None takes all.

    A column that some files write as whole numbers and others with fractions is float64; other
    differences of type are refused. Raises ConfigurationError for a missing or unreadable file, and
    for a column that is not there.
    """
    import pyarrow as pa

    tables = [_read(file, columns) for file in _files(path)]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ConfigurationError(f"the files of {path} do not agree on their columns: {_line(error)}") from error


def _files(path: str) -> list[Path]:
    """The files that `path` names, in order. Raises ConfigurationError if there are none."""
    place = Path(path)
    if place.is_dir():
        found = sorted(each for each in place.rglob("*") if each.is_file() and _kind(each) is not None)
        if not found:
            raise ConfigurationError(f"the directory {place.absolute()} has no CSV and no Parquet file")
        return found
    if place.is_file():
        return [place]
    if glob.has_magic(path):
        found = sorted(Path(each) for each in glob.glob(path, recursive=True) if Path(each).is_file())  # noqa: PTH207 - an absolute pattern
        if found:
            return found
        raise ConfigurationError(f"no file matches {place.absolute()}; correct the pattern, or write the files first")
    raise ConfigurationError(f"there is no file {place.absolute()}; correct the path, or write the file first")


def _kind(file: Path) -> str | None:
    name = file.name.lower()
    if name.endswith(_PARQUET):
        return "parquet"
    return "csv" if name.endswith(_CSV) else None


def _read(file: Path, columns: Sequence[str] | None) -> pa.Table:
    import pyarrow as pa

    kind = _kind(file)
    if kind is None:
        raise ConfigurationError(f"{file} is neither CSV nor Parquet by its name; let it end in .csv or .parquet")
    try:
        return _read_parquet(file, columns) if kind == "parquet" else _read_csv(file, columns)
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"{file} cannot be read: {_line(error)}; write it again, or name another") from error


def _read_parquet(file: Path, columns: Sequence[str] | None) -> pa.Table:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        _refuse_missing(file, columns, opened.schema_arrow.names)
        found = opened.read(columns=None if columns is None else list(columns))
    return found if columns is None else found.select(list(columns))


def _read_csv(file: Path, columns: Sequence[str] | None) -> pa.Table:
    """Empty cells are missing values, in columns of text too."""
    from pyarrow import csv

    name = file.name.lower()
    parse = csv.ParseOptions(delimiter="\t" if ".tsv" in name else ",", newlines_in_values=True)
    convert = csv.ConvertOptions(strings_can_be_null=True)
    found = csv.read_csv(file, parse_options=parse, convert_options=convert)
    _refuse_missing(file, columns, found.column_names)
    return found if columns is None else found.select(list(columns))


def _refuse_missing(file: Path, columns: Sequence[str] | None, known: Sequence[str]) -> None:
    for column in columns or ():
        if column not in known:
            raise ConfigurationError(
                f"{file} has no column {column!r}{did_you_mean(column, known)}; it has {', '.join(known)}"
            )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
