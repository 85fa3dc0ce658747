"""What the rows of a bucket multiply the evidence of each bet by, from their counts.

Called by `triggers.detector`. Some columns at a time, all of their bets together: what ranks the cells have is told
from the reference's counts when it is needed, since for every cell of ten thousand columns it would take gigabytes.
Of cells that hold one row, which most do where the reference has many values, 32 factors are multiplied before a
logarithm is taken: at such stakes they keep within what a float holds. What is found of a bucket does not depend on
the buckets beside it, to the last bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggers.bets import LOCATION, SCALE, SHARE, STAKES, Bets
from triggers.cells import CellCounts, Counts
from triggers.layout import NumberLayout
from triggers.profile import ReferenceProfile, edges

Floats = NDArray[np.float64]

_SLOTS_AT_ONCE = 2**17  # what is computed of them stays in a core's cache
_MULTIPLIED = 32


@dataclass(frozen=True)
class _Block:
    """Neighbouring columns. Their slots are counted from the first one's first slot."""

    columns: slice
    first: int  # slot of the block among all
    bounds: Counts  # where the slots of each column begin, and those of the last one end
    ranks: Floats  # the middle rank of each slot's rows in the reference, 0 to 1; NaN of levels and missing values
    figures: slice
    slots: Counts  # of those figures, (figures, 2)


