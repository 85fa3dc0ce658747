"""Confidence intervals of the metrics in `triggers.metrics`, for verdicts that must not fire on noise.

Called by the performance trigger. Proportions get Wilson's interval (Wilson 1927), F1 of one class
Wilson's interval of the Jaccard index it is a function of, ROC AUC DeLong's variance (DeLong et al.
1988), and everything else the delta method: the metric's influence function, averaged. All of them
take rows as independent; rows that come in clumps make them too narrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from triggers.metrics import (
    METRICS,
    ClassCounts,
    ErrorSums,
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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A metric's value and the interval that holds the true one with the confidence asked for."""

    value: float
    low: float
    high: float


def estimate_from_tally(name: str, tally: Tally, confidence: float, positive: object = None) -> Estimate | None:
    """The metric `name` with its two-sided interval, from class counts or error sums; None where it is undefined.

    Raises ValueError for a metric that needs scores, and for r2, whose interval sums cannot give to
    any accuracy: use `estimate_from_rows`.
    """
    value = tally_value(name, tally, positive)
    if value is None:
        return None
    deviations = _deviations(confidence)
    if METRICS[name].needs == "errors":
        return _from_sums(name, value, tally.errors, deviations)
    counts = class_counts(tally)
    if name == "accuracy":
        return wilson(sum(each.hits for each in counts.values()), tally.rows, confidence)
    if is_macro(tally, positive):
        return _around(name, value, deviations * sqrt(_macro_variance(name, tally, counts)))
    label = positive_label(counts, positive)
    return _of_class(name, counts[label], confidence) if label in counts else None


def wilson(hits: int, trials: int, confidence: float) -> Estimate:
    """Wilson's score interval of a proportion; `trials` is above zero."""
    deviations = _deviations(confidence)
    share, square = hits / trials, deviations**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = deviations * sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return Estimate(share, max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _of_class(name: str, counts: ClassCounts, confidence: float) -> Estimate:
    if name == "precision":
        return wilson(counts.hits, counts.predicted, confidence)
    if name == "recall":
        return wilson(counts.hits, counts.actual, confidence)
    jaccard = wilson(counts.hits, counts.predicted + counts.actual - counts.hits, confidence)
    value, low, high = (2 * share / (1 + share) for share in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value, low, high)


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


def _from_sums(name: str, value: float, sums: ErrorSums, deviations: float) -> Estimate:
    if name == "mae":
        return _around(name, value, deviations * _standard_error(sums.squared, value, sums.count))
    if name == "mape":
        return _around(name, value, deviations * _standard_error(sums.relative_squared, value, sums.nonzero))
    if name == "rmse":
        half = deviations * _standard_error(sums.fourth, value * value, sums.count)
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
    name: str, actual: "NDArray[Any]", other: "NDArray[np.float64]", confidence: float, positive: object = None
) -> Estimate | None:
    """The metric `name` (roc_auc, log_loss, brier or r2) with its two-sided interval; None where it is undefined.

    `other` holds scores, or predictions for r2; nothing is missing. Raises ValueError for more than
    two classes.
    """
    value = metric_value(name, actual, prediction=other, score=other, positive=positive)
    if value is None:
        return None
    if name == "r2":
        variance = _r2_variance(actual.astype(float), other)
    else:
        hits = positives(name, actual, positive)
        assert hits is not None  # noqa: S101 metric_value would have been None
        variance = _score_variance(name, hits, other)
    return _around(name, value, _deviations(confidence) * sqrt(variance))


def _score_variance(name: str, hits: "NDArray[np.bool_]", score: "NDArray[np.float64]") -> float:
    import numpy as np

    if name == "roc_auc":
        return sum(_mean_variance(part) for part in placements(hits, score))
    return _mean_variance(log_losses(hits, score) if name == "log_loss" else np.square(score - hits))


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


def _deviations(confidence: float) -> float:
    """How many standard deviations on either side hold `confidence` of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
