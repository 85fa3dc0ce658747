"""Copies a ledger, whole and as it stands at one instant, into an empty one of either kind: backup, restore, moving."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, text

from retraind.errors import ConfigurationError
from retraind.identity import is_gone
from retraind.ledger import tables
from retraind.ledger.ledger import Ledger

ALIVE_SECONDS = 60.0  # a process that was heard of so lately is taken to run
_BATCH = 1000
_MADE_WITH_THE_SCHEMA = (tables.chain, tables.oldest_schema)  # an empty ledger has one row of each


def running(ledger: Ledger) -> list[str]:
    """The daemons and workers that work on the ledger now, as it knows them (`daemon:HOST:PID`)."""
    since = ledger.clock.now() - timedelta(seconds=ALIVE_SECONDS)
    with ledger.read() as connection:
        rows = connection.execute(select(tables.processes.c.id, tables.processes.c.seen_at)).all()
    return sorted(row.id for row in rows if row.seen_at >= since and not is_gone(row.id))


def copy(source: Ledger, target: Ledger) -> dict[str, int]:
    """Copies every row, and returns how many of each table. It is there whole or not at all.

    No event is made: the copy's chain is the source's. Raises ConfigurationError for a target that holds
    anything already or is the source itself, LedgerError when either does not answer.
    """
    if _place(source) == _place(target):
        raise ConfigurationError("this is the ledger itself; name an empty database, or a file that is not there yet")
    counts = {}
    with target.write("user") as transaction, _one_instant(source) as reading:
        writing = transaction.connection
        _must_be_empty(writing)
        for table in tables.metadata.sorted_tables:
            if table in _MADE_WITH_THE_SCHEMA:
                writing.execute(table.delete())
            counts[table.name] = _copy_rows(reading, writing, table)
            _go_on_counting(writing, table)
    return counts


def _place(ledger: Ledger) -> str:
    url = ledger.engine.url
    return str(Path(url.database or "").resolve()) if url.drivername == "sqlite" else str(url)


@contextmanager
def _one_instant(ledger: Ledger) -> Iterator[Connection]:
    """A read transaction that sees one state of the ledger throughout, on Postgres too."""
    with ledger.read() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection


def _must_be_empty(connection: Connection) -> None:
    for table in tables.metadata.sorted_tables:
        rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if rows and table not in _MADE_WITH_THE_SCHEMA:
            raise ConfigurationError(
                f"the ledger to copy to holds {rows:,} rows in {table.name} already; name an empty database, or a file "
                "that is not there yet"
            )


def _copy_rows(reading: Connection, writing: Connection, table: Table) -> int:
    copied = 0
    for rows in reading.execution_options(yield_per=_BATCH).execute(select(table)).mappings().partitions():
        writing.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    return copied


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Lets Postgres number new rows after the copied ones; SQLite does so by itself."""
    counted = table.autoincrement_column
    if connection.dialect.name != "postgresql" or counted is None:
        return
    highest = select(func.max(counted)).scalar_subquery()
    sequence = func.pg_get_serial_sequence(table.name, counted.name)
    connection.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))
