"""Drift without a window: an e-detector of bets on the reference's ranks and shares.

Called by `triggers.sequential`. Pure: evidence so far and a bucket's counts in, evidence out. After
Shin, Ramdas and Rinaldo (2023), "E-detectors: a nonparametric framework for sequential change
detection", section 3 (Shiryaev-Roberts) and section 5 (mixtures).

Each bet takes a figure X of a row, between 0 and 1: its rank in the reference, how far that is from the
middle (squared), or whether it has a certain level or is missing; or one less that, to bet
downwards. With m the most that X may be on average without drift, a bucket's rows multiply the bet's
evidence by E = product of 1 + f / m * (X - m), f < 1, which is at most 1 in expectation. With

    M_t = E_t * (M_(t-1) + 1),    M_0 = 0,

M_t - t is a supermartingale, and so is that of any average of bets, over columns too. An alarm comes when the
average reaches A buckets, and sets all evidence back to 0. Then E[alarms in t buckets] <= t / A: the
sum of M_t and A times the alarms, less t, is a supermartingale as well. The mean time to a false
alarm is A buckets or more.

What that takes: the mean of each row's X, given the rows before it, is at most m. The rows need not be
independent nor alike. m is the reference's mean plus a margin, the larger of two: the effect that
matters, and what a reference of n rows may be off by. The latter holds for all figures at once but
for one reference in 1,000: for ranks and shares whatever the distribution (ranks are averages of
uniform figures, which are sub-Gaussian with variance 1/12; shares by Maurer and Pontil, 2009), for
the spread to first order in 1/n. Given such an unlucky reference nothing is promised. Where it is
known how far a bucket strays by nature (`triggers.wandering`), what a reference may be off by grows by
that; otherwise a day that differs from the others by more than the margin is a drift here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from triggers.cells import Counts
from triggers.comparison import Sizes, TestName
from triggers.layout import EmptyLayout, NumberLayout
from triggers.profile import ReferenceProfile, WindowProfile

Floats = NDArray[np.float64]

_STAKES = (1 / 16, 1 / 4, 2 / 3)  # of all that may be lost: small ones for small changes
_UNLUCKY = 0.001  # the share of references whose means lie further off than the margin
_LEVELS = 8  # the most frequent ones, which have bets of their own; all others have one together
_NOTHING = -700.0  # the logarithm of as good as no evidence, which JSON can hold


@dataclass(frozen=True)
class Bet:
    """A stake on one figure of a row, or on what it lacks to 1."""

    told: str
    figure: int  # which of the column's
    downwards: bool
    stake: float
    most: float  # that the figure may be on average without drift


class _Stakes:
    """A column's bets side by side, each a row."""

    def __init__(self, bets: Sequence[Bet]) -> None:
        self._figures = np.array([bet.figure for bet in bets], dtype=np.int64)
        self._downwards = np.array([bet.downwards for bet in bets], dtype=bool)[:, None]
        self._most = np.array([bet.most for bet in bets], dtype=np.float64)[:, None]
        self._share = np.array([bet.stake for bet in bets], dtype=np.float64)[:, None] / self._most

    def gains(self, values: Floats) -> Floats:
        """The logarithm of what a row multiplies each bet's evidence by, shape (bets, slots), from the column's
        figures in each slot, shape (figures, slots); NaN: rows of that slot have none."""
        figures = values[self._figures]
        gains = np.log1p(self._share * (np.where(self._downwards, 1 - figures, figures) - self._most))
        found: Floats = np.nan_to_num(gains, nan=0.0)
        return found


class Detector:
    """The bets on every column of a reference. What they bet on is told from the reference when it is needed: kept for
    all slots of ten thousand columns it would take gigabytes."""

    def __init__(
        self,
        reference: ReferenceProfile,
        sizes: Sizes,
        weights: Mapping[str, float] | None = None,
        strays: Mapping[tuple[str, TestName], float] | None = None,
    ) -> None:
        """`weights` of the columns, 0 or more, in the average of their evidence; None: all alike. `strays`: how far a
        bucket strays by nature, by column and test, in the unit of the test's distance."""
        self._weights = weights or dict.fromkeys(reference.layouts, 1.0)
        self._reference = reference
        figures = partial(_figures, reference, strays=strays or {})
        number = sum(1 for name in reference.layouts for _ in figures(name))
        self.bets: dict[str, list[Bet]] = {
            name: [bet for place, figure in enumerate(figures(name)) for bet in figure.bets(place, number, sizes)]
            for name in reference.layouts
        }
        self._stakes = {name: _Stakes(bets) for name, bets in self.bets.items()}

    def fits(self, evidence: Mapping[str, Sequence[float]]) -> bool:
        """Whether that is evidence of these bets."""
        return {name: len(each) for name, each in evidence.items()} == {n: len(bets) for n, bets in self.bets.items()}

    def nothing(self) -> dict[str, list[float]]:
        """The evidence before any row: the logarithm of each bet's, by column."""
        return {name: [_NOTHING] * len(bets) for name, bets in self.bets.items()}

    def after(self, evidence: Mapping[str, Sequence[float]], bucket: WindowProfile) -> dict[str, list[float]]:
        """The evidence after one more bucket's rows."""
        found = {}
        missing = bucket.missing
        for name, stakes in self._stakes.items():
            counts = np.append(bucket.cells[name], missing[name])
            filled = np.flatnonzero(counts)
            values = np.stack([figure.values[filled] for figure in _figures(self._reference, name, {})])
            gains = stakes.gains(values) @ counts[filled].astype(np.float64)
            found[name] = _grown(gains, evidence[name])
        return found

    def after_empty(self, evidence: Mapping[str, Sequence[float]], buckets: int) -> dict[str, list[float]]:
        """The evidence after so many buckets without rows: time passes for them, too."""
        if not buckets:
            return {name: list(each) for name, each in evidence.items()}
        return {name: np.logaddexp(each, log(buckets)).tolist() for name, each in evidence.items()}

    def average(self, evidence: Mapping[str, Sequence[float]]) -> float:
        """The weighted average of the columns' evidence, each the average of its bets: what is held against the
        threshold."""
        by_column = self.by_column(evidence)
        total = sum(self._weights[name] for name in by_column)
        return sum(self._weights[name] * value for name, value in by_column.items()) / (total or 1.0)

    def by_column(self, evidence: Mapping[str, Sequence[float]]) -> dict[str, float]:
        """Each column's evidence."""
        capped = {name: np.exp(np.minimum(each, -_NOTHING)) for name, each in evidence.items()}
        return {name: float(each.mean()) if each.size else 0.0 for name, each in capped.items()}

    def strongest(self, evidence: Mapping[str, Sequence[float]], name: str) -> str:
        """What the column's bet with the most evidence is on."""
        return self.bets[name][int(np.argmax(evidence[name]))].told


