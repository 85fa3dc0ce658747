"""Advances a job by one stage: what every stage's Celery task does.

A message is only a wake-up. The steps, each safe to die after:

1. Ask the ledger whether this stage is the job's next; if not, the message is old: do nothing.
2. Claim the job, and record the attempt, in one transaction.
3. Run the stage under a heartbeat. What it leaves outside the ledger is idempotent.
4. Commit the result, its events and what it means for the job, in one transaction that carries the
   fencing token.
5. Announce the next stage. If that is lost, the reconciler does it.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from retraind import faults
from retraind.config.policy import Approval, Policy
from retraind.errors import (
    BrokerUnreachable,
    FailureKind,
    Interrupted,
    LeaseLost,
    LedgerAbsent,
    LedgerError,
    RetraindError,
    StageError,
    TransientFailure,
    UnknownFailure,
)
from retraind.ledger import jobs, models, work
from retraind.ledger.ledger import Transaction
from retraind.ledger.rows import Job
from retraind.ledger.work import Claim
from retraind.outage import Backoff
from retraind.redaction import redact
from retraind.states import CLAIMABLE_STATES, STAGES, JobState, Stage
from workers.context import StageContext, StageResult
from workers.lifeline import Lifeline
from workers.refusals import refuse
from workers.session import STOPPING, Session
from workers.stages import RUN
from workers.sweeping import sweep_host, sweep_job
from workers.tidying import tidy

_log = structlog.get_logger(__name__)
T = TypeVar("T")
PATIENCE_SECONDS = 600.0  # with a ledger that takes no result
MOST_CHARACTERS = 2000  # of an error in the ledger; a library may put a whole table into its message


def advance(session: Session, job_id: str, stage: Stage) -> None:
    """Runs `stage` of the job if it is the next; does nothing for a message that is old, doubled or forged."""
    try:
        claimed = _claim(session, job_id, stage)
    except LedgerAbsent as error:
        _log.info("claim_failed", job=job_id, stage=str(stage), error=str(error))  # it is announced again
        return
    if claimed is None:
        return
    held, attempt = claimed
    policy = _policy(session, held)
    log = _log.bind(job=job_id, model=held.job.model, stage=str(stage))
    lease = session.settings.lease
    line = Lifeline(
        lambda: _renew(session, held, lease.length),
        session.clock,
        heartbeat_seconds=lease.heartbeat.total_seconds(),
        lease_seconds=lease.length.total_seconds(),
    )
    try:
        with line:
            outcome = _run(session, held, stage, attempt, line)
        if isinstance(outcome, StageResult):
            following = _patiently(partial(_commit, session, held, stage, outcome, policy))
        else:
            _patiently(partial(_commit_failure, session, held, stage, outcome, policy))
    except LeaseLost as error:
        log.warning("stage_abandoned", reason=str(error))
        return
    except LedgerError as error:
        log.warning("stage_uncommitted", error=str(error))  # the lease runs out and the stage is taken up again
        return
    if not isinstance(outcome, StageResult):
        _announce(partial(session.queue.announce, job_id, session.name), job_id)
    elif following is not None:
        _announce(partial(session.queue.announce_stage, held.job, following, session.name), job_id)
    if not isinstance(outcome, StageResult) or outcome.closes is not None:
        _tidy(session, held.job)


def _patiently(commit: Callable[[], T]) -> T:
    """Commits what is done, again and again while the ledger is absent: it need not be done twice.

    The lease may run out meanwhile; then whoever takes the job takes it by another token. Raises LeaseLost, and
    LedgerAbsent when the worker is to stop or its patience ends.
    """
    backoff = Backoff(longest=5.0)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return commit()
        except LedgerAbsent:
            if time.monotonic() > deadline or STOPPING.wait(backoff.next()):
                raise


def _announce(publish: Callable[[], None], job_id: str) -> None:
    """Wakes a worker for the job's next stage; a broker that does not answer is left to the reconciler."""
    try:
        publish()
    except (BrokerUnreachable, LedgerError) as error:
        _log.info("announce_failed", job=job_id, error=str(error))


