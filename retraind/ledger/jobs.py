"""A job's beginning and end: requested, announced, approved or cancelled, closed.

What a worker does between is in `retraind.ledger.work`. Every function takes part in a transaction
that the caller opens and commits.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from retraind.config.policy import Breaker
from retraind.errors import Conflict
from retraind.instants import AGREE, holds
from retraind.ledger import tables
from retraind.ledger.ledger import Transaction
from retraind.ledger.models import count_fruitful, count_fruitless
from retraind.ledger.rows import Job, insert_if_absent
from retraind.states import CLAIMABLE_STATES, OPEN_STATES, JobState

_jobs = tables.jobs
# Made once: see `retraind.ledger.rows`.
_GET = select(_jobs).where(_jobs.c.id == bindparam("of"))
_OPEN = select(_jobs).where(_jobs.c.model == bindparam("of"), tables.is_open)
_LAST_CLOSED = (
    select(_jobs.c.closed_at)
    .where(_jobs.c.model == bindparam("of"), _jobs.c.closed_at.is_not(None))
    .order_by(_jobs.c.closed_at.desc())
    .limit(1)
)
_REQUESTED_SINCE = (
    select(_jobs.c.requested_at)
    .where(_jobs.c.model == bindparam("of"), _jobs.c.requested_at > bindparam("since"))
    .order_by(_jobs.c.requested_at)
)
_ANNOUNCED = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("of"), tables.is_open)
    .values(publications=_jobs.c.publications + 1)
    .returning(_jobs.c.model, _jobs.c.state)
)
# A job that ended so has trained and been judged: another on the same data by the same recipe would repeat it.
TWIN_STATES = frozenset({JobState.DEPLOYED, JobState.GATE_FAILED, JobState.REJECTED, JobState.EXPIRED})


def request(
    transaction: Transaction, model: str, *, reason: str, causes: Sequence[dict[str, Any]] = (), forced: bool = False
) -> str | None:
    """Decides a retraining. Returns the job's id, or None when the model has an open job already.

    `causes` are the firings that led to it, as {trigger, sentence, numbers}; `reason` is one sentence.
    """
    job = f"{transaction.now:%y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    values = {
        "id": job,
        "model": model,
        "state": JobState.REQUESTED,
        "actor": transaction.actor,
        "reason": reason,
        "requested_at": transaction.now,
        "updated_at": transaction.now,
        "forced": forced,
    }
    if not insert_if_absent(transaction, _jobs, values):
        return None
    data = {"reason": reason, "triggers": list(causes), "forced": forced}
    transaction.event("job.requested", model=model, job=job, data=data)
    return job


def get(connection: Connection, job: str) -> Job | None:
    row = connection.execute(_GET, {"of": job}).one_or_none()
    return None if row is None else Job.of(row)


def open_job(connection: Connection, model: str) -> Job | None:
    """The model's one open job; None when there is none."""
    row = connection.execute(_OPEN, {"of": model}).one_or_none()
    return None if row is None else Job.of(row)


