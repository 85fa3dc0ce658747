"""What `triggers.detector` bets on: figures of a row, and the most that each may be on average without drift.

A figure X of a row lies between 0 and 1: its rank in the reference, how far that is from the middle (squared), or
whether it has a certain level or is missing; or it is one less that, to bet downwards. With m the most that X may be
on average without drift, a row multiplies a bet's evidence by 1 + f / m * (X - m), f < 1, which is at most 1 in
expectation. f is the stake.

m is the reference's mean plus a margin, the larger of two: the effect that matters, and what a reference of n rows
may be off by. The latter holds for all figures at once but for one reference in 1,000: for ranks and shares whatever
the distribution (ranks are averages of uniform figures, which are sub-Gaussian with variance 1/12; shares by Maurer
and Pontil, 2009), for the spread to first order in 1/n. Given such an unlucky reference nothing is promised. Where it
is known how far a bucket strays by nature (`triggers.wandering`), what a reference may be off by grows by that;
otherwise a day that differs from the others by more than the margin is a drift.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triggers.cells import Counts
from triggers.comparison import Sizes, TestName
from triggers.layout import EmptyLayout, NumberLayout
from triggers.profile import ReferenceProfile, edges

Floats = NDArray[np.float64]
Strays = Mapping[tuple[str, TestName], float]

STAKES = np.array([1 / 16, 1 / 4, 2 / 3])  # of all that may be lost: small ones for small changes
SHARE, LOCATION, SCALE = range(3)
_UNLUCKY = 0.001  # the share of references whose means lie further off than the margin
_LEVELS = 8  # the most frequent ones, which have bets of their own; all others have one together


class _Figure(NamedTuple):
    told: tuple[str, str]  # of more, of less
    column: int
    kind: int
    first: int  # slot of all columns, from which on a share counts rows
    end: int  # slot up to which
    mean: float  # of the reference
    rows: int  # of the reference, that have the figure
    choices: float = 0.0  # the logarithm of how many figures it was chosen from by what the reference holds
    strays: float = 0.0  # by how much a bucket's mean differs by nature, at most


@dataclass(frozen=True)
class Figures:
    """The figures of all columns, one after another: each array has an entry for each."""

    told: Sequence[tuple[str, str]]  # of more, of less
    column: Counts
    kind: Counts  # SHARE, LOCATION or SCALE
    slots: Counts  # (figures, 2): shares are of the rows in the slots from the first to before the second, of all
    most: Floats  # (figures, 2): what the figure, and one less it, may be on average without drift

    @classmethod
    def of(cls, reference: ReferenceProfile, sizes: Sizes, strays: Strays) -> "Figures":
        """`strays`: how far a bucket strays by nature, by column and test, in the unit of the test's distance."""
        found = list(_figures(reference, strays))
        told, column, kind, first, end, mean, rows, choices, stray = zip(*found, strict=True)
        kinds, means, counted = np.array(kind), np.array(mean), np.array(rows, dtype=np.float64)
        off = _uncertainty(kinds, means, counted, np.array(choices)) + np.array(stray)
        margin = np.maximum(_effect(kinds, means, sizes), off)
        most = np.stack([means + margin, 1 - means + margin], axis=1)
        return cls(told, np.array(column), kinds, np.stack([first, end], axis=1), most)


@dataclass(frozen=True)
class Bets:
    """All bets on a reference, column by column: each array has an entry for each bet."""

    figures: Figures
    figure: Counts
    downwards: Counts  # 1: on one less the figure
    stake: Counts  # its place in `STAKES`
    column: Counts
    most: Floats

    @classmethod
    def of(cls, figures: Figures) -> "Bets":
        """Three stakes upwards and three downwards on each figure, where there is room."""
        room = np.broadcast_to((figures.most < 1)[:, :, None], (*figures.most.shape, STAKES.size))
        figure, downwards, stake = np.nonzero(room)
        return cls(figures, figure, downwards, stake, figures.column[figure], figures.most[figure, downwards])

    def told(self, bet: int) -> str:
        return self.figures.told[int(self.figure[bet])][int(self.downwards[bet])]


