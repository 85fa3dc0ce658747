"""Columns as counts: a reference fixes the cells of every column, and any data is counted into them.

Called by `triggers.comparison` and `triggers.buckets`. Counts over one reference's cells add up, so a
window's profile is the sum of its parts' profiles, in any order. `triggers.layout` says what the
cells are.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

from triggers.cells import CellCounts, Counts, Groups
from triggers.encoding import pack, unpack
from triggers.layout import Layout, layout_from, layout_of
from triggers.wording import listing

_MAGIC = b"retraind-reference-1\n"
_Found = TypeVar("_Found")


class WindowProfile:
    """Counts of some rows over a reference's cells. `total` holds the slots of all columns, one after another."""

    def __init__(self, layouts: Mapping[str, Layout], total: Counts | None = None, rows: int = 0) -> None:
        """Of no rows, or of counts of so many rows that are there already; `total` becomes the profile's own."""
        self.layouts = layouts
        self.rows = rows
        self.total: Counts = np.zeros(slots(layouts), dtype=np.int64) if total is None else total
        spans = pairwise(edges(layouts).tolist())
        columns = {name: self.total[first:last] for name, (first, last) in zip(layouts, spans, strict=True)}
        self.cells: dict[str, Counts] = {name: column[:-1] for name, column in columns.items()}
        self._missing = {name: column[-1:] for name, column in columns.items()}

    def missing_in(self, name: str) -> int:
        """The rows of that column where the value is missing."""
        return int(self._missing[name][0])

    @property
    def missing(self) -> dict[str, int]:
        """The rows of each column where the value is missing."""
        return {name: int(slot[0]) for name, slot in self._missing.items()}

    def add(self, table: pa.Table, *, threads: int = 1) -> None:
        """Counts the rows of `table`, so many columns at a time.

        Raises ValueError naming a column that is absent or of another type; then nothing is counted.
        """
        counted = count_columns(self.layouts, table, Groups.one(table.num_rows), threads=threads)
        CellCounts.joined([parts[0] for parts in counted]).add_to(self.total)
        self.rows += table.num_rows

    def merged(self, other: "WindowProfile") -> "WindowProfile":
        """The profile of the rows of both, which were counted over the same reference."""
        return WindowProfile(self.layouts, self.total + other.total, self.rows + other.rows)


@dataclass(frozen=True)
class ReferenceProfile:
    """The cells that a reference fixes, and its own counts over them."""

    layouts: Mapping[str, Layout]
    counts: WindowProfile

    @classmethod
    def of(cls, table: pa.Table, names: Sequence[str], *, threads: int = 1) -> "ReferenceProfile":
        """Built from so many columns at a time.

        Raises ValueError naming a column that is absent or neither of numbers nor of categories.
        """
        columns = _columns(table, names, "the reference")
        found = _by_column(lambda name: _layout(name, columns[name]), names, threads)
        layouts = dict(zip(names, found, strict=True))
        counts = WindowProfile(layouts)
        counts.add(table, threads=threads)
        return cls(layouts, counts)

    def to_bytes(self) -> bytes:
        """Equal bytes for equal references: the order and chunks of rows, and the width of numbers, do not matter."""
        states = [layout.state() for layout in self.layouts.values()]
        counted = CellCounts.of(self.counts.total.size, None, self.counts.total).arrays()
        header = {
            "rows": self.counts.rows,
            "columns": [
                {"name": name, "arrays": len(arrays), **state}
                for name, (state, arrays) in zip(self.layouts, states, strict=True)
            ],
        }
        return pack(_MAGIC, header, [*counted, *(array for _, arrays in states for array in arrays)])

    @classmethod
    def from_bytes(cls, data: bytes) -> "ReferenceProfile":
        """The profile that `to_bytes` wrote. Raises ValueError where the bytes are none, or damaged."""
        header, arrays = unpack(_MAGIC, data, "the stored reference profile")
        columns = header["columns"]
        layouts: dict[str, Layout] = {}
        taken = len(arrays) - sum(column["arrays"] for column in columns)
        counted = arrays[:taken]
        for column in columns:
            layouts[column["name"]] = layout_from(column, arrays[taken : taken + column["arrays"]])
            taken += column["arrays"]
        total = CellCounts.from_arrays(slots(layouts), counted).dense()
        found = cls(layouts, WindowProfile(layouts, total, header["rows"]))
        found.__dict__["content_hash"] = hashlib.sha256(data).hexdigest()  # as those bytes would be made again
        return found

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of `to_bytes`, in hexadecimal: the name to store it under."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def slots(layouts: Mapping[str, Layout]) -> int:
    """The cells of all columns, with one slot each for missing values."""
    return sum(layout.width + 1 for layout in layouts.values())


def edges(layouts: Mapping[str, Layout]) -> Counts:
    """Where the slots of each column begin, and, at the end, how many there are."""
    return np.cumsum([0, *(layout.width + 1 for layout in layouts.values())])


def count_columns(
    layouts: Mapping[str, Layout], table: pa.Table, groups: Groups, *, threads: int = 1
) -> list[list[CellCounts]]:
    """The counts of each column, and of each group in it, so many columns at a time.

    Sorting releases the interpreter's lock, so that threads help as far as there are cores. Raises
    ValueError naming a column that is absent or of another type.
    """
    columns = _columns(table, layouts, "the current data")

    def counted(name: str) -> list[CellCounts]:
        try:
            return layouts[name].count(columns[name], groups)
        except ValueError as error:
            raise ValueError(f"column {name} {error}") from error

    return _by_column(counted, list(layouts), threads)


def _by_column(work: Callable[[str], _Found], names: Sequence[str], threads: int) -> list[_Found]:
    if threads == 1:
        return [work(name) for name in names]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, names))


def _layout(name: str, column: pa.ChunkedArray) -> Layout:
    try:
        return layout_of(column)
    except ValueError as error:
        raise ValueError(f"column {name} {error}") from error


def _columns(table: pa.Table, names: Iterable[str], where: str) -> dict[str, pa.ChunkedArray]:
    # Looking a name up in a table costs all of its columns, so each is looked up once.
    places = {name: place for place, name in enumerate(table.column_names)}
    for name in names:
        if name not in places:
            has = listing(table.column_names) or "no columns"
            raise ValueError(f"column {name} is not in {where}, which has {has}")
    return {name: table.column(places[name]) for name in names}
