"""`converge(model)`: makes every target show what the ledger says is deployed.

Deploying, rolling back and repairing are this one act. It may be asked at any time, by several
workers at once (a lease in the ledger lets one act per model), and however often: targets that show
the right version already are not touched.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from retraind.config.settings import Model
from retraind.errors import (
    BrokerUnreachable,
    Interrupted,
    LeaseLost,
    LedgerError,
    RetraindError,
    StageError,
    TransientFailure,
)
from retraind.ledger import leases, models, shown
from retraind.ledger.models import Champions
from retraind.ledger.rows import Version
from retraind.redaction import redact
from workers.lifeline import Lifeline, unfenced
from workers.model_files import files_of
from workers.refusals import refuse
from workers.repairing import heal_registry
from workers.session import Session
from workers.settled import marks, means, records, remember
from workers.sweeping import sweep_model
from workers.targets import DeployableVersion, DeployTarget, describe, open_target

_log = structlog.get_logger(__name__)
_WAIT_SECONDS = 0.5  # between looks whether another worker's convergence has ended
_MOST_TURNS = 5  # a ledger that changes more often while targets follow is left to the next message


def converge_if_needed(session: Session, model: str) -> None:
    """What the converge message does: mends what differs, tells of it, and leaves failures to the next message."""
    if model not in session.settings.models:
        refuse("there is no such model")
        return
    try:
        converge(session, model, lambda: None, repairing=True)
    except (RetraindError, OSError) as error:
        _log.warning("converge_failed", model=model, error=str(error))


def converge(
    session: Session,
    model: str,
    should_stop: Callable[[], str | None],
    fence: Callable[[], None] = unfenced,
    *,
    repairing: bool = False,
) -> dict[str, str]:
    """Returns each target's name with the version it now shows.

    While another worker converges the model, a deployment waits for it; with `repairing` it is left to
    that worker, by a TransientFailure. With `repairing` a target that showed another version than the
    one it was last known to show is told of as an event. `fence` guards what the convergence is part
    of; its own lease is asked for too, before each write that others see. Raises Interrupted when asked
    to stop, LeaseLost where another has taken over, and what a target raises after all others were
    tried.
    """
    lease = session.settings.lease
    name = f"converge:{model}"
    while (token := _acquire(session, name)) is None:
        if repairing:
            raise TransientFailure(f"another worker is converging the targets of {model}")
        if reason := should_stop():
            raise Interrupted(reason)
        time.sleep(_WAIT_SECONDS)
    line = Lifeline(
        lambda: _renew(session, name, token),
        session.clock,
        heartbeat_seconds=lease.heartbeat.total_seconds(),
        lease_seconds=lease.length.total_seconds(),
    )

    def both_fences() -> None:
        fence()
        _renew(session, name, token)

    try:
        with line:
            act = _Convergence(session, model, Hold(name, token, both_fences), repairing)
            return act.follow(lambda: line.reason() or should_stop())
    except LeaseLost:
        _ask_again(session, model)
        raise
    finally:
        _release(session, name, token)


def _acquire(session: Session, name: str) -> int | None:
    with session.ledger.write(session.name) as transaction:
        return leases.acquire(transaction, name, session.owner, session.settings.lease.length)


def _renew(session: Session, name: str, token: int) -> None:
    with session.ledger.write(session.name) as transaction:
        leases.renew(transaction, name, token, session.settings.lease.length)


def _release(session: Session, name: str, token: int) -> None:
    try:
        with session.ledger.write(session.name) as transaction:
            leases.release(transaction, name, token)
    except LedgerError as error:
        _log.warning("lease_unreleased", lease=name, error=str(error))


def _ask_again(session: Session, model: str) -> None:
    """A worker that lost its lease may have written just after: whoever holds it now is asked to look once more."""
    try:
        session.queue.converge(model)
    except BrokerUnreachable as error:
        _log.warning("converge_unasked", model=model, error=str(error))


@dataclass(frozen=True)
class Hold:
    """The lease on a model's convergence; `fence` renews it, or raises LeaseLost."""

    lease: str
    token: int
    fence: Callable[[], None]


