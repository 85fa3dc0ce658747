"""The rows of a training: which there are, in what order, how they are weighted, split, hashed and checked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retraind.config.predictions import Predictions
from retraind.config.settings import Model
from retraind.config.training import Checks, Training
from retraind.errors import DataFailure
from retraind.training_rows import instants_of, window_of
from triggers.evidence import Window
from workers.content import content_hash
from workers.job_directory import WEIGHT
from workers.sources import Rows, read_window, tailored
from workers.stages.evaluate import task_of
from workers.stages.ingest import split, weighted
from workers.stages.validate import breached, examine

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
RIDGE = {"sklearn": "sklearn.linear_model.Ridge"}


def training(**parts: Any) -> Training:
    return Training.model_validate({"trainer": RIDGE, **parts})


def model(data: dict[str, Any], features: tuple[str, ...] = ()) -> Model:
    predictions = Predictions(url="sqlite:///nowhere.db", columns={"features": features})  # type: ignore[arg-type]
    return Model(predictions=predictions, training=training(data=data))


def table(hours: list[float], **columns: list[Any]) -> pa.Table:
    instants = pa.array([NOON + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    return pa.table({"timestamp": instants, **columns})


# --- the window


def test_a_rolling_window_counts_back_from_the_request_and_an_expanding_one_has_no_start() -> None:
    rolling = training(data={"window": {"rolling": "7d"}}).data
    assert window_of(rolling, NOON) == Window(NOON - timedelta(days=7), NOON)
    assert window_of(training().data, NOON) == Window(None, NOON)


def test_a_window_takes_its_start_and_not_its_end_in_order_of_time_and_only_labelled_rows() -> None:
    found = tailored(
        table([0, -1, -2, -3, -1.5, -2.5], x=[1, 2, 3, 4, 5, 6], actual=[1, 1, 0, 1, None, 0]),
        model({"source": {"csv": "x.csv"}, "window": {"rolling": "2h30m"}}),
        "timestamp",
        Window(NOON - timedelta(hours=2.5), NOON),
    )
    assert found.table["x"].to_pylist() == [6, 3, 2]
    assert found.table.column_names == ["timestamp", "actual", "x"]


def test_rows_without_a_time_are_all_taken_as_they_stand() -> None:
    rows = pa.table({"x": [3, 1, 2], "actual": [0, 1, None]})
    found = tailored(rows, model({"source": {"csv": "x.csv"}}), None, Window(None, NOON))
    assert (found.table["x"].to_pylist(), found.features, found.time) == ([3, 1], ("x",), None)


def test_a_file_s_features_are_the_named_ones_else_the_store_s_else_every_other_column() -> None:
    rows = table([-1], x=[1], y=[2], note=["a"], actual=[0])
    window = Window(None, NOON)
    assert tailored(rows, model({"features": ["y"]}, ("x", "y")), "timestamp", window).features == ("y",)
    assert tailored(rows, model({}, ("x", "y")), "timestamp", window).features == ("x", "y")
    assert tailored(rows, model({}, ("gone",)), "timestamp", window).features == ("x", "y", "note")


def test_a_column_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(
        DataFailure, match=r"no column 'arival' \(did you mean 'arrival'\?\); it has timestamp, arrival"
    ):
        tailored(table([-1], arrival=[0]), model({"target": "arival"}), "timestamp", Window(None, NOON))


@pytest.mark.parametrize(
    "column",
    [
        ["2013-07-01T12:00:00", "2013-07-01 13:00"],
        ["2013-07-01T12:00:00Z", "2013-07-01T15:00:00+02:00"],
        [1372680000, 1372683600],
        [1372680000.0, 1372683600.0],
        [1372680000000, 1372683600000],
        [1372680000000000, 1372683600000000],
        [1372680000000000000, 1372683600000000000],
        [datetime(2013, 7, 1, 12), datetime(2013, 7, 1, 13)],  # noqa: DTZ001 - naive means UTC
    ],
    ids=["text", "text with zones", "seconds", "float seconds", "ms", "us", "ns", "naive"],
)
def test_a_time_column_is_read_as_it_is_written(column: list[Any]) -> None:
    assert instants_of(pa.chunked_array([pa.array(column)])).to_pylist() == [NOON, NOON + timedelta(hours=1)]


def test_a_column_that_is_no_time_is_refused() -> None:
    with pytest.raises(DataFailure, match=r"the column 'carrier' is not a time: .*name another in `timestamp`"):
        tailored(pa.table({"carrier": ["AA"], "actual": [1]}), model({}), "carrier", Window(None, NOON))


def test_files_that_are_not_there_are_a_failure_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataFailure, match=r"there is no file .*gone\.csv"):
        read_window(model({"source": {"csv": str(tmp_path / "gone.csv")}}), NOON)


# --- weights


def test_a_row_one_half_life_older_than_the_newest_counts_half() -> None:
    rows = Rows(table([-25, -13, -1], x=[1, 2, 3]), ("x",), "timestamp", Window(None, NOON))
    assert weighted(rows, timedelta(hours=12))[WEIGHT].to_pylist() == [0.25, 0.5, 1.0]
    assert weighted(rows, None) is rows.table


def test_weights_need_a_time() -> None:
    rows = Rows(pa.table({"x": [1]}), ("x",), None, Window(None, NOON))
    with pytest.raises(DataFailure, match=r"half_life weighs rows by age and the data has no time"):
        weighted(rows, timedelta(hours=12))


# --- the holdout


def test_the_newest_share_is_kept_for_judging() -> None:
    rows = table([-5, -4, -3, -2, -1], x=[1, 2, 3, 4, 5])
    train, holdout = split(rows, "timestamp", training(holdout={"share": 0.4}))
    assert (train["x"].to_pylist(), holdout["x"].to_pylist()) == ([1, 2, 3], [4, 5])


def test_rows_of_one_instant_are_not_torn_apart() -> None:
    rows = table([-5, -3, -3, -3, -1], x=[1, 2, 3, 4, 5])
    train, holdout = split(rows, "timestamp", training(holdout={"share": 0.4}))
    assert (train["x"].to_pylist(), holdout["x"].to_pylist()) == ([1], [2, 3, 4, 5])


@pytest.mark.parametrize("hours", [[-1], [-1, -1, -1]])
def test_rows_that_cannot_be_split_by_time_are_refused(hours: list[float]) -> None:
    with pytest.raises(DataFailure, match=rf"{len(hours)} rows cannot be split so that a share of 0\.2 of them"):
        split(table(hours, x=hours), "timestamp", training())


def test_a_fixed_file_leaves_every_row_to_train_on_and_gives_only_labelled_ones(tmp_path: Path) -> None:
    pq.write_table(pa.table({"actual": [1, None, 0], "x": [7, 8, 9], "z": [0, 0, 0]}), tmp_path / "fixed.parquet")
    rows = table([-2, -1], x=[1, 2], actual=[0, 1])
    train, holdout = split(rows, "timestamp", training(holdout={"file": str(tmp_path / "fixed.parquet")}))
    assert train is rows
    assert holdout.to_pydict() == {"x": [7, 9], "actual": [1, 0]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("x,actul\n1,0\n", r"has no column 'actual' \(did you mean 'actul'\?\), which is the target"),
        ("x,actual\n1,\n", r"has no labelled rows; nothing can be judged on it"),
        (None, r"there is no file .*fixed\.csv"),
    ],
)
def test_a_fixed_file_that_judges_nothing_is_refused(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "fixed.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataFailure, match=sentence):
        split(table([-1], x=[1], actual=[0]), "timestamp", training(holdout={"file": str(path)}))


# --- the hash of the content


def test_the_hash_does_not_depend_on_how_a_file_is_encoded(tmp_path: Path) -> None:
    rows = table([-3, -2, -1], x=[1.5, None, 2.0], carrier=["AA", None, "DL"], late=[True, False, None])
    encodings: list[dict[str, Any]] = [{}, {"compression": "zstd", "use_dictionary": False}, {"row_group_size": 1}]
    for number, options in enumerate(encodings):
        pq.write_table(rows, tmp_path / f"{number}.parquet", **options)
        assert content_hash(pq.read_table(tmp_path / f"{number}.parquet")) == content_hash(rows)
    assert content_hash(pa.concat_tables([rows.slice(0, 1), rows.slice(1)])) == content_hash(rows)


@pytest.mark.parametrize(
    "other",
    [
        {"x": [1.0, None], "carrier": ["AA", "DL"]},
        {"x": [1.0, 0.0], "carrier": ["AA", "D"]},
        {"x": [1.0, 0.0], "carrier": ["AAD", "L"]},
        {"x": [1.0, 0.0], "carrier": ["DL", "AA"]},
        {"x": [1, 0], "carrier": ["AA", "DL"]},
        {"y": [1.0, 0.0], "carrier": ["AA", "DL"]},
        {"x": [1.0, 0.0]},
    ],
)
def test_any_other_content_has_another_hash(other: dict[str, list[Any]]) -> None:
    assert content_hash(pa.table(other)) != content_hash(pa.table({"x": [1.0, 0.0], "carrier": ["AA", "DL"]}))


# --- the checks

GOOD: dict[str, list[Any]] = {"x": [1.0, 2.0, None, 4.0], "actual": [0, 1, 0, 0], "carrier": ["AA", None, "DL", "DL"]}


def breaches(columns: dict[str, list[Any]], **checks: Any) -> list[str]:
    rows = pa.table(columns)
    figures = examine(rows, [name for name in columns if name != "actual"], "actual")
    return list(breached(rows, figures, Checks(**{"min_rows": 1, **checks}), "actual"))


def test_good_data_breaches_nothing_and_its_figures_are_told() -> None:
    assert breaches(GOOD, target_rate=(0.2, 0.3), types={"x": "number", "carrier": "category"}) == []
    assert examine(pa.table(GOOD), ["x", "carrier"], "actual") == {
        "rows": 4,
        "null_shares": {"x": 0.25, "carrier": 0.25},
        "target_rate": 0.25,
        "target_values": 2,
    }


@pytest.mark.parametrize(
    ("columns", "checks", "sentence"),
    [
        ({}, {"min_rows": 5}, "4 rows, fewer than min_rows 5"),
        ({}, {"max_null_share": 0.2}, "25.0% of 'x' is missing, more than max_null_share 20.0%"),
        ({"x": [float("nan")] * 4}, {}, "100.0% of 'x' is missing, more than max_null_share 95.0%"),
        ({"actual": [1, 1, 1, 1]}, {}, "the target 'actual' has 1 distinct values; there is nothing to learn"),
        ({}, {"target_rate": (0.3, 0.6)}, "the target's rate is 0.25, outside target_rate 0.3 to 0.6"),
        ({"actual": list("abca")}, {"target_rate": (0, 1)}, "neither numbers nor two classes"),
        ({}, {"types": {"carrier": "number"}}, "'carrier' is a category, not a number"),
        (
            {},
            {"types": {"carier": "category"}},
            "types names 'carier', which is not in the data (did you mean 'carrier'?)",
        ),
    ],
)
def test_each_breach_is_a_sentence_with_its_figures(
    columns: dict[str, list[Any]], checks: dict[str, Any], sentence: str
) -> None:
    found = breaches({**GOOD, **columns}, **checks)
    assert any(sentence in each for each in found), found


def test_the_rate_of_a_text_target_is_the_later_class_s_share() -> None:
    assert breaches({**GOOD, "actual": ["late", "early", "early", "early"]}, target_rate=(0.25, 0.25)) == []


# --- the task


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ([0, 1, 1], "classification"),
        ([0.0, 1.0, None], "classification"),
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([0.5, 1.0], "regression"),
        (list(range(100)), "regression"),
    ],
)
def test_a_target_shows_what_is_to_be_done(target: list[Any], task: str) -> None:
    assert task_of(pa.chunked_array([pa.array(target)])) == task
