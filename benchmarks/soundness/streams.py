"""Seeded streams of 20 features: a reference of 5,000 rows, and 1,000 rows a day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from triggers.evidence import Evidence, ModelFacts

Floats = NDArray[np.float64]

FEATURES, PER_DAY, WINDOW, LOOKS, REFERENCE_ROWS = 20, 1000, 7, 90, 5000
DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
NAMES = tuple(f"x{number}" for number in range(FEATURES))
FACTS = ModelFacts(START, START, START, "1", START, {}, NAMES)
_FOLLOWS = 0.7  # how a day's effect follows the one before


@dataclass(frozen=True)
class Kind:
    """How a column's values come from standard normal ones; of categories, the number of each value's level."""

    values: Callable[[Floats, np.random.Generator], Floats]
    levels: int = 0  # 0: they are numbers


def _levels(number: int) -> Kind:
    # The square makes some frequent and most rare: with 1,000 the first has 3 % of rows, the last 0.05 %.
    return Kind(lambda z, _: np.minimum(np.floor(special.ndtr(z) ** 2 * number), number - 1), number)


KINDS: dict[str, Kind] = {
    "normal": Kind(lambda z, _: z),
    "lognormal": Kind(lambda z, _: np.exp(z)),
    "ties": Kind(lambda z, _: np.round(2 * z)),
    "missing": Kind(lambda z, random: np.where(random.random(z.shape) < 0.3, np.nan, z)),
    "categories": _levels(1000),
    "levels": _levels(5000),
}


@dataclass(frozen=True)
class Stream:
    """What a stream is made of. Shifts are in standard deviations, and begin with the day `shift_day` of the looks."""

    seed: int
    kind: str = "normal"
    days: int = WINDOW + LOOKS - 1
    shift: float = 0.0
    shift_day: int = WINDOW + 10
    moved: int = 2  # features that shift
    day_effect: float = 0.0  # the standard deviation of a day's mean, which follows the day before's by 0.7
    season: float = 0.0  # how much higher a weekend's values are
    reference_days: int = 0  # the time that the reference covers, before the stream; 0: it has no times
    wild: str = ""  # one value of a million: in the "reference" or in the "window"

    def drawn(self) -> "Drawn":
        random = np.random.default_rng(self.seed)
        before = max(self.reference_days, 1)
        effects = self._effects(random, before + self.days)
        past = random.normal(0, 1, (before, REFERENCE_ROWS // before, FEATURES)) + effects[:before, None]
        days = random.normal(0, 1, (self.days, PER_DAY, FEATURES)) + effects[before:, None]
        days[self.shift_day :, :, : self.moved] += self.shift
        if self.wild == "reference":
            past[0, 7] = 1e6
        elif self.wild:
            days[self.shift_day :, 7] = 1e6
        values = KINDS[self.kind].values
        return Drawn(self, values(past, random), values(days, random))

    def _effects(self, random: np.random.Generator, days: int) -> Floats:
        """The mean of each day and feature."""
        state = random.normal(0, 1, FEATURES)
        moves = np.zeros((days, FEATURES))
        for day in range(days):
            weekend = (day - days + self.days) % 7 >= 5
            moves[day] = self.day_effect * state + self.season * weekend
            state = _FOLLOWS * state + np.sqrt(1 - _FOLLOWS**2) * random.normal(0, 1, FEATURES)
        return moves


@dataclass(frozen=True)
class Drawn:
    """A stream's values, by day, row and feature. `reference` is one day where the reference has no times."""

    stream: Stream
    reference: Floats
    days: Floats

    @property
    def kind(self) -> Kind:
        return KINDS[self.stream.kind]

    @cached_property
    def reference_table(self) -> pa.Table:
        length = self.stream.reference_days
        return self._table(self.reference, START - length * DAY, dated=bool(length))

    def table_of(self, first: int, end: int) -> pa.Table:
        """The rows of the days from `first` to before `end`."""
        return self._table(self.days[first:end], START + first * DAY, dated=True)

    def evidence(self, day: int) -> Evidence:
        """What a drift trigger is handed at the look as day `day` begins."""
        return Evidence(FACTS, {}, {"reference": self.reference_table, "current": self.table_of(day - WINDOW, day)})

    def _table(self, values: Floats, start: datetime, *, dated: bool) -> pa.Table:
        columns = dict(zip(NAMES, map(self._column, values.reshape(-1, FEATURES).T), strict=True))
        if not dated:
            return pa.table(columns)
        days, per_day, _ = values.shape
        within = np.arange(per_day) * (DAY // timedelta(microseconds=1)) // per_day
        since = int(start.timestamp()) * 1_000_000 + np.arange(days) * (DAY // timedelta(microseconds=1))
        times = pa.array((since[:, None] + within).ravel()).cast(pa.timestamp("us", "UTC"))
        return pa.table({"timestamp": times, **columns})

    def _column(self, values: Floats) -> Any:
        if not self.kind.levels:
            return pa.array(np.ascontiguousarray(values))
        levels = pa.array([f"level {number}" for number in range(self.kind.levels)])
        return pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int64)), levels)
