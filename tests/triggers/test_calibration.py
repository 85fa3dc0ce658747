"""Calibrations: against scikit-learn's isotonic regression, where they lead, and how sure they are."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from triggers.calibration import Isotonic, Logistic, _rising, calibrate
from triggers.confidence import Estimate
from triggers.crosscheck import Check, check, distrust, halves
from triggers.expectation import Scored, expect
from triggers.ranking import rank


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50)), min_size=1, max_size=30))
def test_a_rising_curve_is_isotonic_regressions(cells: list[tuple[float, int]]) -> None:
    shares, counts = (np.array(column, dtype=float) for column in zip(*cells, strict=True))
    expected = IsotonicRegression().fit_transform(np.arange(shares.size), shares, sample_weight=counts)
    assert _rising(shares, counts) == pytest.approx(expected, abs=1e-9)
    assert _rising(np.stack([shares, shares]), counts) == pytest.approx(np.stack([expected, expected]), abs=1e-9)


def stream(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    chance = random.beta(2, 3, rows)
    return chance, random.random(rows) < chance


@pytest.mark.parametrize("how", [Logistic, Isotonic])
@pytest.mark.parametrize("bend", [0.5, 1.0, 3.0])
def test_a_curve_finds_the_probability_behind_a_bent_score(how: type[Logistic | Isotonic], bend: float) -> None:
    chance, hits = stream(20_000, 1)
    learned = how.learn(chance**bend, hits)
    asked = np.linspace(0.15, 0.7, 50)
    assert np.abs(learned.chance(asked**bend) - asked).max() < 0.06


@pytest.mark.parametrize("how", [Logistic, Isotonic])
def test_the_draws_spread_as_curves_learned_from_other_rows_do(how: type[Logistic | Isotonic]) -> None:
    asked = np.array([0.3, 0.5])
    learned = np.array([how.learn(*stream(2000, seed)).chance(asked) for seed in range(150)])
    draws = how.learn(*stream(2000, 999)).draws(asked)
    assert draws.shape == (200, 2)
    assert draws.std(axis=0) / learned.std(axis=0) == pytest.approx([1, 1], abs=0.45)
    assert (draws == how.learn(*stream(2000, 999)).draws(asked)).all()


def test_isotonic_is_taken_only_where_it_serves_better() -> None:
    chance, hits = stream(5000, 1)
    assert calibrate(chance, hits).kind == "beta"
    assert calibrate(chance * 10 - 5, hits).kind == "platt"
    steps = np.interp(chance, [0, 0.3, 0.31, 0.6, 1], [0, 0.1, 0.7, 0.72, 1])
    assert calibrate(np.where(steps > 0.71, 1.5 - steps / 2, steps), hits).kind == "isotonic"


def test_equal_scores_and_scores_at_the_ends_have_a_curve() -> None:
    _, hits = stream(500, 1)
    for score in (np.full(500, 0.3), np.where(hits, 1.0, 0.0), np.zeros(500)):
        told = calibrate(score, hits).chance(score)
        assert np.isfinite(told).all()
        assert ((told >= 0) & (told <= 1)).all()


def test_one_class_alone_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="only 9 are of the rarer class"):
        calibrate(np.linspace(0, 1, 100), np.arange(100) < 9)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_the_rank_of_whole_rows_is_scikit_learns_roc_auc(rows: list[tuple[int, bool]]) -> None:
    score, hits = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ranked = rank(score, hits, 1 - hits)
    if hits.min() == hits.max():
        assert ranked is None
    else:
        assert ranked is not None
        assert ranked[0] == pytest.approx(roc_auc_score(hits, score))


def test_an_expectation_is_the_mean_over_what_rows_may_turn_out_to_be() -> None:
    score, _ = stream(400, 2)
    calibration = calibrate(*stream(3000, 3))
    random, chance = np.random.default_rng(4), calibration.chance(score)
    drawn = [roc_auc_score(random.random(400) < chance, score) for _ in range(400)]
    estimate = expect("roc_auc", Scored(score), calibration, 0.95)
    assert estimate is not None
    assert estimate.value == pytest.approx(np.mean(drawn), abs=0.005)


def checks(*inside: bool, far_off: bool = False) -> Sequence[Check]:
    return [Check(100, Estimate(0.8, 0.7, 0.9), 0.8 if each else 0.6, far_off and not each) for each in inside]


def test_two_spans_outside_or_one_far_off_are_a_reason_for_distrust() -> None:
    assert distrust(checks(True, True, True, True)) is None
    assert distrust(checks(True, False, True, True)) is None
    assert distrust(checks(True, False, True, True, far_off=True)) is not None
    assert distrust(checks(True, False, False, True)) == (
        "in 2 of 4 spans with labels the realised figure lay outside the estimate's 95 % interval "
        "(in the last of them 0.600, not 0.700 to 0.900)"
    )
    assert distrust([]) == "there are too few labelled rows to check it against"


def test_what_is_undefined_is_no_check() -> None:
    assert check(100, None, lambda _: Estimate(0.8, 0.7, 0.9)) is None
    assert check(100, 0.8, lambda _: None) is None


@pytest.mark.parametrize("rows", [0, 99, 100, 230, 1001])
def test_the_halves_of_the_labelled_rows_are_whole_and_in_order(rows: int) -> None:
    older, spans = halves(rows)
    assert older == slice(0, rows // 2)
    assert len(spans) == min(4, (rows - rows // 2) // 50)
    if spans:
        assert spans[0].start == rows // 2
        assert spans[-1].stop == rows
        assert all(span.stop - span.start >= 50 for span in spans)
