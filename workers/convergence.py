"""`converge(model)`: makes every target show what the ledger says is deployed.

Deploying, rolling back and repairing are this one act. It may be asked at any time, by several
workers at once (a lease in the ledger lets one act per model), and however often: targets that show
the right version already are not touched.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from retraind.config.settings import Model
from retraind.errors import Interrupted, LedgerError, RetraindError, StageError, TransientFailure
from retraind.ledger import leases, models, shown
from retraind.ledger.models import Champions
from retraind.ledger.rows import Version
from workers.lifeline import Lifeline
from workers.refusals import refuse
from workers.session import Session
from workers.targets import DeployableVersion, DeployTarget, Means, describe, open_target

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
    session: Session, model: str, should_stop: Callable[[], str | None], *, repairing: bool = False
) -> dict[str, str]:
    """Returns each target's name with the version it now shows.

    While another worker converges the model, a deployment waits for it; with `repairing` it is left to
    that worker, by a TransientFailure. With `repairing` a target that showed another version than the
    one it was last known to show is told of as an event. Raises Interrupted when asked to stop, and
    what a target raises after all others were tried.
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
    try:
        with line:
            return _Convergence(session, model, repairing).follow(lambda: line.reason() or should_stop())
    finally:
        _release(session, name, token)


def _acquire(session: Session, name: str) -> int | None:
    with session.ledger.write(session.name) as transaction:
        return leases.acquire(transaction, name, session.name, session.settings.lease.length)


def _renew(session: Session, name: str, token: int) -> None:
    with session.ledger.write(session.name) as transaction:
        leases.renew(transaction, name, token, session.settings.lease.length)


def _release(session: Session, name: str, token: int) -> None:
    try:
        with session.ledger.write(session.name) as transaction:
            leases.release(transaction, name, token)
    except LedgerError as error:
        _log.warning("lease_unreleased", lease=name, error=str(error))


class _Convergence:
    """One worker's act on one model, under its lease."""

    def __init__(self, session: Session, model: str, repairing: bool) -> None:  # noqa: FBT001  # private
        self.session = session
        self.name = model
        self.model: Model = session.settings.models[model]
        self.repairing = repairing

    def follow(self, should_stop: Callable[[], str | None]) -> dict[str, str]:
        """Makes the targets follow until the ledger has not changed meanwhile."""
        reached: dict[str, str] = {}
        for _ in range(_MOST_TURNS):
            wanted = self._wanted()
            if wanted.current is None:
                return {}
            reached = self._show_all(wanted, should_stop)
            if self._wanted() == wanted:
                return reached
        raise TransientFailure(f"the champion of {self.name} kept changing while its targets followed")

    def _wanted(self) -> Champions:
        with self.session.ledger.read() as connection:
            return models.champions(connection, self.name)

    def _show_all(self, wanted: Champions, should_stop: Callable[[], str | None]) -> dict[str, str]:
        reached: dict[str, str] = {}
        failure: StageError | None = None
        for settings in self.model.deploy:
            if reason := should_stop():
                raise Interrupted(reason)
            label = describe(settings)
            try:
                reached[label] = self._show(open_target(settings, self._means()), label, wanted)
            except StageError as error:
                self._note(label, None, str(error))
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
            before = {row.target: row for row in shown.of(transaction.connection, self.name)}.get(label)
            if error is not None and (before is None or before.error is None):
                data = {"target": label, "error": error}
                transaction.event("target.failed", model=self.name, data=data)
            strayed = before is not None and before.version == version and found != version
            if self.repairing and error is None and strayed:
                data = {"target": label, "found": found or "", "version": version or ""}
                transaction.event("target.repaired", model=self.name, data=data)
            shown.note(transaction, self.name, label, version, error)

    def _means(self) -> Means:
        settings = self.session.settings
        records = settings.state / "targets" / self.name
        records.mkdir(parents=True, exist_ok=True)
        return Means(self.name, self.session.registry, settings.source_path.parent, records)

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
        )

    def _files(self, version: Version) -> Path:
        """The version's files on this host: where its job left them, else fetched from the registry once."""
        kept = Path(version.directory)
        if (kept / "MLmodel").is_file():
            return kept
        fetched = self.session.settings.state / "targets" / self.name / f"version-{version.version}"
        return self.session.registry.download(self.session.registered_name(self.name), version.version, fetched)
