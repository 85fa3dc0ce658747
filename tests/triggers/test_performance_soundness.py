"""The performance triggers keep their word on seeded streams. The long version: `make soundness`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.soundness.estimates import estimated
from benchmarks.soundness.performance import (
    accuracy_fires,
    errors_fire,
    firings,
    looks_until_found,
    losses_fire,
    ranks_fire,
)
from triggers.confidence import exact


def test_an_accuracy_that_stands_at_its_bar_for_90_daily_looks_is_within_the_budget_of_one_false_alarm() -> None:
    found = [firings(seed, 0.85, 0.85)["ours"] for seed in range(25)]
    assert 0 < float(np.mean(found)) <= 1


def test_a_drop_of_3_points_at_500_labels_a_day_is_found_within_5_looks() -> None:
    assert float(np.median([looks_until_found(seed, 0.85, 0.82) for seed in range(40)])) <= 5


@pytest.mark.parametrize(("errors", "successes"), [(0.5, 2.0), (1.0, 5.0), (0.1, 14.0), (0.1, 30.0)])
def test_errors_that_are_labelled_sooner_do_not_fire(errors: float, successes: float) -> None:
    found = [firings(seed, 0.87, 0.85, errors, successes) for seed in range(10)]
    assert float(np.mean([each["plain"] for each in found])) > 20
    assert float(np.mean([each["ours"] for each in found])) <= 0.5


def test_a_real_drop_is_found_though_errors_are_labelled_sooner() -> None:
    assert float(np.median([looks_until_found(seed, 0.87, 0.80, 0.5, 2.0) for seed in range(15)])) <= 10


@pytest.mark.parametrize(
    ("fires", "truth"),
    [(accuracy_fires, 0.9), (ranks_fire, 0.8383), (losses_fire, 0.5), (errors_fire, float(np.exp(0.5)))],
)
@pytest.mark.parametrize("level", [1e-2, 1e-3])
def test_a_look_at_the_bar_fires_no_oftener_than_its_level(fires: object, truth: float, level: float) -> None:
    assert callable(fires)
    random, draws = np.random.default_rng(7), 4000
    fired = sum(fires(random, level, truth) for _ in range(draws))
    assert fired <= stats.binom.ppf(0.999, draws, level)


@given(st.integers(1, 4000), st.floats(0.5, 0.995), st.sampled_from([0.05, 1 / 90, 1e-3, 1e-4]))
def test_a_proportions_interval_is_never_passed_oftener_than_its_level(trials: int, bar: float, level: float) -> None:
    hits = np.arange(trials + 1)
    low, high = 0, trials + 1  # the first number of hits whose interval reaches the bar
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if exact(middle, trials, 1 - 2 * level).high < bar else (low, middle)
    assert stats.binom.pmf(hits[:low], trials, bar).sum() <= level * (1 + 1e-9)


@pytest.mark.parametrize(("how", "shift"), [("calibrated", 0.0), ("calibrated", 0.7), ("bent", 0.7)])
def test_estimates_meet_what_rows_turn_out_to_be(how: str, shift: float) -> None:
    gaps, held, held_truth = estimated(how, shift, 25)
    assert float(np.mean(gaps)) <= 0.01
    assert float(np.mean(list(held.values()))) >= 0.93
    assert float(np.mean(list(held_truth.values()))) >= 0.93
