"""The drift trigger: what it asks for, its false-alarm budget, and what it says."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts, features_table, predictions_table

from triggers.comparison import Sizes
from triggers.drift import DriftTrigger
from triggers.evidence import RowsRequest, TableFileRequest, TrainingRequest, Window
from triggers.judging import Compared
from triggers.judging import judge as judge_looks
from triggers.pairs import Outlook, Pair
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
FEATURES = ("distance", "carrier")


def judge(trigger: DriftTrigger, reference: pa.Table | None, current: pa.Table, **changes: Any) -> Verdict:
    """The verdict on features alone, unless `changes` hold tables of predictions."""
    answers = {"reference": reference, "current": current}
    answers |= {name: changes.pop(name) for name in ("prediction_reference", "prediction_current") if name in changes}
    return trigger.evaluate(evidence(answers, **changes), NOW)


def drift(**settings: Any) -> DriftTrigger:
    return DriftTrigger(**{"prediction": False, "incidents": False, **settings})


def test_it_is_quiet_on_like_data_and_says_which_column_is_furthest() -> None:
    verdict = judge(drift(), features_table(5000, 1), features_table(2000, 2))
    assert verdict.outcome is Outcome.QUIET
    assert verdict.sentence.startswith("None of 2 columns drifted, the furthest being ")
    assert verdict.sentence.endswith(
        "on 2,000 rows of the last 7d against 5,000 of the training data, at level 0.011 (1 per 90d), "
        "with equal weights (importance is not known), without natural variation (the reference has no times)."
    )


def test_it_fires_on_a_shift_and_names_the_column_with_its_figures() -> None:
    verdict = judge(drift(), features_table(5000, 1), features_table(2000, 2, shift=0.5))
    assert verdict.fired
    assert verdict.numbers["drifted"] == ["distance"]
    column = verdict.numbers["columns"]["distance"]
    assert column["ks"] == pytest.approx(0.2, abs=0.03)
    assert column["drifted"]
    assert not verdict.numbers["columns"]["carrier"]["drifted"]
    assert verdict.sentence == (
        f"1 of 2 columns drifted: distance (KS {column['ks']:.3f}, PSI {column['psi']:.3f}, "
        f"location {column['rank_sum'] - 0.5:.3f}; past noise and effect), on 2,000 rows of the last 7d against 5,000 "
        "of the training data, at level 0.011 (1 per 90d), with equal weights (importance is not known), "
        "without natural variation (the reference has no times)."
    )


def test_it_fires_on_categories_never_seen_before() -> None:
    verdict = judge(drift(), features_table(5000, 1), features_table(2000, 2, carriers="ABCDZ"))
    assert verdict.numbers["drifted"] == ["carrier"]
    assert "% in categories never seen before; past noise and effect)" in verdict.sentence


def test_it_fires_on_missing_values_and_says_so() -> None:
    current = features_table(2000, 2)
    holes = pa.array([None if index % 5 == 0 else value for index, value in enumerate(current["distance"].to_pylist())])
    verdict = judge(drift(), features_table(5000, 1), current.set_column(0, "distance", holes))
    assert verdict.numbers["drifted"] == ["distance"]
    assert "20 % missing, was 0 %" in verdict.sentence


def test_a_significant_shift_that_is_too_small_to_matter_is_quiet_and_names_the_bar_that_it_missed() -> None:
    reference, current = features_table(200_000, 1), features_table(200_000, 2, shift=0.05)
    verdict = judge(drift(), reference, current)
    assert verdict.outcome is Outcome.QUIET
    column = verdict.numbers["columns"]["distance"]
    assert column["p_adjusted"] < 1e-9
    assert (column["noise"], column["effect"]) == (True, False)
    assert "; past noise, not past effect), on 200,000 rows" in verdict.sentence
    assert judge(drift(ks=0.01), reference, current).fired


@pytest.mark.parametrize(("setting", "shift", "spread"), [("location", 0.2, 1.0), ("scale", 0.0, 1.3)])
def test_location_and_scale_have_effects_of_their_own_to_reach(setting: str, shift: float, spread: float) -> None:
    random = np.random.default_rng(1)
    reference = pa.table({"x": random.normal(0, 1, 5000)})
    current = pa.table({"x": random.normal(shift, spread, 5000)})
    verdict = judge(drift(features=("x",)), reference, current)
    assert verdict.fired
    assert verdict.numbers["columns"]["x"]["test"] == {"location": "rank_sum", "scale": "mood"}[setting]
    assert judge(drift(features=("x",), **{setting: 0.45}), reference, current).outcome is Outcome.QUIET


def stream(columns: int, rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (rows, columns))


def as_table(values: np.ndarray) -> pa.Table:
    """Half of the columns as numbers, half as four categories."""
    half = values.shape[1] // 2
    numbers = {f"n{index}": values[:, index] for index in range(half)}
    levels = np.array(["a", "b", "c", "d"])
    words = {f"c{index}": levels[np.digitize(values[:, index], [-1, 0, 1])].tolist() for index in range(half, 2 * half)}
    return pa.table({**numbers, **words})


def firings(values: np.ndarray, reference: pa.Table, per_day: int) -> list[int]:
    """The days, of the rows given at so many a day, at whose end a weekly window fires."""
    trigger = drift(features=tuple(reference.column_names))
    days = range(7, len(values) // per_day + 1)
    return [
        day for day in days if judge(trigger, reference, as_table(values[(day - 7) * per_day : day * per_day])).fired
    ]


def test_a_quiet_stream_of_twenty_columns_stays_quiet_over_sixty_daily_looks() -> None:
    assert firings(stream(20, 67 * 150, seed=3), as_table(stream(20, 5000, seed=4)), per_day=150) == []


def test_a_stream_that_shifts_in_one_column_fires_within_days_and_not_before() -> None:
    values = stream(20, 30 * 150, seed=5)
    values[20 * 150 :, 3] += 0.6
    assert firings(values, as_table(stream(20, 5000, seed=4)), per_day=150) == list(range(22, 31))


@pytest.mark.parametrize("correction", ["holm", "benjamini-hochberg", "bonferroni"])
def test_significance_alone_stays_within_the_false_alarms_allowed(correction: str) -> None:
    # With no effect to reach, each of 300 looks alarms falsely at most once in 90: 3.3 are expected.
    trigger = drift(correction=correction)
    no_effect = Sizes(ks=0, psi=0, js=0, location=0, scale=0)
    judged = [judge_looks(look, no_effect, trigger.correction, trigger.level) for look in quiet_looks()]
    assert sum(any(column.drifted for column in look.values()) for look in judged) <= 8


@cache
def quiet_looks() -> list[list[Compared]]:
    """300 looks at five columns that do not drift: what there is to be judged does not hang on the correction."""
    reference, *currents = (
        pa.table({f"n{index}": column for index, column in enumerate(stream(5, rows, seed).T)})
        for rows, seed in [(5000, 6), *((500, seed) for seed in range(100, 400))]
    )
    outlook = Outlook(7 * DAY, NOW, 500, natural=True, season=None)
    names = tuple(reference.column_names)
    return [list(Pair(names, reference, each, prediction=False).compared(outlook)) for each in currents]


def dated(values: np.ndarray, days: int, until: datetime = NOW) -> pa.Table:
    """The rows, ascending in time, evenly over so many days."""
    step = days * DAY / len(values)
    times = [until - days * DAY + number * step for number in range(len(values))]
    return as_table(values).append_column("timestamp", pa.array(times, pa.timestamp("us", "UTC")))


def test_a_shift_of_the_last_day_is_found_in_the_last_seventh_of_the_window() -> None:
    values, reference = stream(20, 7000, seed=5), as_table(stream(20, 5000, seed=4))
    values[6000:, 3] += 0.3
    trigger = drift(features=tuple(reference.column_names))
    verdict = judge(trigger, reference, dated(values, days=7))
    assert verdict.numbers["drifted"] == ["n3"]
    assert verdict.numbers["columns"]["n3"]["window"] == "1d"
    windows = [(each["window"], each["rows"]["current"]) for each in verdict.numbers["windows"]]
    assert windows == [("7d", 7000), ("3d", 3000), ("1d", 1000)]
    assert judge(trigger, reference, as_table(values)).outcome is Outcome.QUIET


def test_a_part_of_the_window_with_too_few_rows_is_not_judged() -> None:
    reference = as_table(stream(4, 5000, seed=4))
    verdict = judge(drift(features=tuple(reference.column_names)), reference, dated(stream(4, 1400, 5), days=7))
    assert [each["window"] for each in verdict.numbers["windows"]] == ["7d", "3d"]


def uneven(days: int, per_day: int, seed: int, weekend: float = 0.0) -> np.ndarray:
    """Rows of 4 columns whose days differ by 0.3 of their standard deviation, and a weekend's by `weekend` more."""
    random = np.random.default_rng(seed)
    moves = random.normal(0, 0.3, (days, 4)) + weekend * (np.arange(days) % 7 >= 5)[:, None]
    return np.repeat(moves, per_day, axis=0) + random.normal(0, 1, (days * per_day, 4))


