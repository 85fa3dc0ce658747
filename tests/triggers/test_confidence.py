"""The metrics' intervals: against known figures, against the bootstrap, and by how often they hold the truth."""

from math import inf

import numpy as np
import pytest
from scipy import stats
from test_metrics import error_sums

from triggers.confidence import Estimate, estimate_from_rows, estimate_from_tally, exact
from triggers.metrics import ErrorSums, Tally, metric_value, tally_of_labels


def bootstrap(name: str, actual: np.ndarray, other: np.ndarray, draws: int = 600) -> tuple[float, float]:
    random, rows = np.random.default_rng(11), len(actual)
    values = []
    for _ in range(draws):
        drawn = random.integers(0, rows, rows)
        values.append(metric_value(name, actual[drawn], prediction=other[drawn], score=other[drawn]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def agrees(found: Estimate | None, low: float, high: float) -> bool:
    """Whether the interval is the bootstrap's, to a sixth of its width (600 draws tell no better)."""
    assert found is not None
    near = (high - low) / 6
    return abs(found.low - low) < near and abs(found.high - high) < near and found.low < found.value < found.high


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (1, 10), (812, 1000), (10, 10)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_proportions_interval_is_the_exact_one(hits: int, trials: int, confidence: float) -> None:
    expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    found = exact(hits, trials, confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_precision_and_recall_rest_on_the_rows_that_they_speak_of() -> None:
    tally = Tally(classes={("1", "1"): 40, ("1", "0"): 10, ("0", "1"): 60, ("0", "0"): 890})
    assert estimate_from_tally("accuracy", tally, 0.95) == exact(930, 1000, 0.95)
    assert estimate_from_tally("precision", tally, 0.95) == exact(40, 50, 0.95)
    assert estimate_from_tally("recall", tally, 0.95) == exact(40, 100, 0.95)
    assert estimate_from_tally("precision", tally, 0.95, positive=0) == exact(890, 950, 0.95)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("classes", [2, 4])
def test_intervals_of_class_metrics_agree_with_the_bootstrap(name: str, classes: int) -> None:
    random = np.random.default_rng(3)
    actual = random.choice(classes, 800, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    prediction = np.where(random.random(800) < 0.7, actual, random.integers(0, classes, 800))
    low, high = bootstrap(name, actual, prediction)
    assert agrees(estimate_from_tally(name, tally_of_labels(prediction, actual), 0.95), low, high)


@pytest.mark.parametrize("name", ["mae", "rmse", "mape"])
def test_intervals_from_error_sums_agree_with_the_bootstrap(name: str) -> None:
    random = np.random.default_rng(4)
    actual = random.gamma(4, 2, 800) + 1
    prediction = actual + random.normal(0, 1, 800)
    low, high = bootstrap(name, actual, prediction)
    assert agrees(estimate_from_tally(name, Tally(errors=error_sums(actual, prediction)), 0.95), low, high)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "brier", "r2"])
def test_intervals_from_rows_agree_with_the_bootstrap(name: str) -> None:
    random = np.random.default_rng(6)
    chance = random.beta(2, 3, 800)
    actual = (random.random(800) < chance).astype(float)
    other = np.clip(chance + random.normal(0, 0.1, 800), 0.01, 0.99)
    if name == "r2":
        actual = random.normal(5, 2, 800)
        other = actual + random.normal(0, 1, 800)
    low, high = bootstrap(name, actual, other)
    found = estimate_from_rows(name, actual, other, 0.95)
    assert agrees(found, low, high)
    assert found is not None
    assert found.value == metric_value(name, actual, prediction=other, score=other)


def test_an_interval_holds_the_true_value_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(8), 0
    for _ in range(500):
        hits = int((random.random(200) < 0.9).sum())
        estimate = exact(hits, 200, 0.95)
        held += estimate.low <= 0.9 <= estimate.high
    assert 460 <= held <= 490


def test_intervals_stay_within_the_metrics_range_and_widen_with_confidence() -> None:
    errors = error_sums(np.ones(5), np.array([1.0, 1.0, 1.0, 1.0, 9.0]))
    found = estimate_from_tally("rmse", Tally(errors=errors), 0.99)
    assert found is not None
    assert found.low == 0
    certain = estimate_from_tally("mae", Tally(errors=errors), 0.8)
    assert certain is not None
    wide = estimate_from_tally("mae", Tally(errors=errors), 0.99)
    assert wide is not None
    assert wide.high > certain.high


def test_what_is_undefined_has_no_interval() -> None:
    nothing_positive = Tally(classes={("0", "0"): 100})
    assert estimate_from_tally("precision", nothing_positive, 0.95) is None
    assert estimate_from_tally("accuracy", Tally(), 0.95) is None
    assert estimate_from_rows("roc_auc", np.ones(9), np.linspace(0, 1, 9), 0.95) is None
    with pytest.raises(ValueError, match="needs the rows themselves"):
        estimate_from_tally("r2", Tally(errors=error_sums(np.arange(9.0), np.zeros(9))), 0.95)


def test_a_single_row_is_no_certainty() -> None:
    found = estimate_from_tally("mae", Tally(errors=error_sums(np.array([1.0]), np.array([3.0]))), 0.95)
    assert found == Estimate(2.0, 0.0, float("inf"))


@pytest.mark.parametrize("error", [1e80, 1e155, 1e200])
def test_errors_beyond_what_squares_can_hold_are_told_without_a_bound(error):
    sums = ErrorSums(count=3, absolute=3 * error, squared=3 * error * error, fourth=inf)
    estimate = estimate_from_tally("rmse", Tally(errors=sums), 0.95)
    assert estimate is not None
    assert (estimate.low, estimate.high) == (0.0, inf)