class Gains:
    """Those of all bets on a reference."""

    def __init__(self, reference: ReferenceProfile, bets: Bets) -> None:
        self._reference = reference
        self._bets = bets
        self._bounds = edges(reference.layouts)
        self._numeric = np.array([isinstance(layout, NumberLayout) for layout in reference.layouts.values()])
        figures = bets.figures
        # By location and spread, upwards and downwards: what a column's figure may be; 1 where it has none.
        self._most = np.ones((2, 2, self._numeric.size))
        for kind in (LOCATION, SCALE):
            of_kind = figures.kind == kind
            self._most[kind - 1][:, figures.column[of_kind]] = figures.most[of_kind].T
        kinds = figures.kind[bets.figure]
        self._shares, self._ordered = np.flatnonzero(kinds == SHARE), np.flatnonzero(kinds != SHARE)
        at = self._ordered
        self._places = kinds[at] - 1, bets.downwards[at], bets.stake[at], bets.column[at]
        # What a row is worth to a bet on a share, within it and without.
        stake, most, down = (each[self._shares] for each in (STAKES[bets.stake], bets.most, bets.downwards))
        self._within, self._without = (np.log1p(stake / most * (each - most)) for each in (1 - down, down))

    def of(self, buckets: Sequence[CellCounts]) -> Floats:
        """The logarithm of what each bucket multiplies each bet's evidence by, shape (buckets, bets)."""
        figures = self._bets.figures
        inside = np.zeros((len(buckets), figures.column.size), dtype=np.int64)
        rows = np.zeros((len(buckets), self._numeric.size), dtype=np.int64)
        ordered = np.zeros((len(buckets), 2, 2, STAKES.size, self._numeric.size))
        for block in self._blocks():
            for place, bucket in enumerate(buckets):
                cells, counts = bucket.part(block.first, block.first + block.ranks.size)
                reached = np.concatenate([[0], np.cumsum(counts)])
                starts = np.searchsorted(cells, block.bounds)
                rows[place, block.columns] = np.diff(reached[starts])
                inside[place, block.figures] = np.diff(reached[np.searchsorted(cells, block.slots)])[:, 0]
                self._of_numbers(block, cells, counts, np.diff(starts), ordered[place, ..., block.columns])
        found = np.empty((len(buckets), self._bets.figure.size))
        within = inside[:, self._bets.figure[self._shares]]
        without = rows[:, self._bets.column[self._shares]] - within
        found[:, self._shares] = within * self._within + without * self._without
        found[:, self._ordered] = ordered[:, *self._places]
        return found

    def _of_numbers(self, block: _Block, cells: Counts, counts: Counts, held: Counts, total: Floats) -> None:
        """Adds to `total`, shape (2, 2, stakes, columns), what cells of numbers are worth; `held` are each column's."""
        column = np.repeat(np.arange(held.size), held)
        ranks, most = block.ranks[cells], self._most[:, :, block.columns]
        ranked, single = ~np.isnan(ranks), counts == 1
        for kept, sums in ((np.flatnonzero(ranked & single), _Singles), (np.flatnonzero(ranked & ~single), _Shared)):
            if kept.size:
                of_column = np.bincount(column[kept], minlength=held.size)
                _add(ranks[kept], most, of_column, sums(of_column, counts[kept]), total)

    def _blocks(self) -> Iterator[_Block]:
        starts, columns = self._bounds[:-1], self._numeric.size
        firsts = np.unique(starts // _SLOTS_AT_ONCE, return_index=True)[1]
        figures = self._bets.figures
        for first, end in zip(firsts.tolist(), [*firsts[1:].tolist(), columns], strict=True):
            bounds = self._bounds[first : end + 1]
            of_block = slice(*np.searchsorted(figures.column, [first, end]).tolist())
            slots = figures.slots[of_block] - bounds[0]
            counts = self._reference.counts.total[bounds[0] : bounds[-1]]
            ranks = _ranks(counts, bounds - bounds[0], self._numeric[first:end])
            yield _Block(slice(first, end), int(bounds[0]), bounds - bounds[0], ranks, of_block, slots)


def _ranks(counts: Counts, bounds: Counts, numeric: NDArray[np.bool_]) -> Floats:
    """Those of the slots of some columns, from the reference's counts."""
    reached = np.cumsum(counts)
    before = np.concatenate([[0], reached[bounds[1:-1] - 1]])
    present = np.where(numeric, reached[bounds[1:] - 2] - before, np.nan)
    widths = np.diff(bounds)
    found: Floats = np.multiply(counts, -0.5)
    found += reached
    found -= np.repeat(before, widths)
    found /= np.repeat(present, widths)
    found[bounds[1:] - 1] = np.nan
    return found


class _Singles:
    """Sums, by column, of the logarithms of factors that count once each; of each column there are so many."""

    def __init__(self, of_column: Counts, _: Counts) -> None:
        held = of_column[of_column > 0]
        groups = -(-held // _MULTIPLIED)
        self._of_columns = np.cumsum(groups) - groups
        within = np.arange(groups.sum()) - np.repeat(self._of_columns, groups)
        self._of_groups = np.repeat(np.cumsum(held) - held, groups) + _MULTIPLIED * within

    def of(self, factors: Floats) -> Floats:
        """Shape (stakes, columns that have any), of factors of shape (stakes, cells)."""
        products = np.multiply.reduceat(factors, self._of_groups, axis=1)
        found: Floats = np.add.reduceat(np.log(products, out=products), self._of_columns, axis=1)
        return found


class _Shared:
    """The same of factors that count as often as `counts` says."""

    def __init__(self, of_column: Counts, counts: Counts) -> None:
        held = of_column[of_column > 0]
        self._starts = np.cumsum(held) - held
        self._counts = counts

    def of(self, factors: Floats) -> Floats:
        logs = np.log(factors, out=factors)
        logs *= self._counts
        found: Floats = np.add.reduceat(logs, self._starts, axis=1)
        return found


def _add(ranks: Floats, most: Floats, of_column: Counts, sums: _Singles | _Shared, total: Floats) -> None:
    """A row's factor of a stake f on a figure X is (1 - f) + f X / m. `ranks` are of so many cells of each column."""
    columns = np.flatnonzero(of_column)
    for kind, upwards in enumerate((ranks, 4 * (ranks - 0.5) ** 2)):
        for downwards in (0, 1):
            relative = 1 - upwards if downwards else upwards
            relative = relative / np.repeat(most[kind, downwards], of_column)
            factors = STAKES[:, None] * relative
            factors += (1 - STAKES)[:, None]
            total[kind, downwards][:, columns] += sums.of(factors)