def test_a_drift_must_exceed_what_the_reference_moves_by_itself() -> None:
    reference = dated(uneven(56, 200, seed=1), 56, NOW - 7 * DAY)
    current = dated(uneven(7, 1000, seed=2), 7)
    trigger = drift(features=("n0", "n1", "c2", "c3"))
    assert judge(trigger.model_copy(update={"natural": False}), reference, current).fired
    verdict = judge(trigger, reference, current)
    assert verdict.outcome is Outcome.QUIET
    assert "past noise and effect, not past nature), on" in verdict.sentence
    column = verdict.numbers["columns"]["n0"]
    assert column["nature"] is False
    assert column["distance"] <= column["natural_bar"]
    assert [each["blocks"] for each in verdict.numbers["windows"]] == [
        {"number": 8, "length": "7d"},
        {"number": 18, "length": "3d"},
        {"number": 56, "length": "1d"},
    ]
    shifted = uneven(7, 1000, seed=2)
    shifted[:, 0] += 2
    verdict = judge(trigger, reference, dated(shifted, 7))
    assert verdict.numbers["drifted"] == ["n0"]
    assert "past noise, effect and nature" in verdict.sentence


def test_natural_variation_hides_no_small_shift_where_the_reference_has_none() -> None:
    values = stream(20, 7000, seed=5)
    values[:, 3] += 0.1
    reference = dated(stream(20, 20_000, seed=4), 56, NOW - 7 * DAY)
    names = tuple(name for name in reference.column_names if name != "timestamp")
    assert judge(drift(features=names), reference, dated(values, days=7)).numbers["drifted"] == ["n3"]


