"""Profiles: exact where they say so, mergeable, and without loss of what is odd."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from triggers.comparison import Comparison, Sizes, compare
from triggers.layout import MOST_BREAKS, MOST_LEVELS
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.ranks import Ranks

VALUES = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(allow_nan=False, width=32)), min_size=2, max_size=60
)
MIXED = st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-9, 9)), min_size=1, max_size=40)
SIZES = Sizes(ks=0.1, psi=0.1, js=0.1, location=0.02, scale=0.1)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c", ""])), min_size=1, max_size=40)


def compared(reference: pa.Table, current: pa.Table) -> dict[str, Comparison]:
    profile = ReferenceProfile.of(reference, reference.column_names)
    window = WindowProfile(profile.layouts)
    window.add(current)
    return {comparison.name: comparison for comparison in compare(profile, window)}


def large(comparison: Comparison, sizes: Sizes = SIZES) -> bool:
    """Whether any test's effect is of the size asked for."""
    return any(test.large for test in comparison.tests(sizes))


def one(reference: object, current: object) -> Comparison:
    return compared(pa.table({"x": reference}), pa.table({"x": current}))["x"]


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES)
def test_ks_from_counts_is_exact_with_ties_and_infinities(reference: list[float], current: list[float]) -> None:
    assert one(reference, current).ks == pytest.approx(stats.ks_2samp(reference, current, method="asymp").statistic)


@pytest.mark.parametrize("heavy", [False, True])
def test_ks_from_quantiles_is_too_small_by_no_more_than_one_break(heavy: bool) -> None:
    random = np.random.default_rng(1)
    for shift in (0.0, 0.02, 0.5):
        reference, current = random.gamma(2, 1, 30_000), random.gamma(2, 1, 20_000) + shift
        if heavy:  # a third of the rows share one value
            reference[::3], current[::3] = 1.0, 1.0 + shift
        profile = ReferenceProfile.of(pa.table({"x": reference}), ["x"])
        assert not profile.layouts["x"].exact  # type: ignore[union-attr]
        window = WindowProfile(profile.layouts)
        window.add(pa.table({"x": current}))
        found = Ranks(profile.counts.cells["x"], window.cells["x"]).ks
        exact = stats.ks_2samp(reference, current, method="asymp").statistic
        assert exact - 1 / MOST_BREAKS <= found <= exact + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(MIXED, WORDS), min_size=1, max_size=5), MIXED, WORDS)
def test_merged_parts_are_the_whole(
    parts: list[tuple[list[float | None], list[str | None]]], numbers: list[float | None], words: list[str | None]
) -> None:
    size = min(len(numbers), len(words))
    reference = pa.table(
        {"number": pa.array(numbers[:size], pa.float64()), "word": pa.array(words[:size], pa.string())}
    )
    profile = ReferenceProfile.of(reference, ["number", "word"])
    tables = []
    for some_numbers, some_words in parts:
        rows = min(len(some_numbers), len(some_words))
        tables.append(
            pa.table(
                {
                    "number": pa.array(some_numbers[:rows], pa.float64()),
                    "word": pa.array(some_words[:rows], pa.string()),
                }
            )
        )
    whole, added, merged = (WindowProfile(profile.layouts) for _ in range(3))
    whole.add(pa.concat_tables(tables))
    for table in tables:
        added.add(table)
        part = WindowProfile(profile.layouts)
        part.add(table)
        merged = part.merged(merged)
    for name in ("number", "word"):
        assert whole.cells[name].tolist() == added.cells[name].tolist() == merged.cells[name].tolist()
        assert whole.missing[name] == added.missing[name] == merged.missing[name]
    assert whole.rows == added.rows == merged.rows


def test_every_row_is_counted_once() -> None:
    table = pa.table({"x": [1.0, None, float("nan"), 2.0, 2.0, float("inf")], "c": ["a", None, "b", "b", "c", "c"]})
    profile = ReferenceProfile.of(table, ["x", "c"])
    for name in ("x", "c"):
        assert profile.counts.cells[name].sum() + profile.counts.missing[name] == 6
    assert profile.counts.missing == {"x": 2, "c": 1}


