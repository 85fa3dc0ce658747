"""The drift trigger: false alarms without drift, with days that differ, how soon shifts are found, one wild value.

A false alarm is a look at which the trigger fires in a stream without drift. Every stream has 90 daily
looks and the default budget of one false alarm in 90 days: so the mean over streams is to be at most 1.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.soundness import tutorial
from benchmarks.soundness.running import Run
from benchmarks.soundness.screen import suspects
from benchmarks.soundness.streams import DAY, FEATURES, LOOKS, START, WINDOW, Drawn, Stream
from triggers.drift import DriftTrigger

_CHECKED = 0.005  # of the looks that the screen passes over: judged all the same
_UNEVEN = Stream(10_000, day_effect=0.2, reference_days=56)


@dataclass(frozen=True)
class Heard:
    """What one stream without drift gave."""

    alarms: int
    judged: int  # looks by the trigger itself
    checked: int  # of them those that the screen had passed over
    missed: int  # of those the ones that fired


def quiet(stream: Stream, settings: dict[str, Any], seed: int) -> Heard:
    """One stream without drift, at every look."""
    drawn, trigger = replace(stream, seed=stream.seed + seed).drawn(), DriftTrigger(prediction=False, **settings)
    found = _suspects(drawn, trigger)
    rest = [day for day in range(WINDOW, stream.days + 1) if day not in set(found)]
    checked = [day for day in rest if np.random.default_rng([seed, day]).random() < _CHECKED]
    alarms, missed = len(list(_fired(drawn, trigger, found))), len(list(_fired(drawn, trigger, checked)))
    return Heard(alarms + missed, len(found) + len(checked), len(checked), missed)


def delay(stream: Stream, settings: dict[str, Any], seed: int) -> int | None:
    """At which look after the shift's first full day it was found; None: not within the stream's days."""
    drawn, trigger = replace(stream, seed=stream.seed + seed).drawn(), DriftTrigger(prediction=False, **settings)
    moved = {f"x{number}" for number in range(stream.moved)}
    days = (day for day in _suspects(drawn, trigger) if day > stream.shift_day)
    return next((day - stream.shift_day for day, names in _fired(drawn, trigger, days) if moved & set(names)), None)


def alarms(stream: Stream, **settings: Any) -> list[int]:
    """The looks that fire, each judged by the trigger, as days since the stream's start."""
    looks = range(WINDOW, stream.days + 1)
    return [day for day, _ in _fired(stream.drawn(), DriftTrigger(prediction=False, **settings), looks)]


def _suspects(drawn: Drawn, trigger: DriftTrigger) -> list[int]:
    # Which of many levels have a cell of their own is drawn by lot, and the screen does not draw it again.
    return list(range(WINDOW, drawn.stream.days + 1)) if drawn.kind.levels > 1000 else suspects(drawn, trigger)