class _Convergence:
    """One worker's act on one model, under its lease."""

    def __init__(self, session: Session, model: str, hold: Hold, repairing: bool) -> None:  # noqa: FBT001  # private
        self.session = session
        self.name = model
        self.hold = hold
        self.model: Model = session.settings.models[model]
        self.repairing = repairing

    def follow(self, should_stop: Callable[[], str | None]) -> dict[str, str]:
        """Makes the targets follow until a turn has found nothing to do, and the ledger has not changed meanwhile."""
        records(self.session, self.name).mkdir(parents=True, exist_ok=True)
        sweep_model(self.session, self.name)
        heal_registry(self.session, self.name, self.hold.fence)
        reached: dict[str, str] = {}
        for _ in range(_MOST_TURNS):
            wanted, deployment = self._wanted()
            before = marks(self.session, self.name)
            if wanted.current is not None:
                reached = self._show_all(wanted, should_stop)
            same = self._wanted() == (wanted, deployment)
            if same and marks(self.session, self.name) == before:
                remember(self.session, self.name, deployment, before)
                return reached
        if same:  # others write to the same registry all the time: the next look tells
            return reached
        raise TransientFailure(f"the champion of {self.name} kept changing while its targets followed")

    def _wanted(self) -> tuple[Champions, int]:
        """What is to be shown, and the id of the deployment that says so; 0 where there is none."""
        with self.session.ledger.read() as connection:
            last = models.last_deployment(connection, self.name)
            return models.champions(connection, self.name), last.id if last else 0

    def _show_all(self, wanted: Champions, should_stop: Callable[[], str | None]) -> dict[str, str]:
        reached: dict[str, str] = {}
        failure: StageError | None = None
        using = means(self.session, self.name, self.hold.fence)
        for settings in self.model.deploy:
            if reason := should_stop():
                raise Interrupted(reason)
            label = redact(describe(settings), self.session.settings)
            try:
                reached[label] = self._show(open_target(settings, using), label, wanted)
            except StageError as error:
                self._note(label, None, redact(str(error), self.session.settings))
                failure = error
        if failure is not None:
            raise failure
        return reached

    def _show(self, target: DeployTarget, label: str, wanted: Champions) -> str:
        version = self._deployable(wanted)
        found = target.shown()
        again = getattr(target, "shows_again", False)
        if again or found != version.version or not self._known(label, version.version):
            target.show(version)
        self._note(label, version.version, None, found=found)
        return version.version

    def _known(self, label: str, version: str) -> bool:
        """True when the ledger knows that the target was made to show this very version."""
        with self.session.ledger.read() as connection:
            rows = {row.target: row for row in shown.of(connection, self.name)}
        return label in rows and rows[label].version == version and rows[label].error is None

    def _note(self, label: str, version: str | None, error: str | None, found: str | None = None) -> None:
        with self.session.ledger.write(self.session.name) as transaction:
            leases.renew(transaction, self.hold.lease, self.hold.token, self.session.settings.lease.length)
            before = {row.target: row for row in shown.of(transaction.connection, self.name)}.get(label)
            if error is not None and (before is None or before.error is None):
                data = {"target": label, "error": error}
                transaction.event("target.failed", model=self.name, data=data)
            strayed = before is not None and before.version == version and found != version
            if self.repairing and error is None and strayed:
                data = {"target": label, "found": found or "", "version": version or ""}
                transaction.event("target.repaired", model=self.name, data=data)
            shown.note(transaction, self.name, label, version, error)

    def _deployable(self, wanted: Champions) -> DeployableVersion:
        current = wanted.current
        if current is None:
            raise TransientFailure(f"nothing is deployed for {self.name}")
        return DeployableVersion(
            model=self.name,
            registered=self.session.registered_name(self.name),
            version=current.version,
            previous=wanted.previous.version if wanted.previous else None,
            job=current.job,
            directory=self._files(current),
            uri=current.uri,
            digest=current.digest,
        )

    def _files(self, version: Version) -> Path:
        """The version's files on this host: where its job left them, else fetched from the registry once."""
        fetched = records(self.session, self.name) / f"version-{version.version}"
        return files_of(self.session, version, fetched)
