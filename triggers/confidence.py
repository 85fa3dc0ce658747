"""Confidence intervals of the metrics in `triggers.metrics`, for verdicts that must not fire on noise.

Called by the performance triggers. Proportions get the exact interval (Clopper and Pearson 1934), F1
of one class that of the Jaccard index it is a function of, ROC AUC DeLong's variance (DeLong et al.
1988) on the scale of log-odds, and everything else the delta method: the metric's influence
function, averaged. All of them take rows as independent; rows that come in clumps make them too
narrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from triggers.metrics import (
    METRICS,
    ClassCounts,
    ErrorSums,
    Metric,
    Tally,
    class_counts,
    is_macro,
    log_losses,
    metric_value,
    placements,
    positive_label,
    positives,
    tally_value,
)
from triggers.ranking import rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A metric's value and the interval that holds the true one with the confidence asked for."""

    value: float
    low: float
    high: float


def estimate_from_tally(
    name: str,
    tally: Tally,
    confidence: float,
    positive: object = None,
    weights: Mapping[str, float] | None = None,
) -> Estimate | None:
    """The metric `name` with its two-sided interval, from class counts or error sums; None where it is undefined.

    `weights` says for how many rows one of each predicted class stands; None: all for one. Errors have
    no classes to be weighted by. Raises ValueError for a metric that needs scores, and for r2, whose
    interval sums cannot give to any accuracy: use `estimate_from_rows`.
    """
    value = tally_value(name, tally, positive)
    if value is None:
        return None
    if METRICS[name].needs == "errors":
        return _from_sums(name, value, tally.errors, confidence)
    stand_for = dict.fromkeys(tally.labels, 1.0) | dict(weights or {})
    counts = class_counts(tally)
    if is_macro(tally, positive) and name != "accuracy":
        shares = [_of_class(name, tally, label, stand_for, confidence) for label in counts]
        value = sum(each.value for each in shares if each is not None) / len(counts)
        inflation = tally.rows / _effective([(rows, stand_for[pair[0]]) for pair, rows in tally.classes.items()])
        return _around(name, value, deviations(confidence) * sqrt(inflation * _macro_variance(name, tally, counts)))
    label = None if name == "accuracy" else positive_label(counts, positive)
    return _of_class(name, tally, label, stand_for, confidence)


def _of_class(
    name: str, tally: Tally, label: str | None, stand_for: Mapping[str, float], confidence: float
) -> Estimate | None:
    """A proportion: hits among the rows that the metric speaks of. F1 is a function of one, the Jaccard index.

    Weighted rows count for as many as would tell as much without weights (Kish 1965).
    """
    based: list[tuple[int, float]] = []
    hits = total = 0.0
    for (prediction, actual), rows in tally.classes.items():
        said, true = label in {None, prediction}, label in {None, actual}
        if {"precision": said, "recall": true}.get(name, said or true):
            based.append((rows, stand_for[prediction]))
            total += rows * stand_for[prediction]
            hits += rows * stand_for[prediction] * (prediction == actual)
    if not total:
        return None
    trials = _effective(based)
    found = exact(hits / total * trials, trials, confidence)
    if name != "f1":
        return found
    return Estimate(*(2 * share / (1 + share) for share in (found.value, found.low, found.high)))


def _effective(based: Sequence[tuple[int, float]]) -> float:
    """The number of equally weighted rows that tell as much as these rows with these weights."""
    return sum(rows * weight for rows, weight in based) ** 2 / sum(rows * weight**2 for rows, weight in based)


