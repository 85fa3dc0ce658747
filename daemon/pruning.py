"""Has what was kept long enough removed: ledger rows and closed audit files by the leader itself, the disk by a worker.

Called with each pass of the reconciler. A round begins every `retention.every`; each pass of it does a
bounded amount of work in transactions of a few hundred rows, and the round goes on with the next pass
until nothing is left. Killed anywhere, the next round finds what is still there.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

import structlog

from daemon import shelf
from retraind.audit import AuditLog, keeping
from retraind.config.settings import Settings
from retraind.errors import AuditUnwritable
from retraind.ledger import Ledger, Transaction, retention

_log = structlog.get_logger(__name__)
MOST_TRANSACTIONS = 20  # of one pass, so that the reconciler's other steps need not wait
Step = Callable[[Transaction], int]


class Pruner:
    """The leader's. `guard` raises LeaseLost inside a transaction when another daemon leads."""

    def __init__(
        self, settings: Settings, ledger: Ledger, audit: AuditLog, guard: Callable[[Transaction], None]
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.audit = audit
        self.guard = guard
        self._next_round = ledger.clock.monotonic()

    def pass_once(self) -> None:
        """1. deployments that were taken back; 2. jobs; 3. firings and looks; 4. events; 5. closed audit files;
        6. profiles of models that are configured no longer.

        Deployments go first: they hold their jobs.
        """
        if self.ledger.clock.monotonic() < self._next_round:
            return
        left = MOST_TRANSACTIONS
        for step in self._steps():
            while left and self._did_something(step):
                left -= 1
            if not left:
                break
        self._remove_segments()
        shelf.keep_only(self.settings.profiles, self.settings.models)
        if left:
            self._next_round = self.ledger.clock.monotonic() + self.settings.retention.every.total_seconds()

    def _steps(self) -> Iterator[Step]:
        """Each is repeated until it removes nothing."""
        kept, now = self.settings.retention, self.ledger.clock.now()
        jobs_before = now - kept.jobs
        with self.ledger.read() as connection:
            gone_back = retention.models_with_old_rollbacks(connection, jobs_before)
            old = retention.models_with_old_jobs(connection, jobs_before)
        for model in gone_back:
            yield partial(retention.prune_deployments, model=model, before=jobs_before)
        for model in old:
            if self._has_prunable_jobs(model, jobs_before):
                yield partial(retention.prune_jobs, model=model, before=jobs_before)
        yield partial(retention.prune_firings, before=jobs_before)
        yield partial(retention.prune_looks, before=now - kept.looks)
        for through in self._prunable_events(now):
            yield partial(retention.prune_events, through=through)

    def _did_something(self, step: Step) -> bool:
        with self.ledger.write("daemon") as transaction:
            self.guard(transaction)
            return step(transaction) > 0

    def _has_prunable_jobs(self, model: str, before: datetime) -> bool:
        with self.ledger.read() as connection:
            return bool(retention.prunable_jobs(connection, model, before))

    def _prunable_events(self, now: datetime) -> list[int]:
        """The seqs through which batches of events may go: those old enough that stand in the audit log.

        One that stands in no file (thrown away, or rotated to elsewhere) goes when a file of ours would have gone.
        """
        kept = self.settings.retention
        with self.ledger.read() as connection:
            events = retention.prunable_events(connection, now - kept.events, MOST_TRANSACTIONS * retention.BATCH)
        events = [event for event in events if event[0] <= self.audit.written()]
        if not events:
            return []
        standing = keeping.count_standing(self.audit.path, [(seq, digest) for seq, _, digest in events])
        while standing < len(events) and events[standing][1] < now - kept.audit:
            standing += 1
        seqs = [seq for seq, _, _ in events[:standing]]
        return [*seqs[retention.BATCH - 1 :: retention.BATCH], *seqs[-1:]]

    def _remove_segments(self) -> None:
        """The removal is told before it is done: no file of the audit log goes without a word."""
        outdated = keeping.outdated(self.audit.path, self.ledger.clock.now() - self.settings.retention.audit)
        if not outdated:
            return
        with self.ledger.write("daemon") as transaction:
            self.guard(transaction)
            data = {"segments": len(outdated), "files": [segment.name for segment in outdated]}
            transaction.event("retention.pruned", data=data)
        try:
            for segment in outdated:
                keeping.remove(segment)
        except OSError as error:
            raise AuditUnwritable(
                f"{error.filename} has been kept long enough and cannot be removed: {error.strerror}; "
                "mend its directory's permissions, or remove it yourself"
            ) from error
