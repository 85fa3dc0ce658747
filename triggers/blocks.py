"""A reference cut into blocks of time, and how far each block lies from the rest.

Called by `triggers.natural`. Blocks are laid from the newest row backwards. With a season the rest is weighed to
the block's mix of strata.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from triggers.cells import Counts, instants
from triggers.comparison import TestName
from triggers.evidence import TIME
from triggers.layout import EmptyLayout, NumberLayout
from triggers.profile import ReferenceProfile
from triggers.season import Integers, Season, number_of, period, strata

Floats = NDArray[np.float64]

_MICROSECOND = timedelta(microseconds=1)
_MOST_ROWS = 200_000
_MOST_BLOCKS = 128  # the newest: what the data does now
_SLACK = 0.05  # the oldest block may begin by so much of itself before the first row
_FEWEST_ROWS = 30
_STEPS = 256
_KS_NOISE = float(np.pi**2 / 12)  # the mean square of Kolmogorov's limit
_NOTHING = 1e-12  # a constant column's noise, as rounding leaves it
_TIED = 0.05  # of all rows at one value: too many for that limit


@dataclass(frozen=True)
class Moves:
    """One figure of one column, of each block against the rest."""

    test: TestName
    values: Floats
    inverse_sizes: Floats  # 1/n + 1/m of each block and its rest
    noise: float  # the mean square that sampling alone gives, times 1/(1/n + 1/m)
    parts: float  # of how many independent parts that is
    freedom: int  # degrees of freedom of the values' mean square

    @property
    def ratio(self) -> float:
        """The mean square over that by sampling alone."""
        return float((self.values**2).mean()) / (self.noise * float(self.inverse_sizes.mean()))


class Blocks:
    """The rows of a reference that have a time. At most 200,000 of them, evenly taken, are looked at."""

    def __init__(self, table: pa.Table, profile: ReferenceProfile, season: Season | None) -> None:
        """`table` has a column `timestamp`. Raises ValueError where it holds no times."""
        step = max(-(-table.num_rows // _MOST_ROWS), 1)
        rows = np.arange(0, table.num_rows, step, dtype=np.int64)
        times, dated = instants(table.column(TIME))
        self._rows = rows[dated[rows]]
        self._times = times[self._rows]
        self._strata = strata(self._times, season)
        self._season: Season | None = season
        self._table, self._profile = table, profile
        self._found: dict[timedelta, Mapping[tuple[str, TestName], Moves]] = {}

    def number(self, length: timedelta) -> int:
        """How many blocks of the length there are."""
        if not self._times.size:
            return 0
        reach = int(self._times.max() - self._times.min()) + 1
        return min(int(reach / (length // _MICROSECOND) + _SLACK), _MOST_BLOCKS)

    def moves(self, length: timedelta) -> Mapping[tuple[str, TestName], Moves]:
        """By column and test. Columns that are empty, or have rows in fewer than half of the blocks, have none."""
        if length not in self._found:
            self._found[length] = self._moves(length)
        return self._found[length]

    def _moves(self, length: timedelta) -> Mapping[tuple[str, TestName], Moves]:
        blocks = self.number(length)
        ticks = length // _MICROSECOND
        block = (self._times.max() - self._times) // ticks
        within = block < blocks
        lost = 1 if self._season is None else max(1, round(period(self._season) / ticks))
        found: dict[tuple[str, TestName], Moves] = {}
        for name, layout in self._profile.layouts.items():
            if isinstance(layout, EmptyLayout):
                continue
            places = layout.places(self._table.column(name))[self._rows]
            ordered = isinstance(layout, NumberLayout)
            if ordered:
                places = self._steps(name, layout.width)[places]
            width = _STEPS if ordered else layout.width
            keys = (self._strata[within] * blocks + block[within]) * (width + 1) + places[within]
            size = number_of(self._season) * blocks * (width + 1)
            counts = np.bincount(keys, minlength=size).reshape(-1, blocks, width + 1)
            for each in _moves(counts, lost, ordered=ordered):
                found[name, each.test] = each
        return found

    def _steps(self, name: str, width: int) -> Integers:
        """The step of each slot of a column of numbers, by the middle rank of its reference rows; missing is last."""
        cells = self._profile.counts.cells[name]
        middle = np.cumsum(cells) - cells / 2
        steps = np.minimum(middle / max(int(cells.sum()), 1) * _STEPS, _STEPS - 1).astype(np.int64)
        found: Integers = np.append(steps, _STEPS)
        assert found.size == width + 1  # noqa: S101 - the slots of a layout
        return found


def _moves(counts: Counts, lost: int, *, ordered: bool) -> Iterator[Moves]:
    """The figures of one column, of counts by stratum, block and slot, the last one that of missing values."""
    if ordered:
        sides = _sides(counts[:, :, :-1])
        if sides is not None and sides.block.shape[0] > max(counts.shape[1] // 2, lost):
            yield from _ordered(sides, lost)
    sides = _sides(counts)
    if sides is None or sides.block.shape[0] <= max(counts.shape[1] // 2, lost):
        return
    freedom = sides.block.shape[0] - lost
    if not ordered:
        yield _unordered(sides, freedom)
    elif counts[:, :, -1].any():
        share = float(counts[:, :, -1].sum() / counts.sum())
        if share < 1:
            values = sides.block[:, -1] - sides.rest[:, -1]
            yield Moves("missing", values, sides.inverse_sizes, share * (1 - share), 1.0, freedom)


@dataclass(frozen=True)
class _Sides:
    """Shares of each slot: of each block, and of the rest with the block's mix of strata."""

    block: Floats  # blocks by slots
    rest: Floats
    inverse_sizes: Floats


