"""The performance trigger over time, and the intervals under it. A week's window, looked at daily, 500 rows a day.

A false firing is a look that fires though the true accuracy is at its bar, or above it. The baseline is the plain
rule that many use: a 95 % interval at every look, of whatever labels have come.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.soundness.running import Run
from triggers.arrival import PARTS
from triggers.confidence import estimate_from_rows, estimate_from_tally, exact
from triggers.evidence import Arrival, Counts, Evidence, ModelFacts
from triggers.metrics import ErrorSums, Tally
from triggers.performance import PerformanceTrigger
from triggers.verdict import Verdict

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 20, tzinfo=UTC)
LOOKS = 90
BEFORE = 30  # days of a stream before its first look
_FACTS = ModelFacts(NOW - 400 * DAY, None, None, "1", NOW - 300 * DAY, {})
# Days after which errors and successes are known, on average: exponential delays.
_DELAYS = ((0.5, 2.0), (1.0, 5.0), (0.1, 14.0), (0.1, 30.0))


def at_the_bar(run: Run) -> Iterator[Figure]:
    for accuracy in (0.85, 0.95):
        told = f"true accuracy at its bar of {accuracy:g}"
        yield from _false_firings(told, run.over(told, partial(_firings, accuracy, accuracy, 0.0, 0.0), _seeds(run)))


def drops(run: Run) -> Iterator[Figure]:
    told = "a drop of 3 points, from the bar to below it, 500 labels a day"
    found = run.over(told, partial(_looks, 0.85, 0.82, 0.0, 0.0), _seeds(run))
    yield Figure(f"{told}: looks until found, median", float(np.median(found)), "", bound=5)
    yield Figure("  in nine of ten streams", float(np.quantile(found, 0.9)), "")


def late_labels(run: Run) -> Iterator[Figure]:
    """Errors are known sooner than successes, of a model that is 2 points better than its bar."""
    for errors, successes in _DELAYS:
        told = f"labels of errors after {errors:g} d, of successes after {successes:g} d"
        yield from _false_firings(told, run.over(told, partial(_firings, 0.87, 0.85, errors, successes), _seeds(run)))
    few = range(run.part_of(0.2))
    found = run.over("a drop among late labels", partial(_looks, 0.87, 0.80, 0.5, 2.0), few)
    yield Figure("a drop by 7 points, labels after 0.5 d and 2 d: looks, median", float(np.median(found)), "")


def _seeds(run: Run) -> range:
    return range(run.streams)


def _false_firings(told: str, found: list[dict[str, int]]) -> Iterator[Figure]:
    ours, plain = (float(np.mean([each[rule] for each in found])) for rule in ("ours", "plain"))
    yield Figure(f"{told}: false firings in {LOOKS} looks, mean of {len(found):,}", ours, "", bound=1)
    yield Figure("  the plain rule", plain, "")


def _firings(accuracy: float, bar: float, errors: float, successes: float, seed: int) -> dict[str, int]:
    return firings(seed, accuracy, bar, errors, successes)


def _looks(before: float, after: float, errors: float, successes: float, seed: int) -> int:
    return looks_until_found(seed, before, after, errors, successes)


def firings(seed: int, accuracy: float, bar: float, errors: float = 0.0, successes: float = 0.0) -> dict[str, int]:
    """The looks that fire, by the trigger (`ours`) and by the plain rule (`plain`)."""
    random = np.random.default_rng(seed)
    stream = Stream(random, [accuracy] * (LOOKS + BEFORE), errors, successes)
    found = {"ours": 0, "plain": 0}
    for look in range(BEFORE, LOOKS + BEFORE):
        found["ours"] += stream.verdict(look, bar).fired
        found["plain"] += exact(*stream.labels(look - PARTS, look, look), 0.95).high < bar
    return found


def looks_until_found(seed: int, before: float, after: float, errors: float = 0.0, successes: float = 0.0) -> int:
    """How many looks after a drop the trigger first fired; the bar is 0.85."""
    random = np.random.default_rng(1000 + seed)
    stream = Stream(random, [before] * BEFORE + [after] * 30, errors, successes)
    return next((look - BEFORE for look in range(BEFORE + 1, 60) if stream.verdict(look, 0.85).fired), 30)


class Stream:
    """500 predictions a day, each right or wrong, and when its label comes (days, exponential delays)."""

    def __init__(self, random: np.random.Generator, accuracy: list[float], errors: float, successes: float) -> None:
        self.right = random.random((len(accuracy), 500)) < np.array(accuracy)[:, None]
        made = np.arange(len(accuracy))[:, None] + random.random(self.right.shape)
        delay = np.where(self.right, successes, errors) * random.exponential(1, self.right.shape)
        self.known_at = made + delay

    def labels(self, start: int, end: int, now: int) -> tuple[int, int]:
        """How many of the labels of these days that are known now say right, and how many there are."""
        known = self.known_at[max(start, 0) : end] <= now
        return int((known & self.right[max(start, 0) : end]).sum()), int(known.sum())

    def verdict(self, now: int, bar: float) -> Verdict:
        arrivals = []
        for day in range(now - PARTS, now):
            right, labelled = self.labels(day, day + 1, now)
            tally = Tally({("1", "1"): right, ("1", "0"): labelled - right})
            arrivals.append(Arrival(tally, {"1": 500 - labelled}))
        before = Counts(500 * PARTS, self.labels(now - 2 * PARTS, now - PARTS, now)[1])
        long_before = Counts(500 * PARTS, self.labels(now - 3 * PARTS, now - 2 * PARTS, now)[1])
        counts = Counts(500 * PARTS, sum(each.tally.rows for each in arrivals))
        trigger = PerformanceTrigger(metric="accuracy", below=bar, window="7d")  # type: ignore[arg-type]
        past = {"before": before, "long_before": long_before}
        answers: dict[str, Any] = {"counts": counts, **past, "labels": tuple(arrivals)}
        return trigger.evaluate(Evidence(_FACTS, {}, answers), NOW)


# --- how often one look fires falsely, at small levels


def tails(run: Run) -> Iterator[Figure]:
    """Each metric's interval, of 500 rows whose metric stands exactly at the bar."""
    draws = max(20 * run.streams, 100)
    for name, draw, truth in (
        ("accuracy", accuracy_fires, 0.9),
        ("roc_auc", ranks_fire, 0.8383),
        ("log_loss", losses_fire, 0.5),
        ("mae", errors_fire, float(np.exp(0.5))),
    ):
        for level in (1e-2, 1e-3):
            random = np.random.default_rng(5)
            past = float(np.mean([draw(random, level, truth) for _ in range(draws)]))
            chance = 2 * (level / draws) ** 0.5
            yield Figure(f"{name} at its bar: false firings at level {level:g}", past, "", bound=level + chance)


