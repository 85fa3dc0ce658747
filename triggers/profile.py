"""Columns as counts: a reference fixes the cells of every column, and any data is counted into them.

Called by `triggers.comparison`. Counts over one reference's cells add up, so a window's profile is
the sum of its parts' profiles, in any order.

A column of numbers has a cell for each of the reference's break points and one for each gap between
them. Where every distinct reference value is a break point, the Kolmogorov-Smirnov distance of the
counts is exact: its supremum lies at a reference value or at its left limit. Where there are too
many, quantiles are the break points, and the distance is at most `1 / MOST_BREAKS` too small.
A column of categories has a cell for each level and one for all others. Missing values are counted
beside the cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.columns import category_counts, kind_of, numbers
from triggers.statistics import Counts

MOST_BREAKS = 2048
MOST_LEVELS = 1000
_NUMBER_BINS = 10


@dataclass(frozen=True)
class NumberLayout:
    """Cells of a column of numbers: below the first break point, at it, between it and the second, at that, ...

    `bins` gives, for each cell, the coarse bin (tenths of the reference) it belongs to.
    """

    breaks: NDArray[np.float64]  # ascending, distinct
    exact: bool  # every distinct reference value is a break point
    bins: NDArray[np.int64]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "NumberLayout":
        values = np.sort(_present(column))
        distinct = np.unique(values)
        exact = distinct.size <= MOST_BREAKS
        if not exact:
            steps = np.linspace(0, values.size - 1, MOST_BREAKS + 1)
            distinct = np.unique(values[np.floor(steps).astype(np.int64)])
        cells = _cells(values, distinct)
        return cls(distinct, exact, _bins(cells, distinct.size))

    @property
    def width(self) -> int:
        return 2 * self.breaks.size + 1

    def count(self, column: pa.ChunkedArray) -> tuple[Counts, int]:
        """The rows in each cell, and the rows where the value is missing. Raises ValueError for another type."""
        kind = kind_of(column)
        if kind == "empty":
            return np.zeros(self.width, dtype=np.int64), len(column)
        if kind == "category" and not pa.types.is_boolean(column.type):
            raise ValueError(f"holds numbers in the reference and {column.type} in the current data")
        values = _present(column)
        return _cells(np.sort(values), self.breaks), len(column) - values.size

    def binned(self, cells: Counts) -> Counts:
        """The rows in each coarse bin."""
        found: Counts = np.bincount(self.bins, weights=cells).astype(np.int64)
        return found


@dataclass(frozen=True)
class CategoryLayout:
    """Cells of a column of categories: the reference's most frequent levels, and one for all others."""

    levels: tuple[str, ...]
    complete: bool  # every level of the reference has a cell, so the last one holds unseen levels only

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "CategoryLayout":
        counts, _ = category_counts(column)
        frequent = sorted(counts, key=lambda level: (-counts[level], level))
        return cls(tuple(frequent[:MOST_LEVELS]), len(frequent) <= MOST_LEVELS)

    @property
    def width(self) -> int:
        return len(self.levels) + 1

    def count(self, column: pa.ChunkedArray) -> tuple[Counts, int]:
        """The rows in each cell, and the rows where the value is missing. Raises ValueError for another type."""
        if kind_of(column) == "number" and not all(map(_reads_as_number, self.levels)):
            raise ValueError(f"holds categories in the reference and {column.type} in the current data")
        counts, missing = category_counts(column)
        cells = np.zeros(self.width, dtype=np.int64)
        for place, level in enumerate(self.levels):
            cells[place] = counts.pop(level, 0)
        cells[-1] = sum(counts.values())
        return cells, missing


@dataclass(frozen=True)
class EmptyLayout:
    """The one cell of a column that the reference never filled: rows in which it has a value now."""

    width: int = 1

    def count(self, column: pa.ChunkedArray) -> tuple[Counts, int]:
        """The rows with and without a value."""
        missing = _missing(column)
        return np.array([len(column) - missing], dtype=np.int64), missing


Layout = NumberLayout | CategoryLayout | EmptyLayout


