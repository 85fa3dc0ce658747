"""Incidents planted in quiet streams, eight kinds of them, and real shifts that are none.

A stream has five features, 500 rows a day, three weeks of them, and a reference of 5,000 rows. Its last day breaks in
one way, or its last days shift, at a random strength. The baseline is the drift trigger without its watch for
incidents: how many of the planted ones it would have taken for drift, and trained on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.figure import Figure
from benchmarks.soundness.running import Run
from triggers.drift import DriftTrigger
from triggers.evidence import Evidence, ModelFacts, RowsRequest
from triggers.incident_state import IncidentState, Kind
from triggers.verdict import Verdict

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PER_DAY, DAYS, REFERENCE_ROWS = 500, 21, 5000
NAMES = ("distance", "price", "heat", "carrier", "code")
_FACTS = ModelFacts(NOW - 400 * DAY, None, None, "1", NOW - 60 * DAY, {}, NAMES)
_TRIGGER = DriftTrigger(prediction=False)
_BARE = DriftTrigger(prediction=False, incidents=False)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Rows:
    """Some rows: microseconds since 1970, and each column's values (None where one is missing)."""

    times: Any
    columns: dict[str, Any]

    def taken(self, places: Any) -> "Rows":
        return Rows(self.times[places], {name: values[places] for name, values in self.columns.items()})


