"""A store is read while the serving application writes to it, and tells cheaply whether anything is new."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from stores import ALWAYS, START, Database, database_fixture, postgres_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.store import PredictionsStore
from triggers.evidence import RowsRequest, TallyRequest

WRITER = """
import select, sqlite3, sys, time
from datetime import UTC, datetime, timedelta
if sys.argv[1].startswith("postgresql"):
    import psycopg
    connection, mark = psycopg.connect(sys.argv[1], autocommit=True), "%s"
else:
    connection, mark = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30), "?"
start, n = datetime(2026, 1, 31, 22, tzinfo=UTC), 0
while not select.select([sys.stdin], [], [], 0)[0]:
    now = (start + timedelta(seconds=n)).isoformat()
    connection.execute("BEGIN")
    for row in range(10):
        connection.execute(f"INSERT INTO predictions VALUES ({mark}, {mark}, NULL)", (now, n))
    connection.execute("COMMIT")
    connection.execute(f"UPDATE predictions SET actual = prediction WHERE prediction = {mark}", (n,))
    if n == 0:
        print("writing", flush=True)
    n += 1
    time.sleep(float(sys.argv[2]))
print(n, flush=True)
"""


@pytest.mark.parametrize(
    ("database", "journal", "rest_seconds"),
    [("sqlite", "WAL", 0.01), ("sqlite", "DELETE", 0.03), ("postgres", "", 0.01)],
    indirect=["database"],
)
def test_rows_are_read_whole_while_the_application_writes(
    database: Database, journal: str, rest_seconds: float
) -> None:
    """Each transaction writes ten rows of one instant and later labels them: a read sees all ten or none."""
    if database.kind == "sqlite":
        database.run(f"PRAGMA journal_mode={journal}")
    database.plain_table([])
    where = str(database.path) if database.kind == "sqlite" else _dsn(database)
    command = [sys.executable, "-c", WRITER, where, str(rest_seconds)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer,
        database.store() as store,
    ):
        assert writer.stdout is not None
        assert writer.stdout.readline()
        seen, looks, deadline = 0, 0, time.monotonic() + 30
        while (looks < 8 or seen < 50) and time.monotonic() < deadline:
            sizes = [batch.num_rows for batch in store.batches(RowsRequest(ALWAYS, ("prediction",)), batch_rows=15)]
            assert sum(sizes) % 10 == 0
            counts = store.counts(ALWAYS)
            assert counts.rows % 10 == 0
            assert counts.labelled % 10 == 0
            assert counts.rows >= sum(sizes) >= seen, "nothing read once is lost later"
            seen, looks = sum(sizes), looks + 1
        transactions = int(writer.communicate("stop\n", timeout=30)[0])
        assert writer.returncode == 0, "the application was never in the way"
        assert transactions * 10 >= seen >= 50
        assert store.tally(TallyRequest(ALWAYS, "classes")).rows == transactions * 10


def test_a_slow_taker_holds_no_wal_open(sqlite_database: Database) -> None:
    sqlite_database.plain_table([((START + timedelta(seconds=n)).isoformat(), 1, None) for n in range(100)])
    with sqlite_database.store() as store:
        batches = store.batches(RowsRequest(ALWAYS, ("prediction",)), batch_rows=10)
        assert next(batches).num_rows == 9, "the tenth may share its instant with others, and is read again"
        script = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5); "
            "c.execute('UPDATE predictions SET actual = 1'); "
            "print(c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(sqlite_database.path)], check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == "0", "a reader in the middle of the window did not block the checkpoint"
        assert sum(batch.num_rows for batch in batches) == 91


CHANGES: list[tuple[str, Callable[[Database], object]]] = [
    ("a row", lambda database: database.run("INSERT INTO predictions VALUES ('2026-02-02 00:00:00', 1, NULL)")),
    ("a late row", lambda database: database.run("INSERT INTO predictions VALUES ('2026-01-01 00:00:00', 1, NULL)")),
    ("a label", lambda database: database.run("UPDATE predictions SET actual = 1")),
    ("a deletion", lambda database: database.run("DELETE FROM predictions")),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_every_change_shows_in_the_token_and_nothing_else_does(
    database: Database, change: Callable[[Database], object]
) -> None:
    database.plain_table([(START.isoformat(sep=" "), 1, None)])
    _settled(database)
    with database.store() as store:
        before = store.change_token()
        store.counts(ALWAYS)
        store.rows(RowsRequest(ALWAYS, ("prediction",)))
        assert store.change_token() == before
        change(database)
        _settled(database)
        after = store.change_token()
        assert after != before
        assert store.change_token() == after


def test_a_newer_row_shows_at_once(postgres_database: Database) -> None:
    """While the writer's own counters are still on their way: it stays connected and has not reported them."""
    postgres_database.plain_table([(START, 1, None)])
    _settled(postgres_database)
    with postgres_database.store() as store, psycopg.connect(_dsn(postgres_database), autocommit=True) as writer:
        before = store.change_token()
        writer.execute("INSERT INTO predictions VALUES ('2026-02-02', 1, NULL)")
        assert store.change_token() != before