def _fired(drawn: Drawn, trigger: DriftTrigger, days: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Of these looks those that fired, and the columns that they named."""
    for day in days:
        verdict = trigger.evaluate(drawn.evidence(day), START + day * DAY)
        if verdict.fired:
            yield day, tuple(verdict.numbers["drifted"])


# --- figures


def without_drift(kind: str, run: Run) -> Iterator[Figure]:
    stream = Stream(1_000_000 * (1 + list(SHARES).index(kind)), kind)
    part = replace(run, streams=run.part_of(SHARES[kind]))
    yield from _alarms(f"no drift, {kind}", stream, {}, part, bound=1.0)
    yield from _tutorial(stream, run)


# Of the streams: with more levels than have cells of their own every look is judged by the trigger.
SHARES = {"normal": 1.0, "lognormal": 1.0, "ties": 1.0, "missing": 1.0, "categories": 1.0, "levels": 0.02}


def uneven_days(season: float, settings: dict[str, Any], run: Run) -> Iterator[Figure]:
    """Days that differ, with natural variation on; and off, as a baseline."""
    stream = replace(_UNEVEN, season=season)
    told = "days differ" + (", weekends more" if season else "") + (", season: week" if settings else "")
    yield from _alarms(told, stream, settings, run, bound=1.5)
    few = replace(run, streams=run.part_of(0.003, 2))
    yield from _alarms(f"{told}, natural: false", stream, {**settings, "natural": False}, few, bound=None)
    yield from _tutorial(stream, run)


def _alarms(told: str, stream: Stream, settings: dict[str, Any], run: Run, bound: float | None) -> Iterator[Figure]:
    heard = run.over(told, partial(quiet, stream, settings), range(run.streams))
    counts = [each.alarms for each in heard]
    yield Figure(f"{told}: false alarms in {LOOKS} looks, mean of {run.streams:,}", statistics.fmean(counts), "", bound)
    if bound is not None:
        error = statistics.stdev(counts) / len(counts) ** 0.5 if len(counts) > 1 else 0.0
        yield Figure("  its standard error", error, "")
        yield Figure("  streams with any", sum(each > 0 for each in counts) / len(counts), "")
        missed = sum(each.missed for each in heard)
        checked = sum(each.checked for each in heard)
        yield Figure(f"  fired of {checked:,} looks that the screen passed over", missed, "", bound=0)


def _tutorial(stream: Stream, run: Run) -> Iterator[Figure]:
    few = run.part_of(0.003, 2)
    heard = run.over("  scipy", partial(_by_tutorial, stream), range(few))
    for name, counts in zip((f"any of {FEATURES} p < 0.05", "Bonferroni"), zip(*heard, strict=True), strict=True):
        yield Figure(f"  scipy, {name}: alarms in {LOOKS} looks, mean of {few}", statistics.fmean(counts), "")


def _by_tutorial(stream: Stream, seed: int) -> tuple[int, int]:
    return tutorial.alarms(replace(stream, seed=stream.seed + seed).drawn())


def power(run: Run) -> Iterator[Figure]:
    for shift, most, last in ((0.25, 1.0, True), (0.1, 3.0, False)):
        for days in (0, 56):
            stream = Stream(20_000_000, shift=shift, days=WINDOW + 11 if last else WINDOW + 40, reference_days=days)
            told = f"2 of {FEATURES} shift by {shift:g} sigma{', reference with times' * bool(days)}"
            yield from _found(told, run.over(told, partial(delay, stream, {}), range(run.streams)), most)


def wild(run: Run) -> Iterator[Figure]:
    streams = run.part_of(0.2)
    for where in ("reference", "window"):
        stream = Stream(30_000_000, shift=1.0, shift_day=WINDOW, days=WINDOW + 1, wild=where)
        told = f"one wild value in the {where}, shift of 1 sigma"
        yield from _found(told, run.over(told, partial(delay, stream, {}), range(streams)), 1.0)
        for test, share in _by_every_test(stream, run).items():
            yield Figure(f"  streams where {test} passes noise and effect", share, "", at_least=1.0)


def _by_every_test(stream: Stream, run: Run) -> dict[str, float]:
    """The share of streams in which each test decides so by itself, in both columns that shifted."""
    seeds = range(run.part_of(0.05))
    heard = run.over("  each test", partial(_tests, stream), seeds)
    return {test: sum(test in each for each in heard) / len(heard) for test in ("ks", "rank_sum")}


def _tests(stream: Stream, seed: int) -> set[str]:
    """Alone against the level, the other tests' effects made too large to reach."""
    drawn = replace(stream, seed=stream.seed + seed).drawn()
    out_of_reach: dict[str, dict[str, Any]] = {
        "ks": {"location": 0.5, "scale": 1e9},
        "rank_sum": {"ks": 1.0, "psi": 1e9, "scale": 1e9},
    }
    looks = [stream.shift_day + 1]
    found = set()
    for test, settings in out_of_reach.items():
        names = [names for _, names in _fired(drawn, DriftTrigger(prediction=False, **settings), looks)]
        if names and {"x0", "x1"} <= set(names[0]):
            found.add(test)
    return found


def _found(told: str, looks: Sequence[int | None], most: float) -> Iterator[Figure]:
    seen = [look for look in looks if look is not None]
    yield Figure(f"{told}: found, of {len(looks):,} streams", len(seen) / len(looks), "", at_least=1.0)
    yield Figure("  median look", statistics.median(seen) if seen else float("inf"), "", bound=most)
    yield Figure("  last look", max(seen, default=0), "", bound=most if most == 1 else None)
