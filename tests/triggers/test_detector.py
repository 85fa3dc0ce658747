"""Drift without a window: the time to a false alarm, how soon a shift is found, equal evidence however batched."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.cells import CellCounts
from triggers.comparison import Sizes
from triggers.detector import Detector
from triggers.drift import DriftTrigger
from triggers.evidence import RowsRequest, Window
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
START = NOW.replace(hour=0)
NO_SIZES = Sizes(ks=0, psi=0, js=0, location=0, scale=0)


def table(rows: int, seed: int, shift: float = 0.0, columns: int = 6, spread: float = 1.0) -> pa.Table:
    """Half of the columns numbers, half categories; the first of either kind shifts."""
    values = np.random.default_rng(seed).normal(0, 1, (rows, columns))
    values[:, 0] = values[:, 0] * spread + shift
    values[:, columns // 2] += shift
    levels = np.array(["a", "b", "c", "d"])
    numbers = {f"n{index}": values[:, index] for index in range(columns // 2)}
    words = {
        f"c{index}": levels[np.digitize(values[:, index], [-1, 0, 1])].tolist()
        for index in range(columns // 2, columns)
    }
    return pa.table({**numbers, **words})


def on(day: int, rows: pa.Table, hours: int = 24) -> pa.Table:
    """The rows, evenly over so many hours of a day."""
    step = timedelta(hours=hours) / max(rows.num_rows, 1)
    times = [START + day * DAY + number * step for number in range(rows.num_rows)]
    return rows.append_column("timestamp", pa.array(times, pa.timestamp("us", "UTC")))


def sequential(**settings: Any) -> DriftTrigger:
    return DriftTrigger(**{"method": "sequential", "prediction": False, **settings})


def looks(days: list[pa.Table], reference: pa.Table, every: int = 1, **settings: Any) -> Iterator[tuple[int, Verdict]]:
    """Each look's day and verdict, where a look is made after every so many days of rows."""
    names = tuple(reference.column_names)
    trigger, state = sequential(features=names, **settings), {"version": "3", "until": START.isoformat()}
    for day in range(every, len(days) + 1, every):
        now = START + day * DAY
        asked = trigger.requests(facts(features=names), state, now)["current"]
        assert isinstance(asked, RowsRequest)
        current = pa.concat_tables(rows for number, rows in enumerate(days) if held(asked.window, number))
        answers = {"reference": reference, "current": current}
        verdict = trigger.evaluate(evidence(answers, state, features=names), now)
        assert verdict.state is not None
        state = json.loads(json.dumps(verdict.state))
        yield day, verdict


def held(window: Window, day: int) -> bool:
    assert window.start is not None
    assert window.end is not None
    return window.start <= START + day * DAY < window.end


def test_the_mean_time_to_a_false_alarm_is_at_least_that_asked_for_and_not_far_more() -> None:
    # With a reference that is all but the truth and no effect to reach, the bound is nearly met.
    random = np.random.default_rng(1)
    profile = ReferenceProfile.of(pa.table({"x": random.permutation(np.arange(2_000_000) % 5000 / 5000)}), ["x"])
    detector, enough, buckets = Detector(profile, NO_SIZES), 20, 1500
    evidence, alarms = detector.nothing(), 0
    for _ in range(buckets):
        bucket = WindowProfile(profile.layouts)
        bucket.add(pa.table({"x": random.integers(0, 5000, 40) / 5000}))
        evidence = detector.after(evidence, detector.gains([CellCounts.of(bucket.total.size, None, bucket.total)])[0])
        if detector.average(evidence) >= enough:
            evidence, alarms = detector.nothing(), alarms + 1
    assert 0.1 * buckets / enough < alarms <= buckets / enough


def test_quiet_streams_stay_within_the_false_alarms_allowed_whatever_the_reference() -> None:
    alarms = 0
    for seed in range(3):
        days = [on(day, table(300, 1000 * seed + day + 1)) for day in range(30)]
        reference = table(1000, 1000 * seed)
        alarms += sum(verdict.fired for _, verdict in looks(days, reference, false_alarms="1 per 10d"))
    assert alarms <= 3  # 9 are allowed


