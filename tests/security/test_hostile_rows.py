"""Whatever a table's cells hold, bytes that are no text and times off the calendar too: rows, or one sentence."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retraind.config.predictions import Predictions
from retraind.errors import StoreError
from retraind.store import PredictionsStore, open_store
from triggers.evidence import ArrivalRequest, RowsRequest, TallyRequest, Window

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = Window(NOW - timedelta(days=7), NOW)
ALWAYS = Window(None, None)
ALL = ("timestamp", "prediction", "actual", "a", "b")


class Text(bytes):
    """Written as text, whatever its bytes."""


def text(value: str | bytes) -> Text:
    return Text(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))


# Of one kind in a table, as tables are: a mixture is refused before anything else can be seen.
times = st.one_of(
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)).map(lambda t: text(t.isoformat())),  # noqa: DTZ001
    st.sampled_from(["2026-02-27", "0000-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999"]).map(text),
    st.tuples(st.just(b"2026-02-2"), st.binary(max_size=6)).map(lambda parts: text(b"".join(parts))),
)
numbers = st.integers(-(10**11), 10**11) | st.floats(-1e11, 1e11, allow_nan=False) | st.just(1_772_000_000)
json_text = st.sampled_from(
    [r'{"a": "\ud800"}', '{"a": 1, "b": "x"}', '{"a": [1e999]}', '{"a": null}', "{", "[" * 2000]
)
cells = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=6).map(text)
    | st.binary(max_size=6).map(text)
    | st.binary(max_size=6)
    | json_text.map(text)
)


QUESTIONS: list[Callable[[PredictionsStore], object]] = [
    lambda store: store.span(),
    lambda store: store.counts(WEEK),
    lambda store: store.tally(TallyRequest(ALWAYS, "classes")),
    lambda store: store.tally(TallyRequest(ALWAYS, "errors", 3)),
    lambda store: store.arrivals(ArrivalRequest(WEEK, 2, "classes")),
    lambda store: store.census(WEEK, timedelta(hours=6)),
    lambda store: store.rows(RowsRequest(ALWAYS, ALL)).to_pylist(),
    lambda store: store.rows(RowsRequest(ALWAYS, ALL, last=2)).to_pylist(),
    lambda store: [batch.to_pylist() for batch in store.batches(RowsRequest(ALWAYS, ("timestamp", "a")), 1)],
]


def answer(store: PredictionsStore, question: Callable[[PredictionsStore], object]) -> StoreError | None:
    """The refusal; None where there was an answer. Raises anything else."""
    try:
        question(store)
    except StoreError as error:
        return error
    return None


@given(
    rows=st.lists(st.tuples(times, cells, cells, cells, cells), min_size=1, max_size=6)
    | st.lists(st.tuples(numbers, cells, cells, cells, cells), min_size=1, max_size=6),
    as_json=st.booleans(),
    declared=st.sampled_from(["", "TEXT", "REAL", "BOOLEAN"]),
    asked=st.lists(st.integers(0, len(QUESTIONS) - 1), min_size=1, max_size=3, unique=True),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cells_are_read_or_refused_in_one_sentence(
    tmp_path: Path, rows: list[Any], as_json: bool, declared: str, asked: list[int]
) -> None:
    path = tmp_path / "store.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"CREATE TABLE predictions (timestamp, prediction {declared}, actual, a, b {declared})")
        for row in rows:
            places = ", ".join("CAST(? AS TEXT)" if isinstance(cell, Text) else "?" for cell in row)
            connection.execute(f"INSERT INTO predictions VALUES ({places})", row)
    connection.close()
    features = {"json": "a", "names": ["a", "b"]} if as_json else ["a", "b"]
    with open_store(Predictions(url=f"sqlite:///{path}", columns={"features": features})) as store:
        for question in asked:
            said = answer(store, QUESTIONS[question])
            assert said is None or (type(said) is StoreError and str(said).isprintable())  # busy is nobody
