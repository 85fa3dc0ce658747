"""The cells into which the rows of a column are counted, as a reference fixes them.

Called by `triggers.profile`. A column of numbers has a cell for each of the reference's break points
and one for each gap between two of them. The first break point is minus infinity and the last plus
infinity, so that infinite values are told apart from large ones. Where every distinct reference
value is a break point, the Kolmogorov-Smirnov distance and the rank sum of two counts are exact:
no reference value lies inside a gap. Where there are too many, quantiles are the break points, and
the Kolmogorov-Smirnov distance is at most `1 / MOST_BREAKS` too small.

A column of categories has a cell for each level and one for all others. In every layout a last slot,
behind the cells, counts the rows where the value is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triggers.cells import CellCounts, Counts, Groups, count_places
from triggers.columns import kind_of, labels, numbers, plain, text_array
from triggers.metrics import class_label

MOST_BREAKS = 16_384  # 128 KiB, and twice that for a count of every cell
MOST_LEVELS = 1000
MOST_LEVEL_BYTES = 262_144  # of all levels of a column together: free text is no set of categories
FEW_VALUES = 10  # up to so many distinct values, each is a bin of its own
_BINS = 10
_AT_ONCE = 16_384  # levels
_LOT = 1  # the seed by which rows are drawn: equal references have equal layouts


@dataclass(frozen=True)
class NumberLayout:
    """Cells of a column of numbers: at minus infinity, up to the first value, at it, up to the second, and so on.

    Even cells hold one value each, odd ones a gap.
    """

    breaks: NDArray[np.float64]  # ascending, distinct, from minus infinity to infinity
    exact: bool  # every distinct reference value is a break point
    values: int  # how many distinct values the reference has, infinite ones included
    bins: NDArray[np.int64]  # the first cell of each coarse bin (tenths of the reference); of few values: empty
    fences: tuple[int, int]  # the first and the last break point that lie within the reference's ordinary range

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "NumberLayout":
        """The cells that the present values of `column` fix; there is one at least."""
        ordered = numbers(column)
        ordered.sort()
        ordered = ordered[: np.searchsorted(ordered, np.nan)]
        ordered += 0.0  # minus zero is zero, so that equal references have equal bytes
        distinct = np.unique(ordered)
        exact = distinct.size <= MOST_BREAKS
        chosen = distinct
        if not exact:
            steps = np.linspace(0, ordered.size - 1, MOST_BREAKS + 1)
            chosen = np.unique(ordered[np.floor(steps).astype(np.int64)])
        breaks = np.concatenate([[-np.inf], chosen[np.isfinite(chosen)], [np.inf]])
        reached = np.searchsorted(ordered, breaks, "right")
        few = distinct.size <= FEW_VALUES
        bins = np.zeros(0, dtype=np.int64) if few else _bins(reached)
        return cls(breaks, exact, int(distinct.size), bins, _fences(ordered, breaks))

    @property
    def width(self) -> int:
        """The number of cells, without the slot for missing values."""
        return 2 * self.breaks.size - 1

    def count(self, column: pa.ChunkedArray, groups: Groups) -> list[CellCounts]:
        """Each group's rows in each slot. Raises ValueError for a column of another type."""
        kind = kind_of(column)
        if column.null_count == len(column):
            column = pa.chunked_array([pa.nulls(len(column), pa.float64())])
        elif kind == "category" and not pa.types.is_boolean(column.type):
            raise ValueError(f"holds numbers in the reference and {column.type} in the current data")
        values = groups.ordered(numbers(column))
        parts = [values[first:last] for first, last in groups.spans()]
        for part in parts:
            part.sort()
        if groups.rows <= len(groups) * self.breaks.size:
            return count_places(self._places(values), groups, self.width + 1)
        return [CellCounts.of(self.width + 1, None, self._count(part)) for part in parts]

    def tally(self, values: NDArray[np.float64]) -> Counts:
        """The values in each cell, in any order, none of them missing."""
        return self._count(np.sort(values))[:-1]

    def places(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """The slot of each row."""
        return self._places(numbers(column))

    def _places(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The slot of each value: few values are looked up in the break points, faster if ascending."""
        above = np.searchsorted(self.breaks, values, "left")
        missing = above == self.breaks.size
        above[missing] = 0
        places: NDArray[np.int64] = 2 * above - (self.breaks[above] != values)
        places[missing] = self.width
        return places

    def _count(self, ordered: NDArray[np.float64]) -> Counts:
        """The rows in each slot: in many values, ascending, the break points are looked up."""
        present = ordered[: np.searchsorted(ordered, np.nan)]
        left = np.searchsorted(present, self.breaks, "left")
        right = left.copy()
        held = ordered.take(left, mode="clip") == self.breaks
        right[held] = np.searchsorted(present, self.breaks[held], "right")
        total = np.empty(self.width + 1, dtype=np.int64)
        total[0:-1:2] = right - left
        total[1:-1:2] = left[1:] - right[:-1]
        total[-1] = ordered.size - present.size
        return total

    def binned(self, cells: Counts) -> Counts:
        """The rows in each coarse bin.

        With few distinct values each is a bin, and all the gaps are one more: values never seen.
        With many, each bin ends at a break point and holds a tenth of the reference, or more where
        one value is that frequent.
        """
        if self.values <= FEW_VALUES:
            return np.append(cells[0::2], cells[1::2].sum())
        found: Counts = np.add.reduceat(cells, self.bins)
        return found

    def state(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """What to store: a JSON-able header and arrays."""
        header = {"kind": "number", "exact": self.exact, "values": self.values, "fences": list(self.fences)}
        return header, [self.breaks, self.bins]


@dataclass(frozen=True)
class CategoryLayout:
    """Cells of a column of categories: the reference's most frequent levels, and one for all others."""

    levels: tuple[str, ...]
    complete: bool  # every level of the reference has a cell, so the last one holds unseen levels only
    fresh: NDArray[np.float64]  # the share of each cell's reference rows that had no say in the choice; empty: all

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "CategoryLayout":
        """The levels of `column`: the 1,000 most frequent at most, of 256 KiB together.

        Where there are more, half of the rows, drawn by lot, say which are frequent, and only the others are to
        be compared: levels that were frequent by chance are so no more in other rows.
        """
        found = pa.Table.from_struct_array(pc.value_counts(labels(column).drop_null()))
        kept = _most_frequent(found)
        if kept.num_rows == found.num_rows:
            return cls(tuple(kept.column("values").to_pylist()), complete=True, fresh=np.zeros(0))
        found = found.take(pc.sort_indices(found, sort_keys=[("values", "ascending")]))  # equal lots for equal levels
        found = found.append_column("drawn", _drawn(found.column("counts")))
        kept = _most_frequent(found, by="drawn")
        rows, drawn = (numbers(kept.column(name)) for name in ("counts", "drawn"))
        others, drawn_others = (
            pc.sum(found.column(name)).as_py() - of_kept.sum() for name, of_kept in (("counts", rows), ("drawn", drawn))
        )
        fresh = np.append(1 - drawn / rows, 1 - drawn_others / others)
        return cls(tuple(kept.column("values").to_pylist()), complete=False, fresh=fresh)

    def comparable(self, cells: Counts, missing: int) -> tuple[Counts, int]:
        """Of the reference's rows, those to be compared with others: in each cell, and missing."""
        if not self.fresh.size:
            return cells, missing
        found: Counts = np.rint(cells * self.fresh).astype(np.int64)
        return found, round(missing * int(found.sum()) / max(int(cells.sum()), 1))

    @property
    def width(self) -> int:
        """The number of cells, without the slot for missing values."""
        return len(self.levels) + 1

    def count(self, column: pa.ChunkedArray, groups: Groups) -> list[CellCounts]:
        """Each group's rows in each slot. Raises ValueError for a column of another type."""
        return count_places(groups.ordered(self.places(column)), groups, self.width + 1)

    def places(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """The slot of each row. Raises ValueError for a column of another type."""
        return self._places_of_numbers(column) if kind_of(column) == "number" else self._places(labels(column))

    def _places(self, texts: pa.ChunkedArray) -> NDArray[np.int64]:
        """The slot of each row."""
        found = numbers(pc.index_in(texts, value_set=text_array(self.levels).cast(texts.type)))
        places = np.where(np.isnan(found), len(self.levels), found).astype(np.int64)
        if texts.null_count:
            places[numbers(texts.is_null()) == 1] = self.width
        return places

    def _places_of_numbers(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """The slot of each row of numbers, where the levels are numbers written as text."""
        if not all(map(_reads_as_number, self.levels)):
            raise ValueError(f"holds categories in the reference and {column.type} in the current data")
        known = {level: place for place, level in enumerate(self.levels)}
        distinct, inverse = np.unique(numbers(column), return_inverse=True)
        slots = [known.get(class_label(value), len(self.levels)) for value in distinct.tolist()]
        places = np.array(slots, dtype=np.int64)
        places[np.isnan(distinct)] = self.width
        return places[inverse]

    def state(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """What to store: a JSON-able header and arrays."""
        arrays: list[NDArray[Any]] = [self.fresh] if self.fresh.size else []
        return {"kind": "category", "levels": list(self.levels), "complete": self.complete}, arrays


@dataclass(frozen=True)
class EmptyLayout:
    """The one cell of a column that the reference never filled: rows in which it has a value now."""

    width: int = 1

    def count(self, column: pa.ChunkedArray, groups: Groups) -> list[CellCounts]:
        """Each group's rows with and without a value."""
        column = plain(column)
        missing = np.isnan(numbers(column)) if pa.types.is_floating(column.type) else numbers(column.is_null()) == 1
        return count_places(groups.ordered(missing.astype(np.int64)), groups, 2)

    def state(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """What to store: a JSON-able header and arrays."""
        return {"kind": "empty"}, []


Layout = NumberLayout | CategoryLayout | EmptyLayout


def layout_of(column: pa.ChunkedArray) -> Layout:
    """The layout that a reference's column fixes. Raises ValueError for nested and binary columns."""
    kind, column = kind_of(column), plain(column)
    if column.null_count == len(column) or (pa.types.is_floating(column.type) and np.isnan(numbers(column)).all()):
        return EmptyLayout()
    return NumberLayout.of(column) if kind == "number" else CategoryLayout.of(column)


def layout_from(header: Mapping[str, Any], arrays: list[NDArray[Any]]) -> Layout:
    """The layout whose `state` is given."""
    if header["kind"] == "number":
        first, last = header["fences"]
        return NumberLayout(arrays[0], header["exact"], header["values"], arrays[1], (first, last))
    if header["kind"] == "category":
        return CategoryLayout(tuple(header["levels"]), header["complete"], arrays[0] if arrays else np.zeros(0))
    return EmptyLayout()


def _drawn(counts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of so many rows of each level those that a lot of one half draws. Few at a time: there may be millions."""
    random, parts = np.random.default_rng(_LOT), []
    for first in range(0, len(counts), _AT_ONCE):
        rows = numbers(counts.slice(first, _AT_ONCE)).astype(np.int64)
        drawn = random.binomial(rows, 0.5)
        parts.append(pa.Array.from_buffers(pa.int64(), drawn.size, [None, pa.py_buffer(drawn)]).cast(pa.int32()))
    return pa.chunked_array(parts)


def _most_frequent(found: pa.Table, by: str = "counts") -> pa.Table:
    """As many as there may be of the rows of `found`, which has each level as `values`."""
    keys = [(by, "descending"), ("values", "ascending")]
    frequent = found.take(pc.select_k_unstable(found, k=min(MOST_LEVELS, found.num_rows), sort_keys=keys))
    sizes = np.cumsum([len(level.encode()) for level in frequent.column("values").to_pylist()])
    return frequent.slice(0, int(np.searchsorted(sizes, MOST_LEVEL_BYTES, "right")))


def _bins(reached: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first cell of each coarse bin, of the reference rows up to and including each break point."""
    wanted = np.arange(1, _BINS) / _BINS * reached[-1]
    ends = np.unique(np.searchsorted(reached, wanted, "left"))
    last = np.searchsorted(reached, reached[-1], "left")  # at the largest value: a bin beyond it would be empty
    return np.append(0, 2 * ends[ends < last] + 1)


def _fences(ordered: NDArray[np.float64], breaks: NDArray[np.float64]) -> tuple[int, int]:
    """The break points within the ordinary range: the central 99.8 % (all but one row at each end, where that is
    fewer), and as far again beyond them. The same one twice where that range is a point.
    """
    aside = 1 + ordered.size // 1000
    if ordered.size <= 2 * aside:
        return 0, 0
    low, high = float(ordered[aside]), float(ordered[-1 - aside])
    reach = high - low
    if not 0 < 4 * reach < np.inf:
        return 0, 0
    first = int(np.searchsorted(breaks, low - reach, "left"))
    return max(first, 1), min(int(np.searchsorted(breaks, high + reach, "right")), breaks.size - 1) - 1


def _reads_as_number(level: str) -> bool:
    try:
        float(level)
    except ValueError:
        return False
    return True
