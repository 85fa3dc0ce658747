"""A store that cannot answer says so in one sentence: what, where and how to mend it. Nothing is ever written."""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from stores import ALWAYS, START, Database, database_fixture, postgres_fixture, sqlite_fixture  # noqa: F401 - fixtures

from retraind.config.predictions import Predictions
from retraind.errors import StoreBusy, StoreError
from retraind.store import open_store
from triggers.evidence import Counts, RowsRequest, Window

SQLITE_ROWS = [((START + timedelta(minutes=n)).isoformat(), n % 2, 1) for n in range(5)]


def refusal(database: Database, **settings: Any) -> str:
    with database.store(**settings) as store, pytest.raises(StoreError) as caught:
        store.counts(ALWAYS)
    sentence = str(caught.value)
    assert "\n" not in sentence
    with database.store(**settings) as store:
        assert [problem.sentence for problem in store.probe() if problem.fatal] == [sentence]
    return sentence


@contextmanager
def another_process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs `script` until it prints a line, and kills it at the end."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    database = Database("sqlite", f"sqlite:///{tmp_path / 'no such.db'}")
    assert refusal(database).startswith(f"there is no predictions store {tmp_path / 'no such.db'}; ")
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "gone.db") in refusal(Database("sqlite", "sqlite:///gone.db"))


def test_a_path_with_odd_characters_is_read(tmp_path: Path) -> None:
    database = Database("sqlite", f"sqlite:///{tmp_path / 'a b%20#&é.db'}")
    database.plain_table(SQLITE_ROWS)
    with database.store() as store:
        assert store.counts(ALWAYS) == Counts(5, 5)


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.db"
    path.write_text("timestamp,prediction,actual\n" * 100)
    assert "is not a SQLite database" in refusal(Database("sqlite", f"sqlite:///{path}"))
    assert "is a directory" in refusal(Database("sqlite", f"sqlite:///{tmp_path}"))


def test_a_missing_table_offers_the_nearest(database: Database) -> None:
    database.plain_table([])
    assert "has no table 'prediction' (did you mean 'predictions'?)" in refusal(database, table="prediction")


def test_every_missing_column_is_told_at_once(database: Database) -> None:
    database.plain_table([])
    columns = {"timestamp": "time", "actual": "Actual", "features": ["predicton"], "id": "nr", "version": "v"}
    with database.store(columns=columns, only={"model": 1}) as store:
        said = [problem.sentence for problem in store.probe()]
    for column, near in (
        ("time", " (did you mean 'timestamp'?)"),
        ("Actual", " (did you mean 'actual'?)"),
        ("predicton", " (did you mean 'prediction'?)"),
        ("nr", ""),
        ("v", ""),
        ("model", ""),
    ):
        assert any(f"has no column {column!r}{near}; " in sentence for sentence in said), (column, said)
    assert len(said) == 6


def test_a_missing_actual_offers_to_go_without(database: Database) -> None:
    time_type = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time_type}, prediction INTEGER)")
    assert "or write `actual: null`" in refusal(database)


MIXTURES = [
    ([1769896800, "2026-01-31T22:00:00"], "mixes numbers (1769896800) and text ('2026-01-31T22:00:00')"),
    ([1769896800, 1769896800000], "mixes epoch seconds (1769896800) and milliseconds (1769896800000)"),
    ([1769896800000000], "finer than milliseconds"),
    (["yesterday"], "holds 'yesterday', which is no time that can be read"),
    (["2026-01-31T22:00:00", "2026-13-45T22:00:00"], "holds '2026-13-45T22:00:00', which is no time"),
    (["2026-01-31", "2461000.5"], "holds '2461000.5', which is no time"),
    ([b"2026-01-31"], "holds bytes"),
    ([-99999999999.5, 1769896800], "holds -99999999999.5, which is no time that can be read"),
    (["0000-01-01", "2026-01-31"], "holds '0000-01-01', which is no time that can be read"),
    (["0001-01-01T00:00:00+14:00"], "holds '0001-01-01T00:00:00+14:00', which is no time that can be read"),
    (["9999-12-31T23:59:59.99999999"], "holds '9999-12-31T23:59:59.99999999', which is no time that can be read"),
]


