"""Numbers come out of a store, and values go in, without pyarrow and numpy; rows come with them, in either order."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy import text as sql_text
from stores import START, Database, database_fixture, postgres_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.errors import StoreBusy
from retraind.store.binding import bindable
from retraind.store.opening import open_backend
from retraind.store.session import bound

ASK = """
import json
import sys
from datetime import datetime, timedelta
import daemon.monitor
from retraind.config.predictions import Predictions
from retraind.store import open_store
from triggers.evidence import RowsRequest, Window

if sys.argv[3] == "rows first":
    import pyarrow
start = datetime.fromisoformat(sys.argv[2])
with open_store(Predictions.model_validate({"url": sys.argv[1], "columns": {"id": "id"}})) as store:
    counts = store.counts(Window(start, start + timedelta(minutes=3)))
    told = {
        "counts": [counts.rows, counts.labelled],
        "same token": store.change_token() == store.change_token(),
        "span": [each.isoformat() for each in store.span()],
        "newest key": store.newest_key(),
        "loaded": sorted({"numpy", "pyarrow", "pandas"} & set(sys.modules)),
        "rows": store.rows(RowsRequest(Window(start, None), ("prediction",))).column(0).to_pylist(),
        "counts again": store.counts(Window(None, None)).rows,
    }
json.dump(told, sys.stdout)
"""


def asked(database: Database, order: str, key: str = "INTEGER") -> dict[str, Any]:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (id {key} PRIMARY KEY, timestamp {time}, prediction INT, actual INT)")
    rows = [(n, (START + timedelta(minutes=n)).isoformat(), n, 1 if n % 2 else None) for n in range(5)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)
    command = [sys.executable, "-c", ASK, database.url, START.isoformat(), order]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return told


ANSWERS = {
    "counts": [3, 1],
    "same token": True,
    "span": [START.isoformat(), (START + timedelta(minutes=4)).isoformat()],
    "newest key": 4,
    "rows": [0, 1, 2, 3, 4],
    "counts again": 5,
}


def test_a_daemon_that_asks_for_numbers_loads_neither_pyarrow_nor_numpy_until_it_asks_for_rows(
    database: Database,
) -> None:
    assert asked(database, "numbers first") == ANSWERS | {"loaded": []}


def test_a_process_that_has_pyarrow_is_answered_the_same(database: Database) -> None:
    assert asked(database, "rows first") == ANSWERS | {"loaded": ["numpy", "pyarrow"]}


VALUES = [0, -1, 2**63 - 1, -(2**63), 0.1, -1e308, "", "it's", "Grüße 💡", "a\n\\b"]
POSTGRES_VALUES = [
    *VALUES,
    True,
    False,
    date(2026, 1, 31),
    date(1, 1, 1),
    datetime(1969, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001 - what Postgres calls a timestamp
    datetime(2026, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_from_sqlite_as_it_was_bound(sqlite_database: Database, value: float | str) -> None:
    sqlite_database.run("CREATE TABLE x (y)")
    session = open_backend(sqlite_database.url, 5).session
    assert session.row(select(bound(value), bound("beside"))) == (value, "beside")
    session.close()


def test_values_come_back_from_postgres_as_they_were_bound(postgres_database: Database) -> None:
    session = open_backend(postgres_database.url, 5).session
    found = session.row(select(*(bound(value).label(f"c{place}") for place, value in enumerate(POSTGRES_VALUES))))
    session.close()
    assert [(type(each), each) for each in found] == [(type(each), each) for each in POSTGRES_VALUES]


def test_an_integer_that_no_database_holds_is_refused_before_it_is_sent() -> None:
    with pytest.raises(OverflowError):
        bindable([2**63])


def test_few_rows_are_values_by_name(database: Database) -> None:
    database.run("CREATE TABLE x (number INTEGER, word TEXT, share FLOAT)")
    database.run("INSERT INTO x VALUES (?, ?, ?)", [(1, "one", None), (None, None, 2.5), (3, "three", 0.0)])
    session = open_backend(database.url, 5).session
    found = session.records(sql_text("SELECT number, word, share FROM x ORDER BY coalesce(number, 2)"))
    assert found == [
        {"number": 1, "word": "one", "share": None},
        {"number": None, "word": None, "share": 2.5},
        {"number": 3, "word": "three", "share": 0.0},
    ]
    assert session.records(sql_text("SELECT number FROM x WHERE number > :least").bindparams(least=3)) == []
    session.close()


def test_what_stopped_an_answer_is_told_however_it_is_read(postgres_database: Database) -> None:
    """Postgres gives the reason as a code; where an error comes while rows are read, not every reader sees it."""
    session = open_backend(postgres_database.url, 0.2).session
    slow = sql_text("SELECT pg_sleep(20)::text AS slept")
    for ask in (session.row, session.records, session.read):
        with pytest.raises(StoreBusy, match="took too long"):
            ask(slow)
    session.close()


@pytest.mark.filterwarnings("ignore:.*unregistered extension")  # pytest takes the store's own filter away
def test_postgres_types_without_an_arrow_type_are_told_as_they_are_written(postgres_database: Database) -> None:
    session = open_backend(postgres_database.url, 5).session
    found = session.row(sql_text("SELECT 1.50::numeric, 'a'::name, NULL::uuid, '{1,2}'::int[], NULL"))
    session.close()
    assert found == ("1.50", "a", None, [1, 2], None)


def test_nothing_is_said_of_them_on_the_way(postgres_database: Database) -> None:
    """A warning of the library's would stand in the daemon's log at every look."""
    assert asked(postgres_database, "numbers first", key="NUMERIC")["newest key"] is None
