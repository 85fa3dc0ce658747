"""Looks, in the worker's parent, whether all targets still show what the ledger says, and sweeps up after the dead.

Only looks: a model that is not settled is left to whichever child gets the message, so that this process
stays small, and a look at models that are settled costs one query and a few stats.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from retraind.errors import BrokerUnreachable, RetraindError
from retraind.ledger import jobs, models
from workers.session import Session
from workers.settled import is_settled
from workers.sweeping import sweep_host, sweep_job

_log = structlog.get_logger(__name__)
_THREAD = "checks"
_LATELY_SECONDS = 7200.0  # a job's directory that has not changed for so long was swept before


def check(session: Session) -> None:
    """One look: asks for a convergence of each model that is not settled."""
    for model in unsettled(session):
        session.queue.converge(model)


def unsettled(session: Session) -> list[str]:
    """The models whose targets may show something else than the ledger says. One whose champion is being deployed is
    left to that."""
    with session.ledger.read() as connection:
        last, busy = models.last_deployments(connection), jobs.deploying(connection)
    return [
        model
        for model, deployment in sorted(last.items())
        if model in session.settings.models and model not in busy and not is_settled(session, model, deployment)
    ]


def sweep_all(session: Session) -> None:
    """Removes what killed processes left on this host."""
    sweep_host()
    for job in _lately(session.settings.jobs_directory):
        sweep_job(session, job)


def _lately(directory: Path) -> Iterator[str]:
    """The jobs whose directories have changed lately and may hold what only an attempt reads, or half of a file."""
    if not directory.is_dir():
        return
    for job in directory.iterdir():
        try:
            changed = job.stat().st_mtime
        except OSError:  # it was removed meanwhile
            continue
        if abs(time.time() - changed) < _LATELY_SECONDS:
            yield job.name


def begin(session: Session) -> None:
    """Called in the parent when it first takes messages; later calls do nothing."""
    if not any(thread.name == _THREAD for thread in threading.enumerate()):
        threading.Thread(target=_run, args=(session,), name=_THREAD, daemon=True).start()


def _run(session: Session) -> None:
    """Looks every `monitor.converge_every`, as long as the process lives."""
    while True:
        time.sleep(session.settings.monitor.converge_every.total_seconds())
        for step in (sweep_all, check):
            try:
                step(session)
            except BrokerUnreachable:  # told where it arose; the next look asks again
                continue
            except (RetraindError, OSError) as error:
                _log.warning("check_failed", step=step.__name__, error=str(error))
            except Exception:  # noqa: BLE001 - the boundary of a look: the next one is made all the same
                _log.exception("check_raised", step=step.__name__)