def _effect(kind: Counts, mean: Floats, sizes: Sizes) -> Floats:
    """The change of each figure's mean that matters."""
    share = change_of_share(sizes.js, mean)
    return np.select([kind == LOCATION, kind == SCALE], [np.full(mean.size, sizes.location), sizes.scale * mean], share)


def _uncertainty(kind: Counts, mean: Floats, rows: Floats, choices: Floats) -> Floats:
    """How far the mean of so many rows of a reference may lie from the truth, but for one reference in 1,000."""
    chance = log(4 * kind.size / _UNLUCKY) + choices
    share = np.sqrt(2 * mean * (1 - mean) * chance / rows) + 7 * chance / (3 * np.maximum(rows - 1, 1))
    ordered = np.sqrt(chance / (rows * np.where(kind == LOCATION, 6, 2)))
    return np.where(kind == SHARE, share, ordered)


def change_of_share(js: float, share: Floats) -> Floats:
    """The change that makes a Jensen-Shannon distance of this size, of a new level and of others."""
    return np.maximum(2 * js**2, js * np.sqrt(8 * log(2) * share * (1 - share)))


def _stray(js: float, share: float) -> float:
    return max(2 * js**2, js * sqrt(8 * log(2) * share * (1 - share))) if js else 0.0


def _figures(reference: ReferenceProfile, strays: Strays) -> Iterator[_Figure]:
    total, bounds = reference.counts.total, edges(reference.layouts)
    all_rows, all_missing = np.add.reduceat(total, bounds[:-1]).tolist(), total[bounds[1:] - 1].tolist()
    ends, starts = bounds[1:].tolist(), bounds[:-1].tolist()
    for column, (name, layout) in enumerate(reference.layouts.items()):
        cells, rows, missing = reference.counts.cells[name], all_rows[column], all_missing[column]
        share, js = missing / rows, strays.get((name, "chi_squared"), 0.0)
        stray = strays.get((name, "missing"), 0.0) if isinstance(layout, NumberLayout) else _stray(js, share)
        told, last = ("more missing", "fewer missing"), ends[column] - 1
        yield _Figure(told, column, SHARE, last, last + 1, share, rows, strays=stray)
        if isinstance(layout, NumberLayout):
            of_name = strays.get((name, "rank_sum"), 0.0), strays.get((name, "mood"), 0.0)
            yield from _of_numbers(column, cells, rows - missing, *of_name)
        elif not isinstance(layout, EmptyLayout):
            yield from _of_levels(column, starts[column], layout.levels, cells, rows, js)


def _of_numbers(column: int, cells: Counts, present: int, location: float, scale: float) -> Iterator[_Figure]:
    yield _Figure(("higher", "lower"), column, LOCATION, 0, 0, 0.5, present, strays=location)
    # The mean of 4 (rank - 1/2)^2: that of uniform figures, of which ties lack what lies within them.
    shares = cells / present
    mean = (1 - float((shares * shares * shares).sum())) / 3
    yield _Figure(("wider", "narrower"), column, SCALE, 0, 0, mean, present, strays=scale * mean)


def _of_levels(
    column: int, start: int, levels: Sequence[str], cells: Counts, rows: int, js: float
) -> Iterator[_Figure]:
    first = min(len(levels), _LEVELS)
    for place, level in enumerate(levels[:first]):
        told, mean, slot = (f"more {level!r}", f"fewer {level!r}"), int(cells[place]) / rows, start + place
        yield _Figure(told, column, SHARE, slot, slot + 1, mean, rows, log(len(levels)), _stray(js, mean))
    mean, choices = int(cells[first:].sum()) / rows, first * log(len(levels))
    told, slots = ("more other levels", "fewer other levels"), (start + first, start + cells.size)
    yield _Figure(told, column, SHARE, *slots, mean, rows, choices, _stray(js, mean))
