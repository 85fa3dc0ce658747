"""The `worth` trigger keeps its word on seeded streams. The long version: `benchmarks.soundness_worth`."""

import numpy as np
import pytest

from benchmarks.soundness_worth import breaks, decays, stays, streams, worth


@pytest.mark.parametrize("rows", [30, 500])
def test_a_model_that_stays_fires_within_its_budget_though_retraining_is_all_but_free(rows: int) -> None:
    found = [len(each.firings()) for each in streams(1, 2, stays, worth(0.001), rows_a_day=rows)]
    assert float(np.mean(found)) <= 1


@pytest.mark.parametrize(("cost", "rate"), [(500, 0.2), (2000, 0.2), (500, 0.05)])
def test_a_steady_decay_fires_close_to_the_period_that_costs_least(cost: float, rate: float) -> None:
    best = float(np.sqrt(2 * cost / (rate * 25)))
    days = [each.first(int(best / 2)) for each in streams(2, 5, decays(rate), worth(cost), rows_a_day=2000)]
    assert float(np.median(days)) == pytest.approx(best, rel=0.2)


def test_dearer_retraining_waits_longer() -> None:
    days = [
        float(np.median([each.first() for each in streams(3, 3, decays(0.2), worth(cost), rows_a_day=2000)]))
        for cost in (100, 500, 2000)
    ]
    assert days == sorted(set(days))


@pytest.mark.parametrize(("points", "within"), [(3, 6), (10, 1)])
def test_a_sudden_loss_fires_within_days(points: float, within: int) -> None:
    days = [each.first(31) - 30 for each in streams(4, 7, breaks(30, points), worth())]
    assert float(np.median(days)) <= within