def exact(hits: float, trials: float, confidence: float) -> Estimate:
    """The exact interval of a proportion (Clopper and Pearson 1934); `trials` is above zero.

    Neither end is passed by the true proportion more often than half of what `confidence` leaves,
    at any level and any number of trials. Wilson's interval is shorter and lacks that promise: of 100
    trials at a proportion of 0.9 its end is passed twice as often as it says at a level of 0.01 and of
    0.001, and at 0.95 and 0.001 four times.
    Trials need not be whole: weighted rows count for fewer (Korn and Graubard 1998).
    """
    from scipy.special import betaincinv

    tail, misses = (1 - confidence) / 2, trials - hits
    low = float(betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return Estimate(hits / trials, low, high)


def _macro_variance(name: str, tally: Tally, counts: Mapping[str, ClassCounts]) -> float:
    """The variance of a macro average, from the influence that one row of each (prediction, actual) pair has."""
    rows = tally.rows
    total = 0.0
    for (prediction, actual), number in tally.classes.items():
        influence = sum(
            _influence(name, counts[label], prediction == label, actual == label, rows)
            for label in {prediction, actual}
        )
        total += number * (influence / len(counts)) ** 2
    return total / rows**2


def _influence(name: str, counts: ClassCounts, predicted: bool, actual: bool, rows: int) -> float:  # noqa: FBT001 the two are one cell of a table
    """How one row moves one class's precision, recall or F1; 0 where that is undefined."""
    hit = predicted and actual
    weight, base = {
        "precision": (predicted, counts.predicted),
        "recall": (actual, counts.actual),
        "f1": ((predicted + actual) / 2, (counts.predicted + counts.actual) / 2),
    }[name]
    return (hit - counts.hits / base * weight) * rows / base if base else 0.0


def _from_sums(name: str, value: float, sums: ErrorSums, confidence: float) -> Estimate:
    if name == "mae":
        return _around(name, value, deviations(confidence) * _standard_error(sums.squared, value, sums.count))
    if name == "mape":
        error = _standard_error(sums.relative_squared, value, sums.nonzero)
        return _around(name, value, deviations(confidence) * error)
    if name == "rmse":
        half = deviations(confidence) * _standard_error(sums.fourth, value * value, sums.count)
        low = sqrt(max(value * value - half, 0)) if isfinite(half) else 0.0
        return Estimate(value, low, sqrt(value * value + half))
    raise ValueError(f"the interval of {name} needs the rows themselves")


def _standard_error(squares: float, mean: float, count: int) -> float:
    """Of a mean, from the sum of squares of what it is the mean of. Infinite for a single row, and where the squares
    are too large to be told."""
    spread = squares - count * (mean * mean)
    if count < 2 or not isfinite(spread):
        return inf
    return sqrt(max(spread, 0) / (count - 1) / count)


def estimate_from_rows(
    name: str,
    actual: "NDArray[Any]",
    other: "NDArray[np.float64]",
    confidence: float,
    positive: object = None,
    weights: "NDArray[np.float64] | None" = None,
) -> Estimate | None:
    """The metric `name` (roc_auc, log_loss, brier or r2) with its two-sided interval; None where it is undefined.

    `other` holds scores, or predictions for r2; nothing is missing. `weights` says for how many rows
    each stands; None: all for one. r2 is not weighted. Raises ValueError for more than two classes.
    """
    import numpy as np

    value = metric_value(name, actual, prediction=other, score=other, positive=positive)
    if value is None:
        return None
    if name == "r2":
        return _around(name, value, deviations(confidence) * sqrt(_r2_variance(actual.astype(float), other)))
    hits = positives(name, actual, positive)
    assert hits is not None  # noqa: S101 metric_value would have been None
    if name == "roc_auc":
        return _of_ranks(value, hits, other, confidence, weights)
    losses = log_losses(hits, other) if name == "log_loss" else np.square(other - hits)
    if weights is None:
        return _around(name, value, deviations(confidence) * sqrt(_mean_variance(losses)))
    value = float(np.average(losses, weights=weights))
    variance = float(np.square(weights * (losses - value)).sum() / weights.sum() ** 2)
    return _around(name, value, deviations(confidence) * sqrt(variance))


def _of_ranks(
    value: float,
    hits: "NDArray[np.bool_]",
    score: "NDArray[np.float64]",
    confidence: float,
    weights: "NDArray[np.float64] | None",
) -> Estimate:
    """ROC AUC. Where every pair is ranked alike the variance is zero and says nothing: then the rarer class's rows
    count as so many trials that all went one way."""
    import numpy as np

    if not 0 < value < 1:
        rarer = int(min(hits.sum(), (~hits).sum()))
        return exact(value * rarer, rarer, confidence)
    variance = sum(_mean_variance(part) for part in placements(hits, score))
    if weights is not None:
        ranked = rank(score, weights * hits, weights * ~hits)
        assert ranked is not None  # noqa: S101 metric_value would have been None
        value, if_positive, if_negative = ranked
        influence = weights * np.where(hits, if_positive, if_negative)
        variance = float(np.square(influence).sum() / weights.sum() ** 2)
    return bounded(value, deviations(confidence) * sqrt(variance), METRICS["roc_auc"])


def _r2_variance(actual: "NDArray[np.float64]", prediction: "NDArray[np.float64]") -> float:
    import numpy as np

    errors, spreads = np.square(prediction - actual), np.square(actual - actual.mean())
    mean, spread = errors.mean(), spreads.mean()
    return _mean_variance(mean / spread**2 * (spreads - spread) - (errors - mean) / spread)


def _mean_variance(values: "NDArray[np.float64]") -> float:
    """The variance of the mean of `values`; infinite for a single one."""
    return float(values.var(ddof=1)) / values.size if values.size > 1 else inf


def _around(name: str, value: float, half: float) -> Estimate:
    metric = METRICS[name]
    return Estimate(value, max(value - half, metric.lowest), min(value + half, metric.highest))


def bounded(value: float, half: float, metric: Metric) -> Estimate:
    """An interval of `half` on either side; of a metric between 0 and 1 on the scale of log-odds, where it is nearer to
    a normal distribution and cannot leave its range."""
    if (metric.lowest, metric.highest) != (0, 1) or not 0 < value < 1:
        return _around(metric.name, value, half)
    odds, reach = log(value / (1 - value)), min(half / (value * (1 - value)), 700.0)
    return Estimate(value, 1 / (1 + exp(reach - odds)), 1 / (1 + exp(-reach - odds)))


def deviations(confidence: float) -> float:
    """How many standard deviations on either side hold `confidence` of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