@pytest.mark.parametrize(("values", "said"), MIXTURES)
def test_times_that_cannot_all_be_read_are_refused(sqlite_database: Database, values: list[Any], said: str) -> None:
    sqlite_database.run("CREATE TABLE predictions (timestamp, prediction INTEGER, actual INTEGER)")
    sqlite_database.run("INSERT INTO predictions VALUES (?, 1, 1)", [(value,) for value in values])
    assert said in refusal(sqlite_database)


@pytest.mark.parametrize("bad", ["2026-01-31T22:00:00 PM", "2026-01-31T22:00:00.5x", "2026-01-31 noon"])
def test_an_unreadable_time_between_good_ones_is_found_by_whoever_reads_it(sqlite_database: Database, bad: str) -> None:
    sqlite_database.plain_table([("2026-01-20", 1, 1), (bad, 1, 1), ("2026-02-02", 1, 1)])
    with sqlite_database.store() as store:
        for ask in (store.counts, lambda window: store.rows(RowsRequest(window, ("prediction",)))):
            with pytest.raises(StoreError, match="which is no time that can be read"):
                ask(Window(START - timedelta(days=1), START + timedelta(days=1)))
        assert store.counts(Window(None, START - timedelta(days=2))) == Counts(1, 1), "others are not held up"


def test_a_configured_format_must_be_the_one_found(database: Database) -> None:
    database.plain_table([(START.isoformat(), 1, 1)])
    for wanted in ("seconds", "milliseconds", *(["iso"] if database.kind == "postgres" else [])):
        assert f"not {wanted}; correct" in refusal(database, timestamps=wanted)


def test_a_locked_file_is_busy_within_the_timeout(sqlite_database: Database) -> None:
    sqlite_database.run("PRAGMA journal_mode=DELETE")
    sqlite_database.plain_table(SQLITE_ROWS)
    lock = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); "
        "print(1, flush=True); input()"
    )
    with sqlite_database.store(timeout="200ms") as store:
        with another_process(lock, str(sqlite_database.path)):
            began = time.monotonic()
            with pytest.raises(StoreBusy, match=r"monitoring\.db is locked by another process"):
                store.counts(ALWAYS)
            assert time.monotonic() - began < 3
        assert store.counts(ALWAYS) == Counts(5, 5), "the next look succeeds"


def left_in_a_transaction(sqlite_database: Database) -> Path:
    """The journal of a writer that died."""
    sqlite_database.run("PRAGMA journal_mode=DELETE")
    sqlite_database.plain_table(SQLITE_ROWS)
    write = (
        "import sqlite3, sys, os; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA cache_size=1'); "
        "c.executemany('INSERT INTO predictions VALUES (?, 1, 1)', [(str(n) * 500,) for n in range(2000)]); "
        "print(1, flush=True); input()"
    )
    with another_process(write, str(sqlite_database.path)):
        pass
    return sqlite_database.path.with_name("monitoring.db-journal")


def test_a_journal_that_somebody_goes_on_with_is_not_taken_for_a_dead_writer_s(sqlite_database: Database) -> None:
    """A writer that ends its transaction between SQLite's two looks at the journal leaves the same message."""
    journal, ended = left_in_a_transaction(sqlite_database), threading.Event()

    def go_on() -> None:
        while not ended.wait(0.01):
            os.utime(journal)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        with sqlite_database.store() as store, pytest.raises(StoreBusy, match="is being written to; the next look"):
            store.counts(ALWAYS)
    finally:
        ended.set()
        writer.join()


def test_a_writer_that_died_in_a_transaction_is_explained(sqlite_database: Database) -> None:
    """Its journal must be rolled back, which a reader may not do."""
    assert left_in_a_transaction(sqlite_database).exists()
    assert "writer that died" in refusal(sqlite_database)
    assert sqlite_database.run("SELECT count(*) FROM predictions") == [(5,)], "the application repairs it by opening it"
    with sqlite_database.store() as store:
        assert store.counts(ALWAYS) == Counts(5, 5)


