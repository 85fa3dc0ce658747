"""Whether new rows show an incident of the data rather than a drift: something broke on their way here.

Called by `triggers.incident_watch`. A broken column looks like the strongest drift there is, and a
model retrained on it is garbage. What is called an incident here is therefore nothing that data does
by itself: a shift by two standard deviations, twice the spread, a tenth more missing values or another
share of a class never are. The reference enters as its profile; of the new rows cheap sums are taken,
and only what looks odd by these is looked at more closely.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, log
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triggers.cells import Counts, Groups
from triggers.columns import encoded, is_text, numbers, plain
from triggers.copies import doubled
from triggers.incident_state import Incident, Kind
from triggers.layout import CategoryLayout, EmptyLayout, Layout, NumberLayout
from triggers.profile import ReferenceProfile
from triggers.units import changed_units
from triggers.wording import count, figure, percent

MIN_ROWS = 100  # with fewer, chance alone makes columns that look broken
_LOST = 0.5  # of what should be there: no tenth more of missing values comes near
_ALL = 0.99  # lost so far, it is an incident however long it has been so
_MOSTLY = 0.5  # present in fewer rows, a value's absence says something: no gust, no second name
_RARE = 0.1  # what so few rows have, a season may take away altogether
_SURPRISE = 14.0  # nats: by Chernoff's bound chance does as much less often than once in a million
_ROWS_A_LEVEL = 5  # fewer are an identifier's, whose values are always new
_JUMP = 0.1  # how far a jump may be from the factor that explains it, in logarithms
_STRETCHES = 4  # to a look's rows: a stretch within which a column may be constant by its nature
_FEWEST = 4  # stretches of the reference that tell how far it moves by itself

Known = Mapping[tuple[str, str | None], float]


@dataclass(frozen=True)
class NewRows:
    """Rows to be judged, and what is known of such rows.

    `past` are those before them, oldest first, and `history` the reference's, in the order it has them;
    None: not at hand. `expected` holds the share of good rows that was usual before an incident that is open
    already, by its key: the past may hold its rows. `dated`: `rows` have a column `timestamp` whose values differ from
    row to row by their nature.
    """

    rows: pa.Table
    past: pa.Table | None = None
    history: pa.Table | None = None
    expected: Known | None = None
    dated: bool = False


def recognise(reference: ReferenceProfile, new: NewRows) -> list[Incident]:
    """The incidents of columns, at most one of each, in the reference's order; without any, that of doubled rows.

    A column is looked at for text in the place of numbers, missing values, unseen categories, a single
    value and other units. With fewer than 100 rows on either side nothing is called an incident.
    """
    if min(new.rows.num_rows, reference.counts.rows) < MIN_ROWS:
        return []
    places = {name: place for place, name in enumerate(new.rows.column_names)}
    found = []
    for name, layout in reference.layouts.items():
        if name in places and not isinstance(layout, EmptyLayout):
            column = _Column(name, layout, new.rows.column(places[name]), reference, new)
            found += [each for each in (column.incident(),) if each is not None]
    if found:
        return found
    copies = doubled(tuple(reference.layouts), new.rows, new.history, dated=new.dated)
    return [] if copies is None else [copies]


def surprise(share: float, expected: float, rows: int) -> float:
    """How unlikely so low a share of so many rows is where `expected` is usual, in nats (Chernoff); 0 if no lower."""
    if share >= expected:
        return 0.0
    present = share * log(share / expected) if share > 0 else 0.0
    absent = (1 - share) * log((1 - share) / (1 - expected)) if expected < 1 else inf
    return rows * (present + absent)


@dataclass
class _Column:
    """One column of new rows beside its reference."""

    name: str
    layout: Layout
    column: pa.ChunkedArray
    reference: ReferenceProfile
    new: NewRows

    def incident(self) -> Incident | None:
        """The first that applies. A column of nested values is none: the comparison refuses it."""
        try:
            checks = (self._missing, self._text, self._unseen, self._constant, self._units)
            return next((found for check in checks if (found := check()) is not None), None)
        except ValueError:
            return None

    @cached_property
    def before(self) -> Counts:
        return self.reference.counts.cells[self.name]

    @property
    def rows(self) -> int:
        return len(self.column)

    @cached_property
    def missing(self) -> int:
        return _missing_in(self.column)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The present and finite ones, of a column of numbers."""
        found = numbers(self.column)
        return found[np.isfinite(found)]

    def _missing(self) -> Incident | None:
        """Half of the values that should be there are not: at once, or, where all are gone, however long.

        Should be there means in the poorest stretch of the reference: gusts are missing on every calm day. Of
        what is missing mostly anyway only the loss of all counts.
        """
        usual = 1 - self.reference.counts.missing_in(self.name) / self.reference.counts.rows
        share = 1 - self.missing / self.rows
        if share > _LOST * usual or (usual < _MOSTLY and share > (1 - _ALL) * usual):
            return None
        poorest = min(usual, self._poorest())
        expected = self._lost(Kind.MISSING, share, poorest, lambda past: 1 - _missing_in(past) / len(past))
        if not expected:
            return None
        told = f"column {self.name} is missing in {percent(1 - share)} of {count(self.rows, 'row')}"
        numbers_told = {"missing": 1 - share, "expected": expected, "rows": self.rows}
        return Incident(Kind.MISSING, self.name, f"{told}, where {percent(1 - usual)} are usual", numbers_told)

    def _lost(self, kind: Kind, share: float, usual: float, of: Callable[[pa.ChunkedArray], float]) -> float:
        """The usual share of rows, where half of it is lost; 0: it is not.

        What the past has lost already by itself is usual now, unless it had lost as much: then it is
        either the same incident or a slow change, and only the loss of all is an incident.
        """
        known = (self.new.expected or {}).get((str(kind), self.name))
        if known is not None:
            return known if share <= _LOST * known else 0.0
        if not self._half_lost(share, usual):
            return 0.0
        past = self._past()
        if past is None or share <= (1 - _ALL) * usual:
            return usual
        lately = of(past)
        if self._half_lost(lately, usual):
            return 0.0
        return min(lately, usual) if self._half_lost(share, min(lately, usual)) else 0.0

    def _poorest(self) -> float:
        """The smallest share of present values in a stretch of the reference half as long as these rows."""
        history, step = self.new.history, max(self.rows // 2, MIN_ROWS // 2)
        if history is None or self.name not in history.column_names or history.num_rows < step:
            return 1.0
        column = plain(history.column(self.name))
        present = numbers(column.is_valid())
        if pa.types.is_floating(column.type):
            present = present * ~np.isnan(numbers(column))
        return float(present[: present.size // step * step].reshape(-1, step).mean(axis=1).min())

    def _half_lost(self, share: float, usual: float) -> bool:
        return usual >= _RARE and share <= _LOST * usual and surprise(share, usual, self.rows) >= _SURPRISE

    def _past(self) -> pa.ChunkedArray | None:
        """The column's rows before these; None where they are too few to say what is usual."""
        past = self.new.past
        if past is None or past.num_rows < MIN_ROWS or self.name not in past.column_names:
            return None
        return past.column(self.name)

    def _text(self) -> Incident | None:
        """Text where the reference has numbers, however many rows read as such: its type is the column's."""
        if not isinstance(self.layout, NumberLayout) or not is_text(self.column) or self.missing == self.rows:
            return None
        present = self.rows - self.missing
        example = plain(self.column).drop_null()[0].as_py()
        told = f"column {self.name} holds text ({example[:40]!r}) where the reference holds numbers"
        return Incident(Kind.TEXT, self.name, told, {"rows": self.rows, "texts": present})

    def _unseen(self) -> Incident | None:
        """Half of the rows that should have a known category have an unseen one."""
        if not isinstance(self.layout, CategoryLayout) or self.missing == self.rows:
            return None
        if self.before.sum() < _ROWS_A_LEVEL * len(self.layout.levels):
            return None
        usual = 1 - int(self.before[-1]) / int(self.before.sum())
        if usual < _LOST:
            return None
        share = self._known_share(self.column)
        usual = self._lost(Kind.CATEGORIES, share, usual, self._known_share)
        if not usual:
            return None
        what = f"column {self.name} has categories never seen before in {percent(1 - share)} of its values"
        told = f"{what}, where {percent(1 - usual)} are usual"
        if share == 0:
            told += ", as if they were written in another way"
        return Incident(Kind.CATEGORIES, self.name, told, {"unseen": 1 - share, "expected": usual, "rows": self.rows})

    def _known_share(self, column: pa.ChunkedArray) -> float:
        """The share of present values with a category of their own in the reference; 0 of another type, 1 of none."""
        try:
            (counted,) = self.layout.count(column, Groups.one(len(column)))
        except ValueError:
            return 0.0
        cells = counted.dense()[:-1]
        return 1 - int(cells[-1]) / int(cells.sum()) if cells.sum() else 1.0

    def _constant(self) -> Incident | None:
        """One value in every row, of a column that had others."""
        present = self.rows - self.missing
        usual = _most_frequent(self.layout, self.before)
        # What is nearly always one value anyway may be so for a season; and so few rows may be alike by chance.
        if present < MIN_ROWS or usual > 1 - _RARE or -present * log(usual) < _SURPRISE:
            return None
        value = _only_value(self.column)
        if value is None or self._constant_by_nature(value, usual):
            return None
        told = f"column {self.name} is {_told(value)} in all of {count(present, 'row')}"
        numbers_told = {"value": value, "most_frequent_before": usual, "rows": self.rows}
        return Incident(
            Kind.CONSTANT,
            self.name,
            f"{told}, where the most frequent value had {percent(usual)} before",
            numbers_told,
        )

    def _constant_by_nature(self, value: Any, usual: float) -> bool:
        """Whether it was constant for a stretch in the reference, or lately at another value: as the day's name is."""
        if (str(Kind.CONSTANT), self.name) in (self.new.expected or {}):
            return False
        by_chance = ceil(_SURPRISE / -log(usual))  # so many in a row are alike by chance alone
        step = min(max(self.rows // _STRETCHES, by_chance), self.rows)
        history, past = self.new.history, self._past()
        found = set() if past is None else _stretches(past, step) - {value}
        if history is not None and self.name in history.column_names:
            found |= _stretches(history.column(self.name), step)
        return bool(found)

    def _units(self) -> Incident | None:
        """Values that follow from the reference's by a factor, or as temperatures do."""
        if not isinstance(self.layout, NumberLayout) or self.values.size < MIN_ROWS or self.before.sum() < MIN_ROWS:
            return None
        if pa.types.is_temporal(plain(self.column).type) or pa.types.is_boolean(plain(self.column).type):
            return None
        rule = changed_units(self.layout, self.before, self.values)
        middle = float(np.median(self.values))
        if rule is None or (rule.small and not self._at_once(rule.factor, middle)) or self._moves_as_far():
            return None
        told = f"column {self.name} is in other units: its values {rule.told}, with a median of {figure(middle)}"
        return Incident(Kind.UNITS, self.name, told, {**rule.figures(), "median": middle, "rows": self.rows})

    def _at_once(self, factor: float, middle: float) -> bool:
        """Whether the values jumped by the factor from the rows just before: in weeks the weather may move as far."""
        if (str(Kind.UNITS), self.name) in (self.new.expected or {}):
            return True
        past = self._past()
        lately = np.empty(0) if past is None else numbers(past.slice(max(len(past) - self.rows, 0)))
        lately = lately[np.isfinite(lately)]
        ratio = middle / float(np.median(lately)) if lately.size and np.median(lately) else 0.0
        return ratio > 0 and abs(log(ratio / factor)) <= _JUMP

    def _moves_as_far(self) -> bool:
        """Whether stretches of the reference lie so far apart by themselves, in their middle and in their spread: the
        dew point of a cold day is a third of the spring's, and as much narrower."""
        history = self.new.history
        if (str(Kind.UNITS), self.name) in (self.new.expected or {}) or history is None:
            return False
        if self.name not in history.column_names:
            return False
        found, step = numbers(history.column(self.name)), self.values.size
        found = found[np.isfinite(found)]
        if found.size < _FEWEST * step:
            return False
        stretches = found[: found.size // step * step].reshape(-1, step)
        low, middle, high = np.quantile(stretches, (0.25, 0.5, 0.75), axis=1)
        now = np.quantile(self.values, (0.25, 0.5, 0.75))
        return _within(middle, now[1]) and _within(high - low, now[2] - now[0])


def _within(moves: NDArray[np.float64], now: float) -> bool:
    """Whether `now` lies no further outside of the `moves` than half of what these lie apart."""
    low, high = float(moves.min()), float(moves.max())
    return bool(low - (high - low) / 2 <= now <= high + (high - low) / 2)


def _missing_in(column: pa.ChunkedArray) -> int:
    column = plain(column)
    if not pa.types.is_floating(column.type):
        return int(column.null_count)
    return int(np.count_nonzero(np.isnan(numbers(column))))


def _most_frequent(layout: Layout, before: Counts) -> float:
    """The largest share of one value among the reference's present ones; 1 where it has none."""
    cells = before[0::2] if isinstance(layout, NumberLayout) else before[:-1]
    total = int(before.sum())
    return max(int(cells.max()), 1) / total if total and cells.size else 1.0


def _only_value(column: pa.ChunkedArray) -> float | str | None:
    """The one value that all present rows have; None: they have several."""
    if is_text(column):
        ends = pc.min_max(plain(column))
        low, high = ends["min"].as_py(), ends["max"].as_py()
        return str(low) if low == high else None
    found = numbers(column)
    low, high = np.fmin.reduce(found), np.fmax.reduce(found)
    return float(low) if low == high and np.isfinite(low) else None


def _stretches(column: pa.ChunkedArray, step: int) -> set[Any]:
    """The values that the column had throughout a stretch of so many rows."""
    if len(column) < step:
        return set()
    if is_text(column):
        texts = encoded(column)
        places = numbers(pa.chunked_array([texts.indices]))
        return {texts.dictionary[int(place)].as_py() for place in _constant_runs(places, step)}
    return set(_constant_runs(numbers(column), step).tolist())


def _constant_runs(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    rows = values[: values.size // step * step].reshape(-1, step)
    low = np.fmin.reduce(rows, axis=1)
    found: NDArray[np.float64] = low[low == np.fmax.reduce(rows, axis=1)]
    return found


def _told(value: float | str) -> str:
    return repr(value[:40]) if isinstance(value, str) else figure(value)
