"""The bars that a picture of a column takes: sums of the engine's counts, few, and readable whatever the data is."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.bars import MOST_BARS, Bars, bars_of
from triggers.profile import ReferenceProfile, WindowProfile

_FLOATS = st.one_of(
    st.none(),
    st.integers(-30, 30).map(float),
    st.floats(allow_nan=True, allow_infinity=True),
)


def bars(reference: Any, current: Any) -> Bars:
    before, now = pa.table({"x": reference}), pa.table({"x": current})
    profile = ReferenceProfile.of(before, ["x"])
    window = WindowProfile(profile.layouts)
    window.add(now)
    missing = profile.counts.missing["x"], window.missing["x"]
    return bars_of(profile.layouts["x"], profile.counts.cells["x"], window.cells["x"], missing)


def totals(found: Bars) -> tuple[int, int]:
    beside = found.beside.values()
    return (
        sum(found.reference) + sum(each[0] for each in beside),
        sum(found.current) + sum(each[1] for each in beside),
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(_FLOATS, min_size=1, max_size=200), st.lists(_FLOATS, min_size=1, max_size=200))
def test_every_row_of_either_side_is_in_one_bar_whatever_the_numbers(
    reference: list[float | None], current: list[float | None]
) -> None:
    found = bars(pa.array(reference, pa.float64()), pa.array(current, pa.float64()))
    assert totals(found) == (len(reference), len(current))
    assert len(found.reference) == len(found.current)
    assert len(found.reference) + len(found.beside) <= MOST_BARS
    edged = found.spacing in {"widths", "quantiles"}
    assert len(found.marks) == len(found.reference) + (1 if edged else 0)
    assert list(found.marks) == sorted(found.marks) or found.spacing == "levels"
    gone = [sum(value is None or np.isnan(value) for value in side) for side in (reference, current)]
    assert found.beside["missing"] == gone


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([None, *map(str, range(60))]), min_size=1, max_size=300), st.integers(0, 2**32 - 1))
def test_every_row_of_either_side_is_in_one_bar_whatever_the_levels(reference: list[str | None], seed: int) -> None:
    current = np.random.default_rng(seed).choice([str(level) for level in range(80)], 100).tolist()
    found = bars(pa.array(reference, pa.string()), current)
    assert totals(found) == (len(reference), 100)
    assert len(found.reference) + len(found.beside) <= MOST_BARS


def test_bars_of_equal_width_are_the_histogram_of_the_rows() -> None:
    random = np.random.default_rng(1)
    before, now = random.normal(0, 1, 8_000).round(3), random.normal(0.5, 1, 3_000).round(3)
    found = bars(before, now)
    assert found.spacing == "widths"
    assert len(set(np.diff(found.marks).round(9))) == 1
    assert found.reference == np.histogram(before, found.marks)[0].tolist()
    # Where no reference value stands at an edge, a current one beside it may count with its neighbour.
    assert np.abs(np.array(found.current) - np.histogram(now, found.marks)[0]).max() <= 5
    assert found.beside.get("below", [0])[0] == (before < found.marks[0]).sum()


def test_few_values_have_a_bar_each_and_new_ones_are_told_apart() -> None:
    before = np.repeat([0.0, 1.0, 2.0, 4.0], [400, 300, 200, 100])
    now = np.repeat([-1.0, 0.0, 1.0, 3.0, 4.0, 9.0], [1, 10, 10, 5, 10, 2])
    found = bars(before, now)
    assert found.spacing == "values"
    assert (found.marks, found.reference, found.current) == ([0, 1, 2, 4], [400, 300, 200, 100], [10, 10, 0, 10])
    assert found.beside == {"below": [0, 1], "other": [0, 5], "above": [0, 2], "missing": [0, 0]}


@pytest.mark.parametrize("side", [0, 1])
def test_one_wild_value_flattens_nothing(side: int) -> None:
    random = np.random.default_rng(2)
    sides = [random.normal(0, 1, 5_000), random.normal(1, 1, 2_000)]
    sides[side][0] = 1e6
    found = bars(*sides)
    assert found.marks[-1] - found.marks[0] < 12
    assert sum(count > 50 for count in found.reference) >= 8
    assert found.beside["above"][side] >= 1


def test_a_long_tail_has_bars_of_equal_parts_of_the_reference() -> None:
    random = np.random.default_rng(3)
    found = bars(random.lognormal(0, 3, 10_000), random.lognormal(1, 3, 10_000))
    assert found.spacing == "quantiles"
    assert found.reference == [500] * 20
    assert found.current[0] < 400
    assert found.current[-1] > 600  # the shift shows as a tilt


def test_a_shift_within_the_references_tail_is_shown_and_not_swept_into_one_bar() -> None:
    random = np.random.default_rng(4)
    before = np.concatenate([random.normal(0, 1, 9_900), random.uniform(4, 9, 100)])
    found = bars(before, random.normal(5, 0.5, 2_000))
    assert found.beside.get("above", [0, 0])[1] < 20
    assert sum(count > 100 for count in found.current) >= 3


def test_of_a_thousand_levels_the_most_frequent_and_the_most_changed_are_shown() -> None:
    levels = [f"level {number}" for number in range(1_000)]
    before = [level for level in levels for _ in range(3)] + ["level 0"] * 500
    now = [*before, *["level 777"] * 300, *["never seen"] * 200]
    found = bars(before, now)
    assert len(found.reference) <= 14
    assert {"level 0", "level 777"} <= set(found.marks)
    assert found.beside["unseen"] == [0, 200]
    assert found.beside["other"][0] > 2_000


def test_a_long_levels_name_is_cut() -> None:
    found = bars(["x" * 5_000, "y"], ["y", "y"])
    assert max(map(len, found.marks)) == 60


def test_a_column_that_the_reference_never_filled_shows_the_values_it_has_now() -> None:
    found = bars(pa.nulls(10), pa.array([1.0, None, 2.0]))
    assert (found.reference, found.current, found.beside) == ([0], [2], {"missing": [10, 1]})


def test_whole_numbers_have_bars_of_whole_widths() -> None:
    random = np.random.default_rng(5)
    before, now = random.normal(1_016, 8, 10_000).round(), random.normal(1_012, 8, 2_000).round()
    found = bars(before, now)
    assert found.spacing == "widths"
    assert all(edge == round(edge) for edge in found.marks)
    assert found.reference == np.histogram(before, found.marks)[0].tolist()
