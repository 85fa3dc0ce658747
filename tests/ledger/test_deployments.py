"""Versions and deployments: what is champion, what was before it, and what triggers see of it."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from retraind.config.policy import Breaker
from retraind.errors import Conflict
from retraind.ledger import Ledger, jobs, models, tables
from retraind.states import JobState


def deployed(ledger: Ledger, clock, name: str) -> str:
    """A job that trained and deployed version `name`; an hour passes."""
    clock.move(hours=1)
    with ledger.write("worker:a") as transaction:
        job = jobs.request(transaction, "delays", reason="r")
        assert job is not None
        trained = {"window_end": transaction.now - timedelta(minutes=5), "trained_at": transaction.now}
        transaction.connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(**trained))
        transaction.connection.execute(
            insert(tables.versions).values(
                model="delays",
                version=name,
                job=job,
                uri=f"models:/delays/{name}",
                directory="/nowhere",
                registered_at=transaction.now,
                metrics={"accuracy": 0.9},
                **trained,
            )
        )
    clock.move(minutes=1)
    with ledger.write("worker:a") as transaction:
        models.deploy(transaction, "delays", name, job)
        found = jobs.get(transaction.connection, job)
        assert found is not None
        jobs.close(transaction, found, JobState.DEPLOYED, Breaker())
    return job


def names(ledger: Ledger) -> tuple[str | None, str | None]:
    with ledger.read() as connection:
        both = models.champions(connection, "delays")
    return (both.current.version if both.current else None, both.previous.version if both.previous else None)


def roll_back(ledger: Ledger) -> None:
    with ledger.write("user:ops") as transaction:
        models.rollback(transaction, "delays", "worse in production")


def test_nothing_is_champion_before_the_first_deployment(ledger):
    assert names(ledger) == (None, None)


def test_each_rollback_goes_one_version_further_back(ledger, clock):
    for name in ("1", "2", "3"):
        deployed(ledger, clock, name)
    assert names(ledger) == ("3", "2")
    roll_back(ledger)
    assert names(ledger) == ("2", "1")
    roll_back(ledger)
    assert names(ledger) == ("1", None)
    with pytest.raises(Conflict, match="no earlier version"):
        roll_back(ledger)


def test_a_deployment_after_a_rollback_has_the_served_version_before_it(ledger, clock):
    for name in ("1", "2"):
        deployed(ledger, clock, name)
    roll_back(ledger)
    deployed(ledger, clock, "3")
    assert names(ledger) == ("3", "1")


def test_a_deployment_asked_for_twice_happens_once(ledger, clock):
    job = deployed(ledger, clock, "1")
    deployed(ledger, clock, "2")
    with ledger.write("worker:a") as transaction:
        models.deploy(transaction, "delays", "2", "another")
        models.deploy(transaction, "delays", "2", "another")
    roll_back(ledger)
    assert names(ledger) == ("2", "1")
    assert job


def test_a_deployment_that_failed_is_taken_back_once(ledger, clock):
    deployed(ledger, clock, "1")
    job = deployed(ledger, clock, "2")
    for _ in range(2):
        with ledger.write("worker:a") as transaction:
            models.revert(transaction, "delays", job)
    assert names(ledger) == ("1", None)


def test_facts_restart_from_the_new_champion_and_go_back_with_a_rollback(ledger, clock):
    deployed(ledger, clock, "1")
    with ledger.read() as connection:
        first = models.facts(connection, "delays", (), clock.now())
    deployed(ledger, clock, "2")
    with ledger.read() as connection:
        second = models.facts(connection, "delays", (), clock.now())
    assert (first.version, second.version) == ("1", "2")
    assert str(first.trained_until) < str(second.trained_until)
    clock.move(minutes=10)
    roll_back(ledger)
    with ledger.read() as connection:
        back = models.facts(connection, "delays", (), clock.now())
    assert (back.version, back.trained_until, back.trained_at) == ("1", first.trained_until, first.trained_at)
    assert back.gate_metrics == {"accuracy": 0.9}


def test_a_training_that_was_not_deployed_counts_for_interval_and_volume(ledger, clock):
    deployed(ledger, clock, "1")
    clock.move(hours=2)
    with ledger.write("worker:a") as transaction:
        job = jobs.request(transaction, "delays", reason="r")
        values = {"window_end": transaction.now, "trained_at": transaction.now}
        transaction.connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(**values))
    with ledger.read() as connection:
        facts = models.facts(connection, "delays", (), clock.now())
    assert (facts.version, facts.trained_at, facts.trained_until) == ("1", clock.now(), clock.now())
