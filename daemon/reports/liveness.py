"""Whether a job that the ledger has as running is being worked on: its worker may have died, with nobody to follow."""

from datetime import datetime, timedelta

from retraind.identity import is_gone
from retraind.instants import holds
from retraind.ledger.rows import Job
from retraind.states import JobState

BETWEEN_STAGES = timedelta(seconds=10)  # that a message takes to reach the next worker


def is_held(job: Job, now: datetime) -> bool:
    """True while a worker that may be alive holds the job."""
    return job.lease_owner is not None and holds(job.lease_until, job.updated_at, now) and not is_gone(job.lease_owner)


def shown_state(job: Job, now: datetime) -> str:
    """The job's state; one that no worker holds any more, or took up after its last stage, waits as `queued`."""
    if job.state != JobState.RUNNING or is_held(job, now):
        return job.state
    between = job.lease_owner is None and now - job.updated_at <= BETWEEN_STAGES
    return job.state if between else JobState.QUEUED
