"""Counts of many cells, kept in the fewest bytes: every cell, or only those that hold rows.

Called by `triggers.layout`, which counts rows into cells, and by `triggers.buckets`, which keeps
one such count for each stretch of time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.columns import numbers

Counts = NDArray[np.int64]
Unsigned = NDArray[Any]  # of the smallest of uint8, uint16, uint32 and int64 that holds the values

_LIMITS = tuple((kind, int(np.iinfo(kind).max)) for kind in (np.uint8, np.uint16, np.uint32))
_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000  # in microseconds since 1970
_DENSE_UP_TO = 4  # so many cells for a row: counting into all of them is still faster than sorting the rows' cells


@dataclass(frozen=True)
class CellCounts:
    """Counts of `size` cells, never changed. `cells` are the places of `counts`, ascending; None: all places."""

    size: int
    cells: Unsigned | None
    counts: Unsigned

    @classmethod
    def of(cls, size: int, cells: NDArray[Any] | None, counts: NDArray[Any]) -> "CellCounts":
        """In whichever form is smaller. `cells` ascend; None: `counts` has every cell."""
        counts = _narrow(counts)
        held = int(np.count_nonzero(counts))
        place = np.uint32 if size <= 2**32 else np.int64
        if held * (counts.itemsize + np.dtype(place).itemsize) >= size * counts.itemsize:
            return cls(size, None, counts if cells is None else _spread(size, cells, counts))
        if cells is None:
            cells = np.flatnonzero(counts)
            counts = counts[cells]
        return cls(size, cells.astype(place, copy=False), counts)

    @classmethod
    def joined(cls, parts: Sequence["CellCounts"]) -> "CellCounts":
        """The parts behind one another: as many cells as all of them have."""
        size = sum(part.size for part in parts)
        if sum(part.counts.size for part in parts) * 2 >= size:
            return cls.of(size, None, np.concatenate([np.zeros(0, dtype=np.int64), *(part.dense() for part in parts)]))
        offsets = np.cumsum([0, *(part.size for part in parts)])
        sparse = [part.sparse() for part in parts]
        cells = [each + offset for (each, _), offset in zip(sparse, offsets, strict=False)]
        return cls.of(size, np.concatenate(cells), np.concatenate([counts for _, counts in sparse]))

    def plus(self, other: "CellCounts") -> "CellCounts":
        """The sums of both, cell by cell."""
        if self.cells is None or other.cells is None:
            total = self.dense()
            other.add_to(total)
            return CellCounts.of(self.size, None, total)
        cells = np.concatenate([self.cells, other.cells])
        order = np.argsort(cells, kind="stable")
        counts = np.concatenate([self.counts.astype(np.int64), other.counts.astype(np.int64)])[order]
        starts = _run_starts(cells[order])
        return CellCounts.of(
            self.size, cells[order][starts], np.add.reduceat(counts, starts) if starts.size else counts
        )

    def add_to(self, total: NDArray[Any]) -> None:
        """Adds every count to its cell of `total`, of whole numbers."""
        if self.cells is None:
            np.add(total, self.counts, out=total)
        else:
            total[self.cells] += self.counts

    def take_from(self, total: Counts) -> None:
        """Takes every count off its cell of `total`."""
        if self.cells is None:
            np.subtract(total, self.counts, out=total)
        else:
            total[self.cells] -= self.counts

    def dense(self) -> Counts:
        """The count of every cell, as an array of its own."""
        if self.cells is None:
            return self.counts.astype(np.int64)
        return _spread(self.size, self.cells, self.counts.astype(np.int64))

    def sparse(self) -> tuple[Counts, Counts]:
        """The cells that hold rows, ascending, and their counts."""
        if self.cells is None:
            cells = np.flatnonzero(self.counts)
            return cells.astype(np.int64), self.counts[cells].astype(np.int64)
        return self.cells.astype(np.int64), self.counts.astype(np.int64)

    def part(self, first: int, end: int) -> tuple[Counts, Counts]:
        """As `sparse`, of the cells from `first` to before `end`, which are told from `first` on."""
        if self.cells is None:
            return CellCounts(end - first, None, self.counts[first:end]).sparse()
        # In their own type: bounds of another one would have all cells copied.
        within = slice(*np.searchsorted(self.cells, np.array([first, end], dtype=self.cells.dtype)).tolist())
        return self.cells[within].astype(np.int64) - first, self.counts[within].astype(np.int64)

    @property
    def nbytes(self) -> int:
        return self.counts.nbytes + (0 if self.cells is None else self.cells.nbytes)

    def arrays(self) -> list[NDArray[Any]]:
        """What to store: the counts, and, where only some cells hold rows, how far each is from the one before."""
        if self.cells is None:
            return [self.counts]
        return [self.counts, _narrow(np.diff(self.cells.astype(np.int64), prepend=0))]

    @classmethod
    def from_arrays(cls, size: int, arrays: Sequence[NDArray[Any]]) -> "CellCounts":
        """Raises ValueError for arrays that are not counts of `size` cells."""
        counts, cells = arrays[0], None
        if len(arrays) > 1:
            cells = np.cumsum(arrays[1].astype(np.int64))
            if cells.size != counts.size or (cells.size and int(cells[-1]) >= size):
                raise ValueError(f"holds cells beyond the {size:,} there are")
        elif counts.size != size:
            raise ValueError(f"holds {counts.size:,} cells where there are {size:,}")
        return cls.of(size, cells, counts)


@dataclass(frozen=True)
class Groups:
    """Rows in groups: `order` brings a group's rows together (None: they are), `bounds` say where groups begin and end.

    Rows that are in no group are left out of `order`.
    """

    order: NDArray[np.int64] | None
    bounds: NDArray[np.int64]

    @classmethod
    def one(cls, rows: int) -> "Groups":
        """All of so many rows as one group."""
        return cls(None, np.array([0, rows], dtype=np.int64))

    @classmethod
    def of_keys(cls, keys: NDArray[np.int64], kept: NDArray[np.bool_]) -> "tuple[Groups, NDArray[np.int64]]":
        """The rows that are `kept`, grouped by key, and each group's key, ascending."""
        order: NDArray[np.int64] | None = None
        if not (kept.all() and (keys[1:] >= keys[:-1]).all()):
            chosen = np.flatnonzero(kept)
            order = chosen[np.argsort(keys[chosen], kind="stable")]
            keys = keys[order]
        starts = _run_starts(keys)
        return cls(order, np.append(starts, keys.size)), keys[starts]

    def __len__(self) -> int:
        return self.bounds.size - 1

    @property
    def rows(self) -> int:
        return int(self.bounds[-1])

    def ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        """The rows' values with each group's together."""
        return values if self.order is None else values[self.order]

    def spans(self) -> Iterator[tuple[int, int]]:
        """Where each group begins and ends."""
        return pairwise(self.bounds.tolist())