def test_an_idle_wal_file_in_a_directory_that_cannot_be_written_is_explained() -> None:
    """Reading it would have to make its -shm file. Nothing is out of root's reach, so nobody's rights are taken."""
    directory = Path(tempfile.mkdtemp())
    database = Database("sqlite", f"sqlite:///{directory / 'monitoring.db'}")
    try:
        database.run("PRAGMA journal_mode=WAL")
        database.plain_table(SQLITE_ROWS)
        with database.store() as store:
            assert store.counts(ALWAYS) == Counts(5, 5)
        database.run("SELECT 1")
        for left in directory.glob("monitoring.db-*"):
            left.unlink()
        directory.chmod(0o555)
        with _without_privileges():
            sentence = refusal(database)
        assert "is in WAL mode and nobody has it open" in sentence
        assert "run retraind as its user" in sentence
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)


@contextmanager
def _without_privileges() -> Iterator[None]:
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_put_in_the_place_of_another_is_read_anew(sqlite_database: Database, tmp_path: Path) -> None:
    sqlite_database.plain_table(SQLITE_ROWS)
    other = Database("sqlite", f"sqlite:///{tmp_path / 'other.db'}")
    other.plain_table(SQLITE_ROWS[:2])
    with sqlite_database.store() as store:
        assert store.counts(ALWAYS).rows == 5
        before = store.change_token()
        other.path.replace(sqlite_database.path)
        for left in tmp_path.glob("monitoring.db-*"):
            left.unlink()
        assert store.change_token() != before
        assert store.counts(ALWAYS).rows == 2
        sqlite_database.path.unlink()
        with pytest.raises(StoreError, match="there is no predictions store"):
            store.counts(ALWAYS)


def test_nothing_in_a_sqlite_store_can_be_written(sqlite_database: Database) -> None:
    from retraind.store.opening import open_backend

    sqlite_database.plain_table(SQLITE_ROWS)
    before = sqlite_database.path.read_bytes()
    elsewhere = sqlite_database.path.with_name("elsewhere.db")
    session = open_backend(sqlite_database.url, 5).session
    for statement in (
        "INSERT INTO predictions VALUES (1, 1, 1)",
        "DROP TABLE predictions",
        "PRAGMA user_version=7",
        "CREATE TEMP TABLE x (y)",
    ):
        with pytest.raises(StoreError):
            session.read_sql(statement, [])
    session.read_sql(f"ATTACH '{elsewhere}' AS elsewhere", [])
    with pytest.raises(StoreError):
        session.read_sql("CREATE TABLE elsewhere.x (y)", [])
    session.close()
    assert sqlite_database.path.read_bytes() == before


def test_nothing_in_a_postgres_store_can_be_written(postgres_database: Database) -> None:
    from retraind.store.opening import open_backend

    postgres_database.plain_table([(START, 1, 1)])
    session = open_backend(postgres_database.url, 5).session
    for statement in (
        "INSERT INTO predictions VALUES (now(), 1, 1)",
        "DROP TABLE predictions",
        "CREATE TABLE x (y int)",
    ):
        with pytest.raises(StoreError, match="read-only"):
            session.read_sql(statement, [])
    settings = {
        name: session.read_sql(f"SELECT current_setting('{name}')", [])[0][0].as_py()
        for name in (
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "application_name",
            "default_transaction_read_only",
            "TimeZone",
        )
    }
    session.close()
    assert settings == {
        "statement_timeout": "5s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        "application_name": "retraind",
        "default_transaction_read_only": "on",
        "TimeZone": "UTC",
    }
    assert postgres_database.run("SELECT count(*) FROM predictions") == [(1,)]


def test_a_session_that_a_pooler_left_able_to_write_is_refused(postgres_database: Database) -> None:
    postgres_database.plain_table([(START, 1, 1)])
    port = int(postgres_database.url.split(":")[-1].split("/")[0])
    with _pooler_without_options(port) as pooled:
        database = Database("postgres", postgres_database.url.replace(f":{port}/", f":{pooled}/"))
        assert "did not make the session read-only" in refusal(database)