def test_a_label_shows_within_a_second_while_the_writer_works_on(postgres_database: Database) -> None:
    """The least bound that `PostgresBackend.change_token` states; an idle writer reports by itself, after 10 s."""
    postgres_database.plain_table([(START, 1, None)])
    _settled(postgres_database)
    with postgres_database.store() as store, psycopg.connect(_dsn(postgres_database), autocommit=True) as writer:
        before = store.change_token()
        writer.execute("UPDATE predictions SET actual = 1")
        deadline = time.monotonic() + 5
        while store.change_token() == before and time.monotonic() < deadline:
            writer.execute("SELECT 1")
            time.sleep(0.05)  # the server's own clock runs here
        assert store.change_token() != before


def test_changes_of_partitions_show(postgres_database: Database) -> None:
    postgres_database.run(
        "CREATE TABLE predictions (timestamp timestamptz, prediction int, actual int) PARTITION BY RANGE (timestamp)"
    )
    postgres_database.run("CREATE TABLE p1 PARTITION OF predictions FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    with postgres_database.store() as store:
        assert _token_changes(store, postgres_database, "INSERT INTO predictions VALUES ('2026-01-31', 1, NULL)")
        assert _token_changes(store, postgres_database, "UPDATE predictions SET actual = 1")
        assert _token_changes(store, postgres_database, "TRUNCATE p1")


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_changes_behind_a_view_show(postgres_database: Database, kind: str) -> None:
    postgres_database.plain_table([(START, 1, None)], table="raw")
    postgres_database.run(f"CREATE {kind} predictions AS SELECT * FROM raw")
    with postgres_database.store() as store:
        assert _token_changes(store, postgres_database, "UPDATE raw SET actual = 1")
        assert store.change_token() == store.change_token()


def test_tokens_of_two_connections_are_never_alike(sqlite_database: Database) -> None:
    """`PRAGMA data_version` begins at the same number in each."""
    sqlite_database.plain_table([(START.isoformat(), 1, None)])
    with sqlite_database.store() as store:
        first = store.change_token()
        sqlite_database.path.with_name("copy.db").write_bytes(sqlite_database.path.read_bytes())
        sqlite_database.path.with_name("copy.db").replace(sqlite_database.path)
        assert store.change_token() != first


def _token_changes(store: PredictionsStore, database: Database, sql: str) -> bool:
    before = store.change_token()
    database.run(sql)
    _settled(database)
    return store.change_token() != before


def _settled(database: Database) -> None:
    """Waits until Postgres has taken in the counters of connections that ended: they report on their way out."""
    if database.kind == "postgres":
        alive = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ''"
        while database.run(alive) != [(1,)]:
            time.sleep(0.01)  # the server's own clock runs here


def _dsn(database: Database) -> str:
    return database.url.replace("+psycopg", "")
