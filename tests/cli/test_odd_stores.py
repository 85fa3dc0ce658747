"""`retraind evaluate` on stores and files that nobody would wish for: a sentence, never a traceback.

Every kind of it, on both methods of drift: `tests/triggers/test_bad_input.py`.
"""

import sqlite3
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

CONFIGURATION = """
models:
  delays:
    predictions: {{url: "sqlite:///odd.db", columns: {{score: score, features: [distance]}}}}
    triggers: {triggers}
    training: {{trainer: {{command: [{python}]}}}}
"""
WINDOWS = "{drift: {type: drift, window: 7d, reference: {window: 28d}, prediction: false}}"
SEQUENTIAL = (
    "{drift: {type: drift, method: sequential, window: 7d, reference: {window: 28d, before: %s}, prediction: false}}"
)
ROWS = 1400  # a week


@pytest.fixture
def odd(project):
    """Asks the one trigger about a store whose newest week differs from the four weeks before."""

    def ask(triggers, before=lambda random: random.normal(0, 1), now=lambda random: random.normal(0, 1), **rows):
        random = np.random.default_rng(3)
        end = datetime.now(UTC)
        week = end - timedelta(days=7)
        spans = [(week - timedelta(days=28), week, rows.get("past", 4 * ROWS), before), (week, end, ROWS, now)]
        with sqlite3.connect(project.folder / "odd.db") as store:
            store.execute("CREATE TABLE predictions (timestamp TEXT, distance, prediction, score, actual)")
            for start, until, number, value in spans:
                times = [start + (until - start) * index / number for index in range(number)]
                store.executemany(
                    "INSERT INTO predictions VALUES (?, ?, 1, ?, 1)",
                    [(moment.isoformat(), value(random), 0.7) for moment in times],
                )
            if "ahead" in rows:
                moment = (end + timedelta(days=3)).isoformat()
                store.executemany("INSERT INTO predictions VALUES (?, 0.5, 1, 0.7, 1)", [(moment,)] * rows["ahead"])
        store.close()
        since = week.isoformat()
        text = CONFIGURATION.format(triggers=triggers.replace("%s", f"'{since}'"), python=sys.executable)
        project.configure(text=text)
        answer = project("evaluate", "delays", "--json")
        assert "Traceback" not in answer.err
        return answer.json[0]

    return ask


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_a_reference_of_three_rows(odd, triggers):
    found = odd(triggers, past=3)
    assert found["outcome"] == "insufficient"
    assert "500 are needed" in found["sentence"]


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_a_constant_column_that_stays(odd, triggers):
    assert odd(triggers, before=lambda _: 5.0, now=lambda _: 5.0)["outcome"] == "quiet"


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_a_column_that_went_missing(odd, triggers):
    found = odd(triggers, now=lambda _: None)
    assert found["outcome"] == "insufficient"
    assert "column distance" in found["sentence"]


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_infinite_values(odd, triggers):
    judging = triggers.replace("prediction: false", "prediction: false, incidents: false")
    found = odd(judging, now=lambda random: float("inf") if random.random() < 0.5 else random.normal(0, 1))
    assert found["outcome"] == "fired"


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_numbers_as_text(odd, triggers):
    found = odd(triggers, now=lambda random: f"about {random.normal(0, 1):.3f}")
    assert found["outcome"] in {"insufficient", "error"}
    assert "distance" in found["sentence"]


@pytest.mark.parametrize("triggers", [WINDOWS, SEQUENTIAL])
def test_time_stamps_in_the_future(odd, triggers):
    found = odd(triggers, ahead=100)
    assert found["outcome"] == "insufficient"
    assert "100 of" in found["sentence"]
    assert "time stamps in the future" in found["sentence"]


def test_a_reference_with_columns_that_the_current_data_lacks(odd, project):
    values = np.random.default_rng(1).normal(0, 1, 600)
    parquet.write_table(pa.table({"distance": values, "speed": values}), project.folder / "reference.parquet")
    parquet.write_table(pa.table({"distance": values}), project.folder / "current.parquet")
    found = odd(
        "{drift: {type: drift, reference: {file: reference.parquet}, current: {file: current.parquet}, "
        "features: [distance, speed], prediction: false}}"
    )
    assert found["outcome"] == "error"
    assert "speed" in found["sentence"]


@pytest.mark.parametrize(
    "trigger",
    [
        "{type: performance, metric: log_loss, above: 0.5, window: 7d}",
        "{type: estimated_performance, metric: log_loss, above: 0.5}",
        "{type: worth, retrain: 40, point_of_log_loss_per_day: 25}",
    ],
)
def test_scores_that_are_all_one_of_a_class_that_is_alone_never_fire(odd, trigger):
    found = odd(f"{{decay: {trigger}}}")
    assert found["outcome"] in {"quiet", "insufficient"}
