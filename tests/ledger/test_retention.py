"""Rows go when they have been kept long enough, and never one that a rollback, an open job or a trigger still needs."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from retraind.config.policy import Breaker
from retraind.ledger import Ledger, jobs, looks, models, receivers, retention, tables, work
from retraind.ledger.chain import digest, record_of
from retraind.states import JobState, Stage
from triggers.verdict import Outcome, Verdict

MODEL = "delays"
FIRED = Verdict(Outcome.FIRED, "it drifted.", {"psi": 0.3})


class Past:
    """Jobs of one model, a day after another, in a ledger whose clock is moved."""

    def __init__(self, ledger: Ledger, clock) -> None:
        self.ledger = ledger
        self.clock = clock

    def request(self) -> str:
        """An open job with a firing and a stage."""
        self.clock.move(days=1)
        with self.ledger.write("daemon") as transaction:
            job = jobs.request(transaction, MODEL, reason="r")
            assert job is not None
            looks.fire(transaction, MODEL, "drift", FIRED, role="cause", job=job)
            held = work.claim(transaction, job, "worker:a", timedelta(seconds=30))
            assert held is not None
            work.begin_stage(transaction, held, Stage.INGEST)
            work.release(transaction, held)
        return job

    def close(self, job: str, outcome: JobState = JobState.FAILED, **columns) -> str:
        with self.ledger.write("worker:a") as transaction:
            if columns:
                transaction.connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(**columns))
            found = jobs.get(transaction.connection, job)
            assert found is not None
            jobs.close(transaction, found, outcome, Breaker(after=1000))
        return job

    def ended(self, outcome: JobState = JobState.FAILED, **columns) -> str:
        return self.close(self.request(), outcome, **columns)

    def deployed(self, version: str) -> str:
        job = self.request()
        with self.ledger.write("worker:a") as transaction:
            self.register(transaction, job, version)
            models.deploy(transaction, MODEL, version, job)
        return self.close(job, JobState.DEPLOYED, version=version)

    def register(self, transaction, job: str, version: str) -> None:
        values = {"uri": "u", "directory": "d", "trained_at": self.clock.now(), "registered_at": self.clock.now()}
        transaction.connection.execute(insert(tables.versions).values(model=MODEL, version=version, job=job, **values))

    def roll_back(self) -> None:
        self.clock.move(days=1)
        with self.ledger.write("user:ops") as transaction:
            models.rollback(transaction, MODEL, "worse")

    # --- what is left

    def prune(self, **kept: float) -> None:
        """All that is older than so long."""
        before = self.clock.now() - timedelta(**kept)
        for step in (retention.prune_deployments, retention.prune_jobs):
            while self.write(step, model=MODEL, before=before):
                pass
        while self.write(retention.prune_firings, before=before):
            pass

    def write(self, step, **arguments) -> int:
        with self.ledger.write("daemon") as transaction:
            return step(transaction, **arguments)

    def jobs(self) -> list[str]:
        return self.column(tables.jobs.c.id)

    def column(self, column) -> list:
        with self.ledger.read() as connection:
            return sorted(connection.execute(select(column)).scalars())

    def served(self) -> list[str]:
        with self.ledger.read() as connection:
            return [version.version for version in models.served(connection, MODEL)]

    def facts(self):
        with self.ledger.read() as connection:
            return models.facts(connection, MODEL, (), self.clock.now())


@pytest.fixture
def past(ledger, clock):
    return Past(ledger, clock)


def test_old_jobs_go_with_their_stages_firings_and_versions(past):
    old = [past.ended() for _ in range(3)]
    with past.ledger.write("worker:a") as transaction:
        past.register(transaction, old[0], "1")
    past.clock.move(days=100)
    recent = [past.ended() for _ in range(2)]
    past.prune(days=50)
    assert past.jobs() == sorted(recent)
    assert past.column(tables.stages.c.job) == sorted(recent)
    assert past.column(tables.fires.c.job) == sorted(recent)
    assert past.column(tables.versions.c.version) == []


def test_a_job_stays_until_the_very_instant(past):
    first, second = past.ended(), past.ended()
    past.prune(days=1)  # the first ended a day ago, to the instant
    assert past.jobs() == sorted([first, second])
    past.clock.move(seconds=1)
    past.prune(days=1)
    assert past.jobs() == [second]


def test_an_open_job_and_the_newest_that_ended_stay_however_old(past):
    for _ in range(2):
        past.ended()
    newest, still_open = past.ended(), past.request()
    past.clock.move(days=1000)
    past.prune(days=1)
    assert past.jobs() == sorted([newest, still_open])
    assert past.column(tables.stages.c.job) == sorted([newest, still_open])


def test_every_version_that_rollbacks_go_back_through_stays_with_its_job(past):
    deployed = [past.deployed(str(number)) for number in range(1, 9)]
    last = past.ended()
    past.clock.move(days=1000)
    past.prune(days=1)
    assert past.jobs() == sorted([*deployed, last])
    for number in range(8, 1, -1):
        assert past.served()[0] == str(number)
        past.roll_back()
    assert past.served() == ["1"]


def test_a_deployment_goes_with_what_took_it_back_and_its_job_with_it(past):
    first = past.deployed("1")
    second = past.deployed("2")
    past.roll_back()
    third = past.deployed("3")
    past.clock.move(days=100)
    before = past.served(), past.facts()
    past.prune(days=150)
    assert past.jobs() == sorted([first, second, third])
    past.prune(days=50)
    assert past.jobs() == sorted([first, third])
    assert past.column(tables.versions.c.version) == ["1", "3"]
    assert len(past.column(tables.deployments.c.id)) == 2
    assert (past.served(), past.facts().deployed_at) == (before[0], before[1].deployed_at)
    past.roll_back()
    assert past.served() == ["1"]


def test_nested_and_reverted_deployments_leave_the_same_versions_served(past):
    past.deployed("1")
    past.deployed("2")
    past.deployed("3")
    past.roll_back()
    past.roll_back()
    past.deployed("4")
    failing = past.deployed("5")
    past.write(models.revert, model=MODEL, job=failing)
    past.deployed("6")
    past.clock.move(days=100)
    served = past.served()
    past.prune(days=1)
    assert past.served() == served == ["6", "4", "1"]
    assert len(past.column(tables.deployments.c.id)) == 3


def test_the_rollback_that_stands_last_stays_for_it_says_since_when(past):
    past.deployed("1")
    past.deployed("2")
    past.roll_back()
    past.clock.move(days=100)
    facts = past.facts()
    past.prune(days=1)
    assert past.facts() == facts
    assert len(past.column(tables.deployments.c.id)) == 3


def test_what_interval_and_volume_triggers_count_from_stays(past):
    past.deployed("1")
    trained = {"trained_at": past.clock.now() + timedelta(hours=1)}
    far = past.ended(JobState.GATE_FAILED, **trained, window_end=past.clock.now() + timedelta(days=9))
    trained = {"trained_at": past.clock.now() + timedelta(hours=1)}
    late = past.ended(JobState.GATE_FAILED, **trained, window_end=past.clock.now() - timedelta(days=9))
    failed, newest = past.ended(), past.ended()
    past.clock.move(days=1000)
    facts = past.facts()
    past.prune(days=1)
    assert past.facts() == facts
    assert failed not in past.jobs()
    assert {far, late, newest} < set(past.jobs())


def test_what_a_later_job_was_skipped_for_stays_as_long_as_that_one(past):
    same = {"data_hash": "d", "recipe_hash": "r"}
    trained = past.ended(JobState.GATE_FAILED, **same)
    other = past.ended(JobState.GATE_FAILED, data_hash="e", recipe_hash="r")
    past.clock.move(days=100)
    skipped = past.ended(JobState.SKIPPED, **same)
    past.ended()
    past.prune(days=50)
    assert trained in past.jobs()
    assert other not in past.jobs()
    asking = past.request()
    with past.ledger.read() as connection:
        found = jobs.twin(connection, jobs.get(connection, asking), "d", "r")
    assert found.id == trained
    past.close(asking)
    past.clock.move(days=100)
    past.prune(days=50)
    assert {trained, skipped}.isdisjoint(past.jobs())


def test_a_firing_that_waits_and_a_triggers_newest_stay(past):
    def fire(trigger: str, key: str, role: str) -> None:
        with past.ledger.write("daemon") as transaction:
            looks.fire(transaction, MODEL, trigger, Verdict(Outcome.FIRED, "f.", {}, key=key), role=role, job=None)

    fire("weekly", "1", "skipped")
    fire("weekly", "2", "skipped")
    fire("landing", "3", "waiting")
    fire("landing", "4", "notified")
    past.clock.move(days=100)
    past.prune(days=1)
    assert past.column(tables.fires.c.key) == ["2", "3", "4"]


def test_the_newest_firing_of_a_trigger_outlives_its_job_until_there_is_a_newer(past):
    past.ended()
    with past.ledger.write("daemon") as transaction:
        looks.fire(transaction, MODEL, "weekly", Verdict(Outcome.FIRED, "f.", {}, key="1"), role="cause", job="gone")
        transaction.connection.execute(update(tables.fires).where(tables.fires.c.key == "1").values(job=past.jobs()[0]))
    past.ended()
    past.clock.move(days=100)
    past.prune(days=1)
    assert len(past.jobs()) == 1
    with past.ledger.read() as connection:
        assert looks.record_and_count(connection, MODEL, "weekly", "1")[1]
    with past.ledger.write("daemon") as transaction:
        looks.fire(transaction, MODEL, "weekly", Verdict(Outcome.FIRED, "f.", {}, key="2"), role="skipped", job=None)
    past.prune(days=1)
    with past.ledger.read() as connection:
        assert not looks.record_and_count(connection, MODEL, "weekly", "1")[1]


def test_a_batch_is_small_and_the_next_goes_on(past, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(6):
        past.ended()
    past.clock.move(days=100)
    before = past.clock.now() - timedelta(days=1)
    removed = [past.write(retention.prune_jobs, model=MODEL, before=before) for _ in range(4)]
    assert removed == [2, 2, 1, 0]


def test_looks_go_a_batch_at_a_time(past, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    with past.ledger.write("daemon") as transaction:
        for _ in range(3):
            looks.keep(transaction, MODEL, "t", Verdict(Outcome.QUIET, "q."), "answered quiet", None)
    past.clock.move(days=2)
    with past.ledger.write("daemon") as transaction:
        looks.keep(transaction, MODEL, "t", Verdict(Outcome.QUIET, "q."), "answered quiet", None)
    before = past.clock.now() - timedelta(days=1)
    assert [past.write(retention.prune_looks, before=before) for _ in range(3)] == [2, 1, 0]
    assert len(past.column(tables.looks.c.id)) == 1


def test_what_is_removed_is_told_in_the_same_transaction(past):
    past.ended()
    past.ended()
    past.clock.move(days=100)
    past.prune(days=1)
    with past.ledger.read() as connection:
        told = connection.execute(select(tables.events).where(tables.events.c.event == "retention.pruned")).all()
    assert [(row.model, row.data) for row in told] == [(MODEL, {"jobs": 1})]


# --- events


def prunable(ledger: Ledger, before: datetime) -> list[int]:
    with ledger.read() as connection:
        return [seq for seq, _, _ in retention.prunable_events(connection, before, 1000)]


def head(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.max(tables.events.c.seq))).scalar_one()


def test_events_go_up_to_one_whose_hash_is_kept_and_the_chain_goes_on(past):
    past.ended()
    last = head(past.ledger)
    past.clock.move(days=100)
    past.ended()
    seqs = prunable(past.ledger, past.clock.now() - timedelta(days=50))
    assert seqs == list(range(1, last + 1))
    with past.ledger.read() as connection:
        kept = connection.execute(select(tables.events.c.hash).where(tables.events.c.seq == last)).scalar_one()
    assert past.write(retention.prune_events, through=last) == last
    with past.ledger.read() as connection:
        chain = connection.execute(select(tables.chain)).one()
        rows = connection.execute(select(tables.events).order_by(tables.events.c.seq)).all()
    assert (chain.pruned_seq, chain.pruned_hash) == (last, kept)
    prev = kept
    for row in rows:
        assert row.prev == prev
        assert digest(record_of(dict(row._mapping))) == row.hash
        prev = row.hash
    assert rows[-1].data == {"events": last, "through": last}
    assert past.write(retention.prune_events, through=last) == 0


def test_events_since_an_open_jobs_first_stay(past):
    past.ended()
    before = head(past.ledger)
    past.request()
    past.clock.move(days=100)
    assert prunable(past.ledger, past.clock.now()) == list(range(1, before + 1))


def test_events_that_a_receiver_was_not_told_of_stay(past):
    past.ended()
    with past.ledger.write("daemon") as transaction:
        receivers.register(transaction, "a")
        receivers.register(transaction, "b")
        transaction.connection.execute(update(tables.receivers).where(tables.receivers.c.receiver == "b").values(seq=2))
    past.clock.move(days=100)
    assert prunable(past.ledger, past.clock.now()) == [1, 2]


def test_a_clock_that_was_stepped_back_leaves_no_gap(past):
    past.ended()
    young = head(past.ledger)
    past.clock.move(days=-50)
    past.ended()
    past.clock.move(days=50)
    assert prunable(past.ledger, past.clock.now() - timedelta(days=10)) == []
    assert prunable(past.ledger, past.clock.now() + timedelta(days=10))[-1] > young