def test_no_rows_and_no_columns_are_counted_as_none() -> None:
    table = pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})
    profile = ReferenceProfile.of(table, ["x", "c"])
    window = WindowProfile(profile.layouts)
    window.add(table.slice(0, 0))
    assert (window.rows, window.total.sum()) == (0, 0)
    assert ReferenceProfile.of(table, []).counts.rows == 2


def test_a_shift_shows_in_psi_by_tenths_of_the_reference() -> None:
    random = np.random.default_rng(2)
    reference, current = random.normal(0, 1, 20_000), random.normal(0.5, 1, 20_000)
    edges = np.quantile(reference, np.arange(1, 10) / 10)
    p, q = (np.bincount(np.searchsorted(edges, side), minlength=10) / 20_000 for side in (reference, current))
    expected = float(((q - p) * np.log(q / p)).sum())
    assert one(reference, current).psi == pytest.approx(expected, rel=0.01)
    assert one(reference, random.normal(0, 1, 20_000)).psi == pytest.approx(0, abs=0.005)


def test_values_never_seen_before_show_in_psi_of_a_column_with_few_values() -> None:
    comparison = one([1, 2] * 500, [1, 2, 3, 3] * 250)
    assert comparison.psi is not None
    assert comparison.psi > 1
    assert one([1, 2] * 500, [1, 2] * 400).psi == pytest.approx(0, abs=1e-6)


def test_missing_values_alone_are_drift_of_numbers_and_of_categories() -> None:
    values = np.random.default_rng(3).normal(0, 1, 1000).tolist()
    numbers = one(values, [None, *values[:2]] * 300)
    assert numbers.p_value < 1e-9
    assert large(numbers)
    assert (numbers.missing_reference, round(numbers.missing_current, 2)) == (0, 0.33)
    words = one(["a", "b"] * 500, ["a", "b", None] * 300)
    assert words.p_value < 1e-9
    assert large(words)
    assert words.missing_current == pytest.approx(1 / 3)


def test_categories_never_seen_before_are_counted() -> None:
    comparison = one(["a", "b"] * 500, ["a", "b", "z", "y"] * 200)
    assert comparison.unseen == 0.5
    assert comparison.p_value < 1e-9
    assert large(comparison, Sizes(1, 1, 0.1, 1, 1))


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([5.0] * 600, [5.0] * 600, id="constant"),
        pytest.param(["a"] * 600, ["a"] * 600, id="constant category"),
        pytest.param(pa.nulls(600), pa.nulls(600), id="always missing, without a type"),
        pytest.param(pa.nulls(600, pa.float64()), pa.nulls(600, pa.float64()), id="always missing number"),
        pytest.param(pa.nulls(600, pa.string()), pa.nulls(600), id="always missing category"),
    ],
)
def test_columns_that_say_nothing_do_not_drift_from_themselves(reference: object, current: object) -> None:
    comparison = one(reference, current)
    assert comparison.p_value == 1
    assert not large(comparison)
    assert comparison.note is not None


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([5.0] * 600, [4.0] * 600, id="another constant below"),
        pytest.param([5.0] * 600, [6.0] * 600, id="another constant above"),
        pytest.param(["a"] * 600, ["b"] * 600, id="another constant category"),
        pytest.param([1.0, 2.0] * 300, pa.nulls(600), id="missing from now on"),
        pytest.param(["a", "b"] * 300, pa.nulls(600), id="missing category from now on"),
        pytest.param(pa.nulls(600), [1.0, 2.0] * 300, id="present from now on"),
        pytest.param(pa.nulls(600), ["a", "b"] * 300, id="present category from now on"),
    ],
)
def test_columns_that_change_wholly_drift_without_dividing_by_zero(reference: object, current: object) -> None:
    comparison = one(reference, current)
    assert comparison.p_value < 1e-9
    assert large(comparison)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([True, False] * 300, [1, 0] * 300, id="booleans and integers"),
        pytest.param([1, 0] * 300, [True, False] * 300, id="integers and booleans"),
        pytest.param([1, 2, 3] * 200, [1.0, 2.0, 3.0] * 200, id="integers and floats"),
        pytest.param(["1", "2"] * 300, [1.0, 2.0] * 300, id="numbers as text"),
        pytest.param(["a", "b"] * 300, pa.array(["a", "b"] * 300).dictionary_encode(), id="dictionaries"),
        pytest.param(
            pa.array([1, 2, 3] * 200, pa.timestamp("us")), pa.array([1, 2, 3] * 200, pa.timestamp("us")), id="times"
        ),
        pytest.param(
            pa.array([1, 2, 3] * 200, pa.timestamp("ms", "UTC")),
            pa.array([1000, 2000, 3000] * 200, pa.timestamp("us", "UTC")),
            id="times in two units",
        ),
        pytest.param(
            pa.array([1, 2] * 300, pa.date32()),
            pa.array([86_400_000, 172_800_000] * 300, pa.timestamp("ms")),
            id="dates and times",
        ),
        pytest.param(
            pa.array([1, 2] * 300, pa.time32("s")), pa.array([10**9, 2 * 10**9] * 300, pa.time64("ns")), id="hours"
        ),
        pytest.param(
            pa.array([1, 2] * 300, pa.duration("s")), pa.array([1000, 2000] * 300, pa.duration("ms")), id="durations"
        ),
    ],
)
def test_one_column_in_two_types_is_compared_by_its_values(reference: object, current: object) -> None:
    assert one(reference, current).p_value == 1


