"""The tests and distances of drift, against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance as spatial

from triggers.statistics import (
    adjust,
    chi_squared,
    chi_squared_p_value,
    hellinger,
    jensen_shannon,
    jensen_shannon_floor,
    ks_p_value,
    psi,
    psi_floor,
    total_variation,
)

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12).filter(
    lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True))
)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    reference, current = np.array(pairs, dtype=np.int64).T
    return reference, current


@pytest.mark.parametrize(
    ("reference_rows", "current_rows"), [(50, 70), (500, 500), (500, 30_000), (5_000, 9_000), (400_000, 90_000)]
)
@pytest.mark.parametrize("p", [0.25, 0.05, 0.01, 1e-4, 1e-9])
def test_the_ks_p_value_is_scipys_and_never_notably_below_it(reference_rows: int, current_rows: int, p: float) -> None:
    size = reference_rows * current_rows / (reference_rows + current_rows)
    found = ks_p_value(float(stats.kstwo.isf(p, round(size))), reference_rows, current_rows)
    assert 0.999 * p <= found <= 1.1 * p


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(30, 300), st.integers(30, 300), st.floats(-1, 1))
def test_the_ks_p_value_of_samples_is_scipys_asymptotic_one(seed: int, n: int, m: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    scipys = stats.ks_2samp(random.normal(0, 1, n), random.normal(shift, 1, m), method="asymp")
    found = ks_p_value(float(scipys.statistic), n, m)
    assert found >= 0.98 * scipys.pvalue
    if scipys.pvalue < 0.3:
        assert found == pytest.approx(scipys.pvalue, rel=0.05)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 29), st.integers(1, 60), st.data())
def test_the_ks_p_value_of_few_rows_is_never_below_scipys_exact_one(n: int, m: int, data: st.DataObject) -> None:
    above = data.draw(st.permutations([0] * n + [1] * m))
    reference, current = ([place for place, side in enumerate(above) if side == which] for which in (0, 1))
    scipys = stats.ks_2samp(reference, current, method="exact")
    assert ks_p_value(float(scipys.statistic), n, m) >= scipys.pvalue * (1 - 1e-9) - 1e-12


@settings(max_examples=50, deadline=None)
@given(COUNTS)
def test_hellinger_and_total_variation_are_as_defined(pairs: list[tuple[int, int]]) -> None:
    reference, current = arrays(pairs)
    p, q = reference / reference.sum(), current / current.sum()
    assert hellinger(reference, current) == pytest.approx(
        np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2), abs=1e-7
    )
    assert total_variation(reference, current) == pytest.approx(np.maximum(p - q, 0).sum(), abs=1e-12)
    apart = np.array([5, 0]), np.array([0, 9])
    assert hellinger(*apart) == total_variation(*apart) == 1


@settings(max_examples=50, deadline=None)
@given(COUNTS)
def test_psi_is_the_sum_of_both_relative_entropies(pairs: list[tuple[int, int]]) -> None:
    reference, current = arrays(pairs)
    held = (reference + current) > 0
    if held.sum() > 1:
        p, q = reference[held] + 0.5, current[held] + 0.5
        p, q = p / p.sum(), q / q.sum()
        assert psi(reference, current) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-12)
    assert psi(reference, reference) == pytest.approx(0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(COUNTS)
def test_jensen_shannon_is_scipys_in_base_2(pairs: list[tuple[int, int]]) -> None:
    reference, current = arrays(pairs)
    expected = spatial.jensenshannon(reference, current, base=2)
    assert jensen_shannon(reference, current) == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-7)
    assert jensen_shannon(np.array([5, 0]), np.array([0, 9])) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500)), min_size=2, max_size=12))
def test_chi_squared_is_scipys_where_every_cell_is_well_filled(pairs: list[tuple[int, int]]) -> None:
    reference, current = arrays(pairs)
    expected = stats.chi2_contingency(np.array([reference, current]), correction=False)
    assert chi_squared(reference, current) == pytest.approx(expected.statistic, abs=1e-9)
    if expected.expected_freq.min() >= 5:
        assert chi_squared_p_value(reference, current) == pytest.approx(expected.pvalue, abs=1e-12)


def test_rare_cells_do_not_alarm_more_often_than_the_level() -> None:
    random = np.random.default_rng(9)
    shares = np.array([0.6, 0.37, 0.02, 0.005, 0.003, 0.001, 0.0005, 0.0005])
    p_values = np.array(
        [chi_squared_p_value(random.multinomial(20_000, shares), random.multinomial(500, shares)) for _ in range(4000)]
    )
    for level in (0.05, 0.01, 0.002):
        assert (p_values <= level).mean() <= level + 3 * np.sqrt(level / 4000)


def test_cells_of_few_rows_pass_the_level_of_a_look_no_oftener_than_it_says() -> None:
    random, draws, level = np.random.default_rng(8), 20_000, 0.001
    shares = np.append(np.full(30, 0.006), 0.82)
    pairs = zip(random.multinomial(50_000, shares, draws), random.multinomial(1000, shares, draws), strict=True)
    passed = [[chi_squared_p_value(*pair, cautious=cautious) <= level for cautious in (False, True)] for pair in pairs]
    plain, cautious = np.sum(passed, axis=0)
    assert plain > 1.4 * level * draws
    assert 0 < cautious <= stats.binom.ppf(0.999, draws, level)


def test_a_category_never_seen_before_is_significant() -> None:
    assert chi_squared_p_value(np.array([9000, 1000, 0]), np.array([440, 50, 10])) < 1e-9
    assert chi_squared_p_value(np.array([9000, 1000, 0]), np.array([450, 50, 1])) > 0.01


@pytest.mark.parametrize("kind", ["psi", "js"])
def test_the_floors_are_what_the_indices_show_on_average_without_drift(kind: str) -> None:
    random = np.random.default_rng(10)
    shares = random.dirichlet(np.full(10, 5.0))
    values, floors = [], []
    for _ in range(400):
        reference, current = random.multinomial(4000, shares), random.multinomial(600, shares)
        if kind == "psi":
            values.append(psi(reference, current))
            floors.append(psi_floor(reference, current))
        else:
            values.append(jensen_shannon(reference, current) ** 2)
            floors.append(jensen_shannon_floor(reference, current) ** 2)
    assert np.mean(values) == pytest.approx(np.mean(floors), rel=0.1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_corrections_are_as_defined(p_values: list[float]) -> None:
    number = len(p_values)
    assert adjust(p_values, "bonferroni") == pytest.approx([min(1, p * number) for p in p_values])
    benjamini_hochberg = stats.false_discovery_control(p_values)
    assert adjust(p_values, "benjamini-hochberg") == pytest.approx(benjamini_hochberg.tolist())
    holm = adjust(p_values, "holm")
    for level in (0.01, 0.05, 0.2):
        rejected = 0
        for p in sorted(p_values):
            if p > level / (number - rejected):
                break
            rejected += 1
        # Rounding may move a p-value that lies at its bound to the digit.
        at_bound = any(abs(each - level) < 1e-9 for each in holm)
        assert at_bound or sum(each <= level for each in holm) == rejected


def test_nothing_to_correct_is_nothing() -> None:
    assert adjust([], "holm") == []
