"""The wall clock is set an hour back or forward: nothing dead holds for that hour, and nothing living is lost."""

from datetime import timedelta

import pytest

from retraind.clock import StepWatch
from retraind.config.policy import Breaker
from retraind.errors import FailureKind, LeaseLost
from retraind.ledger import Ledger, jobs, leases, work
from retraind.ledger.leases import LEADER
from retraind.states import JobState, Stage

LEASE = timedelta(seconds=30)
BREAKER = Breaker(after=2, hold="1h", longest="3h")


def requested(ledger: Ledger) -> str:
    with ledger.write("daemon") as transaction:
        job = jobs.request(transaction, "delays", reason="because")
    assert job is not None
    return job


def claim(ledger: Ledger, job: str, owner: str = "worker:a") -> work.Claim | None:
    with ledger.write(owner) as transaction:
        return work.claim(transaction, job, owner, LEASE)


def held(ledger: Ledger, job: str) -> work.Claim:
    found = claim(ledger, job)
    assert found is not None
    return found


def unclaimed(ledger: Ledger, clock) -> list[str]:
    with ledger.read() as connection:
        return [found.id for found in jobs.unclaimed(connection, clock.now(), clock.now() - LEASE)]


def test_a_dead_worker_s_lease_does_not_last_for_the_hour_that_the_clock_was_set_back(ledger, clock):
    job = requested(ledger)
    zombie = held(ledger, job)
    clock.step(hours=-1)
    assert unclaimed(ledger, clock) == [job]
    other = claim(ledger, job, "worker:b")
    assert other is not None
    with pytest.raises(LeaseLost), ledger.write("worker:a") as transaction:
        work.renew(transaction, zombie, LEASE)


def test_a_living_worker_s_next_heartbeat_makes_its_lease_good_again(ledger, clock):
    job = requested(ledger)
    mine = held(ledger, job)
    for step in (-1, 1):
        clock.step(hours=step)
        with ledger.write("worker:a") as transaction:
            work.renew(transaction, mine, LEASE)
        assert unclaimed(ledger, clock) == []
        assert claim(ledger, job, "worker:b") is None


def test_clocks_that_differ_by_seconds_are_not_taken_to_be_stepped(ledger, clock):
    job = requested(ledger)
    held(ledger, job)
    clock.step(seconds=-29)
    assert unclaimed(ledger, clock) == []
    assert claim(ledger, job, "worker:b") is None


def test_a_retry_planned_before_the_clock_was_set_back_is_not_waited_for(ledger, clock):
    job = requested(ledger)
    mine = held(ledger, job)
    with ledger.write("worker:a") as transaction:
        work.begin_stage(transaction, mine, Stage.INGEST)
        retry_at = transaction.now + timedelta(minutes=1)
        work.fail(transaction, mine, Stage.INGEST, "busy", FailureKind.TRANSIENT, retry_at)
        work.release(transaction, mine)
    clock.move(seconds=30)
    assert unclaimed(ledger, clock) == []
    clock.step(hours=-1)
    assert unclaimed(ledger, clock) == [job]
    assert claim(ledger, job) is not None


def test_a_message_published_before_the_clock_was_set_back_is_sent_again(ledger, clock):
    job = requested(ledger)
    with ledger.write("daemon") as transaction:
        jobs.announced(transaction, job)
    assert unclaimed(ledger, clock) == []
    clock.step(hours=-1)
    assert unclaimed(ledger, clock) == [job]


def test_a_job_whose_holder_died_before_the_step_is_cancelled_at_once(ledger, clock):
    job = requested(ledger)
    held(ledger, job)
    clock.step(hours=-1)
    with ledger.write("user:ann") as transaction:
        assert jobs.cancel(transaction, job, BREAKER, "not needed")
    with ledger.read() as connection:
        assert jobs.get(connection, job).state == JobState.CANCELLED


def test_a_dead_leader_s_lease_does_not_last_for_the_hour_either(ledger, clock):
    def acquire(owner: str) -> int | None:
        with ledger.write(owner) as transaction:
            return leases.acquire(transaction, LEADER, owner, LEASE)

    assert acquire("daemon:a:1") == 1
    assert acquire("daemon:b:2") is None
    clock.step(hours=-1)
    with ledger.read() as connection:
        assert leases.is_free(connection, LEADER, clock.now(), LEASE)
    assert acquire("daemon:b:2") == 2
    with pytest.raises(LeaseLost), ledger.write("daemon:a:1") as transaction:
        leases.renew(transaction, LEADER, 1, LEASE)


def test_a_living_leader_goes_on_through_a_step(ledger, clock):
    with ledger.write("daemon:a:1") as transaction:
        token = leases.acquire(transaction, LEADER, "daemon:a:1", LEASE)
    for hours in (-1, 1):
        clock.step(hours=hours)
        with ledger.write("daemon:a:1") as transaction:
            leases.renew(transaction, LEADER, token, LEASE)
        with ledger.write("daemon:b:2") as transaction:
            assert leases.acquire(transaction, LEADER, "daemon:b:2", LEASE) is None


def test_events_stand_in_their_order_and_stages_in_theirs_whatever_the_clock_said(ledger, clock):
    job = requested(ledger)
    for stage in (Stage.INGEST, Stage.VALIDATE):
        mine = held(ledger, job)
        with ledger.write("worker:a") as transaction:
            work.begin_stage(transaction, mine, stage)
            work.succeed(transaction, mine, stage, {})
            work.release(transaction, mine)
        clock.step(hours=-1)
    with ledger.read() as connection:
        assert [row.stage for row in work.stages_of(connection, job)] == ["ingest", "validate"]


def test_a_late_worker_of_an_ended_job_deploys_nothing_over_a_newer_one(ledger, clock):
    """The zombie's transaction is the only way: one model has one open job, and the fence stands before the write."""
    from retraind.ledger import models

    old = requested(ledger)
    zombie = held(ledger, old)
    clock.move(seconds=31)
    successor = claim(ledger, old, "worker:b")
    assert successor is not None
    with ledger.write("worker:b") as transaction:
        models.deploy(transaction, "delays", "1", old)
        jobs.close(transaction, work.hold(transaction, successor), JobState.DEPLOYED, BREAKER)
    clock.move(seconds=1)
    newer = requested(ledger)
    mine = held(ledger, newer)
    with ledger.write("worker:a") as transaction:
        work.hold(transaction, mine)
        models.deploy(transaction, "delays", "2", newer)
    with pytest.raises(LeaseLost), ledger.write("worker:a") as transaction:
        models.deploy(work.hold(transaction, zombie) and transaction, "delays", "1", old)
    with ledger.read() as connection:
        assert models.last_deployment(connection, "delays").version == "2"


def test_a_step_is_noticed_once_and_the_clock_is_steady_again_after_a_while(clock):
    watch = StepWatch(clock)
    clock.move(hours=5)
    assert (watch.look(), watch.steady_for(30)) == (0.0, True)
    clock.step(hours=-1)
    assert (watch.look(), watch.look()) == (-3600.0, 0.0)
    clock.move(seconds=29)
    assert not watch.steady_for(30)
    clock.move(seconds=1)
    assert watch.steady_for(30)
