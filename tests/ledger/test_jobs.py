"""A job's life in the ledger: one open job per model, leases that fence, ends that are final."""

from datetime import timedelta

import pytest

from retraind.config.policy import Breaker
from retraind.errors import Conflict, FailureKind, LeaseLost
from retraind.ledger import Ledger, jobs, models, tables, work
from retraind.states import JobState, Stage

LEASE = timedelta(seconds=30)
BREAKER = Breaker(after=2, hold="1h", longest="3h")


def requested(ledger: Ledger, model: str = "delays") -> str:
    with ledger.write("daemon") as transaction:
        job = jobs.request(transaction, model, reason="because")
    assert job is not None
    return job


def claimed(ledger: Ledger, job: str, owner: str = "worker:a") -> work.Claim:
    with ledger.write(owner) as transaction:
        held = work.claim(transaction, job, owner, LEASE)
    assert held is not None
    return held


def state_of(ledger: Ledger, job: str) -> str:
    with ledger.read() as connection:
        found = jobs.get(connection, job)
    assert found is not None
    return found.state


def event_names(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return [row.event for row in connection.execute(tables.events.select().order_by(tables.events.c.seq))]


def test_a_model_has_at_most_one_open_job(ledger):
    requested(ledger)
    with ledger.write("daemon") as transaction:
        assert jobs.request(transaction, "delays", reason="again") is None
        assert jobs.request(transaction, "fraud", reason="another model") is not None


def test_a_closed_job_makes_room_for_the_next(ledger):
    held = claimed(ledger, requested(ledger))
    with ledger.write("worker:a") as transaction:
        jobs.close(transaction, held.job, JobState.SKIPPED, BREAKER)
    assert state_of(ledger, requested(ledger)) == JobState.REQUESTED


def test_a_doubled_message_finds_the_job_held(ledger, clock):
    job = requested(ledger)
    claimed(ledger, job)
    clock.move(seconds=29)
    with ledger.write("worker:b") as transaction:
        assert work.claim(transaction, job, "worker:b", LEASE) is None


def test_a_forged_message_claims_nothing(ledger):
    with ledger.write("worker:a") as transaction:
        assert work.claim(transaction, "no-such-job", "worker:a", LEASE) is None


def test_a_lease_that_ran_out_is_taken_over_and_said_so(ledger, clock):
    job = requested(ledger)
    first = claimed(ledger, job)
    clock.move(seconds=30)
    second = claimed(ledger, job, "worker:b")
    assert second.token == first.token + 1
    assert event_names(ledger)[-1] == "job.recovered"


def test_a_worker_whose_lease_was_taken_commits_nothing(ledger, clock):
    job = requested(ledger)
    zombie = claimed(ledger, job)
    with ledger.write("worker:a") as transaction:
        work.begin_stage(transaction, zombie, Stage.INGEST)
    clock.move(seconds=31)
    claimed(ledger, job, "worker:b")
    before = event_names(ledger)
    with pytest.raises(LeaseLost), ledger.write("worker:a") as transaction:
        work.succeed(transaction, zombie, Stage.INGEST, {"rows": 1})
    with pytest.raises(LeaseLost), ledger.write("worker:a") as transaction:
        work.fail(transaction, zombie, Stage.INGEST, "late", FailureKind.DATA, None)
    with pytest.raises(LeaseLost), ledger.write("worker:a") as transaction:
        work.renew(transaction, zombie, LEASE)
    assert event_names(ledger) == before
    with ledger.read() as connection:
        assert work.done_stages(connection, job) == {}


def test_a_takeover_goes_on_after_the_last_finished_stage(ledger, clock):
    job = requested(ledger)
    first = claimed(ledger, job)
    with ledger.write("worker:a") as transaction:
        work.begin_stage(transaction, first, Stage.INGEST)
        work.succeed(transaction, first, Stage.INGEST, {"rows": 7})
    clock.move(seconds=31)
    second = claimed(ledger, job, "worker:b")
    assert second.next is Stage.VALIDATE
    assert second.done[Stage.INGEST] == {"rows": 7}


def test_a_failed_attempt_waits_for_its_retry(ledger, clock):
    job = requested(ledger)
    held = claimed(ledger, job)
    retry_at = clock.now() + timedelta(seconds=10)
    with ledger.write("worker:a") as transaction:
        work.begin_stage(transaction, held, Stage.INGEST)
        work.fail(transaction, held, Stage.INGEST, "the broker was away", FailureKind.TRANSIENT, retry_at)
        work.release(transaction, held)
    clock.move(seconds=9)
    with ledger.write("worker:b") as transaction:
        assert work.claim(transaction, job, "worker:b", LEASE) is None
    with ledger.read() as connection:
        assert jobs.unclaimed(connection, clock.now(), clock.now()) == []
    clock.move(seconds=1)
    with ledger.read() as connection:
        assert [found.id for found in jobs.unclaimed(connection, clock.now(), clock.now())] == [job]
    again = claimed(ledger, job, "worker:b")
    with ledger.write("worker:b") as transaction:
        assert work.begin_stage(transaction, again, Stage.INGEST) == 2


def test_a_stage_handed_over_does_not_count_as_an_attempt(ledger):
    job = requested(ledger)
    held = claimed(ledger, job)
    with ledger.write("worker:a") as transaction:
        work.begin_stage(transaction, held, Stage.INGEST)
        work.hand_over(transaction, held, Stage.INGEST)
    again = claimed(ledger, job, "worker:b")
    with ledger.write("worker:b") as transaction:
        assert work.begin_stage(transaction, again, Stage.INGEST) == 1


def test_announcing_moves_a_requested_job_to_queued_and_counts(ledger):
    job = requested(ledger)
    for _ in range(2):
        with ledger.write("daemon") as transaction:
            jobs.announced(transaction, job)
    with ledger.read() as connection:
        found = jobs.get(connection, job)
    assert found is not None
    assert (found.state, found.publications) == (JobState.QUEUED, 2)
    assert event_names(ledger).count("job.queued") == 1


def test_cancelling_an_unclaimed_job_ends_it_at_once(ledger):
    job = requested(ledger)
    with ledger.write("user:ops") as transaction:
        assert jobs.cancel(transaction, job, BREAKER, "not now") is True
    assert state_of(ledger, job) == JobState.CANCELLED


def test_cancelling_a_held_job_is_left_to_its_worker(ledger):
    job = requested(ledger)
    held = claimed(ledger, job)
    with ledger.write("user:ops") as transaction:
        assert jobs.cancel(transaction, job, BREAKER, "not now") is False
    with ledger.write("worker:a") as transaction:
        assert work.renew(transaction, held, LEASE).cancelled_by == "user:ops"


def test_cancelling_an_ended_job_is_refused(ledger):
    job = requested(ledger)
    with ledger.write("user:ops") as transaction:
        jobs.cancel(transaction, job, BREAKER, "not now")
    with pytest.raises(Conflict, match="has ended already, as cancelled"), ledger.write("user:ops") as transaction:
        jobs.cancel(transaction, job, BREAKER, "again")


def test_approval_is_refused_for_a_job_that_does_not_await_it(ledger):
    job = requested(ledger)
    with pytest.raises(Conflict, match="not awaiting approval"), ledger.write("user:ops") as transaction:
        jobs.approve(transaction, job)


def test_an_approval_that_expired_is_refused(ledger, clock):
    job = requested(ledger)
    held = claimed(ledger, job)
    with ledger.write("worker:a") as transaction:
        expires = transaction.now + timedelta(hours=1)
        work.release(transaction, held, state=JobState.AWAITING_APPROVAL, approval_expires_at=expires)
    clock.move(hours=1)
    with pytest.raises(Conflict, match="expired"), ledger.write("user:ops") as transaction:
        jobs.approve(transaction, job)


def test_the_breaker_opens_after_fruitless_jobs_and_holds_longer_each_time(ledger, clock):
    holds = []
    for _ in range(5):
        held = claimed(ledger, requested(ledger))
        with ledger.write("worker:a") as transaction:
            jobs.close(transaction, held.job, JobState.GATE_FAILED, BREAKER)
        with ledger.read() as connection:
            until = models.standing(connection, "delays").hold_until
        holds.append((until - clock.now()).total_seconds() / 3600 if until else None)
    assert holds == [None, 1, 2, 3, 3]


@pytest.mark.parametrize("fruitless_jobs", [4, 40, 4000])
def test_the_breaker_never_holds_longer_than_the_longest(fruitless_jobs):
    assert models.hold_off(Breaker(hold="1d", longest="14d", after=1), fruitless_jobs) <= timedelta(days=14)
    assert models.hold_off(Breaker(hold="1d", longest="14d", after=1), 4) == timedelta(days=8)


def test_a_deployment_closes_the_breaker(ledger):
    for outcome in (JobState.FAILED, JobState.FAILED, JobState.DEPLOYED):
        held = claimed(ledger, requested(ledger))
        with ledger.write("worker:a") as transaction:
            jobs.close(transaction, held.job, outcome, BREAKER)
    with ledger.read() as connection:
        row = models.standing(connection, "delays")
    assert (row.fruitless_jobs, row.hold_until) == (0, None)
    assert event_names(ledger)[-1] == "breaker.closed"


def test_a_cancelled_job_does_not_count_against_the_model(ledger):
    for _ in range(3):
        job = requested(ledger)
        with ledger.write("user:ops") as transaction:
            jobs.cancel(transaction, job, BREAKER, "no")
    with ledger.read() as connection:
        row = models.standing(connection, "delays")
    assert row is None or row.hold_until is None


def test_retry_delays_double_and_are_spread():
    first = timedelta(seconds=10)
    assert [jobs.retry_delay(attempt, first, 0.0).total_seconds() for attempt in (1, 2, 3)] == [10, 20, 40]
    assert jobs.retry_delay(1, first, 0.5).total_seconds() == 15
