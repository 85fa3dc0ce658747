"""Reading a SQLite store asks for memory by what there is to read, and a column has one type whatever its length."""

import resource
import subprocess
import sys
from datetime import timedelta

import pytest
from stores import START, Database, sqlite_fixture  # noqa: F401 - a fixture

from retraind.store import sqlite_session
from triggers.evidence import RowsRequest, Window

READ = """
import sys
from retraind.config.predictions import Predictions
from retraind.store import open_store
from triggers.evidence import Window
print(open_store(Predictions.model_validate({"url": sys.argv[1]})).counts(Window(None, None)).rows)
"""
ADDRESS_SPACE = 4 << 30  # Arrow alone reserves a gibibyte and a half


def test_a_machine_with_little_memory_can_read(sqlite_database: Database) -> None:
    sqlite_database.plain_table([(START.isoformat(), 1, 1)] * 3)
    bounded = subprocess.run(
        [sys.executable, "-c", READ, sqlite_database.url],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (bounded.stdout, bounded.stderr) == ("3\n", "")


def test_a_value_of_another_type_is_read_wherever_it_comes(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_session, "_BATCH_ROWS", (2, 4, 64))
    values = [None, None, 1, 1, 1.5, None]
    sqlite_database.plain_table(
        [((START + timedelta(seconds=n)).isoformat(), value, None) for n, value in enumerate(values)]
    )
    with sqlite_database.store() as store:
        found = store.rows(RowsRequest(Window(None, None), ("prediction",))).column(0).to_pylist()
    assert found == values


READ_WITHOUT_PANDAS = """
import sys
from retraind.config.predictions import Predictions
from retraind.store import open_store
from triggers.evidence import RowsRequest, Window

with open_store(Predictions.model_validate({"url": sys.argv[1]})) as store:
    print(store.counts(Window(None, None)).rows)
    table = store.rows(RowsRequest(Window(None, None), ("prediction",)))
print("pandas" in sys.modules)
print(len(table.to_pandas()))
"""


def test_reading_brings_no_pandas_and_leaves_it_to_those_who_want_it(sqlite_database: Database) -> None:
    sqlite_database.plain_table([(START.isoformat(), 1, 1)])
    command = [sys.executable, "-c", READ_WITHOUT_PANDAS, sqlite_database.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "1"]
