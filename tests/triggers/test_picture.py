"""What is kept of a drift verdict to draw it later: enough, bounded, and in agreement with the verdict."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from samples import NOW, evidence

from triggers.drift import DriftTrigger
from triggers.picture import MOST_BYTES, MOST_COLUMNS, kept_tests
from triggers.verdict import Outcome, Verdict


def judge(reference: pa.Table, current: pa.Table, **settings: Any) -> Verdict:
    trigger = DriftTrigger(**{"prediction": False, "incidents": False, **settings})
    found = trigger.evaluate(
        evidence({"reference": reference, "current": current}, features=tuple(current.column_names)), NOW
    )
    assert found.outcome in {Outcome.FIRED, Outcome.QUIET}, found.sentence
    return found


def columns(number: int, rows: int, shift: float, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table({f"column {place}": random.normal(shift, 1, rows) for place in range(number)})


def kept(verdict: Verdict) -> dict[str, Any]:
    assert verdict.picture is not None
    found: dict[str, Any] = json.loads(json.dumps(verdict.picture, allow_nan=False))
    return found


def test_a_quiet_verdict_keeps_the_most_deviating_columns_and_counts_the_others() -> None:
    verdict = judge(columns(30, 600, 0.0, 1), columns(30, 600, 0.0, 2))
    picture = kept(verdict)
    names = [column["name"] for column in picture["columns"]]
    assert len(names) == MOST_COLUMNS
    assert picture["left_out"] == 30 - MOST_COLUMNS
    assert names[0] in verdict.sentence  # the furthest
    assert not any(column["drifted"] for column in picture["columns"])


def test_every_drifted_column_is_kept_first() -> None:
    reference, current = columns(40, 600, 0.0, 1), columns(40, 600, 0.0, 2)
    for place in range(15, 35):
        current = current.set_column(place, f"column {place}", columns(1, 600, 1.0, place)["column 0"])
    verdict = judge(reference, current)
    picture = kept(verdict)
    assert [column["name"] for column in picture["columns"]] == verdict.numbers["drifted"]
    assert all(column["drifted"] for column in picture["columns"])


def test_however_many_columns_drift_what_is_kept_is_bounded() -> None:
    picture = kept(judge(columns(300, 500, 0.0, 1), columns(300, 500, 2.0, 2)))
    assert len(json.dumps(picture)) <= MOST_BYTES
    assert len(picture["columns"]) > 40
    assert len(picture["columns"]) + picture["left_out"] == 300


def test_a_hostile_name_that_does_not_fit_leaves_room_for_the_others() -> None:
    long = "x" * (2 * MOST_BYTES)
    reference, current = columns(3, 600, 0.0, 1), columns(3, 600, 1.0, 2)
    names = ["column 0", long, "column 2"]
    picture = kept(judge(reference.rename_columns(names), current.rename_columns(names)))
    assert {column["name"] for column in picture["columns"]} == {"column 0", "column 2"}
    assert picture["left_out"] == 1


@pytest.mark.parametrize("correction", ["holm", "bonferroni", "benjamini-hochberg"])
@pytest.mark.parametrize("change", ["nothing", "shift", "missing", "levels", "scale"])
def test_where_a_bar_stands_agrees_with_whether_it_was_passed(correction: str, change: str) -> None:
    def table(rows: int, seed: int, changed: str) -> pa.Table:
        random = np.random.default_rng(seed)
        values = random.normal(0.3 if changed == "shift" else 0, 1.5 if changed == "scale" else 1, rows)
        holes = random.random(rows) < (0.2 if changed == "missing" else 0.02)
        levels = list("AABC" if changed == "levels" else "ABCD")
        ties = random.integers(0, 3, rows) + (random.random(rows) < (0.3 if changed == "shift" else 0))
        return pa.table({"x": pa.array(values, mask=holes), "y": random.choice(levels, rows), "z": ties.astype(float)})

    verdict = judge(table(5_000, 1, "nothing"), table(1_500, 2, change), correction=correction)
    tests = [test for column in kept(verdict)["columns"] for test in kept_tests(column)]
    assert {test["test"] for test in tests} == {"ks", "rank_sum", "mood", "missing", "chi_squared"}
    for test in tests:
        near = 1e-4 * (1 + test["distance"])
        assert test["noise"] == (test["distance"] >= test["noise_bar"]) or test["distance"] == test["noise_bar"], test
        if test["effect_bar"] is not None and test["test"] != "ks":
            assert test["effect"] == (test["distance"] >= test["effect_bar"] - near)
        assert 0 < test["noise_bar"] < 0.5


def test_the_bar_of_noise_is_where_a_tests_p_value_crosses_its_level() -> None:
    """A shift just past the bar is significant, and one just short of it is not: at Bonferroni's level."""
    random = np.random.default_rng(5)
    reference = pa.table({"x": random.normal(0, 1, 20_000)})
    base = random.normal(0, 1, 4_000)
    for shift in np.linspace(0, 0.12, 13):
        verdict = judge(reference, pa.table({"x": base + shift}), correction="bonferroni", location=0.0, ks=0.0)
        for test in kept_tests(kept(verdict)["columns"][0]):
            if not test["noise"]:
                assert test["noise_bar"] > test["distance"]
            elif test["test"] == "rank_sum":
                assert test["noise_bar"] == pytest.approx(0.0145, rel=0.15)


def test_a_drift_of_the_newest_day_is_shown_over_that_day() -> None:
    random = np.random.default_rng(6)

    def table(rows: int, days: float, back: float, shifted: float) -> pa.Table:
        ages = np.linspace(back + days, back, rows)
        times = pa.array([int(NOW.timestamp() * 1e6 - age * 86_400e6) for age in ages], pa.timestamp("us", "UTC"))
        return pa.table({"timestamp": times, "x": random.normal(np.where(ages < shifted, 1.0, 0.0), 1)})

    trigger = DriftTrigger(prediction=False, incidents=False)
    answers = {"reference": table(20_000, 60, 30, 0), "current": table(7_000, 7, 0, 1.0)}
    verdict = trigger.evaluate(evidence(answers, features=("x",)), NOW)
    (column,) = kept(verdict)["columns"]
    assert (column["drifted"], column["window"]) == (True, "1d")
    assert sum(column["bars"]["current"]) == pytest.approx(1_000, rel=0.1)
    told = [test for test in kept_tests(column) if (test["test"], test["window"]) == (column["told_by"], "1d")]
    assert len(told) == 1


def test_evidence_in_sequence_keeps_the_bars_of_the_rows_that_were_new() -> None:
    random = np.random.default_rng(7)
    times = pa.array([int(NOW.timestamp() * 1e6 - 86_400e6 * day / 100) for day in range(700, 100, -1)])
    current = pa.table({"timestamp": times.cast(pa.timestamp("us", "UTC")), "x": random.normal(1, 1, 600)})
    reference = pa.table({"timestamp": current["timestamp"], "x": random.normal(0, 1, 600)})
    trigger = DriftTrigger(method="sequential", incidents=False)
    verdict = trigger.evaluate(evidence({"reference": reference, "current": current}, features=("x",)), NOW)
    (column,) = kept(verdict)["columns"]
    assert sum(column["bars"]["reference"]) > 500
    assert sum(column["bars"]["current"]) > 400
