"""Frees the disk of what was kept long enough: after a job for its model, and now and then for everything.

Of a job that has ended the bulk (rows, models, scratch) stays while it is one of its model's newest, and
the rest (logs) for `retention.jobs`. What a champion needs (its model's files, the rows it was trained
on) stays for as far back as a rollback is likely to go; beyond, the registry still has the model.

Whatever is removed is looked up in the ledger right before. Nothing of a model is touched while it has
an open job, which may be reading any of it. A place goes in one step and is emptied afterwards, so that
a worker killed meanwhile leaves no half of it, only a temporary, which `sweep` finds.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from retraind.errors import LedgerError
from retraind.ledger import Connection, jobs, leases, models
from retraind.ledger.rows import Job, Version
from retraind.messages import JOB_ID
from workers.durable import remove
from workers.job_directory import JobDirectory
from workers.session import Session
from workers.temporaries import sweep

_log = structlog.get_logger(__name__)
ROLLBACKS_KEPT = 5  # versions below the champion whose files stay on disk
MOST_REMOVED = 200  # places in one pass; the next goes on
UNTOUCHED = timedelta(days=1)  # a directory of a job that the ledger does not know is left alone for so long at most
_FETCHED = "version-"  # how convergence names a version's files that it fetched


def tidy(session: Session, model: str) -> int:
    """Frees what the model's jobs that have ended left. Returns how many places were freed."""
    with session.ledger.read() as connection:
        if jobs.open_job(connection, model) is not None:
            return 0
        known = jobs.known(connection, model)
    return _Tidying(session).pass_over(job for job in known if (session.settings.jobs_directory / job).is_dir())


def tidy_everything(session: Session) -> int:
    """The same for every directory there is, of configured models and others; and what targets had fetched.

    What cannot be removed now goes another time. Returns how many places were freed.
    """
    directory = session.settings.jobs_directory
    try:
        sweep(directory)
        found = sorted(entry.name for entry in os.scandir(directory) if JOB_ID.fullmatch(entry.name))
        tidying = _Tidying(session)
        tidying.pass_over(found)
        return tidying.pass_over_targets()
    except FileNotFoundError:  # no job has begun yet
        return 0
    except (OSError, LedgerError) as error:
        _log.warning("tidying_failed", error=str(error))
        return 0


@dataclass(frozen=True)
class _Staying:
    """What of a model's jobs must stay: its newest, newest first, and those whose versions serve or are likely to."""

    newest: tuple[str, ...]
    likely: frozenset[str]
    is_open: bool  # the model has an open job, and so all stays


class _Tidying:
    """One pass. Only one at a time works on a state directory; another leaves it to that."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.kept = session.settings.retention
        self.freed = 0
        self.removed = 0
        self._before = session.clock.now() - self.kept.jobs
        self._stays: dict[str, _Staying] = {}  # by model, as it was when the pass came to it

    def pass_over(self, found: "Iterator[str] | list[str]") -> int:
        """Frees the directories of the jobs of these ids, as far as each may be."""
        with _alone(self.session.settings.jobs_directory) as alone:
            for job in found if alone else ():
                if self.freed < MOST_REMOVED:
                    self._pass(job)
        self._tell()
        return self.freed

    def pass_over_targets(self) -> int:
        """Frees the model files that were fetched for targets and are champion, or just below, no more."""
        root = self.session.settings.state / "targets"
        for place in sorted(root.iterdir()) if root.is_dir() else ():
            fetched = [each for each in place.glob(f"{_FETCHED}*") if each.is_dir()]
            if any(not self._is_likely(place.name, each) for each in fetched):
                self._free_fetched(place.name, fetched)
        return self.freed

    def _pass(self, job_id: str) -> None:
        """Asks the disk first, then what was known when the pass began, and the ledger last, right before."""
        directory = JobDirectory(self.session.settings.jobs_directory / job_id)
        old = _requested_at(job_id) < self._before
        if not old and not directory.bulk():
            return
        with self.session.ledger.read() as connection:
            job = jobs.get(connection, job_id)
            gone, bulk = self._judge(connection, job) if job else (old and self._is_untouched(directory.path), False)
        if gone:
            remove(directory.path)
            self.removed += 1
            self.freed += 1
        elif bulk and (entries := directory.bulk()):
            for entry in entries:
                remove(entry)
            self.freed += 1
        elif job is not None and not job.is_open and (directory.path / "champion").exists():
            remove(directory.path / "champion")  # a whole model each, and only evaluating read it

    def _is_untouched(self, directory: Path) -> bool:
        """True where nobody has changed anything for a while: the ledger cannot tell who works in it.

        The daemon may have forgotten the job before a worker came to its directory: that waits no longer than
        the directory of a job that is known.
        """
        places = [directory, *directory.iterdir(), *(directory / "logs").glob("*")]
        while_ago = time.time() - min(UNTOUCHED, self.kept.jobs).total_seconds()
        return max(place.lstat().st_mtime for place in places) < while_ago

    def _judge(self, connection: Connection, job: Job) -> tuple[bool, bool]:
        """Whether the job's whole directory may go, and whether its bulk may."""
        old = job.closed_at is not None and job.closed_at < self._before
        if job.model not in self._stays:
            self._stays[job.model] = self._staying(connection, job.model)
        if self._may_go(job.id, self._stays[job.model], old=old) == (False, False):
            return False, False
        return self._may_go(job.id, self._staying(connection, job.model), old=old)

    def _staying(self, connection: Connection, model: str) -> "_Staying":
        if jobs.open_job(connection, model) is not None:
            return _Staying((), frozenset(), is_open=True)
        newest = tuple(job.id for job in jobs.latest(connection, model, self.kept.data))
        return _Staying(newest, frozenset(version.job for version in _likely(connection, model)), is_open=False)

    def _may_go(self, job_id: str, stays: "_Staying", *, old: bool) -> tuple[bool, bool]:
        if stays.is_open or job_id in stays.likely:
            return False, False
        return old and job_id != stays.newest[0], job_id not in stays.newest

    def _is_likely(self, model: str, fetched: Path) -> bool:
        with self.session.ledger.read() as connection:
            likely = {version.version for version in _likely(connection, model)}
        return fetched.name.removeprefix(_FETCHED) in likely

    def _free_fetched(self, model: str, fetched: list[Path]) -> None:
        """Under the lease of the model's convergence, which alone fetches and reads them."""
        name, session = f"converge:{model}", self.session
        with session.ledger.write(session.name) as transaction:
            token = leases.acquire(transaction, name, session.owner, session.settings.lease.length)
        if token is None:
            return
        try:
            for place in fetched:
                if not self._is_likely(model, place):
                    remove(place)
                    self.freed += 1
        finally:
            with session.ledger.write(session.name) as transaction:
                leases.release(transaction, name, token)

    def _tell(self) -> None:
        if self.freed:
            _log.info("tidied", places=self.freed)
        if self.removed:
            with self.session.ledger.write(self.session.name) as transaction:
                transaction.event("retention.pruned", data={"directories": self.removed})
        self.removed = 0


def _likely(connection: Connection, model: str) -> list[Version]:
    """The champion and the versions that rollbacks are likely to go back to."""
    return models.served(connection, model)[: ROLLBACKS_KEPT + 1]


def _requested_at(job_id: str) -> datetime:
    """As the id tells."""
    return datetime.strptime(job_id[:13], "%y%m%d-%H%M%S").replace(tzinfo=UTC)


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """False when another process tidies the directory; the lock is the directory's own and falls with its holder."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
