"""Whether rows are there more than once, as when a job ran twice or sent the same again.

Called by `triggers.incidents`.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.columns import encoded, is_text, numbers
from triggers.incident_state import Incident, Kind
from triggers.wording import count, percent

_FEWEST = 100  # complete rows that tell anything
_REPEATED = 0.2  # of rows that are copies of others, where practically none are
_UNIQUE = 0.05  # up to this share of copies, rows are taken to differ
_MOST_COLUMNS = 64  # that tell one row from another


def doubled(names: tuple[str, ...], table: pa.Table, history: pa.Table | None, *, dated: bool) -> Incident | None:
    """Rows that are there more than once, in a table whose rows differ by their nature.

    Rows with a missing value tell nothing: two of them may be alike because of it. Rows of a fifth that are
    copies are called doubled where at most a twentieth are in as many of the reference, or where
    their time stamps tell them apart.
    """
    names = names[:_MOST_COLUMNS]
    share, rows = _copies(table, names)
    if share < _REPEATED:
        return None
    usual = 1.0 if history is None else _copies(_as_many(history, rows), names)[0]
    if usual > _UNIQUE:
        if not dated:
            return None
        share, rows = _copies(table, ("timestamp", *names))
        usual = 0.0
    if share < _REPEATED:
        return None
    told = f"{percent(share)} of {count(rows, 'row')} are copies of others, where {percent(usual)} are usual"
    return Incident(Kind.DUPLICATES, None, told, {"copies": share, "usual": usual, "rows": rows})


def _as_many(table: pa.Table, rows: int) -> pa.Table:
    return table.slice(max(table.num_rows - rows, 0))


def _copies(table: pa.Table, names: tuple[str, ...]) -> tuple[float, int]:
    """The share of complete rows that repeat another one in these columns, and how many complete rows there are.

    Rows are told apart by 64 bits, which take no two of a million rows for equal in all but one of 40 million tables.
    """
    there = [name for name in names if name in table.column_names]
    chosen = table.select(there).drop_null()
    if not there or chosen.num_rows < _FEWEST:
        return 0.0, chosen.num_rows
    marks = np.zeros(chosen.num_rows, dtype=np.uint64)
    complete = np.ones(chosen.num_rows, dtype=bool)
    for column in chosen.columns:
        codes = _codes(column)
        complete &= ~np.isnan(codes)
        bits: NDArray[np.uint64] = (codes + 0.0).view(np.uint64)
        marks = _mixed(marks ^ bits)
    marks = marks[complete]
    if marks.size < _FEWEST:
        return 0.0, int(marks.size)
    return 1 - np.unique(marks).size / marks.size, int(marks.size)


def _codes(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A number for each value: the same for the same value."""
    if not is_text(column):
        return numbers(column)
    return numbers(pa.chunked_array([encoded(column).indices]))


def _mixed(marks: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit made to hang on every other (the finaliser of SplitMix64: Steele, Lea & Flood, OOPSLA 2014)."""
    marks = (marks + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    marks = (marks ^ (marks >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    marks = (marks ^ (marks >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return marks ^ (marks >> np.uint64(31))
