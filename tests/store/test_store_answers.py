"""What both databases answer alike: types, missing values, tallies, one model among several, JSON, hostile names."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from stores import ALWAYS, START, Database, database_fixture  # noqa: F401 - a fixture

from retraind.errors import StoreError
from triggers.evidence import Arrival, ArrivalRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import ErrorSums, Tally, tally_value

HOSTILE = 'a"b; drop table x --'
UTC_TIME = pa.timestamp("us", "UTC")


def times(database: Database, count: int) -> list[Any]:
    instants = [START + timedelta(minutes=n) for n in range(count)]
    return [t.isoformat() for t in instants] if database.kind == "sqlite" else list(instants)


def test_an_empty_table_answers_with_nothing(database: Database) -> None:
    database.plain_table([])
    with database.store() as store:
        assert store.counts(ALWAYS) == Counts(0, 0)
        assert store.tally(TallyRequest(ALWAYS, "classes")) == Tally()
        assert store.tally(TallyRequest(ALWAYS, "errors")) == Tally()
        assert store.span() is None
        assert list(store.batches(RowsRequest(ALWAYS, ("timestamp",)))) == []
        table = store.rows(RowsRequest(ALWAYS, ("timestamp", "actual")))
        assert (table.num_rows, table.column_names) == (0, ["timestamp", "actual"])
        assert table.schema.field("timestamp").type == UTC_TIME


def test_an_empty_window_answers_with_nothing(database: Database) -> None:
    database.plain_table([(time, 1, 1) for time in times(database, 3)])
    later = Window(START + timedelta(days=9), None)
    with database.store() as store:
        assert store.counts(later) == Counts(0, 0)
        assert store.tally(TallyRequest(later, "classes", last=10)) == Tally()
        assert store.tally(TallyRequest(later, "errors")) == Tally()
        assert store.rows(RowsRequest(later, ("prediction", "timestamp"))).num_rows == 0
        assert store.rows(RowsRequest(later, ("prediction",), last=5)).num_rows == 0


def test_rows_without_a_time_are_in_no_window(database: Database) -> None:
    database.plain_table([(None, 1, 1), *((time, 0, None) for time in times(database, 2))])
    with database.store() as store:
        assert store.counts(ALWAYS) == Counts(2, 0)
        assert store.rows(RowsRequest(ALWAYS, ("prediction",)))["prediction"].to_pylist() == [0, 0]


def test_an_actual_counts_when_it_has_come(database: Database) -> None:
    one, two, three, four = times(database, 4)
    database.plain_table([(one, 1, 1), (two, 1, None), (three, 0, 1), (four, None, 1)])
    with database.store() as store:
        assert store.counts(ALWAYS) == Counts(4, 3)
        assert store.tally(TallyRequest(ALWAYS, "classes")) == Tally({("1", "1"): 1, ("0", "1"): 1})
        labelled = store.rows(RowsRequest(ALWAYS, ("prediction", "actual"), labelled=True))
        assert labelled.to_pydict() == {"prediction": [1, 0, None], "actual": [1, 1, 1]}


def test_actuals_that_never_come_are_missing_everywhere(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER)")
    database.run("INSERT INTO predictions VALUES (?, ?)", [(each, 1) for each in times(database, 2)])
    with database.store(columns={"actual": None}) as store:
        assert store.counts(ALWAYS) == Counts(2, 0)
        assert store.tally(TallyRequest(ALWAYS, "classes")) == Tally()
        assert store.rows(RowsRequest(ALWAYS, ("actual", "prediction"))).to_pydict() == {
            "actual": [None, None],
            "prediction": [1, 1],
        }
        assert store.rows(RowsRequest(ALWAYS, ("prediction",), labelled=True)).num_rows == 0


LABELS: list[tuple[str, str, list[Any], pa.DataType]] = [
    ("INTEGER", "integer", [0, 1, 1], pa.int64()),
    ("INTEGER", "smallint", [0, 3, None], pa.int64()),
    ("BOOLEAN", "boolean", [True, False, None], pa.bool_()),
    ("TEXT", "text", ["late", "on time", None], pa.string()),
    ("VARCHAR(9)", "varchar(9)", ["1", "0", "1"], pa.string()),
    ("REAL", "double precision", [0.5, -1.25, None], pa.float64()),
    ("NUMERIC", "numeric", [0.5, 2, None], pa.float64()),
    ("INTEGER", "real", [0.5, 2, None], pa.float64()),
    ("", "integer", [None, 7, 8], pa.int64()),
    ("", "text", ["a", None, "b"], pa.string()),
]


@pytest.mark.parametrize(("in_sqlite", "in_postgres", "values", "expected"), LABELS)
def test_classes_and_targets_stay_as_they_are(
    database: Database, in_sqlite: str, in_postgres: str, values: list[Any], expected: pa.DataType
) -> None:
    time, declared = database.of_both("TEXT", "timestamptz"), database.of_both(in_sqlite, in_postgres)
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction {declared}, actual {declared})")
    rows = zip(times(database, 3), values, values, strict=True)
    database.run("INSERT INTO predictions VALUES (?, ?, ?)", rows)
    with database.store() as store:
        table = store.rows(RowsRequest(ALWAYS, ("actual", "prediction")))
        assert table.schema.types == [expected, expected]
        assert table["actual"].to_pylist() == values
        assert {batch.schema for batch in store.batches(RowsRequest(ALWAYS, ("actual",)), batch_rows=1)} == {
            table.schema.remove(1)
        }
        tally = store.tally(TallyRequest(ALWAYS, "classes"))
        assert tally_value("accuracy", tally) == 1
        assert tally.rows == sum(value is not None for value in values)


FEATURES: list[tuple[str, str, list[Any], list[Any], pa.DataType]] = [
    ("INTEGER", "bigint", [None, 1, 2], [None, 1.0, 2.0], pa.float64()),
    ("REAL", "real", [None, None, 0.5], [None, None, 0.5], pa.float64()),
    ("NUMERIC(9, 2)", "numeric(9, 2)", [1, 1.5, None], [1.0, 1.5, None], pa.float64()),
    ("", "double precision", [1, 2.5, None], [1.0, 2.5, None], pa.float64()),
    ("TEXT", "text", ["a", None, "1"], ["a", None, "1"], pa.string()),
    ("CHAR(3)", "char(3)", ["a", None, "b"], ["a", None, "b"], pa.string()),
    ("", "varchar", ["a", "b", "c"], ["a", "b", "c"], pa.string()),
    ("BOOLEAN", "boolean", [True, None, False], [True, None, False], pa.bool_()),
    ("REAL", "real", [None, None, None], [None, None, None], pa.float64()),
    ("", "integer", [None, None, None], [None, None, None], pa.float64()),
]


def test_features_keep_one_type_in_every_batch(database: Database) -> None:
    """One column for each case of FEATURES, read row by row."""
    declared = [database.of_both(case[0], case[1]) for case in FEATURES]
    names = tuple(f"f{n}" for n in range(len(FEATURES)))
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, declared, strict=True))
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, {columns})")
    rows = [
        (t, *values)
        for t, values in zip(times(database, 3), zip(*(case[2] for case in FEATURES), strict=True), strict=True)
    ]
    database.run(f"INSERT INTO predictions VALUES (?, 1, 1{', ?' * len(names)})", rows)
    with database.store(columns={"features": names}) as store:
        batches = list(store.batches(RowsRequest(ALWAYS, names), batch_rows=1))
        expected = pa.schema([(name, case[4]) for name, case in zip(names, FEATURES, strict=True)])
        assert [batch.schema for batch in batches] == [expected] * 3
        read = store.rows(RowsRequest(ALWAYS, names))
        assert [read[name].to_pylist() for name in names] == [case[3] for case in FEATURES]


def test_times_of_postgres_are_features_too(database: Database) -> None:
    time, day = database.of_both("TEXT", "timestamptz"), database.of_both("TEXT", "date")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, f {day})")
    database.run("INSERT INTO predictions VALUES (?, 1, 1, '2026-01-02')", [(t,) for t in times(database, 1)])
    with database.store(columns={"features": ["f"]}) as store:
        column = store.rows(RowsRequest(ALWAYS, ("f",)))["f"]
        assert str(column[0].as_py()) == database.of_both("2026-01-02", "2026-01-02 00:00:00+00:00")


def test_a_wide_fraction_far_behind_whole_numbers_is_no_surprise(database: Database) -> None:
    time, real = database.of_both("TEXT", "timestamptz"), database.of_both("", "double precision")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction {real}, actual {real}, f {real})")
    count = 3000
    rows = [(t, n, None, None if n < 2000 else n + 0.5) for n, t in enumerate(times(database, count))]
    rows[-1] = (*rows[-1][:1], 0.25, 0.5, 0.5)
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)
    with database.store(columns={"features": ["f"]}) as store:
        table = store.rows(RowsRequest(ALWAYS, ("prediction", "f", "actual")))
        assert table.schema.types == [pa.float64()] * 3
        assert (table.num_rows, table["f"].null_count, table["actual"].null_count) == (count, 2000, count - 1)
        assert table["prediction"].to_pylist() == [*range(count - 1), 0.25]


def test_text_in_a_number_column_is_named_with_its_value(database: Database) -> None:
    if database.kind == "postgres":  # only JSON can hold such a thing there
        database.run("CREATE TABLE predictions (timestamp timestamptz, prediction int, actual int, features jsonb)")
        rows = [(times(database, 2)[0], '{"delay": 5}'), (times(database, 2)[1], '{"delay": "n/a"}')]
        database.run("INSERT INTO predictions VALUES (?, 1, 1, ?)", rows)
        columns: Any = {"features": {"json": "features", "names": ["delay"]}}
    else:
        database.run("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER, actual INTEGER, delay REAL)")
        rows = [(times(database, 2)[0], 5), (times(database, 2)[1], "n/a")]
        database.run("INSERT INTO predictions VALUES (?, 1, 1, ?)", rows)
        columns = {"features": ["delay"]}
    with database.store(columns=columns) as store:
        with pytest.raises(StoreError, match=r"'delay'.* holds 'n/a' where a number is expected"):
            store.rows(RowsRequest(ALWAYS, ("delay",)))
        assert any("'n/a'" in problem.sentence and problem.fatal for problem in store.probe())
        assert store.counts(ALWAYS) == Counts(2, 2), "what does not need the column goes on"


def test_errors_are_summed_in_the_database(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction REAL, actual REAL)")
    pairs = [(1.5, 1.0), (2.0, 4.0), (1.0, 0.0), (None, 3.0), (5.0, None)]
    rows = [(t, *pair) for t, pair in zip(times(database, 5), pairs, strict=True)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?)", rows)
    with database.store() as store:
        expected = ErrorSums(
            count=3,
            absolute=3.5,
            squared=5.25,
            fourth=17.0625,
            nonzero=2,
            relative=1.0,
            relative_squared=0.5,
            actual=5.0,
            actual_squared=17.0,
        )
        assert store.tally(TallyRequest(ALWAYS, "errors")) == Tally(errors=expected)
        newest = store.tally(TallyRequest(ALWAYS, "errors", last=1)).errors
        assert (newest.count, newest.absolute, newest.nonzero) == (1, 1.0, 0)


def test_errors_of_text_are_refused(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction TEXT, actual TEXT)")
    database.run("INSERT INTO predictions VALUES (?, 'late', 'late')", [(t,) for t in times(database, 1)])
    with database.store() as store, pytest.raises(StoreError, match=r"column 'prediction' holds .*errors are taken"):
        store.tally(TallyRequest(ALWAYS, "errors"))


def test_several_models_share_a_table(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(
        f"CREATE TABLE predictions (timestamp {time}, model TEXT, live BOOLEAN, shard INTEGER, "
        "prediction INTEGER, actual INTEGER)"
    )
    one, two, three, four = times(database, 4)
    rows = [
        (one, "a", True, 1, 1, 1),
        (two, "b", True, 1, 2, 2),
        (three, "a", False, 1, 3, 3),
        (four, "a", True, 2, 4, 4),
    ]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?)", rows)
    only: dict[str, Any]
    for only, expected in (
        ({"model": "a"}, [1, 3, 4]),
        ({"model": "a", "live": True, "shard": 1}, [1]),
        ({"model": "c"}, []),
    ):
        with database.store(only=only) as store:
            assert store.rows(RowsRequest(ALWAYS, ("prediction",)))["prediction"].to_pylist() == expected
            assert store.counts(ALWAYS) == Counts(len(expected), len(expected))
            assert (store.span() is None) == (not expected)
    with database.store(only={"model": "c"}) as store:
        assert [problem.fatal for problem in store.probe() if "no row with model = 'c'" in problem.sentence] == [False]


def test_labels_are_counted_as_they_came_in_with_the_rows_that_lack_one(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, v TEXT)")
    pairs = [(1, 1, "a"), (0, None, "a"), (1, None, "a"), (0, 1, "b"), (None, 1, "a"), (1, None, "a")]
    rows = [(t, *pair) for t, pair in zip(times(database, 6), pairs, strict=True)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)
    with database.store(columns={"version": "v"}) as store:
        first, last = store.span() or pytest.fail("there are rows")
        window = Window(first, last + (last - first) / 5)
        whole, halves = ArrivalRequest(window, 1, "classes"), ArrivalRequest(window, 2, "classes", "a")
        counted = Tally({("1", "1"): 1, ("0", "1"): 1})
        assert store.arrivals(whole) == (Arrival(counted, {"0": 1, "1": 2}),)
        assert store.arrivals(halves) == (
            Arrival(Tally({("1", "1"): 1}), {"0": 1, "1": 1}),
            Arrival(Tally(), {"1": 1}),
        )
        (numbers,) = store.arrivals(ArrivalRequest(window, 1, "errors"))
        assert numbers.unlabelled == {"": 3}
        assert numbers.tally == store.tally(TallyRequest(window, "errors"))
        empty = ArrivalRequest(Window(last + (last - first), last + 2 * (last - first)), 3, "classes")
        assert store.arrivals(empty) == (Arrival(Tally(), {}),) * 3


def test_a_version_is_asked_for_where_the_store_tells_it(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, v INTEGER, p REAL)")
    rows = [(t, 1, 1, n % 2, 0.5) for n, t in enumerate(times(database, 5))]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)
    with database.store(columns={"version": "v", "score": "p"}) as store:
        assert store.tally(TallyRequest(ALWAYS, "classes", version="0")).rows == 3
        table = store.rows(RowsRequest(ALWAYS, ("version", "score"), version="1", last=1))
        assert table.to_pydict() == {"version": ["1"], "score": [0.5]}
    with database.store() as store:
        assert store.tally(TallyRequest(ALWAYS, "classes", version="0")).rows == 5
        with pytest.raises(StoreError, match="nothing says which column is the score"):
            store.rows(RowsRequest(ALWAYS, ("score",)))


def test_json_features_come_back_as_what_they_are(database: Database) -> None:
    time, json = database.of_both("TEXT", "timestamptz"), database.of_both("TEXT", "jsonb")
    keys = {"delay": "delay", "a.b": "a.b", HOSTILE: HOSTILE.replace('"', '\\"'), "é": "é", "0": "0", "$.x": "$.x"}
    database.run(
        f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, {_quoted('f s')} {json})"
    )
    names = [*keys, "carrier", "wet", "gone"]
    texts = [
        "{"
        + ", ".join(f'"{written}": {n}' for n, written in enumerate(keys.values()))
        + ', "carrier": "AA", "wet": true}',
        '{"delay": 2.5, "carrier": null, "wet": false}',
        None,
        "[]",
    ]
    rows = [(t, 1, 1, text) for t, text in zip(times(database, 4), texts, strict=True)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?)", rows)
    with database.store(columns={"features": {"json": "f s", "names": names}}) as store:
        table = store.rows(RowsRequest(ALWAYS, tuple(names)))
        assert table.column_names == names
        assert table["delay"].to_pylist() == [0.0, 2.5, None, None]
        assert [table[name][0].as_py() for name in keys] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert table["carrier"].to_pylist() == ["AA", None, None, None]
        assert table["wet"].to_pylist() == [1.0, 0.0, None, None]
        assert table["gone"].null_count == 4
        assert table["gone"].type == pa.float64()


def test_text_that_is_no_json_is_said_to_be_so(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, f TEXT)")
    rows = [(t, text) for t, text in zip(times(database, 2), ['{"a": 1}', "{broken"], strict=True)]
    database.run("INSERT INTO predictions VALUES (?, 1, 1, ?)", rows)
    with database.store(columns={"features": {"json": "f", "names": ["a"]}}) as store:
        with pytest.raises(StoreError, match=r"(?i)json"):
            store.rows(RowsRequest(ALWAYS, ("a",)))
        assert store.counts(ALWAYS).rows == 2


def test_no_name_in_the_configuration_becomes_sql(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    names = [f"{role} {HOSTILE}" for role in ("t %(x)s", "p $1 %", "a", "f", "m %s :x ? {}")]
    quoted = [_quoted(name) for name in names]
    table = f"table {HOSTILE}"
    database.run("CREATE TABLE x (y INTEGER)")
    kinds = (time, "INTEGER", "INTEGER", "REAL", "TEXT")
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(quoted, kinds, strict=True))
    if database.kind == "postgres":
        columns = columns.replace("%", "%")
    database.run(f"CREATE TABLE {_quoted(table)} ({columns})")
    rows = [(t, 1, 1, 0.5, HOSTILE) for t in times(database, 2)]
    database.run(f"INSERT INTO {_quoted(table)} VALUES (?, ?, ?, ?, ?)", rows)
    settings = {
        "table": table,
        "columns": {"timestamp": names[0], "prediction": names[1], "actual": names[2], "features": [names[3]]},
        "only": {names[4]: HOSTILE},
    }
    with database.store(**settings) as store:
        assert store.counts(ALWAYS) == Counts(2, 2)
        assert store.rows(RowsRequest(ALWAYS, (names[3], "prediction"), last=1)).to_pydict() == {
            names[3]: [0.5],
            "prediction": [1],
        }
        assert store.tally(TallyRequest(ALWAYS, "classes", last=5)).rows == 2
        assert store.tally(TallyRequest(ALWAYS, "errors")).rows == 2
        assert not [problem for problem in store.probe() if problem.fatal]
        store.change_token()
        store.span()
    assert database.run("SELECT count(*) FROM x") == [(0,)]


def test_rows_of_one_instant_are_all_read_once_in_the_same_order(database: Database) -> None:
    time = database.of_both("TEXT", "timestamptz")
    key = database.of_both("INTEGER PRIMARY KEY", "integer PRIMARY KEY")
    database.run(f"CREATE TABLE predictions (id {key}, timestamp {time}, prediction INTEGER, actual INTEGER)")
    early, late = times(database, 2)
    rows = [(n, early if n < 25 else late, n, 1) for n in range(30)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?, ?)", reversed(rows))
    with database.store() as store:
        request = RowsRequest(ALWAYS, ("prediction",))
        batches = list(store.batches(request, batch_rows=10))
        assert [value for batch in batches for value in batch["prediction"].to_pylist()] == list(range(30))
        assert store.rows(request)["prediction"].to_pylist() == list(range(30))
        newest = store.rows(RowsRequest(ALWAYS, ("prediction",), last=7))
        assert newest["prediction"].to_pylist() == list(range(23, 30))


def test_a_view_is_read_like_a_table(database: Database) -> None:
    database.plain_table([(t, 1, 0) for t in times(database, 3)], table="raw")
    database.run("CREATE VIEW predictions AS SELECT timestamp, prediction, 1 - actual AS actual FROM raw")
    with database.store() as store:
        assert store.tally(TallyRequest(ALWAYS, "classes")) == Tally({("1", "1"): 3})
        assert store.probe() == []
        assert store.change_token() == store.change_token()


@pytest.mark.parametrize("name", ["{schema}.predictions", "predictions"])
def test_a_table_may_be_named_with_its_schema(database: Database, name: str) -> None:
    database.plain_table([(t, 1, 1) for t in times(database, 2)])
    with database.store(table=name.format(schema=database.of_both("main", "public"))) as store:
        assert store.counts(ALWAYS).rows == 2


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


@pytest.mark.parametrize("name", ["instant", "raw", "odd", "c0", "count"])
def test_a_feature_may_be_called_anything(database: Database, name: str) -> None:
    time = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time}, prediction INTEGER, actual INTEGER, {name} REAL)")
    database.run("INSERT INTO predictions VALUES (?, 1, 1, 0.5)", [(t,) for t in times(database, 3)])
    with database.store(columns={"features": [name]}) as store:
        expected = {name: [0.5] * 3, "prediction": [1] * 3}
        assert store.rows(RowsRequest(ALWAYS, (name, "prediction"))).to_pydict() == expected