def count_places(places: NDArray[np.int64], groups: Groups, size: int) -> list[CellCounts]:
    """The rows in each of `size` cells, group by group. `places` are the cells of the ordered rows."""
    keys = places
    if len(groups) > 1:
        keys = places + np.repeat(np.arange(len(groups), dtype=np.int64) * size, np.diff(groups.bounds))
    if len(groups) * size <= _DENSE_UP_TO * keys.size:
        dense = np.bincount(keys, minlength=len(groups) * size).reshape(len(groups), size)
        return [CellCounts.of(size, None, counts) for counts in dense]
    if not (keys[1:] >= keys[:-1]).all():
        keys = np.sort(keys)
    starts = _run_starts(keys)
    counts = np.diff(np.append(starts, keys.size))
    held = keys[starts]
    edges = np.searchsorted(held, np.arange(len(groups) + 1) * size)
    return [
        CellCounts.of(size, held[first:last] - group * size, counts[first:last])
        for group, (first, last) in enumerate(pairwise(edges.tolist()))
    ]


def instants(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times as microseconds since 1970 in UTC, and which rows have one, of the years 1 to 9999.

    Raises ValueError for a column of another type, or of times without a zone.
    """
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise ValueError(f"holds {column.type} where times with a time zone are needed")
    found = numbers(column.cast(pa.timestamp("us", "UTC"), safe=False))  # exact until the year 2255
    dated = (found >= _YEAR_1) & (found < _YEAR_10000)
    return np.where(dated, found, 0).astype(np.int64), dated


def _run_starts(ordered: NDArray[Any]) -> NDArray[np.int64]:
    """Where each run of equal values begins."""
    if not ordered.size:
        return np.zeros(0, dtype=np.int64)
    return np.append(0, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)


def _narrow(values: NDArray[Any]) -> Unsigned:
    """In the smallest type. uint64 is none of them: numpy adds it to int64 as floats."""
    most = int(values.max()) if values.size else 0
    kind = next((kind for kind, limit in _LIMITS if most <= limit), np.int64)
    return values.astype(kind, copy=False)


def _spread(size: int, cells: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    total = np.zeros(size, dtype=counts.dtype)
    total[cells] = counts
    return total
