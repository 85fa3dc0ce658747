"""A ledger copied whole, from either kind of database to either, and gone on with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clocks import SetClock
from sqlalchemy import select, text
from templates import empty_ledger

from retraind import identity
from retraind.errors import ConfigurationError
from retraind.ledger import Ledger, copying, leases, looks, tables
from triggers.verdict import Outcome, Verdict


def look(ledger: Ledger, clock: SetClock) -> None:
    """A look that fired, with its event, at another instant each time."""
    verdict = Verdict(Outcome.FIRED, "Rows came.", {"rows": 10, "share": 0.25, "none": None})
    with ledger.write("daemon") as transaction:
        looks.keep(transaction, "delays", "volume", verdict, "because", None)
        looks.save(transaction, "delays", "volume", {"last_look_at": transaction.now, "outcome": "fired"})
        transaction.event("trigger.fired", model="delays", data={"trigger": "volume", "numbers": verdict.numbers})
    clock.move(seconds=1)


def rows(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with ledger.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[Ledger]:
    """An empty ledger to copy to."""
    sqlite = request.param == "sqlite"
    url = empty_ledger(tmp_path / "copy.db") if sqlite else request.getfixturevalue("other_postgres_url")
    opened = Ledger.open(url, clock)
    yield opened
    opened.close()


def test_every_row_is_copied_and_the_copy_goes_on_where_the_source_stood(ledger, target, clock):
    for _ in range(3):
        look(ledger, clock)
    counts = copying.copy(ledger, target)
    assert rows(target) == rows(ledger)
    assert counts == {name: len(found) for name, found in rows(ledger).items()}
    assert counts["looks"] == counts["events"] == 3
    look(target, clock)  # new rows are numbered after the copied ones, and the chain goes on
    copied = rows(target)
    assert [row[0] for row in copied["looks"]] == [row[0] for row in copied["events"]] == [1, 2, 3, 4]
    assert copied["events"][3][-2] == rows(ledger)["events"][2][-1]


def test_a_ledger_that_holds_anything_is_not_copied_to(ledger, target, clock):
    look(ledger, clock)
    look(target, clock)
    before = rows(target)
    with pytest.raises(ConfigurationError, match="holds 1 rows in events already; name an empty database"):
        copying.copy(ledger, target)
    assert rows(target) == before


def test_a_ledger_is_not_copied_to_itself_however_it_is_named(ledger, ledger_url, clock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = Ledger.open(ledger_url.replace(f"sqlite:///{tmp_path}/", "sqlite:///"), clock)
    with pytest.raises(ConfigurationError, match="this is the ledger itself"):
        copying.copy(ledger, again)
    again.close()


def test_a_copy_that_breaks_off_leaves_the_target_empty(ledger, target, clock):
    look(ledger, clock)
    with ledger.write("daemon") as transaction:
        transaction.connection.execute(text("UPDATE looks SET at = 'yesterday'"))  # what cannot be read
    empty = rows(target)
    with pytest.raises(ValueError, match="yesterday"):
        copying.copy(ledger, target)
    assert rows(target) == empty


def test_those_that_run_are_named_and_those_that_are_gone_or_silent_are_not(ledger, clock):
    def beat(owner: str) -> None:
        with ledger.write("daemon") as transaction:
            leases.beat(transaction, owner, "daemon", "here", 1, clock.now())

    beat("worker:elsewhere:1")
    clock.move(seconds=copying.ALIVE_SECONDS + 1)
    alive = identity.marked(f"daemon:{os.uname().nodename}:{os.getpid()}")
    beat(alive)
    assert copying.running(ledger) == [alive]
