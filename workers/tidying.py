"""Frees the disk of what old jobs left: rows, models and scratch files go, logs and records stay.

Called after a job has ended. What a champion needs (its model's files, the rows it was trained on)
is kept for as far back as a rollback is likely to go; beyond, the registry still has the model.
"""

import structlog

from retraind.ledger import jobs, models
from workers.durable import remove
from workers.job_directory import JobDirectory
from workers.session import Session

_log = structlog.get_logger(__name__)
ROLLBACKS_KEPT = 5  # versions below the champion whose files stay on disk


def tidy(session: Session, model: str) -> int:
    """Removes the bulk of the model's jobs but the newest and those that served. Returns how many were emptied."""
    with session.ledger.read() as connection:
        known = jobs.known(connection, model)
        newest = {job.id for job in jobs.latest(connection, model, session.settings.retention.data)}
        served = {version.job for version in models.served(connection, model)[: ROLLBACKS_KEPT + 1]}
    emptied = 0
    for job in known:
        directory = JobDirectory(session.settings.jobs_directory / job)
        if job in newest | served or not directory.ingested.exists():
            continue
        for bulk in directory.bulk():
            remove(bulk)
        emptied += 1
    if emptied:
        _log.info("tidied", model=model, jobs=emptied)
    return emptied
