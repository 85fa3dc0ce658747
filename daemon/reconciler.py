"""The reconciler: re-drives whatever the ledger says should be happening and is not.

Each step finds one kind of thing that was left, and does it; all are safe to repeat.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from daemon import looking
from daemon.announcer import Announcer
from daemon.policy import held
from daemon.pruning import Pruner
from daemon.staleness import overdue
from retraind.audit import AuditLog
from retraind.clock import StepWatch
from retraind.config.policy import Policy
from retraind.config.settings import Settings
from retraind.errors import AuditUnwritable, BrokerUnreachable, LeaseLost, LedgerAbsent, RetraindError
from retraind.ledger import Ledger, Transaction, jobs, leases, looks, models, shown
from retraind.ledger.work import take_from_dead
from retraind.queue import Queue
from retraind.states import JobState

_log = structlog.get_logger(__name__)
_LOOKS_SETTLE_SECONDS = 60.0  # after a step of the clock every trigger is looked at anew


class Reconciler:
    """Steps are called in turn by `pass_once`; one that fails does not stop the others."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        audit: AuditLog,
        announcements: Queue | Announcer,
        guard: Callable[[Transaction], None],
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.audit = audit
        self.announcements = announcements
        self.guard = guard
        self.audit_unwritable = False
        self._failing: set[str] = set()
        self._stale: set[tuple[str, str]] = set()
        self.pruner = Pruner(settings, ledger, audit, guard)
        self._steps = StepWatch(ledger.clock)
        self._next_tidying = ledger.clock.monotonic()

    def pass_once(self) -> None:
        """1. catch up the audit log; 2. end overdue approvals; 3. start what waited; 4. take jobs from dead workers;
        5. announce unclaimed jobs; 6. have targets mended; 7. notice triggers nobody looks at; 8. forget silent
        processes; 9. prune what was kept long enough; 10. have a worker tidy the disk."""
        for step in (
            self.catch_up_audit,
            self.expire_approvals,
            self.start_waiting,
            self.take_from_dead,
            self.announce_unclaimed,
            self.mend_targets,
            self.notice_stale,
            self.forget,
            self.prune,
            self.have_disk_tidied,
        ):
            try:
                step()
            except LedgerAbsent:
                return  # told where it arose, and nothing else can be done either
            except RetraindError as error:
                self._entered_failure(step.__name__, error)
            else:
                self._left_failure(step.__name__)

    def catch_up_audit(self) -> None:
        try:
            repaired = self.audit.project()
        except AuditUnwritable as error:
            if not self.audit_unwritable:
                self.audit_unwritable = True
                self._tell("audit.unwritable", {"error": str(error)})
            raise
        recovered = self.audit_unwritable
        self.audit_unwritable = False
        if recovered:
            self._tell("audit.repaired", {"repairs": ["the log is writable again; what was missing was caught up"]})
        elif repaired:
            self._tell("audit.repaired", {"repairs": repaired})

    def expire_approvals(self) -> None:
        with self.ledger.read() as connection:
            overdue = jobs.overdue_approvals(connection, self.ledger.clock.now())
        for job in overdue:
            with self.ledger.write("daemon") as transaction:
                self.guard(transaction)
                current = jobs.get(transaction.connection, job.id)
                if current is not None and current.state == JobState.AWAITING_APPROVAL:
                    breaker = self._policy(job.model).breaker
                    jobs.close(transaction, current, JobState.EXPIRED, breaker, error="nobody approved in time")

    def start_waiting(self) -> None:
        """Firings that waited become a job as soon as nothing holds one back."""
        with self.ledger.read() as connection:
            waiting = looks.models_waiting(connection)
        for name in waiting & self.settings.models.keys():
            model = self.settings.models[name]
            with self.ledger.write("daemon") as transaction:
                self.guard(transaction)
                connection, now = transaction.connection, transaction.now
                stands = looking.standing(connection, name, model, now, audit_unwritable=self.audit_unwritable)
                if stands.paused_because or stands.open_job or held(model.policy, stands, now):
                    continue
                causes = [
                    {"trigger": row.trigger, "sentence": row.sentence, "numbers": row.numbers}
                    for row in looks.waiting(connection, name)
                ]
                job = jobs.request(transaction, name, reason=causes[-1]["sentence"], causes=causes)
                if job is not None:
                    looks.adopt(transaction, name, job)

    def take_from_dead(self) -> None:
        """Jobs of workers that died on this machine are free at once; those of other machines when their lease ends."""
        take_from_dead(self.ledger, "daemon")

    def announce_unclaimed(self) -> None:
        """Messages get lost and workers die: what nobody works on is announced again.

        Less often each time, lest a backlog drown in copies; but after the first wait where the broker
        holds too few messages, so that some were lost.
        """
        now = self.ledger.clock.now()
        first = self.settings.monitor.republish_after
        with self.ledger.read() as connection:
            found = jobs.unclaimed(connection, now, now)
        if not self._steps.steady_for(self.settings.lease.length.total_seconds()):
            # After a step forward every lease looks as if it had run out: those who live renew theirs first.
            found = [job for job in found if job.lease_owner is None]
        announced = {job.id: job.published_at for job in found if job.published_at is not None}
        late = any(at <= now - first for at in announced.values())
        lost = self.announcements.lost([job for job in found if job.id in announced]) if late else set()
        for job in found:
            growth = 1 if job.id in lost else min(2 ** max(job.publications - 1, 0), 16)
            if job.published_at is None or not now - first * growth < job.published_at <= now:
                self.announcements.announce(job.id, "daemon")

    def announce_all(self) -> None:
        """After the broker was away: whatever was published before may be lost, so nothing is waited for."""
        now = self.ledger.clock.now()
        with self.ledger.read() as connection:
            found = jobs.unclaimed(connection, now, now)
        for job in found:
            self.announcements.announce(job.id, "daemon")

    def mend_targets(self) -> None:
        """Asks a worker to converge models whose targets are known to differ from the ledger. Whether others have come
        to differ the workers look themselves."""
        with self.ledger.read() as connection:
            deployed = models.last_deployments(connection)
        for name in deployed.keys() & self.settings.models.keys():
            with self.ledger.read() as connection:
                wanted = models.champions(connection, name).current
                behind = wanted is not None and shown.behind(connection, name, wanted.version)
                deploying = jobs.open_job(connection, name)
            busy = deploying is not None and deploying.state == JobState.DEPLOYING
            if wanted is not None and not busy and behind:
                self.announcements.converge(name)

    def notice_stale(self) -> None:
        """A trigger that nobody looks at any more looks like one with nothing to do: that is an alarm of its own."""
        if not self._steps.steady_for(_LOOKS_SETTLE_SECONDS):
            return
        now = self.ledger.clock.now()
        with self.ledger.read() as connection:
            records = {(each.model, each.trigger): each for each in looks.planned(connection, now)}
        late = {key: overdue(record, now) for key, record in records.items() if self._watches(*key)}
        stale = {key: each for key, each in late.items() if each is not None}
        self._stale &= stale.keys()
        for model, trigger in sorted(stale.keys() - self._stale):
            self._stale.add((model, trigger))
            data = {"trigger": trigger, "seconds": stale[model, trigger].total_seconds()}
            self._tell("trigger.stale", data, model)

    def _watches(self, model: str, trigger: str) -> bool:
        return model in self.settings.models and trigger in self.settings.models[model].triggers

    def forget(self) -> None:
        with self.ledger.write("daemon") as transaction:
            leases.forget_silent(transaction, transaction.now - timedelta(hours=1))

    def prune(self) -> None:
        self.pruner.pass_once()

    def have_disk_tidied(self) -> None:
        """A worker tidies after each job; a model whose job never comes again must be tidied all the same."""
        now = self.ledger.clock.monotonic()
        if now >= self._next_tidying:
            self.announcements.tidy()
            self._next_tidying = now + self.settings.retention.every.total_seconds()

    def _policy(self, model: str) -> Policy:
        configured = self.settings.models.get(model)
        return configured.policy if configured else Policy()

    def _tell(self, event: str, data: dict[str, object], model: str | None = None) -> None:
        with self.ledger.write("daemon") as transaction:
            self.guard(transaction)
            transaction.event(event, model=model, data=data)

    def _entered_failure(self, step: str, error: RetraindError) -> None:
        """A failing step is told once when it begins to fail, not at every pass."""
        if step not in self._failing and not isinstance(error, LeaseLost):
            self._failing.add(step)
            level = _log.info if isinstance(error, BrokerUnreachable) else _log.error
            level("reconcile_failing", step=step, error=str(error))

    def _left_failure(self, step: str) -> None:
        if step in self._failing:
            self._failing.discard(step)
            _log.info("reconcile_recovered", step=step)