@pytest.mark.parametrize(
    ("change", "column", "told"),
    [
        ({"shift": 0.4}, "n0", "n0 (higher)"),
        ({"shift": -0.4}, "n0", "n0 (lower)"),
        ({"spread": 1.6}, "n0", "n0 (wider)"),
    ],
)
def test_a_change_is_found_within_days_and_named(change: Any, column: str, told: str) -> None:
    days = [on(day, table(1000, day + 1, **(change if day >= 12 else {}))) for day in range(22)]
    fired = [(day, verdict) for day, verdict in looks(days, table(5000, 99)) if verdict.fired]
    assert 12 < fired[0][0] <= 16
    verdict = fired[0][1]
    assert max(verdict.numbers["columns"], key=lambda name: verdict.numbers["columns"][name]["evidence"]) == column
    assert f"where 90.0 is enough, most of it of {told}, after 1,000 new rows until" in verdict.sentence
    assert verdict.sentence.startswith("The evidence of drift reached ")


def test_a_new_level_and_missing_values_are_found() -> None:
    rows = table(1000, 1)
    new = rows.set_column(3, "c3", pa.array(["z" if number % 5 == 0 else "a" for number in range(1000)]))
    holes = rows.set_column(0, "n0", pa.array([None if number % 5 == 0 else 0.1 for number in range(1000)]))
    for changed, bet in ((new, ("c3", "more other levels")), (holes, ("n0", "more missing"))):
        verdict = next(verdict for _, verdict in looks([on(0, changed), on(1, changed)], table(5000, 99), every=2))
        assert verdict.fired
        assert verdict.numbers["columns"][bet[0]]["evidence"] > 90
    assert verdict.numbers["columns"]["n0"]["evidence"] > verdict.numbers["columns"]["c3"]["evidence"]


@pytest.mark.parametrize("where", ["reference", "current"])
def test_one_wild_value_hides_no_shift(where: str) -> None:
    values = {
        "reference": np.random.default_rng(1).normal(0, 1, 5000),
        "current": np.random.default_rng(2).normal(1, 1, 1000),
    }
    values[where][7] = 1e6
    reference, day = (pa.table({"x": values[name]}) for name in ("reference", "current"))
    assert [verdict.fired for _, verdict in looks([on(0, day)], reference)] == [True]


def test_the_evidence_is_the_same_however_looks_fall() -> None:
    days = [on(day, table(200, day + 1, shift=0.5 if day > 6 else 0)) for day in range(12)]
    days[3] = days[3].slice(0, 0)
    reference = table(3000, 99)
    daily, weekly = list(looks(days, reference)), list(looks(days, reference, every=6, look_every="1d"))
    assert any(verdict.fired for _, verdict in daily)
    assert any(verdict.fired for _, verdict in weekly)
    assert weekly[-1][1].state == daily[-1][1].state


def test_only_whole_buckets_that_no_look_has_taken_are_asked_for() -> None:
    now, names = START + timedelta(hours=15), ("timestamp", "distance", "carrier")
    trigger = sequential()
    first = RowsRequest(Window(START - 7 * DAY, START), names)
    assert trigger.requests(facts(), {}, now)["current"] == first
    state = {"until": (START - 2 * DAY).isoformat(), "version": "3"}
    assert trigger.requests(facts(), state, now)["current"] == RowsRequest(Window(START - 2 * DAY, START), names)
    assert trigger.requests(facts(version="4"), state, now)["current"] == first


def test_another_reference_begins_anew_and_the_state_is_small() -> None:
    days = [on(0, table(1000, 1, shift=0.1))]
    (_, verdict), (_, other) = (next(looks(days, table(5000, seed))) for seed in (98, 99))
    assert verdict.state is not None
    assert len(json.dumps(verdict.state)) < 20_000
    features = tuple(table(1, 1).column_names)
    answers = {"reference": table(5000, 99), "current": days[0]}
    state = {**verdict.state, "until": START.isoformat()}
    again = sequential(features=features).evaluate(evidence(answers, state, features=features), START + DAY)
    assert again.state == other.state


