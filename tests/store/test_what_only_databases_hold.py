"""Values that a database holds and Python cannot: text that is not UTF-8, times off the calendar. They are refused."""

import pytest
from stores import ALWAYS, Database, postgres_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.errors import StoreError
from triggers.evidence import RowsRequest


@pytest.mark.parametrize(
    ("declared", "time"),
    [
        (kind, time)
        for kind in ("timestamptz", "timestamp", "date")
        for time in ("infinity", "0044-03-15 BC", "12000-01-01")
    ]
    + [("text", "infinity"), ("double precision", "-99999999999")],
)
def test_times_that_only_postgres_knows_are_refused(postgres_database: Database, declared: str, time: str) -> None:
    postgres_database.run(f"CREATE TABLE predictions (timestamp {declared}, prediction INTEGER, actual INTEGER)")
    postgres_database.run(f"INSERT INTO predictions VALUES ('{time}', 1, 1), ('{time}', 0, 1)")
    request = RowsRequest(ALWAYS, ("timestamp", "prediction"))
    with postgres_database.store() as store:
        for ask in (store.span, lambda: store.rows(request), lambda: list(store.batches(request, 1))):
            with pytest.raises(StoreError, match=r"time before the year 1, after|which is no time that can be"):
                ask()


@pytest.mark.parametrize("place", range(3))
def test_text_that_is_not_utf_8_is_refused_with_its_bytes(sqlite_database: Database, place: int) -> None:
    sqlite_database.run("CREATE TABLE predictions (timestamp TEXT, prediction TEXT, distance TEXT)")
    values = ["'2026-01-31'", "'late'", "'far'"]
    values[place] = "CAST(x'4dfc6e6368656e' AS TEXT)"  # Latin-1
    sqlite_database.run(f"INSERT INTO predictions VALUES ({', '.join(values)})")
    columns = {"actual": None, "features": ["distance"]}
    with sqlite_database.store(columns=columns) as store, pytest.raises(StoreError) as caught:
        store.rows(RowsRequest(ALWAYS, ("timestamp", "prediction", "distance")))
    assert "holds b'M\\xfcnchen' as text, which is not UTF-8; write it anew as UTF-8" in str(caught.value)


def test_half_a_character_in_json_is_refused_as_text(sqlite_database: Database) -> None:
    sqlite_database.run("CREATE TABLE predictions (timestamp TEXT, prediction TEXT, features TEXT)")
    sqlite_database.run("INSERT INTO predictions VALUES ('2026-01-31', 'late', '{\"city\": \"\\ud800\"}')")
    columns = {"actual": None, "features": {"json": "features", "names": ["city"]}}
    with sqlite_database.store(columns=columns) as store, pytest.raises(StoreError, match="which is not UTF-8"):
        store.rows(RowsRequest(ALWAYS, ("city",)))