def accuracy_fires(random: np.random.Generator, level: float, truth: float) -> bool:
    return exact(int(random.binomial(500, truth)), 500, 1 - 2 * level).high < truth


def ranks_fire(random: np.random.Generator, level: float, truth: float) -> bool:
    hits = random.random(500) < 0.3
    score = random.normal(0, 1, 500) + 1.396 * hits  # Phi(1.396 / sqrt 2) = 0.8383
    estimate = estimate_from_rows("roc_auc", hits.astype(int), score, 1 - 2 * level, positive=1)
    return estimate is not None and estimate.high < truth


def losses_fire(random: np.random.Generator, level: float, truth: float) -> bool:
    # Scores s with an expected loss of -(p log s + (1 - p) log(1 - s)): calibrated, uniform over (0, 1), it is 1/2.
    score = random.random(500)
    hits = (random.random(500) < score).astype(int)
    estimate = estimate_from_rows("log_loss", hits, score, 1 - 2 * level, positive=1)
    return estimate is not None and estimate.low > truth


def errors_fire(random: np.random.Generator, level: float, truth: float) -> bool:
    errors = random.lognormal(0, 1, 500)
    sums = ErrorSums(500, float(errors.sum()), float((errors**2).sum()), float((errors**4).sum()))
    estimate = estimate_from_tally("mae", Tally(errors=sums), 1 - 2 * level)
    return estimate is not None and estimate.low > truth
