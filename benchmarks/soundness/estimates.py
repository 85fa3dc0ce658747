"""Estimates of performance without labels, against what the rows turned out to be.

Streams have 5,000 labelled rows of four weeks, and 5,000 rows of a week without labels. The trigger's estimate of the
ROC AUC of the latter is held against their true labels; and so are the estimates of the other metrics, taken from
`triggers.expectation` and `triggers.loss_estimation`, as the trigger takes them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from time import process_time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.figure import Figure
from benchmarks.soundness.running import Run
from triggers.calibration import calibrate
from triggers.estimated_performance import EstimatedPerformanceTrigger
from triggers.evidence import Evidence, ModelFacts
from triggers.expectation import Scored, expect
from triggers.loss_estimation import LossModel, Regressed
from triggers.metrics import metric_value

Floats = NDArray[np.float64]

ROWS = 5000
NOW = datetime(2026, 3, 20, tzinfo=UTC)
CLASS_METRICS = ("roc_auc", "accuracy", "precision", "recall", "f1", "log_loss")
_FACTS = ModelFacts(NOW - timedelta(days=400), None, None, "1", NOW - timedelta(days=300), {})


def ranking(run: Run) -> Iterator[Figure]:
    """ROC AUC by the trigger: of calibrated scores as promised, of others and of shifted rows as well."""
    yield _speed()
    for how in ("calibrated", "overconfident", "bent"):
        for shift in (0.0, 0.7):
            told = f"ROC AUC, {how} scores" + (f", rows shifted by {shift:g}" if shift else "")
            part = run.streams if how == "calibrated" else run.part_of(0.2)
            found = run.over(told, partial(_ranked, how, shift), range(part))
            gaps = [abs(each["value"] - each["realised"]) for each in found]
            held = [each["low"] <= each["realised"] <= each["high"] for each in found]
            yield Figure(f"{told}: mean absolute error, {part:,} streams", float(np.mean(gaps)), "", bound=0.01)
            yield Figure("  realised in the 95 % interval", float(np.mean(held)), "", at_least=0.93)
            yield Figure("  said to be trusted", float(np.mean([each["trusted"] for each in found])), "")
            # Who takes the last labels for the truth of today:
            stale = [abs(each["before"] - each["realised"]) for each in found]
            yield Figure("  mean absolute error of the last known ROC AUC", float(np.mean(stale)), "")


def _ranked(how: str, shift: float, seed: int) -> dict[str, float]:
    random = np.random.default_rng([4, seed])
    before, judged = _scored(random, ROWS, how, 0.0), _scored(random, ROWS, how, shift)
    trigger = EstimatedPerformanceTrigger(metric="roc_auc", below=0.01, confidence=0.95)
    answers = {"past": _table(*before, labelled=True), "window": _table(*judged, labelled=False)}
    numbers = trigger.evaluate(Evidence(_FACTS, {}, answers), NOW).numbers
    known, realised = (
        metric_value("roc_auc", hits.astype(int), None, score, positive=1) for score, hits in (before, judged)
    )
    assert realised is not None
    assert known is not None
    told = {name: float(numbers[name]) for name in ("value", "low", "high", "trusted")}
    return {**told, "realised": realised, "before": known}


def _table(score: Floats, hits: NDArray[np.bool_], *, labelled: bool) -> pa.Table:
    week = 7 * 86_400_000_000
    times = int(NOW.timestamp()) * 1_000_000 - week + np.arange(score.size) * (week // score.size)
    actual = pa.array(hits.astype(np.int64)) if labelled else pa.nulls(score.size, pa.int64())
    stamps = pa.array(times).cast(pa.timestamp("us", "UTC"))
    return pa.table({"timestamp": stamps, "score": pa.array(score), "actual": actual})


def class_metrics(run: Run) -> Iterator[Figure]:
    """Every metric of a classifier."""
    for how in ("calibrated", "overconfident", "bent"):
        for shift in (0.0, 0.7):
            _, held, held_truth = estimated(how, shift, run.part_of(0.2))
            where = f"{how} scores" + (f", rows shifted by {shift:g}" if shift else "")
            for name in CLASS_METRICS:
                yield Figure(f"{where}: {name}, realised in 95 %", float(np.mean(held[name])), "", at_least=0.93)
            truth = float(np.mean([np.mean(held_truth[name]) for name in CLASS_METRICS]))
            yield Figure(f"{where}: true values in 95 %, all metrics", truth, "", at_least=0.93)


def _speed() -> Figure:
    random = np.random.default_rng(3)
    labelled, judged = (_scored(random, rows, "calibrated", 0.0) for rows in (50_000, 100_000))
    start = process_time()
    calibration = calibrate(*labelled)
    for confidence in (0.95, 0.999):
        expect("roc_auc", Scored(judged[0]), calibration, confidence)
    return Figure("CPU time: calibrated on 50,000 rows, 100,000 judged twice", process_time() - start, "s", bound=1)


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


def losses(run: Run) -> Iterator[Figure]:
    """Direct loss estimation, on 3,000 labelled and 3,000 judged rows."""
    streams = run.part_of(0.05, 3)
    for shift in (0.0, 0.5):
        for name in ("mae", "rmse", "mape"):
            told = f"{name}" + (f", rows shifted by {shift:g}" if shift else "")
            found = run.over(told, partial(_lost, name, shift), range(streams))
            held = float(np.mean([inside for inside, _ in found]))
            yield Figure(f"{told}: realised in 95 %, {streams:,} streams", held, "", at_least=0.93)
            yield Figure("  mean relative error", float(np.mean([gap for _, gap in found])), "")


def _lost(name: str, shift: float, seed: int) -> tuple[bool, float]:
    """Whether the realised figure lies in the interval, and how far the estimate is from it."""
    random = np.random.default_rng([2, seed])
    model, rows = LossModel.learn(name, _regressed(random, 3000, 0.0)), _regressed(random, 3000, shift)
    estimate = model.estimate(rows, 0.95)
    realised = metric_value(name, rows.actuals, rows.actuals + rows.errors)  # type: ignore[arg-type, operator]
    assert realised is not None
    return estimate.low <= realised <= estimate.high, abs(estimate.value / realised - 1)


def _regressed(random: np.random.Generator, rows: int, shift: float) -> Regressed:
    features = random.normal(shift, 1, (rows, 3))
    carrier = random.integers(0, 4, rows)
    prediction = 25 + features[:, 0] * 0.8 + features[:, 1] * 0.5
    noise = (0.5 + np.abs(features[:, 0]) / 2 + 0.3 * carrier) * random.normal(0, 1, rows)
    actual = prediction + 0.2 * features[:, 0] + noise
    inputs = np.column_stack([features, carrier, prediction])
    return Regressed(inputs, (False, False, False, True, False), prediction - actual, actual)
