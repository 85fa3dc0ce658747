"""Which looks of a stream a drift trigger may fire at: the others need not be judged one by one.

A look costs the trigger a tenth of a second, and without drift one in a hundred fires. So the conditions without
which none fires are computed for all looks of a stream at once, from counts in 200 cells a column, and a little
too loosely: a test's p-value at most Bonferroni's part of the level (Holm's first step), its effect as
large as asked for, its distance past the reference's own blocks. What is left, `suspects`, is judged by
the trigger; and so is a sample of what is not (`benchmarks.soundness.drift`), where none may fire.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.soundness.streams import DAY, FEATURES, NAMES, WINDOW, Drawn, Floats
from triggers.blocks import Blocks
from triggers.drift import DriftTrigger
from triggers.natural import natures
from triggers.profile import ReferenceProfile

Flags = NDArray[np.bool_]

_CELLS = 200
_LOOSE = 0.97  # of a bar: cells of half a per cent move a location by a hundredth of that
_LOOSE_DISTANCE = 0.85  # of the KS distance and of PSI, which cells move by more
_BINS = 10
_LENGTHS = (WINDOW, 3, 1)  # in days, as `triggers.pairs` takes them


def suspects(drawn: Drawn, trigger: DriftTrigger) -> list[int]:
    """The days at whose beginning a look may fire, ascending."""
    first = range(WINDOW, drawn.stream.days + 1)
    found = _categories(drawn, trigger) if drawn.kind.levels else _numbers(drawn, trigger)
    return [day for day, suspect in zip(first, found.tolist(), strict=True) if suspect]


@dataclass(frozen=True)
class _Sides:
    """Counts by column, look (of the reference: one for all, or each look's own) and cell, the last that of missing."""

    length: int  # of the window, in days
    before: Floats
    now: Floats


def _sides(
    drawn: Drawn, places: NDArray[np.int64], reference: NDArray[np.int64], cells: int, *, like: bool
) -> Iterator[_Sides]:
    """Of each length. `places` and `reference` hold cells by day, row and column."""
    past, days = _counted(reference, cells), _counted(places, cells)
    ends = np.arange(WINDOW, drawn.stream.days + 1)
    before, now = (np.cumsum(np.insert(each, 0, 0, axis=1), axis=1) for each in (past, days))
    for length in _LENGTHS:
        whole = before[:, -1:]
        if like:
            # Both begin with whole weeks' days in mind: the reference ends where the stream begins, on a Monday.
            weekdays = (np.arange(past.shape[1]) - past.shape[1]) % 7
            of_weekday = np.stack([past[:, weekdays == each].sum(axis=1) for each in range(7)], axis=1)
            whole = np.stack(
                [of_weekday[:, [day % 7 for day in range(e - length, e)]].sum(axis=1) for e in ends], axis=1
            )
        yield _Sides(length, whole.astype(np.float64), (now[:, ends] - now[:, ends - length]).astype(np.float64))


def _counted(places: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """By column, day and cell."""
    days, _, columns = places.shape
    keys = (np.arange(columns) * days + np.arange(days)[:, None, None]) * cells + places
    return np.bincount(keys.ravel(), minlength=columns * days * cells).reshape(columns, days, cells)


# --- numbers


def _numbers(drawn: Drawn, trigger: DriftTrigger) -> Flags:
    before, now = (np.empty(each.shape, dtype=np.int64) for each in (drawn.reference, drawn.days))
    for column in range(FEATURES):
        known = np.sort(drawn.reference[:, :, column], axis=None)
        known = known[: np.searchsorted(known, np.nan)]
        edges = np.unique(known[np.linspace(0, known.size - 1, _CELLS + 1).astype(int)])
        for places, values in ((before, drawn.reference), (now, drawn.days)):
            places[:, :, column] = np.searchsorted(edges, values[:, :, column])
            places[:, :, column][np.isnan(values[:, :, column])] = _CELLS + 2
    like = trigger.season == "week"
    bars = _Bars(drawn, trigger, missing=bool((before == _CELLS + 2).any() or (now == _CELLS + 2).any()))
    parts = [bars.passed(sides) for sides in _sides(drawn, now, before, _CELLS + 3, like=like)]
    found: Flags = np.logical_or.reduce(parts)
    return found


class _Bars:
    """The bars of one stream's tests."""

    def __init__(self, drawn: Drawn, trigger: DriftTrigger, *, missing: bool) -> None:
        self.trigger = trigger
        self.tests = FEATURES * len(_LENGTHS) * (4 if missing else 3)
        self.natures = {}
        if trigger.natural and drawn.stream.reference_days:
            table = drawn.reference_table
            blocks = Blocks(table, ReferenceProfile.of(table, NAMES), trigger.season)
            for place, length in enumerate(_LENGTHS):
                self.natures[length] = natures(blocks, [each * DAY for each in _LENGTHS[place:]])

    def passed(self, sides: _Sides) -> Flags:
        """Whether any column passes all that is asked of one of its tests, by look."""
        before, now = sides.before[:, :, :-1], sides.now[:, :, :-1]
        n, m = before.sum(axis=2), now.sum(axis=2)
        share_before, share_now = np.cumsum(before, axis=2) / n[:, :, None], np.cumsum(now, axis=2) / m[:, :, None]
        distance = np.abs(share_now - share_before).max(axis=2)
        pooled, rows = before + now, n + m
        centred = np.cumsum(pooled, axis=2) - pooled / 2 - rows[:, :, None] / 2
        location, surely = _rank_sum(now, pooled, centred, (n, m))
        scale, scale_surely = _mood(now, pooled, centred, (n, m))
        shifted = (location >= _LOOSE * self.trigger.location) & (surely >= _LOOSE * self._critical(2.0))
        spread = (scale >= _LOOSE * self.trigger.scale) & (scale_surely >= _LOOSE * self._critical(0.5))
        by_nature = self._natural(sides.length, n, m)
        if by_nature is None:
            large = (distance >= _LOOSE_DISTANCE * self.trigger.ks) | (
                _psi(sides) >= _LOOSE_DISTANCE * self.trigger.psi
            )
        else:
            large = distance > _LOOSE_DISTANCE * by_nature["ks"]
            shifted &= location > _LOOSE * by_nature["rank_sum"]
            spread &= scale > _LOOSE * by_nature["mood"]
        found: Flags = (large | shifted | spread).any(axis=0)
        return found

    def _critical(self, weight: float) -> float:
        return float(special.ndtri(1 - self.trigger.level * weight / self.tests / 2))

    def _natural(self, length: int, n: Floats, m: Floats) -> dict[str, Floats] | None:
        known = self.natures.get(length)
        if not known:
            return None
        part = self.trigger.level / self.tests
        inverse = 1 / n + 1 / m
        bars: dict[str, Floats] = {}
        for test, weight in (("rank_sum", 2.0), ("ks", 0.5), ("mood", 0.5)):
            bar = np.zeros(inverse.shape)
            for column, name in enumerate(NAMES):
                nature, location = known.get((name, test)), known.get((name, "rank_sum"))  # type: ignore[arg-type]
                for size in () if nature is None else np.unique(inverse[column]):
                    found = nature.bar(part * weight, size)
                    if test == "mood" and location is not None:
                        found += 12 * location.bar(part * weight, size) ** 2
                    bar[column, inverse[column] == size] = found
            bars[test] = bar
        return bars


def _rank_sum(now: Floats, pooled: Floats, centred: Floats, sizes: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """The effect, and how many standard deviations that is."""
    n, m = sizes
    shift, rows = np.abs((now * centred).sum(axis=2)), n + m
    variance = n * m / 12 * (rows + 1 - (pooled**3).sum(axis=2) / (rows * (rows - 1)))
    return shift / (n * m), shift / np.sqrt(np.maximum(variance, 1e-9))


def _mood(now: Floats, pooled: Floats, centred: Floats, sizes: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """As `_rank_sum`."""
    n, m = sizes
    rows = n + m
    scores = centred**2 + pooled**2 / 12
    found, total = (now * scores).sum(axis=2), (pooled * scores).sum(axis=2)
    ties = (pooled**3 * (pooled**2 + 60 * centred**2)).sum(axis=2)
    variance = n * m * (rows + 1) * rows**2 / 180 - n * m / (180 * rows * (rows - 1)) * ties
    deviation = np.abs(found - m * rows**2 / 12)
    effect = np.abs(found / m / np.maximum((total - found) / n, 1e-9) - 1)
    return effect, deviation / np.sqrt(np.maximum(variance, 1e-9))


def _psi(sides: _Sides) -> Floats:
    """Beyond its noise, over tenths of a reference that is one for all looks."""
    reached = np.cumsum(sides.before[:, 0, :-1], axis=1)
    tenth = np.minimum((reached - 1) * _BINS // reached[:, -1:], _BINS - 1).clip(0)
    bins = np.append(tenth, np.full((FEATURES, 1), _BINS), axis=1)
    chosen = (np.arange(_BINS + 1) == bins[:, :, None]).astype(np.float64)
    p, q = (side @ chosen for side in (sides.before, sides.now))
    n, m, held = p.sum(axis=2, keepdims=True), q.sum(axis=2, keepdims=True), (p + q) > 0
    cells = held.sum(axis=2, keepdims=True)
    p, q = ((each + 0.5) / (size + 0.5 * cells) for each, size in ((p, n), (q, m)))
    found: Floats = np.where(held, (q - p) * np.log(q / p), 0).sum(axis=2) - ((cells - 1) * (1 / n + 1 / m))[:, :, 0]
    return found


# --- categories


def _categories(drawn: Drawn, trigger: DriftTrigger) -> Flags:
    levels = drawn.kind.levels
    tests, found = FEATURES * len(_LENGTHS), []
    for sides in _sides(drawn, drawn.days.astype(np.int64), drawn.reference.astype(np.int64), levels, like=False):
        n, m = sides.before.sum(axis=2, keepdims=True), sides.now.sum(axis=2, keepdims=True)
        pooled = sides.before + sides.now
        rare = (pooled * np.minimum(n, m) / (n + m) < 5) | (sides.before == 0)
        off = (sides.now * n - sides.before * m) ** 2 / (n * m * np.maximum(pooled, 1))
        joined = [np.where(rare, each, 0).sum(axis=2) for each in (sides.before, sides.now)]
        apart = (joined[1] * n[:, :, 0] - joined[0] * m[:, :, 0]) ** 2 / (n * m)[:, :, 0] / np.maximum(sum(joined), 1)
        statistic = np.where(rare, 0, off).sum(axis=2) + apart
        p_value = special.chdtrc(np.maximum((~rare).sum(axis=2), 1), statistic)
        critical = special.chdtri(1, trigger.level / tests)
        found.append((p_value <= 1.5 * trigger.level / tests) | (apart >= critical / 2))
    passed: Flags = np.logical_or.reduce(found).any(axis=0)
    return passed