@contextmanager
def _pooler_without_options(port: int) -> Iterator[int]:
    """Passes everything on but the connection's options, as a pooler told to ignore them does. Gives its own port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return  # the listener is closed: the test is over
                with client, socket.create_connection(("127.0.0.1", port)) as server:
                    client.recv(8)  # a request for TLS, answered with no
                    client.sendall(b"N")
                    words = client.recv(65_536)[8:].split(b"\0")
                    place = words.index(b"options")
                    startup = b"\0".join(words[:place] + words[place + 2 :])
                    server.sendall(struct.pack("!ii", len(startup) + 8, 196_608) + startup)
                    _pass_on(client, server)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    """Until one side hangs up."""
    while True:
        for ready in select.select([client, server], [], [])[0]:
            data = ready.recv(65_536)
            if not data:
                return
            (server if ready is client else client).sendall(data)


def test_a_role_that_may_only_select_suffices(postgres_database: Database) -> None:
    postgres_database.plain_table([(START, 1, 1)])
    role = f"reader_{os.getpid()}_{time.monotonic_ns()}"
    postgres_database.run(f"CREATE ROLE {role} LOGIN")
    try:
        url = postgres_database.url.replace("postgres@", f"{role}:unused@")
        reader = Database("postgres", url)
        assert "refuses: permission denied for table predictions; GRANT SELECT" in refusal(reader)
        postgres_database.run(f"GRANT SELECT ON predictions TO {role}")
        with reader.store() as store:
            assert store.counts(ALWAYS) == Counts(1, 1)
            assert store.probe() == []
            assert store.change_token() == store.change_token()
    finally:
        postgres_database.run(f"DROP OWNED BY {role}")
        postgres_database.run(f"DROP ROLE {role}")


def test_a_query_that_takes_too_long_is_stopped_by_the_server(postgres_database: Database) -> None:
    slow = "SELECT now() AS timestamp, 1 AS prediction, 1 AS actual FROM pg_sleep(20)"
    postgres_database.run(f"CREATE VIEW predictions AS {slow}")
    began = time.monotonic()
    with postgres_database.store(timeout="200ms") as store, pytest.raises(StoreBusy, match="took too long"):
        store.counts(ALWAYS)
    assert time.monotonic() - began < 5


def test_a_query_that_takes_too_long_holds_nobody_up(sqlite_database: Database) -> None:
    """SQLite cannot be interrupted through its driver: the caller is let go, and told to wait until it ends."""
    slow = (
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 6000000) "
        "SELECT '2026-01-01' AS timestamp, max(i) AS prediction, 1 AS actual FROM r"
    )
    sqlite_database.run(f"CREATE VIEW predictions AS {slow}")
    store = open_store(Predictions(url=sqlite_database.url, timeout="50ms"))
    began = time.monotonic()
    with pytest.raises(StoreBusy, match=r"did not answer within 0\.05 s"):
        store.counts(ALWAYS)
    with pytest.raises(StoreBusy):
        store.counts(ALWAYS)
    assert time.monotonic() - began < 5


def test_a_locked_table_is_busy_and_blocks_nobody(postgres_database: Database) -> None:
    postgres_database.plain_table([(START, 1, 1)])
    url = postgres_database.url.replace("+psycopg", "")
    with postgres_database.store(timeout="300ms") as store:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(StoreBusy):
                store.counts(ALWAYS)
        assert store.counts(ALWAYS) == Counts(1, 1)


def test_a_password_is_in_no_message() -> None:
    for url in (
        "postgresql+psycopg://user:S3cret@127.0.0.1:1/db",
        "postgresql+psycopg://user:S3cret@127.0.0.1:1/db?password=S3cret&options=-c%20x",
        "postgresql://user:S3cret@no.such.host.invalid/db?connect_timeout=1&sslmode=S3cret",
    ):
        with open_store(Predictions(url=url, timeout="1s")) as store:
            with pytest.raises(StoreError) as caught:
                store.counts(ALWAYS)
            assert "S3cret" not in str(caught.value) + store.name
            assert not any("S3cret" in problem.sentence for problem in store.probe())


def test_an_absent_server_is_busy_and_an_absent_database_wrong(postgres_database: Database) -> None:
    refused = r"127\.0\.0\.1:1/db cannot be reached: .*[Cc]onnection refused"
    absent = Predictions(url="postgresql://user@127.0.0.1:1/db")
    with open_store(absent) as store, pytest.raises(StoreBusy, match=refused):
        store.counts(ALWAYS)
    with open_store(Predictions(url=postgres_database.url + "x")) as store, pytest.raises(StoreError) as caught:
        store.counts(ALWAYS)
    assert not isinstance(caught.value, StoreBusy)
    assert "does not exist; correct predictions: {url: ...}" in str(caught.value)


def test_a_restarted_server_is_found_again(postgres_database: Database) -> None:
    postgres_database.plain_table([(START, 1, 1)])
    with postgres_database.store() as store:
        assert store.counts(ALWAYS) == Counts(1, 1)
        postgres_database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'retraind'"
        )
        assert store.counts(ALWAYS) == Counts(1, 1)


def test_a_frozen_server_holds_nobody_up_for_long(postgres_database: Database) -> None:
    postgres_database.plain_table([(START, 1, 1)])
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'retraind' AND datname = current_database()"
    with postgres_database.store(timeout="100ms") as store:
        assert store.counts(ALWAYS) == Counts(1, 1)
        ((backend,),) = postgres_database.run(mine)
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(StoreBusy, match="did not answer"):
                store.counts(ALWAYS)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_a_table_that_changes_its_shape_is_looked_up_again(database: Database) -> None:
    database.plain_table([(START.isoformat(), 1, 1)])
    request = RowsRequest(ALWAYS, ("f",))
    with database.store(columns={"features": ["f"]}) as store:
        with pytest.raises(StoreError, match="has no column 'f'"):
            store.rows(request)
        database.run("ALTER TABLE predictions ADD COLUMN f REAL")
        assert store.rows(request)["f"].to_pylist() == [None]
        database.run("ALTER TABLE predictions DROP COLUMN f")
        with pytest.raises(StoreError):
            store.rows(request)


def test_a_missing_index_is_advised_against(database: Database) -> None:
    time_type = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (model TEXT, timestamp {time_type}, prediction INTEGER, actual INTEGER)")
    database.run("CREATE INDEX partly ON predictions (timestamp) WHERE actual IS NULL")
    database.run("INSERT INTO predictions VALUES ('a', ?, 1, 1)", [(START.isoformat(),)])
    with database.store(only={"model": "a"}) as store:
        (advice,) = store.probe()
        assert "has no index on model, timestamp" in advice.sentence
        assert not advice.fatal
        database.run("CREATE INDEX whole ON predictions (model, timestamp)")
        assert store.probe() == []
    with database.store() as store:
        assert len(store.probe()) == 1, "an index that begins with the model is of no use to whoever reads all"


def test_labels_written_in_two_ways_are_pointed_out(database: Database) -> None:
    time_type = database.of_both("TEXT", "timestamptz")
    database.run(f"CREATE TABLE predictions (timestamp {time_type} PRIMARY KEY, prediction INTEGER, actual TEXT)")
    database.run("INSERT INTO predictions VALUES (?, 1, 'late')", [(START.isoformat(),)])
    with database.store() as store:
        (advice,) = store.probe()
    assert "predictions are integer and actuals text" in advice.sentence
    assert not advice.fatal


def test_no_thread_and_no_file_is_left_behind(database: Database) -> None:
    database.plain_table([(START.isoformat(), 1, 1)])
    threads, files = threading.active_count(), psutil.Process().num_fds()
    for _ in range(3):
        with database.store() as store:
            store.counts(ALWAYS)
            store.change_token()
    assert threading.active_count() == threads
    assert psutil.Process().num_fds() <= files + 1