def latest(connection: Connection, model: str | None = None, limit: int = 50) -> list[Job]:
    """The newest jobs, newest first; of all models where `model` is None."""
    query = select(_jobs).order_by(_jobs.c.requested_at.desc(), _jobs.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(_jobs.c.model == model)
    return [Job.of(row) for row in connection.execute(query)]


def known(connection: Connection, model: str) -> list[str]:
    """The ids of all jobs that the model ever had."""
    return list(connection.execute(select(_jobs.c.id).where(_jobs.c.model == model)).scalars())


def ended(connection: Connection, model: str) -> frozenset[str]:
    """The ids of the model's jobs that are over."""
    query = select(_jobs.c.id).where(_jobs.c.model == model, _jobs.c.state.not_in(OPEN_STATES))
    return frozenset(connection.execute(query).scalars())


def deploying(connection: Connection) -> frozenset[str]:
    """The models that a job is being deployed of right now."""
    return frozenset(connection.execute(select(_jobs.c.model).where(_jobs.c.state == JobState.DEPLOYING)).scalars())


def causes(connection: Connection, job: str) -> list[dict[str, Any]]:
    """The firings recorded with a job, oldest first: {trigger, role, at, sentence, numbers}."""
    fires = tables.fires
    rows = connection.execute(select(fires).where(fires.c.job == job).order_by(fires.c.id))
    return [
        {"trigger": row.trigger, "role": row.role, "at": row.at, "sentence": row.sentence, "numbers": row.numbers}
        for row in rows
    ]


def unclaimed(connection: Connection, now: datetime, announced_before: datetime) -> list[Job]:
    """Jobs that somebody should be working on and nobody is: to be announced (again).

    Never announced, or not since `announced_before` (nor at an instant that is yet to come: the clock was stepped
    back); without a live lease; not waiting for a retry.
    """
    void = _jobs.c.updated_at > now + AGREE  # see `retraind.instants.is_void`
    query = select(_jobs).where(
        _jobs.c.state.in_(CLAIMABLE_STATES),
        or_(_jobs.c.lease_until.is_(None), _jobs.c.lease_until <= now, void),
        or_(_jobs.c.not_before.is_(None), _jobs.c.not_before <= now, void),
        or_(_jobs.c.published_at.is_(None), _jobs.c.published_at <= announced_before, _jobs.c.published_at > now),
    )
    return [Job.of(row) for row in connection.execute(query.order_by(_jobs.c.requested_at))]


def announced(transaction: Transaction, job: str) -> None:
    """Records that a message for the job was published."""
    row = transaction.connection.execute(_ANNOUNCED, {"of": job, "published_at": transaction.now}).one_or_none()
    if row is not None and row.state == JobState.REQUESTED:
        moved = transaction.connection.execute(
            update(_jobs)
            .where(_jobs.c.id == job, _jobs.c.state == JobState.REQUESTED)
            .values(state=JobState.QUEUED, updated_at=transaction.now)
        )
        if moved.rowcount:
            transaction.event("job.queued", model=row.model, job=job, data={})


def cancel(transaction: Transaction, job_id: str, breaker: Breaker, reason: str) -> bool:
    """Cancels an open job. True when it has ended; False when a worker holds it and will end it at the next step.

    Raises Conflict for a job that has ended or is being deployed.
    """
    job = _for_change(transaction, job_id)
    if not job.is_open:
        raise Conflict(f"job {job.id} has ended already, as {job.state}; there is nothing to cancel")
    if job.state == JobState.DEPLOYING:
        raise Conflict(f"job {job.id} is being deployed; use `retraind rollback {job.model}` afterwards")
    _set(transaction, job.id, cancelled_by=transaction.actor)
    if holds(job.lease_until, job.updated_at, transaction.now):
        return False
    close(transaction, job, JobState.CANCELLED, breaker, error=reason)
    return True


def approve(transaction: Transaction, job_id: str) -> Job:
    """A person lets the challenger be deployed. Raises Conflict unless the job awaits approval."""
    job = _awaiting(transaction, job_id, "approve")
    _set(transaction, job.id, state=JobState.DEPLOYING, approved_by=transaction.actor, published_at=None)
    transaction.event("job.approved", model=job.model, job=job.id, data={"version": job.version})
    return job


def reject(transaction: Transaction, job_id: str, breaker: Breaker, reason: str) -> Job:
    """A person refuses the challenger. Raises Conflict unless the job awaits approval."""
    job = _awaiting(transaction, job_id, "reject")
    close(transaction, job, JobState.REJECTED, breaker, error=reason)
    return job


def overdue_approvals(connection: Connection, now: datetime) -> list[Job]:
    query = select(_jobs).where(_jobs.c.state == JobState.AWAITING_APPROVAL, _jobs.c.approval_expires_at <= now)
    return [Job.of(row) for row in connection.execute(query)]


def close(transaction: Transaction, job: Job, outcome: JobState, breaker: Breaker, *, error: str | None = None) -> None:
    """Ends the job as `outcome`, feeds the breaker, and writes the event that alone tells how it went."""
    _set(
        transaction,
        job.id,
        state=outcome,
        closed_at=transaction.now,
        lease_owner=None,
        lease_until=None,
        not_before=None,
        error=error,
    )
    transaction.event(
        "job.closed",
        model=job.model,
        job=job.id,
        data={
            "outcome": outcome,
            "success": outcome is JobState.DEPLOYED,
            "trigger": [cause["trigger"] for cause in causes(transaction.connection, job.id)],
            "reason": job.reason,
            "requested_by": job.actor,
            "approved_by": job.approved_by,
            "version": job.version,
            "metrics": job.metrics,
            "error": error,
            "seconds": (transaction.now - job.requested_at).total_seconds(),
        },
    )
    if outcome is JobState.DEPLOYED:
        count_fruitful(transaction, job.model, job.id)
    elif outcome is not JobState.CANCELLED:
        count_fruitless(transaction, job.model, job.id, breaker)


def last_closed_at(connection: Connection, model: str) -> datetime | None:
    closed_at: datetime | None = connection.execute(_LAST_CLOSED, {"of": model}).scalar()
    return closed_at


def requested_since(connection: Connection, model: str, since: datetime) -> list[datetime]:
    """When the model's jobs since `since` were requested, oldest first."""
    return list(connection.execute(_REQUESTED_SINCE, {"of": model, "since": since}).scalars())


def twin(connection: Connection, job: Job, data_hash: str, recipe_hash: str) -> Job | None:
    """An earlier job of the same model that trained on the same data with the same recipe; None: there is none."""
    query = select(_jobs).where(
        _jobs.c.model == job.model,
        _jobs.c.id != job.id,
        _jobs.c.data_hash == data_hash,
        _jobs.c.recipe_hash == recipe_hash,
        _jobs.c.state.in_(TWIN_STATES),
    )
    row = connection.execute(query.order_by(_jobs.c.requested_at.desc()).limit(1)).one_or_none()
    return None if row is None else Job.of(row)


def _for_change(transaction: Transaction, job_id: str) -> Job:
    row = transaction.connection.execute(select(_jobs).where(_jobs.c.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise Conflict(f"there is no job {job_id!r}; `retraind jobs` lists them")
    return Job.of(row)


def _awaiting(transaction: Transaction, job_id: str, verb: str) -> Job:
    job = _for_change(transaction, job_id)
    if job.state != JobState.AWAITING_APPROVAL:
        raise Conflict(f"job {job.id} is {job.state}, not awaiting approval; there is nothing to {verb}")
    if job.approval_expires_at is not None and job.approval_expires_at <= transaction.now:
        raise Conflict(f"the approval of job {job.id} expired; start a new one with `retraind trigger {job.model}`")
    return job


def _set(transaction: Transaction, job: str, **values: Any) -> None:
    transaction.connection.execute(update(_jobs).where(_jobs.c.id == job).values(updated_at=transaction.now, **values))


def retry_delay(attempt: int, first: timedelta, jitter: float) -> timedelta:
    """The wait after the failed `attempt` (1, 2, ...): doubles each time, times 1 + `jitter` in [0, 1)."""
    return first * (1 << (attempt - 1)) * (1 + jitter)
