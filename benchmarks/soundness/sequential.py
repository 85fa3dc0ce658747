"""The drift trigger's `method: sequential`: how many alarms without drift, and how soon with it.

The default budget and daily buckets: at most one alarm is expected in 90 buckets, and the mean time between alarms is
90 buckets at least. That is promised not only without drift, but while rows stay within a margin of the reference.
"""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.figure import Figure
from benchmarks.soundness.running import Run
from benchmarks.soundness.streams import DAY, FACTS, FEATURES, LOOKS, NAMES, START, Drawn, Stream
from triggers.drift import DriftTrigger
from triggers.evidence import Evidence
from triggers.known import counted

_TRIGGER = DriftTrigger(method="sequential", incidents=False)
# Half of the shift at which a value lies above one of the reference with a chance of 0.5 + `location`, 0.02 by default:
# a reference of 5,000 rows is off by itself by a fifth of that.
_WITHIN_MARGIN = 0.035


def run_lengths(run: Run) -> Iterator[Figure]:
    part = run.part_of(0.1, 2)
    for kind in ("normal", "missing"):
        yield from _quiet(f"no drift, {kind}", Stream(40_000_000, kind, days=LOOKS), replace(run, streams=part))
    within = Stream(41_000_000, days=LOOKS, shift=_WITHIN_MARGIN, shift_day=0, moved=FEATURES)
    yield from _quiet("all shift by half the margin", within, replace(run, streams=part))
    uneven = Stream(42_000_000, days=LOOKS, day_effect=0.2, season=0.3, reference_days=56)
    yield from _quiet("days differ, weekends more", uneven, replace(run, streams=part), bound=1.5)
    for shift in (0.25, 0.5):
        told = f"sequential: 2 of {FEATURES} shift by {shift:g} sigma"
        stream = Stream(43_000_000, days=20, shift=shift, shift_day=0)
        found = run.over(told, partial(_delay, stream), range(run.part_of(0.02, 2)))
        yield Figure(f"{told}: median bucket", statistics.median(found), "")


def _quiet(told: str, stream: Stream, run: Run, bound: float = 1.0) -> Iterator[Figure]:
    counts = run.over(f"sequential: {told}", partial(_alarms, stream), range(run.streams))
    mean = statistics.fmean(counts)
    yield Figure(f"sequential: {told}: alarms in {LOOKS} buckets, mean of {run.streams:,}", mean, "", bound=bound)
    length = LOOKS / mean if mean else float("inf")
    yield Figure("  mean run length, in buckets", length, "", at_least=LOOKS / bound)


def _alarms(stream: Stream, seed: int) -> int:
    return sum(_fired(replace(stream, seed=stream.seed + seed).drawn(), step=10))


def _delay(stream: Stream, seed: int) -> float:
    found = _fired(replace(stream, seed=stream.seed + seed).drawn(), step=1)
    return next((number for number, fired in enumerate(found, 1) if fired), float("inf"))


def _fired(drawn: Drawn, step: int) -> Iterator[bool]:
    """Whether a look fires, each at so many new buckets: the trigger takes them one by one, whenever it looks. Two
    alarms within one look would count once; without drift they are months apart."""
    state: dict[str, object] = {}
    reference = counted(drawn.reference_table, NAMES, (DAY,))  # once, as the daemon keeps it from look to look
    for day in range(step, drawn.stream.days + 1, step):
        current = drawn.table_of(day - step, day)
        if not state:  # a first look takes the last window's buckets: here all that there are
            state = {"version": FACTS.version, "until": START.isoformat()}
        evidence = Evidence(FACTS, state, {"reference": reference, "current": current})
        verdict = _TRIGGER.evaluate(evidence, START + day * DAY)
        assert verdict.state is not None
        state = dict(verdict.state)
        yield verdict.fired
