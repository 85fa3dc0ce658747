"""How often the drift trigger alarms without drift, and how soon with it: seeded streams through the trigger itself.

`python -m benchmarks.soundness_drift [STREAMS]` prints a table; exit 1 where a figure is beyond its
bound. Every stream has 20 features, a reference of 5,000 rows and 90 daily looks at a window of 7
days, 1,000 rows a day, at the default budget of one false alarm in 90 days.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from benchmarks.figure import Figure
from triggers.drift import DriftTrigger
from triggers.evidence import Evidence, ModelFacts

Floats = NDArray[np.float64]

FEATURES, PER_DAY, WINDOW, LOOKS, REFERENCE_ROWS = 20, 1000, 7, 90, 5000
LEVELS = 1000
DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)
_FACTS = ModelFacts(START, START, START, "1", START, {}, tuple(f"x{number}" for number in range(FEATURES)))

KINDS: dict[str, Callable[[Floats, np.random.Generator], Any]] = {
    "normal": lambda z, _: z,
    "lognormal": lambda z, _: np.exp(z),
    "ties": lambda z, _: np.round(2 * z),
    "missing": lambda z, random: np.where(random.random(z.shape) < 0.3, np.nan, z),
    "categories": lambda z, _: (special.ndtr(z) ** 2 * LEVELS).astype(np.int64),
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


def tables(stream: Stream) -> tuple[pa.Table, list[pa.Table]]:
    """The reference, and each day's rows."""
    random = np.random.default_rng(stream.seed)
    before = max(stream.reference_days, 1)
    moves = _day_effects(random, before + stream.days, stream)
    per_day = REFERENCE_ROWS // before
    past = [random.normal(0, 1, (per_day, FEATURES)) + moves[day] for day in range(before)]
    values = np.concatenate(past)
    if stream.wild == "reference":
        values[7] = 1e6
    reference = _table(values, stream, random)
    if stream.reference_days:
        reference = _dated(reference, START - stream.reference_days * DAY, stream.reference_days * DAY)
    days = []
    for day in range(stream.days):
        z = random.normal(0, 1, (PER_DAY, FEATURES)) + moves[before + day]
        if day >= stream.shift_day:
            z[:, : stream.moved] += stream.shift
            if stream.wild == "window":
                z[7] = 1e6
        days.append(_dated(_table(z, stream, random), START + day * DAY, DAY))
    return reference, days


def _day_effects(random: np.random.Generator, days: int, stream: Stream) -> Floats:
    moves = np.zeros((days, FEATURES))
    state = random.normal(0, 1, FEATURES)
    for day in range(days):
        weekend = (day - days + stream.days) % 7 >= 5
        moves[day] = stream.day_effect * state + stream.season * weekend
        state = 0.7 * state + np.sqrt(1 - 0.7**2) * random.normal(0, 1, FEATURES)
    return moves


def _table(z: Floats, stream: Stream, random: np.random.Generator) -> pa.Table:
    values = KINDS[stream.kind](z, random)
    if stream.kind == "categories":
        levels = pa.array([f"level {number}" for number in range(LEVELS)])
        columns = [pa.DictionaryArray.from_arrays(pa.array(np.minimum(each, LEVELS - 1)), levels) for each in values.T]
    else:
        columns = [pa.array(each) for each in values.T]
    return pa.table(dict(zip(_FACTS.features, columns, strict=True)))


def _dated(table: pa.Table, start: datetime, length: timedelta) -> pa.Table:
    steps = np.arange(table.num_rows) * (length // timedelta(microseconds=1) // table.num_rows)
    times = pa.array(steps + int(start.timestamp()) * 1_000_000).cast(pa.timestamp("us", "UTC"))
    return table.append_column("timestamp", times)


def alarms(stream: Stream, **settings: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The looks that fired, as days since the stream's start, and the columns that they named."""
    trigger = DriftTrigger(prediction=False, **settings)
    reference, days = tables(stream)
    for day in range(WINDOW, stream.days + 1):
        current = pa.concat_tables(days[day - WINDOW : day])
        evidence = Evidence(_FACTS, {}, {"reference": reference, "current": current})
        verdict = trigger.evaluate(evidence, START + day * DAY)
        if verdict.fired:
            yield day, tuple(verdict.numbers["drifted"])


def mean_alarms(stream: Stream, streams: int, **settings: Any) -> float:
    """False alarms of a stream, on average over so many."""
    found = [len(list(alarms(replace(stream, seed=stream.seed + each), **settings))) for each in range(streams)]
    return statistics.fmean(found)


def delays(stream: Stream, streams: int, **settings: Any) -> list[int | None]:
    """At which look after the shift's first full day it was found, of each stream; None: not within its days."""
    found: list[int | None] = []
    for each in range(streams):
        looks = alarms(replace(stream, seed=stream.seed + each), **settings)
        true = (day - stream.shift_day for day, names in looks if {"x0", "x1"} & set(names))
        found.append(next((look for look in true if look >= 1), None))
    return found


def measure(streams: int = 100) -> list[Figure]:
    """Every figure, as it is known."""
    return list(_figures(streams))


def _figures(streams: int) -> Iterator[Figure]:
    for number, kind in enumerate(KINDS):
        found = mean_alarms(Stream(1000 * number, kind), streams)
        yield Figure(f"no drift, {kind}: alarms in {LOOKS} looks", found, "", bound=1.0)
    for season in (0.0, 0.3):
        quiet = Stream(10_000, day_effect=0.2, season=season, reference_days=56)
        told = "day effects, AR(1) 0.7" + (", weekly season" if season else "")
        yield Figure(f"{told}: alarms in {LOOKS} looks", mean_alarms(quiet, streams), "", bound=1.5)
        yield Figure(f"{told}, natural: false", mean_alarms(quiet, max(streams // 10, 1), natural=False), "")
    yield Figure(
        "day effects, weekly season, season: week",
        mean_alarms(replace(quiet, seed=11_000), streams, season="week"),
        "",
        bound=1.5,
    )
    for shift, most in ((0.25, 1.0), (0.1, 3.0)):
        for days in (0, 35):
            stream = Stream(20_000, shift=shift, days=WINDOW + 40, reference_days=days)
            yield from _power(
                f"2 of 20 shift by {shift:g} sigma{', reference with times' * bool(days)}", stream, streams, most
            )
    for where in ("reference", "window"):
        stream = Stream(30_000, shift=1.0, days=WINDOW + 14, wild=where)
        yield from _power(f"one wild value in the {where}, shift of 1 sigma", stream, max(streams // 5, 1), 1.0)


def _power(told: str, stream: Stream, streams: int, most: float) -> Iterator[Figure]:
    found = delays(stream, streams)
    seen = [look for look in found if look is not None]
    yield Figure(f"{told}: streams found", len(seen) / len(found), "", at_least=1.0)
    yield Figure(f"{told}: median look", statistics.median(seen) if seen else float("inf"), "", bound=most)
    if most == 1:
        yield Figure(f"{told}: last look", max(seen, default=0), "", bound=most)


def main(arguments: list[str]) -> int:
    begun, held = time.perf_counter(), True
    for figure in _figures(int(arguments[0]) if arguments else 100):
        held &= figure.holds
        print(figure, flush=True)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