def _tidy(session: Session, done: Job) -> None:
    """Frees the disk; a file that cannot be removed now goes another time."""
    try:
        sweep_job(session, done.id)
        tidy(session, done.model)
    except (OSError, LedgerError) as error:
        _log.warning("tidying_failed", model=done.model, error=str(error))


def _claim(session: Session, job_id: str, stage: Stage) -> tuple[Claim, int] | None:
    """Steps 1 and 2: the claim, and which attempt at the stage begins, from 1. None: there is nothing to do."""
    with session.ledger.read() as connection:
        job = jobs.get(connection, job_id)
        done = work.done_stages(connection, job_id)
    if job is None:
        refuse("there is no such job")
        return None
    # Asked before the claim, which writes: a message that is old, doubled or forged costs one read.
    if job.state not in CLAIMABLE_STATES or next((each for each in STAGES if each not in done), None) is not stage:
        _log.debug("message_ignored", job=job_id, stage=str(stage), state=job.state)
        return None
    with session.ledger.write(session.name) as transaction:
        held = work.claim(transaction, job_id, session.owner, session.settings.lease.length)
        if held is None:
            return None
        if held.next is not stage:
            work.release(transaction, held)
            return None
        return held, work.begin_stage(transaction, held, stage)


def _policy(session: Session, held: Claim) -> Policy:
    model = session.settings.models.get(held.job.model)
    return model.policy if model else Policy()


def _renew(session: Session, held: Claim, length: timedelta) -> str | None:
    with session.ledger.write(session.name) as transaction:
        job = work.renew(transaction, held, length)
    if job.cancelled_by:
        return f"cancelled by {job.cancelled_by}"
    return None


def _run(session: Session, held: Claim, stage: Stage, attempt: int, line: Lifeline) -> StageResult | RetraindError:
    """Step 3. Returns the stage's result, or the failure by its kind. Raises LeaseLost."""
    try:
        _may_go_on(session, held, stage, attempt)
        with faults.around(f"stage.{stage}"):
            result = RUN[stage](_context(session, held, attempt, line))
    except LeaseLost:
        raise
    except (StageError, Interrupted) as error:
        outcome: StageResult | RetraindError = error
    except RetraindError as error:
        outcome = TransientFailure(str(error))
    except OSError as error:  # a disk that is full or a connection that broke is another time whole again
        outcome = TransientFailure(f"{stage} was stopped by the machine: {error}")
    except Exception as error:  # noqa: BLE001  # the boundary of a stage: a person must look at what a library raises
        _log.exception("stage_raised", job=held.job.id, stage=str(stage))
        outcome = UnknownFailure(f"{stage} raised {type(error).__name__}: {error}")
    else:
        outcome = result
    if line.lost:
        raise LeaseLost(line.reason() or "the lease was taken")
    return outcome


def _may_go_on(session: Session, held: Claim, stage: Stage, attempt: int) -> None:
    """Raises Interrupted for a cancelled job, UnknownFailure for a stage that has cost its workers their lives."""
    if held.job.cancelled_by:
        raise Interrupted(f"cancelled by {held.job.cancelled_by}")
    most = _policy(session, held).retries.attempts
    if attempt > most:
        raise UnknownFailure(
            f"{stage} was begun {most} times and its worker was lost each time; "
            "most often the machine ran out of memory: look at its kernel log"
        )


def _context(session: Session, held: Claim, attempt: int, line: Lifeline) -> StageContext:
    model = session.settings.models.get(held.job.model)
    if model is None:
        raise UnknownFailure(f"model {held.job.model!r} is not in this worker's configuration any more")
    directory = session.settings.jobs_directory / held.job.id
    if directory.is_symlink():
        raise UnknownFailure(f"{directory} is a link, and a job's directory never is; remove it and start a new job")
    directory.mkdir(parents=True, exist_ok=True)

    def should_stop() -> str | None:
        return line.reason() or ("the worker is stopping" if STOPPING.is_set() else None)

    def fence() -> None:
        _renew(session, held, session.settings.lease.length)

    now = session.clock.now()
    context = StageContext(session, held.job, model, directory, held.done, now, attempt, should_stop, fence)
    context.files.sweep(ended=False)
    if attempt > 1:  # the one before may have been killed; what is left elsewhere, `workers.checking` finds
        sweep_host()
    return context