def test_too_small_a_reference_none_and_no_features_are_told() -> None:
    features = tuple(table(1, 1).column_names)
    rows = on(0, table(10, 1))
    for reference, outcome in (
        (table(499, 2), Outcome.INSUFFICIENT),
        (None, Outcome.INSUFFICIENT),
        (table(500, 2), Outcome.QUIET),
    ):
        answers = {"reference": reference, "current": rows}
        found = sequential(features=features).evaluate(evidence(answers, features=features), START + DAY)
        assert found.outcome is outcome
    assert sequential().evaluate(evidence({}, features=()), NOW).outcome is Outcome.ERROR
    text = {"reference": pa.table({"x": [1.0] * 600}), "current": on(0, pa.table({"x": ["far"] * 5}))}
    found = sequential(features=("x",)).evaluate(evidence(text, features=("x",)), START + DAY)
    assert found.sentence.startswith("Column x holds numbers in the reference and string in the current data;")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"season": "week"}, "knows no season"),
        ({"share": 0.5}, "knows no share"),
        ({"current": {"file": "x.csv"}}, "knows no current"),
        ({"reference": {"window": "28d"}}, "needs a reference that stays"),
    ],
)
def test_settings_that_a_sequence_cannot_have_are_refused(settings: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        sequential(**settings)
    fixed = {"window": "28d", "before": datetime(2026, 1, 1)}  # noqa: DTZ001 naive means UTC
    assert sequential(reference=fixed).method == "sequential"


def uneven(days: int, seed: int, effect: float, shift: float = 0.0) -> list[pa.Table]:
    """Days of 300 rows of two columns of numbers, whose means differ from day to day."""
    random = np.random.default_rng(seed)
    means = random.normal(0, effect, (days, 2))
    means[:, 0] += shift
    return [
        pa.table({name: random.normal(mean, 1, 300) for name, mean in zip("xy", of_day, strict=True)})
        for of_day in means
    ]


def dated_reference(days: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(on(number - len(days), rows) for number, rows in enumerate(days))


def alarms(days: list[pa.Table], reference: pa.Table, **settings: Any) -> int:
    current = [on(number, rows) for number, rows in enumerate(days)]
    settings = {"features": ("x", "y"), "incidents": False, **settings}
    trigger, state, found = sequential(**settings), {"version": "3", "until": START.isoformat()}, 0
    for day, rows in enumerate(current, 1):
        answers = {"reference": reference, "current": rows}
        verdict = trigger.evaluate(evidence(answers, state, features=("x", "y")), START + day * DAY)
        state, found = dict(verdict.state or {}), found + verdict.fired
    return found


def test_days_that_differ_by_nature_are_no_evidence_and_a_shift_beyond_that_is() -> None:
    reference = dated_reference(uneven(40, 1, 0.3))
    quiet = uneven(20, 2, 0.3)
    assert alarms(quiet, reference) == 0
    assert alarms(quiet, reference, natural=False) > 5
    assert alarms(quiet, reference.drop_columns(["timestamp"])) > 5
    assert alarms(uneven(3, 3, 0.3, shift=3.0), reference) > 0


def test_where_nature_is_known_half_of_the_budget_is_for_buckets_that_stray_further() -> None:
    days = uneven(1, 4, 0.1)
    reference = dated_reference(uneven(10, 5, 0.1))
    answers = {"reference": reference, "current": on(0, days[0])}
    state = {"version": "3", "until": START.isoformat()}
    for natural, enough in ((True, 180), (False, 90)):
        trigger = sequential(features=("x", "y"), natural=natural, incidents=False)
        numbers = trigger.evaluate(evidence(answers, state, features=("x", "y")), START + DAY).numbers
        assert (numbers["natural"], numbers["enough"]) == (natural, enough)
