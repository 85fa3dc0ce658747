"""Do the performance triggers keep their word? Seeded streams, and what the triggers answer to them.

Run as `python -m benchmarks.soundness_estimation [STREAMS]` (200 by default; some minutes). Each figure
stands beside what is promised of it, and false firings beside those of the plain rule that many use:
a 95 % interval at every look, of whatever labels have come.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figure import Figure
from triggers.arrival import PARTS
from triggers.calibration import calibrate
from triggers.confidence import estimate_from_rows, estimate_from_tally, exact
from triggers.evidence import Arrival, Counts, Evidence, ModelFacts
from triggers.expectation import Scored, expect
from triggers.loss_estimation import LossModel, Regressed
from triggers.metrics import ErrorSums, Tally, metric_value
from triggers.performance import PerformanceTrigger
from triggers.verdict import Verdict

Floats = NDArray[np.float64]
DAY = timedelta(days=1)
NOW = datetime(2026, 3, 20, tzinfo=UTC)
LOOKS = 90
CLASS_METRICS = ("roc_auc", "accuracy", "precision", "recall", "f1", "log_loss")


def measure(streams: int = 200) -> list[Figure]:
    """Every figure."""
    return list(_figures(streams))


def _figures(streams: int) -> Iterator[Figure]:
    yield _speed()
    yield from _at_the_bar(streams)
    yield from _tails(100 * streams)
    yield from _estimates(streams)
    yield from _errors(max(streams // 4, 10))


def _speed() -> Figure:
    random = np.random.default_rng(3)
    labelled, judged = (_scored(random, rows, "calibrated", 0.0) for rows in (50_000, 100_000))
    start = process_time()
    calibration = calibrate(*labelled)
    for confidence in (0.95, 0.999):
        expect("roc_auc", Scored(judged[0]), calibration, confidence)
    return Figure("CPU time: calibrated on 50,000 rows, 100,000 judged twice", process_time() - start, "s", bound=1)


# --- estimates without labels


def _estimates(streams: int) -> Iterator[Figure]:
    """Estimated against realised, on 5,000 labelled and 5,000 judged rows, each shifted and not."""
    for how in ("calibrated", "overconfident", "bent"):
        for shift in (0.0, 0.7):
            gaps, held, held_truth = estimated(how, shift, streams)
            where = f"{how} scores, shifted {shift:g}"
            yield Figure(f"{where}: ROC AUC, mean absolute error", float(np.mean(gaps)), "", bound=0.01)
            for name in CLASS_METRICS:
                yield Figure(f"{where}: {name}, realised in 95 %", float(np.mean(held[name])), "", at_least=0.93)
            truth = float(np.mean([np.mean(held_truth[name]) for name in CLASS_METRICS]))
            yield Figure(f"{where}: true values in 95 %, all metrics", truth, "", at_least=0.93)


def estimated(how: str, shift: float, streams: int) -> tuple[list[float], dict[str, list[bool]], dict[str, list[bool]]]:
    random = np.random.default_rng(1)
    truths = _realised(*_scored(random, 400_000, how, shift))
    gaps: list[float] = []
    held: dict[str, list[bool]] = {name: [] for name in CLASS_METRICS}
    held_truth: dict[str, list[bool]] = {name: [] for name in CLASS_METRICS}
    for _ in range(streams):
        score, hits = _scored(random, 5000, how, 0.0)
        calibration = calibrate(score, hits)
        score, hits = _scored(random, 5000, how, shift)
        realised = _realised(score, hits)
        for name in CLASS_METRICS:
            estimate = expect(name, Scored(score, score > 0.5), calibration, 0.95)
            assert estimate is not None
            held[name].append(estimate.low <= realised[name] <= estimate.high)
            held_truth[name].append(estimate.low <= truths[name] <= estimate.high)
            if name == "roc_auc":
                gaps.append(abs(estimate.value - realised[name]))
    return gaps, held, held_truth


def _scored(random: np.random.Generator, rows: int, how: str, shift: float) -> tuple[Floats, NDArray[np.bool_]]:
    chance = 1 / (1 + np.exp(0.8 - 1.2 * random.normal(shift, 1, rows)))
    hits = random.random(rows) < chance
    if how == "overconfident":
        chance = chance**2 / (chance**2 + (1 - chance) ** 2)
    elif how == "bent":
        chance = np.interp(chance, [0, 0.3, 0.6, 1], [0, 0.1, 0.7, 1])
    return chance, hits


def _realised(score: Floats, hits: NDArray[np.bool_]) -> dict[str, float]:
    said, true = (score > 0.5).astype(int), hits.astype(int)
    values = {name: metric_value(name, true, said, score, positive=1) for name in CLASS_METRICS}
    return {name: value for name, value in values.items() if value is not None}


def _errors(streams: int) -> Iterator[Figure]:
    """Direct loss estimation, on 3,000 labelled and 3,000 judged rows."""
    for shift in (0.0, 0.5):
        for name in ("mae", "rmse", "mape"):
            random, held, gaps = np.random.default_rng(2), [], []
            for _ in range(streams):
                model, rows = LossModel.learn(name, _regressed(random, 3000, 0.0)), _regressed(random, 3000, shift)
                estimate = model.estimate(rows, 0.95)
                realised = metric_value(name, rows.actuals, rows.actuals + rows.errors)  # type: ignore[arg-type, operator]
                assert realised is not None
                held.append(estimate.low <= realised <= estimate.high)
                gaps.append(abs(estimate.value / realised - 1))
            where = f"{name}, shifted {shift:g}"
            yield Figure(f"{where}: realised in 95 %", float(np.mean(held)), "", at_least=0.93)
            yield Figure(f"{where}: mean relative error", float(np.mean(gaps)), "")


def _regressed(random: np.random.Generator, rows: int, shift: float) -> Regressed:
    features = random.normal(shift, 1, (rows, 3))
    carrier = random.integers(0, 4, rows)
    prediction = 25 + features[:, 0] * 0.8 + features[:, 1] * 0.5
    noise = (0.5 + np.abs(features[:, 0]) / 2 + 0.3 * carrier) * random.normal(0, 1, rows)
    actual = prediction + 0.2 * features[:, 0] + noise
    inputs = np.column_stack([features, carrier, prediction])
    return Regressed(inputs, (False, False, False, True, False), prediction - actual, actual)


# --- the performance trigger over time: a week's window, looked at daily, 500 rows a day


def _at_the_bar(streams: int) -> Iterator[Figure]:
    at_bar = [firings(seed, 0.85, 0.85) for seed in range(streams)]
    yield Figure("accuracy at its bar: false firings in 90 looks", _mean(at_bar, "ours"), "", bound=1)
    yield Figure("  the plain rule", _mean(at_bar, "plain"), "")
    drops = [looks_until_found(seed, 0.85, 0.82) for seed in range(streams)]
    yield Figure("a drop of 3 points below the bar: looks until found, median", float(np.median(drops)), "", bound=5)
    for errors, successes in ((0.5, 2.0), (1.0, 5.0), (0.1, 14.0)):
        late = [firings(seed, 0.87, 0.85, errors, successes) for seed in range(streams)]
        told = f"errors known after {errors:g} d, successes after {successes:g} d"
        # Labels that take longer than the window are for predictions.label_delay: shown, not promised.
        bound = 1 if successes < PARTS else None
        yield Figure(f"{told}, 2 points above the bar: false firings", _mean(late, "ours"), "", bound)
        yield Figure("  the plain rule", _mean(late, "plain"), "")
    late_drops = [looks_until_found(seed, 0.87, 0.80, 0.5, 2.0) for seed in range(streams)]
    yield Figure("  a drop to 5 points below the bar: looks, median", float(np.median(late_drops)), "")


def _mean(found: list[dict[str, int]], rule: str) -> float:
    return float(np.mean([each[rule] for each in found]))


def firings(seed: int, accuracy: float, bar: float, errors: float = 0.0, successes: float = 0.0) -> dict[str, int]:
    random = np.random.default_rng(seed)
    stream = Stream(random, [accuracy] * (LOOKS + 30), errors, successes)
    found = {"ours": 0, "plain": 0}
    for look in range(30, LOOKS + 30):
        found["ours"] += stream.verdict(look, bar).fired
        found["plain"] += exact(*stream.labels(look - 7, look, look), 0.95).high < bar
    return found


def looks_until_found(seed: int, before: float, after: float, errors: float = 0.0, successes: float = 0.0) -> int:
    """How many looks after a drop the trigger first fired; the bar is 0.85."""
    random = np.random.default_rng(1000 + seed)
    stream = Stream(random, [before] * 30 + [after] * 30, errors, successes)
    return next((look - 30 for look in range(31, 60) if stream.verdict(look, 0.85).fired), 30)


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
        counts = Counts(500 * PARTS, sum(each.tally.rows for each in arrivals))
        trigger = PerformanceTrigger(metric="accuracy", below=bar, window="7d")  # type: ignore[arg-type]
        facts = ModelFacts(NOW - 400 * DAY, None, None, "1", NOW - 300 * DAY, {})
        answers: dict[str, Any] = {"counts": counts, "before": before, "labels": tuple(arrivals)}
        return trigger.evaluate(Evidence(facts, {}, answers), NOW)


# --- how often one look fires falsely, at small levels


def _tails(draws: int) -> Iterator[Figure]:
    """Each metric's interval, of 500 rows whose metric stands exactly at the bar."""
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


def main(arguments: list[str]) -> int:
    held = True
    for figure in _figures(int(arguments[0]) if arguments else 200):
        held &= figure.holds
        print(figure, flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