def test_a_reference_too_short_to_know_its_own_moves_is_said_and_judged_without() -> None:
    reference = dated(stream(4, 3000, seed=4), 3, NOW - 7 * DAY)
    verdict = judge(drift(features=("n0", "n1", "c2", "c3")), reference, dated(stream(4, 7000, 5), days=7))
    assert verdict.sentence.endswith("without natural variation (the reference is too short to know).")
    assert verdict.numbers["columns"]["n0"]["nature"] is None


def test_a_season_compares_weekends_with_weekends() -> None:
    # The stream begins on a Monday at midnight, and the look is on a Monday, right after a weekend.
    monday = NOW.replace(hour=0) + 3 * DAY
    random = np.random.default_rng(1)
    weekend = 1.0 * (np.arange(63) % 7 >= 5)
    values = np.repeat(weekend, 1000)[:, None] + random.normal(0, 1, (63_000, 4))
    reference, current = dated(values[:56_000], 56, monday - 7 * DAY), dated(values[56_000:], 7, monday)
    answers = {"reference": reference, "current": current}
    features = ("n0", "n1", "c2", "c3")
    blind = drift(features=features, natural=False).evaluate(evidence(answers), monday)
    assert set(blind.numbers["drifted"]) == set(features)
    seeing = drift(features=features, natural=False, season="week").evaluate(evidence(answers), monday)
    assert seeing.outcome is Outcome.QUIET
    assert [each["rows"]["reference"] for each in seeing.numbers["windows"]] == [56_000, 24_000, 8_000]
    assert drift(features=features, season="week").evaluate(evidence(answers), monday).outcome is Outcome.QUIET


def test_a_season_that_the_reference_does_not_cover_is_insufficient() -> None:
    reference = dated(stream(4, 3000, seed=4), 3, NOW - 9 * DAY)
    verdict = judge(drift(features=("n0", "n1", "c2", "c3"), season="week"), reference, dated(stream(4, 7000, 5), 7))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.sentence == (
        "The reference has too little of the days of the week that the window holds; it takes 500 rows like the "
        "window's."
    )


def test_levels_too_rare_to_be_in_every_sample_are_no_drift() -> None:
    random = np.random.default_rng(3)
    reference, current = ((random.random(rows) ** 2 * 1000).astype(int) for rows in (5000, 7000))
    tables = [pa.table({"x": [f"level {each}" for each in side.tolist()]}) for side in (reference, current)]
    verdict = judge(drift(features=("x",), js=0), *tables)
    assert verdict.numbers["columns"]["x"]["unseen"] > 0.02
    assert verdict.numbers["columns"]["x"]["p_value"] > 0.01