@dataclass
class WindowProfile:
    """Counts of some rows over a reference's cells."""

    layouts: Mapping[str, Layout]
    cells: dict[str, Counts] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def __post_init__(self) -> None:
        for name, layout in self.layouts.items():
            self.cells.setdefault(name, np.zeros(layout.width, dtype=np.int64))
            self.missing.setdefault(name, 0)

    def add(self, table: pa.Table) -> None:
        """Counts the rows of `table`. Raises ValueError naming a column that is absent or of another type."""
        counted = {
            name: _counted(layout, name, _column(table, name, "the current data"))
            for name, layout in self.layouts.items()
        }
        for name, (cells, missing) in counted.items():
            self.cells[name] = self.cells[name] + cells
            self.missing[name] += missing
        self.rows += table.num_rows

    def merged(self, other: "WindowProfile") -> "WindowProfile":
        """The profile of the rows of both, which were counted over the same reference."""
        return WindowProfile(
            self.layouts,
            {name: cells + other.cells[name] for name, cells in self.cells.items()},
            {name: missing + other.missing[name] for name, missing in self.missing.items()},
            self.rows + other.rows,
        )


@dataclass(frozen=True)
class ReferenceProfile:
    """The cells that a reference fixes, and its own counts over them."""

    layouts: Mapping[str, Layout]
    counts: WindowProfile

    @classmethod
    def of(cls, table: pa.Table, names: Sequence[str]) -> "ReferenceProfile":
        """Raises ValueError naming a column that is absent or neither of numbers nor of categories."""
        layouts = {name: _layout(name, _column(table, name, "the reference")) for name in names}
        counts = WindowProfile(layouts)
        counts.add(table)
        return cls(layouts, counts)


def _layout(name: str, column: pa.ChunkedArray) -> Layout:
    try:
        kind = kind_of(column)
    except ValueError as error:
        raise ValueError(f"column {name} {error}") from error
    if kind == "empty" or _missing(column) == len(column):
        return EmptyLayout()
    return NumberLayout.of(column) if kind == "number" else CategoryLayout.of(column)


def _counted(layout: Layout, name: str, column: pa.ChunkedArray) -> tuple[Counts, int]:
    try:
        return layout.count(column)
    except ValueError as error:
        raise ValueError(f"column {name} {error}") from error


def _column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise ValueError(f"column {name} is not in {where}, which has {', '.join(table.column_names) or 'no columns'}")
    return table.column(name)


def _present(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values = numbers(column)
    return values[~np.isnan(values)]


def _missing(column: pa.ChunkedArray) -> int:
    if pa.types.is_floating(column.type):
        return int(np.isnan(numbers(column)).sum())
    return int(column.null_count)


def _cells(ordered: NDArray[np.float64], breaks: NDArray[np.float64]) -> Counts:
    """The number of `ordered` values in each cell. The break points are looked up in the values, not the other way."""
    bounds = np.empty(2 * breaks.size + 2, dtype=np.int64)
    bounds[0], bounds[-1] = 0, ordered.size
    bounds[1:-1:2] = np.searchsorted(ordered, breaks, "left")
    bounds[2:-1:2] = np.searchsorted(ordered, breaks, "right")
    return np.diff(bounds)


def _bins(cells: Counts, breaks: int) -> NDArray[np.int64]:
    """The coarse bin of each cell.

    With few distinct values each is a bin, and all the gaps are one more: values never seen. With
    many, each bin ends at a break point and holds a tenth of the reference, or more where one value
    is that frequent.
    """
    if breaks <= _NUMBER_BINS:
        bins = np.full(cells.size, breaks, dtype=np.int64)
        bins[1::2] = np.arange(breaks)
        return bins
    reached = np.cumsum(cells)[1::2]  # rows up to and including each break point
    wanted = np.arange(1, _NUMBER_BINS) / _NUMBER_BINS * cells.sum()
    edges = np.unique(np.searchsorted(reached, wanted, "left"))
    edges = edges[edges < breaks - 1]
    return np.searchsorted(2 * edges + 1, np.arange(cells.size), "left").astype(np.int64)


def _reads_as_number(level: str) -> bool:
    try:
        float(level)
    except ValueError:
        return False
    return True
