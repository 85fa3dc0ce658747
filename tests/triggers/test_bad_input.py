"""What nobody would wish for, handed to the triggers as a store or file hands it over: each is handled, or refused in a
sentence. `tests/cli/test_odd_stores.py` sends some of it through `retraind evaluate`."""

import json
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from samples import NOW, evidence, facts, scored_table

from triggers.base import Trigger
from triggers.catalog import parse_trigger
from triggers.evidence import Arrival, Counts, RowsRequest, TrainingRequest
from triggers.metrics import ErrorSums, Tally
from triggers.verdict import Outcome, Verdict

DAY = timedelta(days=1)
ROWS = 1400  # of either side: two hundred a day of the window
METHODS = ("windows", "sequential")


def dated(columns: Mapping[str, Any], days: int, until: datetime = NOW) -> pa.Table:
    """The columns as a table whose rows come evenly over so many days."""
    rows = len(next(iter(columns.values())))
    first = int((until - days * DAY).timestamp() * 1e6)
    times = pa.array(first + np.arange(rows) * (days * DAY // timedelta(microseconds=1)) // rows)
    return pa.table({"timestamp": times.cast(pa.timestamp("us", "UTC")), **columns})


def answer(request: Any, reference: pa.Table, current: pa.Table) -> Any:
    """What a store with the current rows, and a model trained on the reference, hand over."""
    if isinstance(request, TrainingRequest):
        return reference.select([name for name in request.columns if name in reference.column_names])
    assert isinstance(request, RowsRequest)
    keep = pc.is_valid(current["timestamp"])
    for edge, compared in ((request.window.start, pc.greater_equal), (request.window.end, pc.less)):
        if edge is not None:
            keep = pc.and_(keep, compared(current["timestamp"], pa.scalar(edge, pa.timestamp("us", "UTC"))))
    names = [name for name in request.columns if name in current.column_names]
    return current.select(names).filter(keep)


def judged(trigger: Trigger, reference: pa.Table, current: pa.Table, names: Sequence[str] = ("x",)) -> Verdict:
    requests = trigger.requests(facts(features=tuple(names)), {}, NOW)
    answers = {name: answer(request, reference, current) for name, request in requests.items()}
    verdict = trigger.evaluate(evidence(answers, features=tuple(names)), NOW)
    told = json.dumps([verdict.numbers, verdict.state], allow_nan=False)
    assert "NaN" not in told
    assert verdict.sentence.endswith(".")
    assert "\n" not in verdict.sentence
    return verdict


def drift(method: str, **settings: Any) -> Trigger:
    return parse_trigger({"type": "drift", "method": method, "prediction": False, **settings})


def compared(method: str, reference: Any, current: Any, **settings: Any) -> Verdict:
    """The verdict on one column, of a four weeks' reference and a week's current rows."""
    return judged(drift(method, **settings), dated({"x": reference}, 28), dated({"x": current}, 7))


def plainly(method: str, reference: Any, current: Any) -> Verdict:
    """The same without looking for incidents first, nor for what so short a reference moves by itself."""
    return compared(method, reference, current, incidents=False, natural=False)


def normal(rows: int = ROWS, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 1, rows)


# --- drift, by both methods


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_of_three_rows_is_insufficient_with_the_counts(method: str) -> None:
    verdict = compared(method, [1.0, 2.0, 3.0], normal())
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert " 3 " in verdict.sentence
    assert "500 are needed" in verdict.sentence


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_feature_is_quiet_while_it_stays_and_no_trouble_when_it_moves(method: str) -> None:
    assert compared(method, [5.0] * ROWS, [5.0] * ROWS).outcome is Outcome.QUIET
    assert compared(method, ["a"] * ROWS, ["a"] * ROWS).outcome is Outcome.QUIET
    assert plainly(method, [5.0] * ROWS, normal()).outcome is Outcome.FIRED
    stuck = compared(method, normal(), [0.1] * ROWS)
    assert stuck.outcome is Outcome.INSUFFICIENT
    assert "column x" in stuck.sentence
    assert plainly(method, normal(), [0.1] * ROWS).outcome is Outcome.FIRED


def test_a_constant_reference_is_said() -> None:
    verdict = compared("windows", [5.0] * ROWS, [5.0] * ROWS)
    assert "constant" in str(verdict.numbers["columns"]["x"]["note"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("empty", [pa.nulls(ROWS, pa.float64()), pa.nulls(ROWS, pa.string()), [float("nan")] * ROWS])
def test_a_column_without_any_value_is_compared_as_missing(method: str, empty: Any) -> None:
    assert compared(method, empty, empty).outcome is Outcome.QUIET
    assert compared(method, empty, normal()).outcome is Outcome.FIRED
    gone = compared(method, normal(), empty)
    assert gone.outcome is Outcome.INSUFFICIENT
    assert "column x" in gone.sentence
    assert plainly(method, normal(), empty).outcome is Outcome.FIRED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wild", [float("inf"), float("-inf")])
def test_infinite_values_are_values_beyond_all_others(method: str, wild: float) -> None:
    def some(seed: int, share: float) -> Any:
        return np.where(np.random.default_rng(seed).random(ROWS) < share, wild, normal(seed=seed))

    assert compared(method, some(1, 0.2), some(2, 0.2)).outcome is Outcome.QUIET
    assert plainly(method, normal(), some(2, 0.5)).outcome is Outcome.FIRED
    assert compared(method, [wild] * ROWS, [wild] * ROWS).outcome is Outcome.QUIET


@pytest.mark.parametrize("method", METHODS)
def test_numbers_as_text_are_an_incident_or_an_error_that_names_the_column(method: str) -> None:
    text = [str(value) for value in normal()]
    found = compared(method, normal(), text)
    assert found.outcome is Outcome.INSUFFICIENT
    assert "column x" in found.sentence
    refused = compared(method, normal(), text, incidents=False)
    assert refused.outcome is Outcome.ERROR
    assert refused.sentence.startswith("Column x holds numbers in the reference and string in the current data;")


@pytest.mark.parametrize("method", METHODS)
def test_codes_as_text_in_the_reference_and_as_numbers_now_are_the_same_categories(method: str) -> None:
    codes = np.random.default_rng(3).integers(0, 4, ROWS)
    assert compared(method, [str(code) for code in codes], codes).outcome is Outcome.QUIET
    words = compared(method, [f"code {code}" for code in codes], codes, incidents=False)
    assert words.outcome is Outcome.ERROR
    assert words.sentence.startswith("Column x holds categories in the reference and int64 in the current data;")


@pytest.mark.parametrize(("method", "number"), [("windows", 1100), ("sequential", 300)])
def test_many_features_are_judged_and_a_look_keeps_the_figures_of_the_furthest(method: str, number: int) -> None:
    names = [f"f{index}" for index in range(number)]
    values = np.random.default_rng(2).normal(0, 1, (number, 80))
    reference = dated(dict(zip(names, values[:, :40], strict=True)), 28)
    current = dated(dict(zip(names, values[:, 40:], strict=True)), 7)
    verdict = judged(drift(method, min_rows=35, natural=False, incidents=False), reference, current, names)
    assert verdict.outcome is Outcome.QUIET
    assert len(json.dumps(verdict.numbers)) < 2**20
    if method == "windows":
        assert "None of 1,100 columns drifted" in verdict.sentence
        assert len(verdict.numbers["columns"]) == 1000
        assert verdict.numbers["columns_left_out"] == 100


@pytest.mark.parametrize("method", METHODS)
def test_a_million_categories_take_bounded_memory_and_those_beyond_the_first_are_one_level(method: str) -> None:
    distinct = pa.array(np.char.add("user", np.arange(1_000_000).astype("U7")))
    reference, current = dated({"x": distinct}, 28), dated({"x": distinct.slice(500_000)}, 7)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    verdict = judged(drift(method, incidents=False, natural=False), reference, current)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.outcome is Outcome.QUIET
    assert peak < 2**28
    assert pa.total_allocated_bytes() - before < 2**24
    if method == "windows":
        note = verdict.numbers["columns"]["x"]["note"]
        assert note == "has more than 1,000 categories; the rarer ones are counted together"


@pytest.mark.parametrize("method", METHODS)
def test_time_stamps_in_the_future_are_an_incident_and_never_part_of_the_window(method: str) -> None:
    ahead = dated({"x": normal(300, 7) + 9}, 20, until=NOW + 21 * DAY)
    rows = pa.concat_tables([dated({"x": normal(seed=2)}, 7), ahead])
    reference = dated({"x": normal()}, 28)
    found = judged(drift(method), reference, rows)
    assert found.outcome is Outcome.INSUFFICIENT
    assert "time stamps in the future" in found.sentence
    assert judged(drift(method, incidents=False), reference, rows).outcome is Outcome.QUIET


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_with_columns_that_the_window_lacks_is_an_error_that_names_one(method: str) -> None:
    reference = dated({"x": normal(), "y": normal()}, 28)
    lacking = judged(drift(method), reference, dated({"x": normal(seed=2)}, 7), ("x", "y"))
    assert lacking.outcome is Outcome.ERROR
    assert lacking.sentence.startswith("Column y is not in the current data, which has ")
    both = dated({"x": normal(), "y": normal()}, 7)
    unknown = judged(drift(method), dated({"x": normal()}, 28), both, ("x", "y"))
    assert unknown.outcome is Outcome.ERROR
    assert unknown.sentence.startswith("Column y is not in the reference, which has ")


# --- performance, realised and estimated, and what it is worth


def performance(labels: Any, metric: str = "mae", rows: int | None = None) -> Verdict:
    bar = {"below": 0.5} if metric in {"accuracy", "roc_auc", "r2"} else {"above": 0.5}
    trigger = parse_trigger({"type": "performance", "metric": metric, "window": "7d", **bar})
    known = labels[0].tally.rows if isinstance(labels, tuple) else labels.num_rows
    answers = {"counts": Counts(rows or known, known), "before": Counts(0, 0), "labels": labels}
    return trigger.evaluate(evidence(answers), NOW)


def test_three_labels_and_none_at_all_are_insufficient() -> None:
    three = (Arrival(Tally(classes={("1", "1"): 3}), {}),)
    assert "There are only 3 labelled rows" in performance(three, "accuracy").sentence
    none = performance((Arrival(Tally(), {"1": 900}),), "accuracy", rows=900)
    assert none.outcome is Outcome.INSUFFICIENT
    assert "0 of 900 rows have labels" in none.sentence


@pytest.mark.parametrize("wild", [float("inf"), float("nan")])
def test_an_error_without_bounds_is_told_and_is_no_figure(wild: float) -> None:
    sums = ErrorSums(count=900, absolute=wild, squared=wild, fourth=wild, actual=1.0, actual_squared=1.0)
    verdict = performance((Arrival(Tally(errors=sums), {}),))
    assert verdict.outcome is Outcome.ERROR
    assert "a prediction or an actual is infinite" in verdict.sentence
    json.dumps(verdict.numbers, allow_nan=False)


@pytest.mark.parametrize(
    ("column", "outcome", "told"),
    [
        (["high"] * 900, Outcome.ERROR, "column score holds string where numbers are needed"),
        (["0.5"] * 900, Outcome.FIRED, "log_loss was 0.693"),
        ([float("inf")] * 900, Outcome.ERROR, "a probability is 0 to 1"),
        ([None] * 900, Outcome.INSUFFICIENT, "log_loss is undefined"),
        ([0.5] * 900, Outcome.FIRED, "log_loss was 0.693"),
    ],
)
def test_scores_that_are_none_are_refused_and_constant_ones_are_judged(
    column: list[Any], outcome: Outcome, told: str
) -> None:
    typed = pa.array(column, pa.float64()) if column[0] is None else pa.array(column)
    verdict = performance(dated({"score": typed, "actual": [0, 1] * 450}, 7), "log_loss")
    assert verdict.outcome is outcome
    assert told in verdict.sentence


def replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def estimated(change: Callable[[pa.Table], pa.Table]) -> Verdict:
    trigger = parse_trigger({"type": "estimated_performance", "metric": "accuracy", "below": 0.5})
    past, window = scored_table(2000, 1), scored_table(2000, 2, labelled=False)
    verdict = trigger.evaluate(evidence({"past": change(past), "window": change(window)}), NOW)
    json.dumps(verdict.numbers, allow_nan=False)
    return verdict


@pytest.mark.parametrize(
    ("column", "outcomes"),
    [
        (pa.nulls(2000, pa.float64()), {Outcome.INSUFFICIENT, Outcome.ERROR}),
        ([float("inf")] * 2000, {Outcome.INSUFFICIENT, Outcome.ERROR}),
        ([0.6] * 2000, {Outcome.QUIET, Outcome.INSUFFICIENT}),
        (["high"] * 2000, {Outcome.ERROR}),
    ],
)
def test_an_estimate_from_scores_that_tell_nothing_never_fires(column: Any, outcomes: set[Outcome]) -> None:
    verdict = estimated(lambda table: replaced(table, "score", [column]))
    assert verdict.outcome in outcomes
    assert "raised" not in verdict.sentence


def test_an_estimate_from_three_rows_is_insufficient() -> None:
    verdict = estimated(lambda table: table.slice(0, 3))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "There are only 3 rows without labels" in verdict.sentence


@pytest.mark.parametrize("wild", [float("inf"), float("nan")])
def test_what_waiting_costs_is_not_told_from_errors_without_bounds(wild: float) -> None:
    trigger = parse_trigger({"type": "worth", "retrain": 40, "point_of_mae_per_day": 25, "window": "28d"})
    sums = ErrorSums(count=900, absolute=wild, squared=wild, fourth=wild, actual=1.0, actual_squared=1.0)
    wide = (Arrival(Tally(errors=sums), {}),)
    sound = (Arrival(Tally(errors=ErrorSums(count=900, absolute=900.0, squared=1800.0)), {}),)
    answers = {"before": Counts(0, 0), "older": sound * 16, "newest": wide * 8}
    verdict = trigger.evaluate(evidence(answers), NOW)
    assert verdict.outcome is Outcome.ERROR
    assert "mae cannot be computed" in verdict.sentence
    json.dumps(verdict.numbers, allow_nan=False)
