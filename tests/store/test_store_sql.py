"""Training data from a query of the user's own."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from stores import START, Database, database_fixture, postgres_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.errors import StoreError
from retraind.store.sql import read_sql

BOUNDS = {"start": START, "end": START + timedelta(minutes=3)}


def _spaced(database: Database) -> None:
    rows = [((START + timedelta(minutes=n)).replace(tzinfo=None).isoformat(sep=" "), n, n % 2) for n in range(5)]
    database.plain_table(rows)


def test_the_window_is_bound_where_the_query_names_it(database: Database) -> None:
    _spaced(database)
    query = (
        "SELECT prediction AS p, ':start' AS quoted -- and :nothing in a comment\n"
        "FROM predictions WHERE timestamp >= :start AND timestamp < :end /* :here neither */ AND :start <= :end "
        "ORDER BY timestamp;"
    )
    table = read_sql(database.url, query, BOUNDS)
    assert table.to_pydict() == {"p": [0, 1, 2], "quoted": [":start"] * 3}


def test_a_query_need_not_name_the_window(database: Database) -> None:
    _spaced(database)
    assert read_sql(database.url, "SELECT count(*) AS n FROM predictions", BOUNDS).to_pydict() == {"n": [5]}


@pytest.mark.parametrize("start", [None, datetime(1, 1, 1, tzinfo=UTC)])
def test_an_open_side_leaves_no_row_out(database: Database, start: datetime | None) -> None:
    _spaced(database)
    query = "SELECT count(*) AS n FROM predictions WHERE timestamp >= :start AND timestamp < :end"
    assert read_sql(database.url, query, {"start": start, "end": None}).to_pydict() == {"n": [5]}


def test_another_parameter_is_refused(database: Database) -> None:
    _spaced(database)
    with pytest.raises(StoreError, match="names :begin; only :start and :end"):
        read_sql(database.url, "SELECT * FROM predictions WHERE timestamp > :begin", BOUNDS)


def test_a_query_that_writes_is_refused(database: Database) -> None:
    _spaced(database)
    for query in ("DELETE FROM predictions", "CREATE TABLE x (y INTEGER)"):
        with pytest.raises(StoreError):
            read_sql(database.url, query, BOUNDS)
    with pytest.raises(StoreError, match="nope"):
        read_sql(database.url, "SELECT nope FROM predictions", BOUNDS)
    assert database.run("SELECT count(*) FROM predictions") == [(5,)]


def test_types_of_postgres_become_plain_ones(postgres_database: Database) -> None:
    query = (
        "SELECT 1.5::numeric AS n, NULL::numeric AS none, 'x'::varchar AS t, '{\"a\": 1}'::jsonb AS j, true AS b, "
        "'00000000-0000-0000-0000-00000000000a'::uuid AS u, :start::timestamptz AS s, (ARRAY[1, 2])[1:1] AS slice"
    )
    table = read_sql(postgres_database.url, query, BOUNDS)
    assert table.schema.field("n").type == pa.float64()
    assert table.select(["n", "none", "t", "j", "b", "u", "s", "slice"]).to_pylist() == [
        {
            "n": 1.5,
            "none": None,
            "t": "x",
            "j": '{"a": 1}',
            "b": True,
            "u": "00000000-0000-0000-0000-00000000000a",
            "s": START,
            "slice": [1],
        }
    ]


def test_fractions_far_behind_whole_numbers_widen_the_column(sqlite_database: Database) -> None:
    query = (
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 200000) "
        "SELECT CASE WHEN i < 200000 THEN i ELSE 0.5 END AS x, CASE WHEN i = 200000 THEN 'late' END AS t FROM r"
    )
    table = read_sql(sqlite_database.url, query, {})
    assert table.schema.types == [pa.float64(), pa.string()]
    assert (table.num_rows, table["x"][-1].as_py(), table["t"].null_count) == (200_000, 0.5, 199_999)
