"""References and windows that nobody would wish for: each is handled and said, or refused in a sentence."""

import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from samples import NOW, evidence

from triggers.comparison import Comparison, compare
from triggers.drift import DriftTrigger
from triggers.layout import MOST_LEVELS, CategoryLayout
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.verdict import Outcome, Verdict


def compared(reference: Any, current: Any) -> Comparison:
    profile = ReferenceProfile.of(pa.table({"x": reference}), ["x"])
    window = WindowProfile(profile.layouts)
    window.add(pa.table({"x": current}))
    return next(compare(profile, window))


def judged(reference: dict[str, Any], current: dict[str, Any], features: tuple[str, ...] = ("x",)) -> Verdict:
    trigger = DriftTrigger(prediction=False, features=features)
    return trigger.evaluate(evidence({"reference": pa.table(reference), "current": pa.table(current)}), NOW)


def test_a_reference_of_three_rows_is_insufficient_and_its_figures_are_sound_all_the_same() -> None:
    verdict = judged({"x": [1.0, 2.0, 3.0]}, {"x": [9.0] * 600})
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "600 rows of the last 7d against 3 of the training data; 500 are needed" in verdict.sentence
    found = compared([1.0, 2.0, 3.0], [7.0, 8.0, 9.0])
    assert (found.ks, found.rank_sum) == (1, 1)
    assert found.ks_p_value == pytest.approx(0.1)


def test_three_values_among_missing_ones_do_not_fire_by_chance() -> None:
    holes = [None] * 5000
    verdict = judged({"x": [1.0, 2.0, 3.0, *holes]}, {"x": [7.0, 8.0, 9.0, *holes]})
    assert verdict.outcome is Outcome.QUIET


@pytest.mark.parametrize("wild", [float("inf"), float("-inf")])
def test_infinite_values_are_counted_apart_from_large_ones_and_said(wild: float) -> None:
    values = np.random.default_rng(1).normal(0, 1, 1000)
    found = compared(values, [*values, *[wild] * 250])
    assert found.note == "infinite in 20 % of values now"
    assert found.ks == pytest.approx(0.2)
    assert compared([*values, wild], values).note == "infinite in less than 1 % of values of the reference"
    assert compared([wild] * 9, [wild] * 9).note is not None
    assert "infinite in 20 % of values now" in judged({"x": values}, {"x": [*values, *[wild] * 250]}).sentence


def test_numbers_written_as_text_are_refused_where_the_reference_has_numbers() -> None:
    verdict = judged({"x": np.arange(600.0)}, {"x": [str(value) for value in range(600)]})
    assert verdict.outcome is Outcome.ERROR
    assert verdict.sentence.startswith("Column x holds numbers in the reference and string in the current data;")


def test_a_column_that_the_window_lacks_is_named_and_a_wide_table_is_not_recited() -> None:
    wide = {f"column{index}": np.zeros(600) for index in range(50)}
    verdict = judged({"x": np.arange(600.0)}, wide)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.sentence.startswith(
        "Column x is not in the current data, which has column0, column1, column2 and 47 more;"
    )


def test_ten_thousand_features_are_compared() -> None:
    random = np.random.default_rng(2)
    names = tuple(f"f{index}" for index in range(10_000))
    values = random.normal(0, 1, (10_000, 60))
    reference, current = (pa.table(dict(zip(names, half, strict=True))) for half in (values[:, :30], values[:, 30:]))
    profile = ReferenceProfile.of(reference, names)
    window = WindowProfile(profile.layouts)
    window.add(current)
    found = list(compare(profile, window))
    assert len(found) == 10_000
    assert np.mean([each.p_value <= 0.05 for each in found]) < 0.05


def test_a_million_categories_take_bounded_memory_and_are_said_to_be_counted_together() -> None:
    distinct = pa.array(np.char.add("user", np.arange(1_000_000).astype("U7")))
    tracemalloc.start()
    layout = CategoryLayout.of(pa.chunked_array([pa.concat_arrays([distinct, *[distinct.slice(0, 500)] * 30])]))
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
    assert layout.width == MOST_LEVELS + 1
    assert set(layout.levels) >= {f"user{index}" for index in range(500)}
    found = compared(distinct, distinct.slice(500_000))
    assert found.note == "has more than 1,000 categories; the rarer ones are counted together"
    assert found.unseen == 0


def test_free_text_takes_bounded_memory() -> None:
    texts = [f"{index} " + "word " * 2000 for index in range(300)]
    profile = ReferenceProfile.of(pa.table({"x": texts}), ["x"])
    assert len(profile.to_bytes()) < 2**20
    found = compared(texts, texts)
    assert found.p_value == 1
    assert found.note == "has more than 26 categories; the rarer ones are counted together"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None, None], pa.string()).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), pa.array([None], pa.string())),
        pa.array([float("nan")] * 2),
        pa.array([float("nan"), None]),
        pa.array([None, None], pa.timestamp("us", "UTC")),
    ],
)
def test_a_column_without_any_value_is_missing_whatever_its_type(column: pa.Array) -> None:
    found = compared(column, column)
    assert found.note == "missing in every row of the reference"
    assert (found.missing_reference, found.missing_current, found.p_value) == (1, 1, 1)


def test_a_constant_column_of_a_reference_with_times_is_judged_beside_the_others() -> None:
    random = np.random.default_rng(1)

    def table(rows: int, days: float, until: float, level: float) -> dict[str, Any]:
        ages = np.linspace(until + days, until, rows)
        times = pa.array([int(NOW.timestamp() * 1e6 - age * 86_400e6) for age in ages], pa.timestamp("us", "UTC"))
        return {"timestamp": times, "x": np.full(rows, level), "y": random.normal(0, 1, rows)}

    trigger = DriftTrigger(prediction=False, incidents=False, features=("x", "y"))
    reference = pa.table(table(9_000, 63, 10, 3.0))
    for level, fires in ((3.0, False), (4.0, True)):
        current = pa.table(table(1_000, 7, 0, level))
        verdict = trigger.evaluate(evidence({"reference": reference, "current": current}), NOW)
        assert verdict.fired is fires, verdict.sentence
