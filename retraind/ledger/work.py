"""A worker's side of a job: claim it, do its stages, and commit nothing once the lease is lost.

Every write here carries the fencing token in the statement that writes: a worker whose lease was
taken changes no row and is told so by LeaseLost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from retraind import identity
from retraind.errors import FailureKind, LeaseLost
from retraind.instants import holds
from retraind.ledger import tables
from retraind.ledger.ledger import Ledger, Transaction
from retraind.ledger.rows import Job, Version, insert_if_absent, upsert
from retraind.states import CLAIMABLE_STATES, STAGES, JobState, Stage

_jobs = tables.jobs
_stages = tables.stages
# Made once: see `retraind.ledger.rows`.
_LOCK = select(_jobs).where(_jobs.c.id == bindparam("of")).with_for_update()
_DONE = select(_stages).where(_stages.c.job == bindparam("of"), _stages.c.state == "succeeded")
_HOLD = (
    update(_jobs)
    .where(
        _jobs.c.id == bindparam("of"),
        _jobs.c.lease_token == bindparam("held"),
        _jobs.c.lease_owner == bindparam("holder"),
    )
    .returning(_jobs)
)
_TAKE = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("of"), _jobs.c.lease_token == bindparam("seen"))
    .values(lease_token=_jobs.c.lease_token + 1)
    .returning(_jobs)
)
_ATTEMPT = select(_stages.c.attempt).where(_stages.c.job == bindparam("of"), _stages.c.stage == bindparam("named"))
_END_STAGE = (
    update(_stages)
    .where(_stages.c.job == bindparam("of"), _stages.c.stage == bindparam("named"))
    .returning(_stages.c.started_at)
)


@dataclass(frozen=True)
class Claim:
    """A job held under a lease. `done` maps each finished stage to its result; `next` is None when all are done."""

    job: Job
    owner: str
    token: int
    done: Mapping[Stage, Mapping[str, Any]]

    @property
    def worker(self) -> str:
        """The owner's name, for people."""
        return identity.name_of(self.owner)

    @property
    def next(self) -> Stage | None:
        return next((stage for stage in STAGES if stage not in self.done), None)


def claim(transaction: Transaction, job_id: str, owner: str, lease: timedelta) -> Claim | None:
    """Takes the job. None when there is nothing to take: unknown, ended, held by a live lease, or waiting."""
    row = transaction.connection.execute(_LOCK, {"of": job_id}).one_or_none()
    if row is None or not _may_be_claimed(row, transaction.now):
        return None
    state = row.state if row.state == JobState.DEPLOYING else JobState.RUNNING
    values = {
        "state": state,
        "lease_owner": owner,
        "lease_until": transaction.now + lease,
        "updated_at": transaction.now,
    }
    taken = transaction.connection.execute(_TAKE, {"of": job_id, "seen": row.lease_token, **values}).one_or_none()
    if taken is None:
        return None
    job = Job.of(taken)
    if row.lease_owner is not None:
        data = {"worker": identity.name_of(owner), "lost": identity.name_of(row.lease_owner)}
        transaction.event("job.recovered", model=job.model, job=job.id, data=data)
    elif row.state in {JobState.REQUESTED, JobState.QUEUED}:
        transaction.event("job.started", model=job.model, job=job.id, data={"worker": identity.name_of(owner)})
    return Claim(job, owner, job.lease_token, done_stages(transaction.connection, job_id))


def _may_be_claimed(row: Any, now: datetime) -> bool:
    waits = holds(row.lease_until, row.updated_at, now) or holds(row.not_before, row.updated_at, now)
    return row.state in CLAIMABLE_STATES and not waits


def done_stages(connection: Connection, job_id: str) -> dict[Stage, Mapping[str, Any]]:
    return {Stage(row.stage): row.result or {} for row in connection.execute(_DONE, {"of": job_id})}


def stages_of(connection: Connection, job_id: str) -> list[Any]:
    """The job's stage rows in the order of their beginning."""
    rows = connection.execute(select(_stages).where(_stages.c.job == job_id))
    return sorted(rows, key=lambda row: STAGES.index(Stage(row.stage)))  # not by time, which may be stepped back


def hold(transaction: Transaction, held: Claim, **values: Any) -> Job:
    """Sets columns of the job under its lease, and returns it as it is now. Raises LeaseLost."""
    under = {"of": held.job.id, "held": held.token, "holder": held.owner}
    row = transaction.connection.execute(_HOLD, {"updated_at": transaction.now, **values, **under}).one_or_none()
    if row is None:
        raise LeaseLost(f"the lease on job {held.job.id} was taken from {held.worker}; it commits nothing more")
    return Job.of(row)


def renew(transaction: Transaction, held: Claim, lease: timedelta) -> Job:
    """A heartbeat. Raises LeaseLost."""
    return hold(transaction, held, lease_until=transaction.now + lease)


def release(transaction: Transaction, held: Claim, **values: Any) -> None:
    """Gives the lease back; the next stage is another message. Raises LeaseLost."""
    hold(transaction, held, lease_owner=None, lease_until=None, published_at=None, publications=0, **values)