def _commit(session: Session, held: Claim, stage: Stage, result: StageResult, policy: Policy) -> Stage | None:
    """Step 4 for a stage that ended well. The stage to announce; None: none, or not now. Raises LeaseLost."""
    with session.ledger.write(session.name) as transaction:
        if result.version is not None:
            work.record_version(transaction, held, result.version)
        job = work.succeed(transaction, held, stage, result.result, **result.columns)
        for gate in result.gates:
            name = "gate.passed" if gate.passed else "gate.failed"
            transaction.event(name, model=job.model, job=job.id, data=vars(gate))
        if result.closes is not None:
            if result.closes is JobState.DEPLOYED:
                transaction.event("model.deployed", model=job.model, job=job.id, data=result.result)
            jobs.close(transaction, job, result.closes, policy.breaker, error=result.because)
            return None
        if job.cancelled_by:  # too late for the stage to notice, and what comes next may wait for a person
            jobs.close(transaction, job, JobState.CANCELLED, policy.breaker, error=f"cancelled by {job.cancelled_by}")
            return None
        if stage is Stage.REGISTER:
            return _ask_or_deploy(transaction, held, policy)
        work.release(transaction, held)
        return STAGES[STAGES.index(stage) + 1]


def _ask_or_deploy(transaction: Transaction, held: Claim, policy: Policy) -> Stage | None:
    """A registered challenger: a person decides, or it is deployed."""
    if policy.approval is Approval.AUTO:
        work.release(transaction, held, state=JobState.DEPLOYING)
        return Stage.DEPLOY
    expires = transaction.now + policy.approval_expires
    job = work.hold(transaction, held)
    work.release(transaction, held, state=JobState.AWAITING_APPROVAL, approval_expires_at=expires)
    data = {"version": job.version, "metrics": job.metrics, "expires": expires}
    transaction.event("job.awaiting_approval", model=job.model, job=job.id, data=data)
    return None


def _commit_failure(session: Session, held: Claim, stage: Stage, error: RetraindError, policy: Policy) -> None:
    """Step 4 for a stage that did not end well. Raises LeaseLost."""
    with session.ledger.write(session.name) as transaction:
        job = work.hold(transaction, held)
        if job.cancelled_by:
            jobs.close(transaction, job, JobState.CANCELLED, policy.breaker, error=f"cancelled by {job.cancelled_by}")
            return
        if isinstance(error, Interrupted):
            work.hand_over(transaction, held, stage)
            return
        kind = error.kind if isinstance(error, StageError) else FailureKind.UNKNOWN
        retry_at = None
        attempt = work.attempt_of(transaction.connection, job.id, stage)
        if kind is FailureKind.TRANSIENT and attempt < policy.retries.attempts:
            delay = jobs.retry_delay(attempt, policy.retries.delay, random.random())  # noqa: S311  # jitter, no secret
            retry_at = transaction.now + delay
        sentence = _one_line(redact(str(error), session.settings))
        work.fail(transaction, held, stage, sentence, kind, retry_at)
        if retry_at is not None:
            work.release(transaction, held)
            return
        if stage is Stage.DEPLOY:
            models.revert(transaction, job.model, job.id)
        jobs.close(transaction, job, JobState.FAILED, policy.breaker, error=sentence)


def _one_line(error: str) -> str:
    """`error` of a length to be read, and without characters that a database refuses."""
    said = "".join(letter if letter.isprintable() else " " for letter in error)
    return said if len(said) <= MOST_CHARACTERS else f"{said[: MOST_CHARACTERS - 3]}..."
