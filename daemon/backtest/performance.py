"""How good predictions turned out, over the whole replay and from week to week, and when that was a loss.

Judged with the final labels, all of them: what a trigger could know at the time is another matter. The
metrics and their intervals are those of the performance trigger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daemon.backtest.history import History, error_sums
from retraind.config.settings import Model
from retraind.errors import ConfigurationError
from triggers.bar import BarTrigger
from triggers.columns import labels_and_numbers, numbers
from triggers.confidence import Estimate, estimate_from_rows, estimate_from_tally
from triggers.metrics import METRICS, Metric, Tally, class_label, log_losses, positives, tally_of_labels

_FEWEST_ROWS = 30
_MARGIN = 0.05  # of the usual figure, where nothing says what a loss is
CONFIDENCE, OF_A_PERIOD = 0.95, 0.99
_COST_OF = {"classes": "error", "scores": "log_loss", "errors": "mae"}  # what is added up where a metric cannot be


@dataclass(frozen=True)
class Yardstick:
    """What a backtest judges by."""

    metric: Metric
    positive: Any = None  # the positive class; None: found out

    def judge(self, rows: pa.Table, confidence: float) -> Estimate | None:
        """The metric on labelled `rows` with its interval; None: too few rows, or undefined."""
        column = "score" if self.metric.needs == "scores" else "prediction"
        name = self.metric.name
        try:
            if self.metric.needs == "classes":
                known = _both_known(rows)
                if known.num_rows < _FEWEST_ROWS:
                    return None
                predicted, actual = (
                    np.array(known[each].to_pylist(), dtype=object) for each in ("prediction", "actual")
                )
                return estimate_from_tally(name, tally_of_labels(predicted, actual), confidence, self.positive)
            actual, other = labels_and_numbers(rows, column, classes=self.metric.needs == "scores")
            if actual.size < _FEWEST_ROWS:
                return None
            if self.metric.needs == "errors" and name != "r2":
                return _of_errors(name, actual, other, confidence)
            return estimate_from_rows(name, actual, other, confidence, self.positive)
        except ValueError as error:
            raise ConfigurationError(f"{name} cannot be computed on the history: {error}") from error

    def better(self, one: float, other: float) -> float:
        """By how much `one` is better than `other`."""
        return one - other if self.metric.higher_is_better else other - one


def yardstick(model: Model, wanted: str | None) -> Yardstick:
    """By the metric that is wanted, else the one that a trigger or a gate of the model asks for, else what its rows
    have: scores, or classes or numbers by the task. Raises ConfigurationError for an unknown one, or without scores."""
    bars = [each for each in model.triggers.values() if isinstance(each, BarTrigger)]
    asked = [each.metric for each in bars] + [gate.metric for gate in model.training.gates]
    by_rows = "log_loss" if model.predictions.columns.score else "mae" if _regresses(model) else "accuracy"
    name = wanted or next(iter(asked), by_rows)
    if name not in METRICS:
        raise ConfigurationError(f"{name!r} is not a metric; choose one of {', '.join(sorted(METRICS))}")
    if METRICS[name].needs == "scores" and model.predictions.columns.score is None:
        raise ConfigurationError(
            f"{name} needs scores, and predictions.columns names no score; name it, or choose another with --metric"
        )
    positive = next((each.positive for each in bars if each.positive is not None), None)
    return Yardstick(METRICS[name], positive)


def _regresses(model: Model) -> bool:
    trainer = getattr(model.training.trainer, "sklearn", "")
    return model.training.task == "regression" or "Regress" in trainer


def _both_known(rows: pa.Table) -> pa.Table:
    return rows.select(["prediction", "actual"]).drop_null()


def _of_errors(name: str, actual: NDArray[Any], prediction: NDArray[np.float64], confidence: float) -> Estimate | None:
    return estimate_from_tally(name, Tally(errors=error_sums(prediction, actual.astype(float))), confidence)


@dataclass(frozen=True)
class Period:
    """A span of the replay and the figure on its rows. None: too few labelled rows."""

    start: datetime
    end: datetime
    rows: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Loss:
    """Periods in a row whose whole interval lies past the bar."""

    start: datetime
    end: datetime
    worst: float


def period_length(since: datetime, until: datetime) -> timedelta:
    """A week, or a twelfth of the time where that is shorter."""
    return min(timedelta(days=7), (until - since) / 12)


def periods(history: History, by: Yardstick, since: datetime, until: datetime) -> list[Period]:
    """One after another from `since` on; what is left of less than half of one belongs to the last."""
    length = period_length(since, until)
    number = max(round((until - since) / length), 1)
    edges = [since + index * length for index in range(number)] + [until]
    return [_period(history, by, start, end) for start, end in pairwise(edges)]


def _period(history: History, by: Yardstick, start: datetime, end: datetime) -> Period:
    rows = labelled(history, start, end)
    found = by.judge(rows, OF_A_PERIOD)
    if found is None:
        return Period(start, end, rows.num_rows, None, None, None)
    return Period(start, end, rows.num_rows, found.value, found.low, found.high)


def labelled(history: History, start: datetime | None, end: datetime) -> pa.Table:
    """The rows of the span that ever got a label, with what the history says of them now."""
    first = 0 if start is None else history.row_at(start)
    names = [each for each in ("prediction", "score", "actual") if each in history.table.column_names]
    rows = history.table.select(names).slice(first, history.row_at(end) - first)
    return rows.filter(rows["actual"].is_valid())


def bar_of(model: Model, by: Yardstick, history: History, since: datetime, margin: float | None) -> tuple[float, str]:
    """What a figure must be past to be a loss, and why that: a trigger's bar on the same metric, or a margin from the
    figure before the replay. Raises ConfigurationError where neither is known."""
    for name, each in model.triggers.items():
        written = each.below if isinstance(each, BarTrigger) and each.below is not None else None
        written = each.above if isinstance(each, BarTrigger) and each.above is not None else written
        if margin is None and written is not None and getattr(each, "metric", None) == by.metric.name:
            return written, f"the bar of trigger {name}"
    return margin_bar(by, history, since, margin)


def margin_bar(by: Yardstick, history: History, since: datetime, margin: float | None) -> tuple[float, str]:
    """A margin (None: a twentieth) from the figure before `since`, or else from that of the first periods after it."""
    first, last = since, since + 4 * period_length(since, _end(history))
    usual = by.judge(labelled(history, None, first), CONFIDENCE) or by.judge(labelled(history, first, last), CONFIDENCE)
    if usual is None:
        raise ConfigurationError(
            f"{by.metric.name} cannot be told of the rows before {since:%Y-%m-%d}, nor of the first after it: too few "
            "have labels; choose another --since, or another --metric"
        )
    allowed = margin if margin is not None else _MARGIN * abs(usual.value)
    bar = usual.value - allowed if by.metric.higher_is_better else usual.value + allowed
    return bar, f"{allowed:.3g} worse than the {usual.value:.3g} that was recorded at the beginning"


def _end(history: History) -> datetime:
    span = history.span()
    assert span is not None  # noqa: S101 - a history without rows is refused before
    return span[1]


def losses(found: Sequence[Period], by: Yardstick, bar: float) -> list[Loss]:
    """Periods whose whole interval is past the bar, neighbours as one."""
    made: list[Loss] = []
    for each in found:
        if each.value is None or each.low is None or each.high is None:
            continue
        nearest = each.high if by.metric.higher_is_better else each.low
        if by.better(nearest, bar) >= 0:
            continue
        if made and made[-1].end == each.start:
            worst = each.value if by.better(each.value, made[-1].worst) < 0 else made[-1].worst
            made[-1] = Loss(made[-1].start, each.end, worst)
        else:
            made.append(Loss(each.start, each.end, each.value))
    return made


def costs(by: Yardstick, rows: pa.Table) -> tuple[NDArray[np.float64], str]:
    """What each row costs, to be added up over rows, and what that is; 0 for a row that cannot be judged.

    It is the metric itself where that is a mean; where it is not (ROC AUC, F1 ...) log loss, error or absolute error
    stands for it.
    """
    actual = rows["actual"]
    if by.metric.needs == "scores" and "score" in rows.column_names:
        score = numbers(rows["score"])
        truth = np.array(actual.to_pylist(), dtype=object)
        known = np.array([each is not None for each in truth.tolist()]) & ~np.isnan(score)
        hits = positives(by.metric.name, truth[known], by.positive)
        made = np.zeros(score.size)
        if hits is not None:
            brier = by.metric.name == "brier"
            made[known] = np.square(score[known] - hits) if brier else log_losses(hits, score[known])
        return made, "brier" if by.metric.name == "brier" else _COST_OF["scores"]
    if by.metric.needs == "classes":
        pairs = zip(rows["prediction"].to_pylist(), actual.to_pylist(), strict=True)
        wrong = [None not in pair and class_label(pair[0]) != class_label(pair[1]) for pair in pairs]
        return np.array(wrong, dtype=float), _COST_OF["classes"]
    error = np.abs(numbers(rows["prediction"]) - numbers(actual))
    squared = by.metric.name in {"rmse", "r2"}
    return np.nan_to_num(error**2 if squared else error), "squared error" if squared else _COST_OF["errors"]