def orphans(connection: Connection, now: datetime) -> list[Job]:
    """Jobs whose lease is live and whose holder is known to be gone: it died on this machine."""
    query = select(_jobs).where(
        _jobs.c.state.in_(CLAIMABLE_STATES), _jobs.c.lease_owner.is_not(None), _jobs.c.lease_until > now
    )
    return [Job.of(row) for row in connection.execute(query) if identity.is_gone(row.lease_owner)]


def end_lease(transaction: Transaction, job: Job) -> bool:
    """Ends the lease of a dead holder now. Whoever claims the job next is told whom it follows.

    False when the job is not under that very lease any more.
    """
    state = JobState.QUEUED if job.state == JobState.RUNNING else job.state
    ended = transaction.connection.execute(
        update(_jobs)
        .where(_jobs.c.id == job.id, _jobs.c.lease_token == job.lease_token, _jobs.c.lease_owner == job.lease_owner)
        .values(
            state=state,
            lease_until=transaction.now,
            published_at=None,
            publications=0,
            updated_at=transaction.now,
        )
    ).rowcount
    if ended:
        transaction.connection.execute(
            update(_stages)
            .where(_stages.c.job == job.id, _stages.c.state == "running")
            .values(state="interrupted", ended_at=transaction.now)
        )
    return ended > 0


def take_from_dead(ledger: Ledger, actor: str) -> list[str]:
    """Ends every lease whose holder died on this machine. The ids of the jobs that are free now."""
    with ledger.read() as connection:
        found = orphans(connection, ledger.clock.now())
    if not found:
        return []
    with ledger.write(actor) as transaction:
        return [job.id for job in found if end_lease(transaction, job)]


def begin_stage(transaction: Transaction, held: Claim, stage: Stage) -> int:
    """Records the beginning of an attempt and returns its number, from 1. Raises LeaseLost."""
    hold(transaction, held, not_before=None)
    key = {"job": held.job.id, "stage": stage}
    attempt = attempt_of(transaction.connection, held.job.id, stage) + 1
    values = {
        "state": "running",
        "attempt": attempt,
        "worker": held.worker,
        "started_at": transaction.now,
        "ended_at": None,
        "result": None,
        "error": None,
    }
    upsert(transaction, _stages, key, values)
    data = {"stage": stage, "attempt": attempt, "worker": held.worker}
    transaction.event("stage.started", model=held.job.model, job=held.job.id, data=data)
    return attempt


def attempt_of(connection: Connection, job_id: str, stage: Stage) -> int:
    """How many attempts at the stage were begun and not handed over; 0 before the first."""
    return connection.execute(_ATTEMPT, {"of": job_id, "named": stage}).scalar() or 0


def succeed(transaction: Transaction, held: Claim, stage: Stage, result: Mapping[str, Any], **values: Any) -> Job:
    """Commits a stage's result, and what it says of the job. Raises LeaseLost."""
    job = hold(transaction, held, **values)
    started = _end_stage(transaction, held, stage, state="succeeded", result=dict(result))
    seconds = (transaction.now - started).total_seconds()
    data = {"stage": stage, "seconds": seconds, "result": result}
    transaction.event("stage.succeeded", model=job.model, job=job.id, data=data)
    return job


def fail(
    transaction: Transaction, held: Claim, stage: Stage, error: str, kind: FailureKind, retry_at: datetime | None
) -> Job:
    """Commits a stage's failure; with `retry_at` the job waits until then and is tried again. Raises LeaseLost."""
    job = hold(transaction, held, not_before=retry_at)
    _end_stage(transaction, held, stage, state="failed", error=error)
    data = {"stage": stage, "kind": kind, "error": error, "retry_at": retry_at}
    transaction.event("stage.failed", model=job.model, job=job.id, data=data)
    return job


def hand_over(transaction: Transaction, held: Claim, stage: Stage) -> None:
    """Gives the job back unfinished, because this worker was asked to stop; the attempt does not count."""
    release(transaction, held)
    transaction.connection.execute(
        update(_stages)
        .where(_stages.c.job == held.job.id, _stages.c.stage == stage)
        .values(state="interrupted", ended_at=transaction.now, attempt=_stages.c.attempt - 1)
    )
    transaction.event("job.interrupted", model=held.job.model, job=held.job.id, data={"stage": stage})


def record_version(transaction: Transaction, held: Claim, version: Version) -> None:
    """Records a registered model version, once per job. Raises LeaseLost."""
    hold(transaction, held, version=version.version)
    fresh = insert_if_absent(transaction, tables.versions, vars(version))
    if fresh:
        data = {"version": version.version, "uri": version.uri, "metrics": version.metrics}
        transaction.event("model.registered", model=version.model, job=version.job, data=data)


def _end_stage(transaction: Transaction, held: Claim, stage: Stage, **values: Any) -> datetime:
    ended = {"of": held.job.id, "named": stage, "ended_at": transaction.now, **values}
    started: datetime = transaction.connection.execute(_END_STAGE, ended).scalar_one()
    return started
