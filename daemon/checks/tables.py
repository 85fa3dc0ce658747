"""Can a CSV or Parquet file be read, and does it have the columns that are wanted of it?"""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from daemon.checks.finding import Finding, ok, problem
from retraind.nearest import did_you_mean


def check_table(what: str, path: str, columns: Sequence[str]) -> Iterator[Finding]:
    """The file at `path`, or every file of a glob; only names of columns are read, not rows."""
    paths = sorted(glob.glob(path, recursive=True)) if any(mark in path for mark in "*?[") else [path]  # noqa: PTH207  # the pattern may be absolute
    if not paths:
        yield problem(what, f"no file matches {path}", "correct the path, or put the data there")
    for each in paths:
        yield _check(what, Path(each), columns)


def _check(what: str, path: Path, columns: Sequence[str]) -> Finding:
    if not path.is_file():
        return problem(what, f"there is no file {path}", "correct the path, or put the data there")
    try:
        names = _names(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        return problem(what, f"{path} cannot be read: {' '.join(str(error).split())}", "mend the file")
    missing = [name for name in columns if name not in names]
    if missing:
        asked = ", ".join(f"{name!r}{did_you_mean(name, names)}" for name in missing)
        return problem(
            what, f"{path} has no column {asked}; it has {', '.join(names)}", "correct the name, or the file"
        )
    return ok(what, f"{path} can be read")


def _names(path: Path) -> list[str]:
    if path.suffix.lower() in {".parquet", ".pq"}:
        from pyarrow import parquet

        names: list[str] = parquet.read_schema(path).names
        return names
    from pyarrow import csv

    reader: Any = csv.open_csv(path)
    with reader:
        return list(reader.schema.names)