def _sides(counts: Counts) -> _Sides | None:
    """None: fewer than two blocks have enough rows and a rest to compare them with."""
    rows = counts.sum(axis=2)  # of each stratum and block
    others = rows.sum(axis=1, keepdims=True) - rows
    comparable = np.where(others > 0, rows, 0)
    sizes = comparable.sum(axis=0)
    kept = sizes >= _FEWEST_ROWS
    if kept.sum() < 2:
        return None
    weights = comparable[:, kept] / sizes[kept]
    inner = (counts[:, kept] * (others[:, kept] > 0)[:, :, None]).sum(axis=0) / sizes[kept][:, None]
    outer = np.zeros(inner.shape)
    spread = np.zeros(int(kept.sum()))
    for stratum, weight, other in zip(counts, weights, others[:, kept], strict=True):
        per_row = weight / np.maximum(other, 1)
        outer += per_row[:, None] * (stratum.sum(axis=0) - stratum[kept])
        spread += weight * per_row
    return _Sides(inner, outer, 1 / sizes[kept] + spread)


def _ordered(sides: _Sides, lost: int) -> Iterator[Moves]:
    """What numbers have: location, spread and distance."""
    freedom = sides.block.shape[0] - lost
    reached = np.cumsum(sides.rest, axis=1)
    ranks = reached - sides.rest / 2 - 0.5
    squares = ranks**2
    all_rows = sides.rest.mean(axis=0)
    location = (sides.block * ranks).sum(axis=1)
    noise = float(1 - (all_rows**3).sum()) / 12
    if noise > _NOTHING:
        yield Moves("rank_sum", location, sides.inverse_sizes, noise, 1.0, freedom)
    spread = (sides.rest * squares).sum(axis=1)
    noise = float((all_rows * squares.mean(axis=0) ** 2).sum() / spread.mean() ** 2 - 1) if spread.all() else 0.0
    if noise > _NOTHING:
        yield Moves("mood", (sides.block * squares).sum(axis=1) / spread - 1, sides.inverse_sizes, noise, 1.0, freedom)
    distance = np.abs(np.cumsum(sides.block, axis=1) - reached).max(axis=1)
    shares = np.cumsum(all_rows)
    tied = float((shares * (1 - shares)).max())
    continuous = float(all_rows.max()) < _TIED
    noise = _KS_NOISE if continuous else tied
    if noise > _NOTHING:
        yield Moves("ks", distance, sides.inverse_sizes, noise, 1.0, freedom)


def _unordered(sides: _Sides, freedom: int) -> Moves:
    """What categories have: the Jensen-Shannon distance."""
    middle = (sides.block + sides.rest) / 2
    both = special.rel_entr(sides.block, middle) + special.rel_entr(sides.rest, middle)
    distance = np.sqrt(np.maximum(both.sum(axis=1) / 2 / np.log(2), 0.0))
    parts = max(float((middle > 0).sum(axis=1).mean()) - 1, 1.0)
    return Moves("chi_squared", distance, sides.inverse_sizes, parts / (8 * float(np.log(2))), parts, freedom)