@pytest.mark.parametrize(
    ("reference", "current", "told"),
    [
        ([1.0, 2.0], ["a", "b"], "column x holds numbers in the reference and string in the current data"),
        (["a", "b"], [1.0, 2.0], "column x holds categories in the reference and double in the current data"),
        ([[1], [2]], [[1], [2]], "column x holds list<.*>, which is neither a number nor a category"),
        ([1.0, 2.0], [b"a", b"b"], "column x holds binary, which is neither"),
    ],
)
def test_a_column_of_another_type_is_named(reference: object, current: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        one(reference, current)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="column y is not in the reference, which has x"):
        ReferenceProfile.of(pa.table({"x": [1]}), ["y"])
    profile = ReferenceProfile.of(pa.table({"x": [1]}), ["x"])
    with pytest.raises(ValueError, match="column x is not in the current data, which has z"):
        WindowProfile(profile.layouts).add(pa.table({"z": [1]}))


def test_categories_without_number_are_counted_up_to_a_bound() -> None:
    names = [f"user{number}" for number in range(3 * MOST_LEVELS)]
    profile = ReferenceProfile.of(pa.table({"x": names}), ["x"])
    assert profile.layouts["x"].width == MOST_LEVELS + 1
    comparison = one(names, names)
    assert comparison.p_value == 1
    assert comparison.unseen == 0
    assert "more than 1,000 categories" in str(comparison.note)


def test_categories_that_were_frequent_by_chance_alone_are_no_drift() -> None:
    random = np.random.default_rng(6)
    names = pa.array([f"user{number}" for number in range(3 * MOST_LEVELS)])

    def drawn(rows: int) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(random.integers(0, len(names), rows)), names)

    found = [one(drawn(50_000), drawn(50_000)) for _ in range(12)]
    assert min(each.p_value for each in found) > 1e-3
    assert np.mean([each.p_value < 0.5 for each in found]) > 0.1
    assert max(each.js**2 - each.js_floor**2 for each in found) < 0.01


def test_which_rows_say_what_categories_are_frequent_hangs_on_no_order() -> None:
    names = [f"user{number % 1500}" for number in range(5000)]
    profiles = [ReferenceProfile.of(pa.table({"x": each}), ["x"]) for each in (names, names[::-1])]
    assert profiles[0].to_bytes() == profiles[1].to_bytes()
    again = ReferenceProfile.from_bytes(profiles[0].to_bytes())
    assert again.content_hash == profiles[0].content_hash
