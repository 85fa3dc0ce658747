"""Events are committed with the change they tell of, in one chain, whoever writes and however many at once."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from retraind.errors import ConfigurationError, LedgerError, LedgerNewer
from retraind.ledger import Ledger, jobs, partial_index, schema, tables
from retraind.ledger.chain import GENESIS, digest, record_of
from retraind.ledger.engine import open_engine


def rows(ledger: Ledger) -> list[dict]:
    with ledger.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(tables.events).order_by(tables.events.c.seq))]


def assert_chained(events: list[dict]) -> None:
    prev = GENESIS
    for number, event in enumerate(events, 1):
        assert event["seq"] == number
        assert event["prev"] == prev
        assert event["hash"] == digest(record_of(event))
        prev = event["hash"]


def test_events_of_a_transaction_that_failed_do_not_exist(ledger):
    def fail_midway() -> None:
        with ledger.write("daemon") as transaction:
            jobs.request(transaction, "delays", reason="r")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert rows(ledger) == []
    with ledger.read() as connection:
        assert jobs.open_job(connection, "delays") is None


def test_an_event_of_an_unknown_name_is_refused(ledger):
    with pytest.raises(KeyError), ledger.write("daemon") as transaction:
        transaction.event("job.exploded", data={})


def test_figures_that_json_cannot_hold_become_null(ledger):
    with ledger.write("daemon") as transaction:
        transaction.event("daemon.started", data={"nan": float("nan"), "inf": float("inf"), "ok": 0.1})
    assert rows(ledger)[0]["data"] == {"nan": None, "inf": None, "ok": 0.1}


def test_many_writers_at_once_make_one_unbroken_chain(ledger):
    def write(name: str) -> None:
        for number in range(10):
            with ledger.write(name) as transaction:
                transaction.event("daemon.started", data={"number": number})
                transaction.event("daemon.stopped", data={"number": number})

    threads = [threading.Thread(target=write, args=(f"daemon:{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = rows(ledger)
    assert len(events) == 80
    assert_chained(events)


def test_schema_and_migrations_agree(ledger):
    assert partial_index.one_open_job_per_model in tables.jobs.indexes
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": False, "version_table": "schema_version"}
        )
        assert compare_metadata(context, tables.metadata) == []


def test_processes_that_open_a_new_ledger_at_once_create_it_once(ledger_url):
    program = f"from retraind.ledger import Ledger; Ledger.open({ledger_url!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b"", b"", b""]
    opened = Ledger.open(ledger_url)
    with opened.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM chain")).scalar() == 1
    opened.close()


def test_a_ledger_of_a_newer_retraind_is_refused(ledger, ledger_url):
    with ledger.write("daemon") as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerNewer, match="upgrade retraind"):
        Ledger.open(ledger_url)


def test_a_ledger_that_a_newer_retraind_only_added_to_goes_on_being_used(ledger, ledger_url):
    with ledger.write("daemon") as transaction:
        transaction.connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
    Ledger.open(ledger_url).close()
    with ledger.read() as connection:
        assert connection.execute(text("SELECT version_num FROM schema_version")).scalar() == "9999"


def test_a_ledger_of_the_first_schema_is_brought_forward_once_and_stays_open_to_those_of_the_first(ledger_url):
    engine = open_engine(ledger_url)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.attributes |= {"engine": engine, "version_table": "alembic_version"}
    command.upgrade(config, "0001")
    program = f"from retraind.ledger import Ledger; Ledger.open({ledger_url!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b"", b"", b""]
    with engine.connect() as connection:
        versions = [
            connection.execute(text(f"SELECT version_num FROM {table}")).scalars().all()
            for table in ("schema_version", "alembic_version")
        ]
    engine.dispose()
    assert versions == [[schema.HEAD], ["0001"]]


def test_a_url_of_another_database_is_refused_in_one_sentence():
    with pytest.raises(ConfigurationError, match="'mysql' is not a ledger"):
        Ledger.open("mysql://localhost/x")


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(LedgerError, match="does not answer") as caught:
        Ledger.open("postgresql+psycopg://u:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_password_in_an_events_data_is_hidden_before_it_is_hashed(ledger):
    with ledger.write("daemon") as transaction:
        data = {"error": "postgresql://u:hunter22@db/x does not answer"}
        transaction.event("audit.unwritable", data=data)
    assert "hunter22" not in str(rows(ledger))
    assert_chained(rows(ledger))
