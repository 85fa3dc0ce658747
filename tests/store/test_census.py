"""Which rows came, went or moved: numbers of rows by time, and rows by key."""

from datetime import UTC, datetime, timedelta

import pytest
from stores import START, Database, database_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.errors import StoreError
from triggers.evidence import RowsRequest, Window

HOUR = timedelta(hours=1)
DAY = Window(START - 24 * HOUR, START + 24 * HOUR)


def written(database: Database, instants: list[datetime | None], form: str) -> None:
    """A table with these times in one of the forms that a store may have them in."""
    types = {"native": database.of_both("TEXT", "timestamptz"), "text": "TEXT", "seconds": "DOUBLE PRECISION"}
    key = database.of_both("INTEGER PRIMARY KEY", "BIGSERIAL PRIMARY KEY")
    database.run(f"CREATE TABLE predictions (id {key}, timestamp {types[form]}, prediction INTEGER, actual INTEGER)")
    rows = [None if each is None else each.timestamp() if form == "seconds" else each.isoformat() for each in instants]
    database.run("INSERT INTO predictions (timestamp, prediction) VALUES (?, 1)", [(each,) for each in rows])


@pytest.mark.parametrize("form", ["native", "text", "seconds"])
def test_rows_are_counted_by_stretches_that_begin_at_multiples_of_their_width(database: Database, form: str) -> None:
    step = timedelta(microseconds=1)
    inside = [START, START + HOUR - timedelta(milliseconds=1), START + HOUR, START + 5 * HOUR]
    written(database, [*inside, None, DAY.end, START - 23 * HOUR], form)
    with database.store() as store:
        found = store.census(DAY, HOUR)
        assert found == {START - 23 * HOUR: 1, START: 2, START + HOUR: 1, START + 5 * HOUR: 1}
        assert store.census(Window(START + step, START + HOUR), HOUR) == {START: 1}
        assert store.census(Window(START, START), HOUR) == {}
        odd = timedelta(minutes=7)
        places = {(each - datetime(1970, 1, 1, tzinfo=UTC)) // odd * odd for each in inside}
        assert {each - datetime(1970, 1, 1, tzinfo=UTC) for each in store.census(Window(START, DAY.end), odd)} == places


def test_new_rows_are_told_by_their_key(database: Database) -> None:
    written(database, [START + place * HOUR for place in range(5)], "native")
    with database.store() as store:
        assert store.newest_key() == 5
        request = RowsRequest(Window(START, START + 4 * HOUR), ("timestamp", "prediction"))
        batches = list(store.arrived(request, 1, 5, batch_rows=2))
        times = [each for batch in batches for each in batch.column("timestamp").to_pylist()]
        assert times == [START + place * HOUR for place in (1, 2, 3)]  # the fifth is outside the window
        assert list(store.arrived(request, 5, 9)) == []


def test_a_table_without_keys_that_grow_says_so(database: Database) -> None:
    database.run(
        database.of_both(
            "CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER, k TEXT PRIMARY KEY) "
            "WITHOUT ROWID",
            "CREATE TABLE predictions (timestamp timestamptz, prediction INTEGER, actual INTEGER)",
        )
    )
    with database.store() as store:
        assert store.newest_key() is None
        assert store.census(DAY, HOUR) == {}


def test_an_empty_table_has_no_new_rows(database: Database) -> None:
    written(database, [], "native")
    with database.store() as store:
        assert (store.newest_key(), store.census(DAY, HOUR)) == (None, {})


FORMS = [
    "2026-01-31",
    "2026-01-31 22:30",
    "2026-01-31T22:30:01",
    "2026-01-31T22:30:01Z",
    "2026-01-31 22:30:01.5",
    "2026-01-31T22:30:01.123456+02:00",
    "2026-01-31T22:30:01+0200",
    "2026-01-31T22:30:01-05",
    "2026-01-31T22:30:01.1234567",
    "2026-02-30T22:30:01",
    "2026-01-31T24:00:00",
    "2026-01-31T22",
    "2026-01-31T22Z",
    "2026-01-31 soon",
]


@pytest.mark.parametrize("text", FORMS)
def test_times_read_in_columns_are_what_the_database_reads(sqlite_database: Database, text: str) -> None:
    """A second row, with the zone that the first has not, leaves both to the database."""

    def read() -> object:
        with sqlite_database.store() as store:
            try:
                rows = store.rows(RowsRequest(Window(None, None), ("timestamp", "prediction")))
                census = store.census(Window(START - 90 * 24 * HOUR, START + 90 * 24 * HOUR), HOUR)
            except StoreError as error:
                return str(error)
        own = [row["timestamp"] for row in rows.to_pylist() if row["prediction"] == 1]
        return own, sorted(each for each in census if each.year == 2026)

    sqlite_database.plain_table([(text, 1, None)])
    alone = read()
    other = "2025-12-25T00:00:00" if text[-1] == "Z" or text[-6:-5] in "+-" or "+" in text else "2025-12-25T00:00:00Z"
    sqlite_database.run("INSERT INTO predictions VALUES (?, 2, NULL)", [(other,)])
    assert read() == alone
