"""Removes what killed processes left half made: after each job, and with each check of a model's targets.

A worker that is killed cleans up nothing, and the one that takes its job over may be killed too: so what
is left is looked for where it can be, and not only where it was made.
"""

import tempfile
from pathlib import Path

from retraind.ledger import jobs
from workers.job_directory import JobDirectory
from workers.session import Session
from workers.temporaries import sweep

_JOBS_LOOKED_AT = 2  # the newest of a model: a killed worker was at one of them


def sweep_job(session: Session, job_id: str) -> None:
    """Sweeps the job's directory; what only attempts read goes too, once the job has ended."""
    with session.ledger.read() as connection:
        job = jobs.get(connection, job_id)
    directory = JobDirectory(session.settings.jobs_directory / job_id)
    if job is not None and directory.path.is_dir():
        directory.sweep(ended=not job.is_open)


def sweep_model(session: Session, model: str) -> None:
    """Sweeps what the model's newest jobs and its targets' records may have left on this host."""
    with session.ledger.read() as connection:
        newest = [job.id for job in jobs.latest(connection, model, _JOBS_LOOKED_AT)]
    for job in newest:
        sweep_job(session, job)
    sweep(session.settings.state / "targets" / model)


def sweep_host() -> None:
    """Sweeps the system's directory of temporary files."""
    sweep(Path(tempfile.gettempdir()))