def _drawn(random: np.random.Generator, start: datetime, days: int, rows: int) -> Rows:
    """Normal, lognormal, temperatures of which a tenth is missing, five classes, and a code of twenty values."""
    heat = random.normal(15, 8, rows)
    heat[random.random(rows) < 0.1] = np.nan
    columns: dict[str, Any] = {
        "distance": random.normal(100, 20, rows),
        "price": random.lognormal(3, 1, rows),
        "heat": heat,
        "carrier": random.choice(list("ABCDE"), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(object),
        "code": random.integers(0, 20, rows).astype(float),
    }
    first = (start - _EPOCH) // _MICROSECOND
    times = first + np.sort(random.integers(0, days * DAY // _MICROSECOND, rows))
    return Rows(times, columns)


# --- what breaks: each is given the last day's rows and returns what came instead


def _column(
    name: str, change: Callable[[np.random.Generator, Any], Any]
) -> Callable[[np.random.Generator, Rows], Rows]:
    def planted(random: np.random.Generator, rows: Rows) -> Rows:
        return Rows(rows.times, {**rows.columns, name: change(random, rows.columns[name])})

    return planted


def _lost(random: np.random.Generator, values: Any) -> Any:
    return np.where(random.random(values.size) < random.uniform(0.7, 1.01), np.nan, values)


def _swallowed(random: np.random.Generator, values: Any) -> Any:
    return np.where(random.random(values.size) < random.uniform(0.6, 1.0), "Z", values).astype(object)


def _factor(random: np.random.Generator, values: Any) -> Any:
    return values * random.choice([1000, 0.001, 100, 0.01, 60, 1.609344, 1 / 1.609344, 2.54, 3.28084])


def _constant(random: np.random.Generator, values: Any) -> Any:
    return np.full(values.size, random.choice([0.0, -1.0, -999.0, float(np.median(values))]))


def _collapsed(random: np.random.Generator, rows: Rows) -> Rows:
    return rows.taken(np.flatnonzero(random.random(rows.times.size) < random.uniform(0, 0.07)))


def _skewed(random: np.random.Generator, rows: Rows) -> Rows:
    return Rows(rows.times + int(random.uniform(1, 30) * 3600e6), rows.columns)


def _doubled(random: np.random.Generator, rows: Rows) -> Rows:
    again = np.flatnonzero(random.random(rows.times.size) < random.uniform(0.5, 1.0))
    return rows.taken(np.sort(np.concatenate([np.arange(rows.times.size), again])))


def _texts(_: np.random.Generator, values: Any) -> Any:
    return np.array([f"{value:.2f}" for value in values], dtype=object)


INCIDENTS: dict[str, tuple[Kind, Callable[[np.random.Generator, Rows], Rows]]] = {
    "values missing": (Kind.MISSING, _column("distance", _lost)),
    "constant": (Kind.CONSTANT, _column("distance", _constant)),
    "other units": (Kind.UNITS, _column("distance", _factor)),
    "a new category": (Kind.CATEGORIES, _column("carrier", _swallowed)),
    "numbers as text": (Kind.TEXT, _column("distance", _texts)),
    "volume collapsed": (Kind.VOLUME, _collapsed),
    "clock skew": (Kind.CLOCK, _skewed),
    "rows doubled": (Kind.DUPLICATES, _doubled),
}


# --- what only drifts: by up to two standard deviations, a doubled spread, a tenth more missing


def _grown(random: np.random.Generator, values: Any, factor: float) -> Any:
    about = random.choice([0.0, float(np.nanmean(values))])
    return about + factor * (values - about)


def _shares(random: np.random.Generator, values: Any) -> Any:
    return random.choice(list("ABCDE"), values.size, p=random.dirichlet(np.ones(5))).astype(object)


def _shift(random: np.random.Generator) -> Callable[[np.random.Generator, Rows], Rows]:
    """One of eight, the same for every day of a stream."""
    number, amount = str(random.choice(NAMES[:3])), float(random.random())
    sign = float(random.choice([-1, 1]))
    shares = int(random.integers(2**31))
    return [
        _column(number, lambda _, values: values + sign * 2 * amount * np.nanstd(values)),
        _column(number, lambda _, values: _grown(np.random.default_rng(shares), values, (1 + amount) ** sign)),
        _column("price", lambda _, values: values * np.exp(sign * 2 * amount)),
        _column("distance", lambda r, values: np.where(r.random(values.size) < 0.1 * amount, np.nan, values)),
        _column("carrier", lambda _, values: _shares(np.random.default_rng(shares), values)),
        _column("carrier", lambda r, v: np.where(r.random(v.size) < 0.3 * amount, "Z", v).astype(object)),
        _column("code", lambda _, values: np.minimum(values + round(9 * amount), 19)),
        lambda r, rows: rows.taken(np.flatnonzero(r.random(rows.times.size) < 0.2 + 0.8 * amount)),
    ][int(random.integers(8))]


# --- figures


def incidents(run: Run) -> Iterator[Figure]:
    for name, (kind, _) in INCIDENTS.items():
        told = f"planted: {name}"
        found = run.over(told, partial(_planted, name), range(run.part_of(0.125)))
        right = np.mean([kinds == {str(kind)} for kinds, _ in found])
        yield Figure(f"{told}: recognised, of {len(found):,}", float(right), "", at_least=1.0)
        yield Figure("  without the watch: fired as drift", float(np.mean([fired for _, fired in found])), "")
    shifted = run.over("real shifts", _really_shifted, range(run.streams))
    called = Counter(kind for kinds in shifted for kind in kinds)
    share = np.mean([bool(kinds) for kinds in shifted])
    yield Figure(f"real shifts called incidents, of {len(shifted):,}", float(share), "", bound=0.01)
    for kind, times in sorted(called.items()):
        yield Figure(f"  called {kind}", times, "")
    quiet = run.over("quiet streams", _quiet, range(run.part_of(0.5)))
    yield Figure(f"quiet streams called incidents, of {len(quiet):,}", float(np.mean(list(map(bool, quiet)))), "", 0.0)


def _planted(name: str, seed: int) -> tuple[set[str], bool]:
    """The kinds of incident that the look found, and whether it would have fired without looking for them."""
    random = np.random.default_rng([1, list(INCIDENTS).index(name), seed])
    stream = _stream(random, INCIDENTS[name][1], days=1)
    return _kinds(_look(_TRIGGER, stream)), _look(_BARE, stream).fired


def _really_shifted(seed: int) -> set[str]:
    random = np.random.default_rng([2, seed])
    return _kinds(_look(_TRIGGER, _stream(random, _shift(random), days=int(random.integers(1, 8)))))


def _quiet(seed: int) -> set[str]:
    return _kinds(_look(_TRIGGER, _stream(np.random.default_rng([3, seed]), lambda _, rows: rows, days=1)))


@dataclass
class _Stream:
    reference: Rows
    days: list[Rows]


def _stream(random: np.random.Generator, change: Callable[[np.random.Generator, Rows], Rows], days: int) -> _Stream:
    """A stream of which the last so many days are changed."""
    reference = _drawn(random, NOW - 60 * DAY, 28, REFERENCE_ROWS)
    starts = [NOW - (DAYS - number) * DAY for number in range(DAYS)]
    drawn = [_drawn(random, start, 1, PER_DAY) for start in starts]
    return _Stream(reference, [change(random, each) if DAYS - n <= days else each for n, each in enumerate(drawn)])


def _look(trigger: DriftTrigger, stream: _Stream) -> Verdict:
    asked = trigger.requests(_FACTS, {}, NOW)
    answers = {name: _answer(each, stream) for name, each in asked.items() if isinstance(each, RowsRequest)}
    return trigger.evaluate(Evidence(_FACTS, {}, {"reference": _table(stream.reference), **answers}), NOW)


def _answer(request: RowsRequest, stream: _Stream) -> pa.Table:
    start, end = (
        None if edge is None else (edge - _EPOCH) // _MICROSECOND for edge in (request.window.start, request.window.end)
    )
    parts = []
    for rows in stream.days:
        within = rows.times >= (start or 0)
        if end is not None:
            within &= rows.times < end
        if within.any():
            parts.append(rows.taken(np.flatnonzero(within)))
    times = np.concatenate([np.zeros(0, dtype=np.int64), *(rows.times for rows in parts)])
    columns = {name: [each for rows in parts for each in rows.columns[name].tolist()] for name in NAMES}
    order = np.argsort(times, kind="stable")
    whole = {name: np.array(values, dtype=object)[order] for name, values in columns.items()}
    return _table(Rows(times[order], whole)).select(list(request.columns))


def _table(rows: Rows) -> pa.Table:
    """As a store tells it: one text among numbers makes all of them text."""
    columns = {"timestamp": pa.array(rows.times.astype(np.int64)).cast(pa.timestamp("us", "UTC"))}
    for name, values in rows.columns.items():
        told = [None if isinstance(value, float) and np.isnan(value) else value for value in values.tolist()]
        if any(isinstance(value, str) for value in told):
            told = [None if value is None else str(value) for value in told]
        columns[name] = pa.array(told)
    return pa.table(columns)


def _kinds(verdict: Verdict) -> set[str]:
    return {each.incident.key[0] for each in IncidentState.of(verdict.state).open}