def _grown(gains: Floats, evidence: Sequence[float]) -> list[float]:
    before = np.logaddexp(np.asarray(evidence, dtype=np.float64), 0.0)
    grown: list[float] = np.maximum(gains + before, _NOTHING).tolist()
    return grown


@dataclass(frozen=True)
class _Figure:
    """A figure of a row, by slot; NaN: rows of that slot have none."""

    told: tuple[str, str]  # of more, of less
    kind: str  # "location", "scale" or "share"
    values: Floats
    mean: float  # of the reference
    rows: int  # of the reference, that have the figure
    choices: float = 0.0  # the logarithm of how many figures it was chosen from by what the reference holds
    strays: float = 0.0  # by how much a bucket's mean differs by nature, at most

    def bets(self, place: int, figures: int, sizes: Sizes) -> Iterator[Bet]:
        """Upwards and downwards, where there is room; it is the column's figure at `place`, of so many in all."""
        margin = max(self._effect(sizes), self._uncertainty(figures) + self.strays)
        for downwards, mean in ((False, self.mean), (True, 1 - self.mean)):
            most = mean + margin
            if most < 1:
                for stake in _STAKES:
                    yield Bet(self.told[downwards], place, downwards, stake, most)

    def _effect(self, sizes: Sizes) -> float:
        if self.kind == "location":
            return sizes.location
        if self.kind == "scale":
            return sizes.scale * self.mean
        return _change_of_share(sizes.js, self.mean)

    def _uncertainty(self, figures: int) -> float:
        chance, rows = log(4 * figures / _UNLUCKY) + self.choices, self.rows
        if self.kind == "location":
            return sqrt(chance / (6 * rows))
        if self.kind == "scale":
            return sqrt(chance / (2 * rows))
        return sqrt(2 * self.mean * (1 - self.mean) * chance / rows) + 7 * chance / (3 * max(rows - 1, 1))


def _change_of_share(js: float, share: float) -> float:
    """The change that makes a Jensen-Shannon distance of this size, of a new level and of others."""
    return max(2 * js**2, js * sqrt(8 * log(2) * share * (1 - share)))


def _figures(reference: ReferenceProfile, name: str, strays: Mapping[tuple[str, TestName], float]) -> Iterator[_Figure]:
    layout, cells = reference.layouts[name], reference.counts.cells[name]
    missing = reference.counts.missing[name]
    rows = int(cells.sum()) + missing
    share = np.zeros(cells.size + 1)
    share[-1] = 1
    js = strays.get((name, "chi_squared"), 0.0)
    stray = strays.get((name, "missing"), 0.0) if isinstance(layout, NumberLayout) else _stray(js, missing / rows)
    yield _Figure(("more missing", "fewer missing"), "share", share, missing / rows, rows, strays=stray)
    if isinstance(layout, NumberLayout):
        yield from _of_numbers(cells, strays.get((name, "rank_sum"), 0.0), strays.get((name, "mood"), 0.0))
    elif not isinstance(layout, EmptyLayout):
        yield from _of_levels(layout.levels, cells, rows, js)


def _stray(js: float, share: float) -> float:
    return _change_of_share(js, share) if js else 0.0


def _of_numbers(cells: Counts, location: float, scale: float) -> Iterator[_Figure]:
    present = int(cells.sum())
    ranks = np.append((np.cumsum(cells) - cells / 2) / present, np.nan)
    yield _Figure(("higher", "lower"), "location", ranks, 0.5, present, strays=location)
    spread = 4 * (ranks - 0.5) ** 2
    mean = float(spread[:-1] @ cells) / present
    yield _Figure(("wider", "narrower"), "scale", spread, mean, present, strays=scale * mean)


def _of_levels(levels: Sequence[str], cells: Counts, rows: int, js: float) -> Iterator[_Figure]:
    first = min(len(levels), _LEVELS)
    for place, level in enumerate(levels[:first]):
        share = np.zeros(cells.size + 1)
        share[place] = 1
        told, mean = (f"more {level!r}", f"fewer {level!r}"), int(cells[place]) / rows
        yield _Figure(told, "share", share, mean, rows, log(len(levels)), _stray(js, mean))
    share = np.zeros(cells.size + 1)
    share[first:-1] = 1
    mean, choices = int(cells[first:].sum()) / rows, first * log(len(levels))
    yield _Figure(("more other levels", "fewer other levels"), "share", share, mean, rows, choices, _stray(js, mean))
