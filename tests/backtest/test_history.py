"""The history at an instant answers as the store would have then: held against the real reader, row by row."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.backtest.history import History, Predicted
from retraind.config.settings import Model
from retraind.errors import StoreError
from retraind.store import open_store
from triggers.evidence import ArrivalRequest, CountRequest, RowsRequest, TallyRequest, Window

START = datetime(2026, 1, 1, tzinfo=UTC)
DELAY = timedelta(hours=5)
ROW = st.tuples(
    st.integers(0, 40),  # hours
    st.one_of(st.none(), st.floats(-2, 2)),
    st.one_of(st.none(), st.sampled_from([0, 1, 2])),
    st.one_of(st.none(), st.sampled_from([0, 1, 2])),
)
Rows = list[tuple[Any, ...]]


def model(path: Path, **predictions: Any) -> Model:
    told = {"url": f"sqlite:///{path}", "columns": {"features": ["x"]}, **predictions}
    return Model.model_validate({"predictions": told, "training": {"trainer": {"command": ["true"]}}})


def table(path: Path, rows: Rows) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE predictions (timestamp REAL, x REAL, prediction INTEGER, actual INTEGER)")
        store.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)


def stamped(rows: Rows) -> Rows:
    return [((START + timedelta(hours=hour)).timestamp(), *rest) for hour, *rest in rows]


def known_by(rows: Rows, now: datetime) -> Rows:
    """What stood in the table at `now`."""
    there = [row for row in rows if row[0] <= now.timestamp()]
    return [row if row[0] <= (now - DELAY).timestamp() else (*row[:3], None) for row in there]


def requests(window: Window) -> list[Any]:
    return [
        CountRequest(window),
        TallyRequest(window, "classes"),
        TallyRequest(window, "classes", last=3),
        TallyRequest(window, "errors"),
        ArrivalRequest(window, 3, "classes"),
        ArrivalRequest(window, 3, "errors"),
        RowsRequest(window, ("timestamp", "x", "actual")),
        RowsRequest(window, ("x", "prediction"), labelled=True),
        RowsRequest(window, ("timestamp", "actual"), labelled=True, last=2),
        RowsRequest(Window(window.start, None), ("timestamp",)),
    ]


def answer(store: Any, request: Any) -> Any:
    if isinstance(request, CountRequest):
        return store.counts(request.window)
    if isinstance(request, TallyRequest):
        return store.tally(request)
    if isinstance(request, ArrivalRequest):
        return store.arrivals(request)
    return store.rows(request).to_pydict()


def near(one: Any, other: Any) -> bool:
    """Equal, sums of floats up to their last digits."""
    if isinstance(one, float):
        return one == pytest.approx(other, abs=1e-9)
    if hasattr(one, "__dataclass_fields__"):
        return all(near(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(near, one, other))
    return bool(one == other)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(ROW, min_size=2, max_size=25),
    st.integers(0, 45),
    st.integers(0, 30),
)
def test_every_request_is_answered_as_the_store_would_have_at_that_instant(rows: Rows, hour: int, start: int) -> None:
    now = START + timedelta(hours=hour, minutes=30)
    window = Window(START + timedelta(hours=start), START + timedelta(hours=start + 12))
    by_time = sorted(stamped(rows), key=lambda row: row[0])
    with TemporaryDirectory() as folder:
        whole, then = Path(folder) / "whole.db", Path(folder) / "then.db"
        table(whole, by_time)
        table(then, known_by(by_time, now))
        history = History.read(model(whole, label_delay="5h"))
        history.move(now)
        with open_store(model(then).predictions) as store:
            for request in requests(window):
                assert near(answer(history, request), answer(store, request)), request


def history(tmp_path: Path, rows: Rows, **predictions: Any) -> History:
    table(tmp_path / "store.db", stamped(rows))
    return History.read(model(tmp_path / "store.db", **predictions))


HOURLY = [(hour, float(hour), hour % 2, hour % 2) for hour in range(10)]


def test_a_row_is_there_from_its_own_instant_on_and_its_label_the_delay_later(tmp_path: Path) -> None:
    past = history(tmp_path, HOURLY, label_delay="2h")
    for minutes, rows, labelled in ((-1, 3, 1), (0, 4, 2), (1, 4, 2)):
        past.move(START + timedelta(hours=3, minutes=minutes))
        found = past.counts(Window(None, None))
        assert (found.rows, found.labelled) == (rows, labelled)


def test_a_versions_own_predictions_take_the_place_of_what_was_recorded_from_its_first_row_on(tmp_path: Path) -> None:
    import pyarrow as pa

    past = history(tmp_path, HOURLY)
    past.move(START + timedelta(days=2))
    past.deploy(Predicted("1", 6, pa.array([7, 7, 7, 7]), None))
    assert past.rows(RowsRequest(Window(None, None), ("prediction",)))["prediction"].to_pylist() == [
        0, 1, 0, 1, 0, 1, 7, 7, 7, 7,
    ]  # fmt: skip
    past.anew()
    past.move(START + timedelta(days=2))
    assert 7 not in past.rows(RowsRequest(Window(None, None), ("prediction",)))["prediction"].to_pylist()


def test_a_version_is_asked_for_by_its_time_of_service_where_the_store_tells_versions(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "v.db")) as store, store:
        store.execute("CREATE TABLE predictions (timestamp REAL, x REAL, prediction INTEGER, actual INTEGER, v TEXT)")
        store.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, 'mine')", stamped(HOURLY))
    past = History.read(model(tmp_path / "v.db", columns={"features": ["x"], "version": "v"}))
    past.move(START + timedelta(days=2))
    past.deploy(Predicted("1", 6, None, None))
    request = RowsRequest(Window(None, None), ("x",), version="1")
    assert past.rows(request)["x"].to_pylist() == [6.0, 7.0, 8.0, 9.0]
    assert past.rows(RowsRequest(Window(None, None), ("x",))).num_rows == 10


def test_rows_that_arrived_since_a_key_and_their_census_are_those_that_are_there(tmp_path: Path) -> None:
    past = history(tmp_path, HOURLY)
    past.move(START + timedelta(hours=5))
    assert past.newest_key() == 5
    request = RowsRequest(Window(START, START + timedelta(hours=5)), ("x",))
    arrived = [value for batch in past.arrived(request, 1, 5) for value in batch.column(0).to_pylist()]
    assert arrived == [2.0, 3.0, 4.0]
    assert past.census(Window(START, START + timedelta(hours=20)), timedelta(hours=4)) == {
        START: 4,
        START + timedelta(hours=4): 2,
    }


def test_a_column_that_was_not_read_is_named(tmp_path: Path) -> None:
    past = history(tmp_path, HOURLY)
    with pytest.raises(StoreError, match="'weather'"):
        past.rows(RowsRequest(Window(None, None), ("weather",)))
