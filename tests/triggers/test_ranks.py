"""Location, scale and distance from counts, against scipy on the raw rows."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from triggers.comparison import Comparison, compare
from triggers.layout import MOST_BREAKS, NumberLayout
from triggers.profile import ReferenceProfile, WindowProfile

TIED = st.lists(st.integers(-4, 4).map(float), min_size=2, max_size=60)
NUMBERS = st.lists(
    st.one_of(st.integers(-4, 4).map(float), st.floats(-5, 5, allow_subnormal=False)), min_size=2, max_size=60
)
SAMPLES = st.tuples(
    st.integers(0, 2**32), st.integers(3, 400), st.integers(3, 400), st.floats(-1, 1), st.floats(0.5, 2)
)


def compared(reference: object, current: object) -> tuple[Comparison, NumberLayout]:
    profile = ReferenceProfile.of(pa.table({"x": reference}), ["x"])
    window = WindowProfile(profile.layouts)
    window.add(pa.table({"x": current}))
    layout = profile.layouts["x"]
    assert isinstance(layout, NumberLayout)
    return next(compare(profile, window)), layout


def whitney(reference: list[float], current: list[float]) -> tuple[float, float]:
    """How often current lies above, and the p-value, 1 where all values are tied."""
    found = stats.mannwhitneyu(current, reference, method="asymptotic")
    tied = len(set(reference) | set(current)) == 1
    return float(found.statistic) / (len(reference) * len(current)), 1.0 if tied else float(found.pvalue)


def mood(reference: list[float], current: list[float]) -> float:
    """The p-value, 1 where all rows are as far from the middle rank: there scipy divides by a rounding error."""
    counts = list(Counter(reference + current).values())
    if len(counts) == 1 or (len(counts) == 2 and counts[0] == counts[1]):
        return 1.0
    return float(stats.mood(current, reference).pvalue)


@settings(max_examples=200, deadline=None)
@given(TIED, st.data())
def test_rank_tests_are_scipys_with_ties_at_the_references_values(reference: list[float], data: st.DataObject) -> None:
    current = data.draw(st.lists(st.sampled_from(reference), min_size=2, max_size=60))
    found, _ = compared(reference, current)
    assert (found.rank_sum, found.rank_sum_p_value) == pytest.approx(whitney(reference, current), abs=1e-9)
    assert found.mood_p_value == pytest.approx(mood(reference, current), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_rank_tests_are_scipys_without_ties(sample: tuple[int, int, int, float, float]) -> None:
    seed, n, m, shift, scale = sample
    random = np.random.default_rng(seed)
    reference, current = random.normal(0, 1, n).tolist(), random.normal(shift, scale, m).tolist()
    found, _ = compared(reference, current)
    assert (found.rank_sum, found.rank_sum_p_value) == pytest.approx(whitney(reference, current), rel=1e-9)
    assert found.mood_p_value == pytest.approx(mood(reference, current), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, NUMBERS)
def test_values_tied_only_among_themselves_make_p_values_larger_and_never_smaller(
    reference: list[float], current: list[float]
) -> None:
    found, _ = compared(reference, current)
    above, p_value = whitney(reference, current)
    assert found.rank_sum == pytest.approx(above, abs=1e-12)
    assert found.rank_sum_p_value is not None
    assert found.rank_sum_p_value >= p_value - 1e-9
    assert found.mood_p_value is not None
    assert found.mood_p_value >= mood(reference, current) - 1e-9


def test_rank_tests_of_quantiles_are_scipys_but_for_a_thousandth() -> None:
    random = np.random.default_rng(1)
    reference, current = random.gamma(2, 1, 60_000), random.gamma(2, 1.01, 30_000)
    found, layout = compared(reference, current)
    assert not layout.exact
    assert layout.breaks.size <= MOST_BREAKS + 3
    above, p_value = whitney(reference.tolist(), current.tolist())
    assert found.rank_sum == pytest.approx(above, abs=1e-5)
    assert found.rank_sum_p_value == pytest.approx(p_value, rel=0.01)
    assert found.mood_p_value == pytest.approx(mood(reference.tolist(), current.tolist()), rel=0.01)


def test_rank_tests_alarm_as_often_as_their_level_without_drift() -> None:
    random = np.random.default_rng(2)
    pairs = [(random.poisson(3, 400).astype(float), random.poisson(3, 300).astype(float)) for _ in range(1000)]
    comparisons = [compared(*pair)[0] for pair in pairs]
    for found in (
        np.array([each.rank_sum_p_value for each in comparisons], dtype=float),
        np.array([each.mood_p_value for each in comparisons], dtype=float),
    ):
        for level in (0.2, 0.05, 0.01):
            assert (found <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 1000))


def test_a_shift_shows_as_location_and_a_wider_spread_as_scale() -> None:
    random = np.random.default_rng(3)
    reference = random.normal(0, 1, 5000)
    shifted, _ = compared(reference, random.normal(0.25, 1, 2000))
    assert shifted.rank_sum == pytest.approx(stats.norm.cdf(0.25 / np.sqrt(2)), abs=0.02)
    assert shifted.rank_sum_p_value is not None
    assert shifted.rank_sum_p_value < 1e-9
    wider, _ = compared(reference, random.normal(0, 1.3, 2000))
    assert wider.mood is not None
    assert wider.mood > 1.1
    assert wider.mood_p_value is not None
    assert wider.mood_p_value < 1e-9
    assert wider.rank_sum_p_value is not None
    assert wider.rank_sum_p_value > 0.001


def fenced(layout: NumberLayout, values: list[float]) -> np.ndarray:
    first, last = layout.fences
    return np.clip(values, layout.breaks[first], layout.breaks[last])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=80), st.data())
def test_wasserstein_of_fenced_values_is_scipys(reference: list[float], data: st.DataObject) -> None:
    current = data.draw(st.lists(st.sampled_from(reference), min_size=1, max_size=60))
    found, layout = compared(reference, current)
    if found.wasserstein is None:
        return
    expected = stats.wasserstein_distance(fenced(layout, reference), fenced(layout, current))
    assert found.wasserstein == pytest.approx(expected, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, NUMBERS)
def test_wasserstein_errs_by_no_more_than_the_gaps_hold(reference: list[float], current: list[float]) -> None:
    found, layout = compared(reference, current)
    if found.wasserstein is None:
        return
    inner = np.array(layout.breaks[1:-1])
    inside = np.searchsorted(inner, current, "right") - 1
    between = (inside >= 0) & (inside < inner.size - 1)
    most = float(np.diff(inner)[inside[between]].sum() / len(current)) if inner.size > 1 else 0.0
    expected = stats.wasserstein_distance(fenced(layout, reference), fenced(layout, current))
    assert found.wasserstein == pytest.approx(expected, abs=most + 1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.25, 1.0])
def test_wasserstein_of_ordinary_data_needs_no_fences(shift: float) -> None:
    random = np.random.default_rng(4)
    for draw in (random.normal, random.laplace):
        reference, current = draw(0, 1, 10_000), draw(shift, 1, 10_000)
        expected = stats.wasserstein_distance(reference, current)
        assert compared(reference, current)[0].wasserstein == pytest.approx(expected, rel=0.01, abs=0.002)


@pytest.mark.parametrize("where", ["reference", "current"])
@pytest.mark.parametrize("wild", [1e6, -1e6, np.inf])
def test_one_wild_value_hides_a_shift_from_no_statistic(where: str, wild: float) -> None:
    random = np.random.default_rng(5)
    samples = {"reference": random.normal(0, 1, 5000), "current": random.normal(1, 1, 2000)}
    clean, _ = compared(samples["reference"], samples["current"])
    samples[where][7] = wild
    found, _ = compared(samples["reference"], samples["current"])
    for name in ("ks", "rank_sum", "mood", "wasserstein", "psi", "js", "hellinger", "total_variation"):
        assert getattr(found, name) == pytest.approx(getattr(clean, name), rel=0.01), name
    assert found.ks_p_value is not None
    assert found.ks_p_value < 1e-9
    assert found.rank_sum_p_value is not None
    assert found.rank_sum_p_value < 1e-9


@pytest.mark.parametrize("values", [[5.0] * 9, [5.0, 5.0], [1.0, 2.0, 3.0], [np.inf] * 5, [-np.inf, 0.0, np.inf]])
def test_few_constant_and_infinite_values_are_compared_without_dividing_by_zero(values: list[float]) -> None:
    found, _ = compared(values, values)
    assert (found.ks, found.rank_sum) == (0, 0.5)
    assert found.ks_p_value == found.rank_sum_p_value == found.mood_p_value == 1
    assert found.wasserstein in (None, 0)