def test_a_share_of_columns_must_drift_where_one_is_asked_for() -> None:
    reference, values = as_table(stream(20, 5000, seed=4)), stream(20, 1500, seed=7)
    values[:, :5] += 1
    for share, outcome in ((None, Outcome.FIRED), (0.25, Outcome.FIRED), (0.26, Outcome.QUIET)):
        trigger = drift(features=tuple(reference.column_names), share=share)
        verdict = judge(trigger, reference, as_table(values))
        assert verdict.outcome is outcome
        assert len(verdict.numbers["drifted"]) == 5
    assert verdict.sentence.startswith("5 of 20 columns drifted: ")
    assert verdict.sentence.endswith("it takes 26 % of them.")


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, 1 / 90),
        ({"false_alarms": "2 per 90d"}, 2 / 90),
        ({"false_alarms": "1 per 90d", "look_every": "1h"}, 1 / 2160),
        ({"window": "14h"}, 1 / 1080),
        ({"false_alarms": "1 per 7d", "look_every": "7d"}, 0.05),
    ],
)
def test_the_level_of_a_look_is_its_share_of_the_false_alarms_allowed(settings: Any, level: float) -> None:
    assert drift(**settings).level == pytest.approx(level)


@pytest.mark.parametrize(("rows", "outcome"), [(499, Outcome.INSUFFICIENT), (500, Outcome.QUIET)])
def test_it_takes_the_minimum_of_rows_on_either_side(rows: int, outcome: Outcome) -> None:
    assert judge(drift(), features_table(5000, 1), features_table(rows, 2)).outcome is outcome
    verdict = judge(drift(), features_table(rows, 3), features_table(5000, 2))
    assert verdict.outcome is outcome
    if outcome is Outcome.INSUFFICIENT:
        assert verdict.sentence == (
            "There are only 5,000 rows of the last 7d against 499 of the training data; 500 are needed of either."
        )


def test_without_a_deployment_there_is_no_training_data_and_the_sentence_offers_another_reference() -> None:
    verdict = judge(drift(), None, features_table(5000, 1))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "No version has been deployed yet" in verdict.sentence
    assert "reference: {window: 28d}" in verdict.sentence


def test_it_asks_for_the_stores_features_or_for_those_it_is_given() -> None:
    window = Window(NOW - 7 * DAY, NOW)
    asked = drift().requests(facts(), {}, NOW)
    columns = ("timestamp", *FEATURES)
    assert asked == {"reference": TrainingRequest(columns), "current": RowsRequest(window, columns)}
    asked = drift(features=("carrier",)).requests(facts(), {}, NOW)
    assert asked["current"] == RowsRequest(window, ("timestamp", "carrier"))


def test_the_reference_may_be_a_window_of_the_store_or_a_file_and_the_current_data_a_file() -> None:
    columns = ("timestamp", *FEATURES)
    rolling = drift(reference={"window": "28d"}).requests(facts(), {}, NOW)
    assert rolling["reference"] == RowsRequest(Window(NOW - 35 * DAY, NOW - 7 * DAY), columns)
    fixed = drift(reference={"window": "28d", "before": datetime(2026, 1, 1)})  # noqa: DTZ001 naive means UTC
    january = datetime(2026, 1, 1, tzinfo=UTC)
    assert fixed.requests(facts(), {}, NOW)["reference"] == RowsRequest(Window(january - 28 * DAY, january), columns)
    files = drift(reference={"file": "old.parquet"}, current={"file": "new.csv"})
    assert files.requests(facts(), {}, NOW) == {
        "reference": TableFileRequest("old.parquet", FEATURES),
        "current": TableFileRequest("new.csv", FEATURES),
    }
    told = judge(files, features_table(600, 1), features_table(600, 2)).sentence
    assert "on 600 rows of new.csv against 600 of old.parquet" in told


def test_without_new_rows_a_look_is_worth_making_only_where_the_current_data_is_a_file() -> None:
    assert drift().wakes_on_rows
    assert not drift(current={"file": "new.csv"}).wakes_on_rows


def test_predictions_are_compared_with_the_first_ones_of_the_deployed_version() -> None:
    asked = DriftTrigger().requests(facts(deployed_at=NOW - 14 * DAY), {}, NOW)
    first = Window(NOW - 14 * DAY, NOW - 7 * DAY)
    assert asked["prediction_reference"] == RowsRequest(first, ("timestamp", "prediction"), version="3")
    newest = Window(NOW - 7 * DAY, NOW)
    assert asked["prediction_current"] == RowsRequest(newest, ("timestamp", "prediction"), version="3")


