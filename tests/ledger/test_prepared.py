from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import StatementError

from retraind.ledger import Ledger, tables
from retraind.ledger.prepared import write

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
INSERT = insert(tables.triggers)
ARM = (
    update(tables.triggers)
    .where(tables.triggers.c.model == bindparam("of"))
    .values(armed=bindparam("now_armed"), errors=tables.triggers.c.errors + 2)
)


def row(trigger: str, **values: object) -> dict[str, object]:
    return {
        "model": "delays",
        "trigger": trigger,
        "state": {"seen": ["é", 1.5, None]},
        "last_look_at": NOW,
        "armed": False,
        "recent": None,
        **values,
    }


def test_what_is_written_reads_back_as_what_it_was(ledger: Ledger) -> None:
    with ledger.write("test") as transaction:
        assert write(transaction.connection, INSERT, row("drift"), row("cron", state=None)) == 2
    with ledger.read() as connection:
        drift, cron = connection.execute(select(tables.triggers).order_by(tables.triggers.c.trigger.desc())).all()
    assert (drift.state, drift.last_look_at, drift.armed) == ({"seen": ["é", 1.5, None]}, NOW, False)
    assert (cron.state, cron.recent, cron.next_look_at, cron.errors) == (None, None, None, 0)


def test_nothing_in_a_json_column_is_no_value_and_not_the_word_null(ledger: Ledger) -> None:
    with ledger.write("test") as transaction:
        write(transaction.connection, INSERT, row("cron", state=None))
        empty = select(tables.triggers.c.trigger).where(tables.triggers.c.state.is_(None))
        assert transaction.connection.execute(empty).scalars().all() == ["cron"]


def test_a_write_tells_how_many_rows_it_touched_and_keeps_the_statements_own_values(ledger: Ledger) -> None:
    with ledger.write("test") as transaction:
        write(transaction.connection, INSERT, row("drift"), row("cron"))
        assert write(transaction.connection, ARM, {"of": "delays", "now_armed": True}) == 2
        assert write(transaction.connection, ARM, {"of": "prices", "now_armed": True}) == 0
        kept = transaction.connection.execute(select(tables.triggers.c.armed, tables.triggers.c.errors)).all()
    assert [tuple(each) for each in kept] == [(True, 2), (True, 2)]


def test_a_write_belongs_to_its_transaction(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.write("test") as transaction:
            write(transaction.connection, INSERT, row("drift"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with ledger.read() as connection:
        assert connection.execute(select(tables.triggers)).all() == []


def test_a_statement_may_be_run_with_other_columns(ledger: Ledger) -> None:
    with ledger.write("test") as transaction:
        write(transaction.connection, INSERT, row("drift"))
        write(transaction.connection, INSERT, {"model": "delays", "trigger": "cron"})
        kept = select(tables.triggers.c.last_look_at).order_by(tables.triggers.c.trigger)
        assert transaction.connection.execute(kept).scalars().all() == [None, NOW]


def test_a_parameter_without_a_value_is_refused(ledger: Ledger) -> None:
    with pytest.raises((KeyError, StatementError)), ledger.write("test") as transaction:
        write(transaction.connection, ARM, {"of": "delays"})