def test_predictions_are_not_compared_before_there_are_two_windows_of_the_deployed_version() -> None:
    deployed = {"deployed_at": NOW - 14 * DAY + timedelta(seconds=1)}
    assert set(DriftTrigger(incidents=False).requests(facts(**deployed), {}, NOW)) == {"reference", "current"}
    verdict = judge(DriftTrigger(), features_table(600, 1), features_table(600, 2), **deployed)
    assert verdict.outcome is Outcome.QUIET
    assert verdict.numbers["not_judged"] == {"prediction": "predictions are compared from 2026-03-20 12:00:01 UTC on"}


def test_predictions_of_a_reference_window_are_those_since_the_deployment() -> None:
    trigger = DriftTrigger(reference={"window": "28d"})
    asked = trigger.requests(facts(deployed_at=NOW - 20 * DAY), {}, NOW)
    since = Window(NOW - 20 * DAY, NOW - 7 * DAY)
    assert asked["prediction_reference"] == RowsRequest(since, ("timestamp", "prediction"), version="3")
    assert asked["reference"] == RowsRequest(Window(NOW - 35 * DAY, NOW - 7 * DAY), ("timestamp", *FEATURES))
    assert "prediction_reference" not in trigger.requests(facts(deployed_at=NOW - 7 * DAY), {}, NOW)
    never = trigger.requests(facts(deployed_at=None, version=None), {}, NOW)
    span = Window(NOW - 35 * DAY, NOW - 7 * DAY)
    assert never["prediction_reference"] == RowsRequest(span, ("timestamp", "prediction"))


def test_a_shift_of_predictions_fires() -> None:
    verdict = judge(
        DriftTrigger(),
        features_table(2000, 1),
        features_table(2000, 2),
        prediction_reference=predictions_table(2000, 3, 0.3),
        prediction_current=predictions_table(2000, 4, 0.6),
    )
    assert verdict.fired
    assert verdict.numbers["drifted"] == ["prediction"]
    assert verdict.numbers["rows"] == {
        "features": {"reference": 2000, "current": 2000},
        "prediction": {"reference": 2000, "current": 2000},
    }


def test_too_few_predictions_leave_the_features_to_be_judged() -> None:
    verdict = judge(
        DriftTrigger(),
        features_table(2000, 1),
        features_table(2000, 2, shift=1),
        prediction_reference=predictions_table(10, 3),
        prediction_current=predictions_table(2000, 4),
    )
    assert verdict.fired
    assert verdict.numbers["not_judged"] == {"prediction": "only 2,000 predictions now and 10 to compare with"}


def test_a_store_without_features_has_its_predictions_judged() -> None:
    tables = {"prediction_reference": predictions_table(900, 1), "prediction_current": predictions_table(900, 2, 0.9)}
    verdict = DriftTrigger().evaluate(evidence(tables, features=()), NOW)
    assert verdict.fired
    assert "on 900 predictions of the last 7d against 900 earlier ones of the same version" in verdict.sentence
    assert DriftTrigger().evaluate(evidence({}, features=(), deployed_at=NOW), NOW).sentence == (
        "There are no features to compare, and of predictions: predictions are compared from 2026-04-03 12:00 UTC on."
    )


def test_nothing_to_compare_at_all_is_an_error() -> None:
    verdict = drift().evaluate(evidence({}, features=()), NOW)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.sentence == (
        "There is nothing to compare; name features under predictions.columns.features, or leave prediction on."
    )


def test_a_column_of_another_type_or_without_a_reference_is_an_error_that_names_it() -> None:
    text = features_table(600, 2).set_column(0, "distance", pa.array(["far"] * 600))
    verdict = judge(drift(), features_table(600, 1), text)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.sentence == (
        "Column distance holds numbers in the reference and string in the current data; "
        "correct it, or leave the column out under features."
    )
    verdict = judge(drift(), features_table(600, 1).select(["carrier"]), features_table(600, 2))
    assert verdict.sentence.startswith("Column distance is not in the reference, which has carrier;")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"reference": "trainig"}, "'trainig' is no reference"),
        ({"reference": {}}, "write window: DURATION or file: PATH"),
        ({"reference": {"window": "7d", "file": "x"}}, "write window: DURATION or file: PATH"),
        ({"reference": {"file": "x", "before": "2026-01-01"}}, "before says where a window ends"),
        ({"reference": {"window": "soon"}}, "reference.window\n.*is not a duration"),
        ({"false_alarms": "few"}, "is not a rate"),
        ({"correction": "none"}, "correction"),
        ({"share": 0}, "share"),
        ({"min_rows": 5}, "min_rows"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_their_place(settings: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DriftTrigger(**settings)
