"""Has the registry agree with the ledger about a model's jobs: one version each, and no run left open."""

from collections.abc import Callable

import structlog

from retraind.config.deploy import MlflowTarget
from retraind.errors import StageError
from retraind.ledger import jobs, models
from workers.session import Session

_log = structlog.get_logger(__name__)


def heal_registry(session: Session, model: str, fence: Callable[[], None]) -> None:
    """Removes what workers that had lost their job left in MLflow, and says so in an event for each job. A registry
    that does not answer is healed another time. Raises LeaseLost."""
    with session.ledger.read() as connection:
        recorded = models.versions_by_job(connection, model)
        ended = jobs.ended(connection, model)
    if not ended and not recorded:
        return
    ours = session.registered_name(model)
    targets = session.settings.models[model].deploy
    names = {ours, *(target.mlflow for target in targets if isinstance(target, MlflowTarget))}
    experiment = session.settings.mlflow.experiment or model
    for name in sorted(names):
        try:
            fence()
            # Elsewhere than under its own name a version has another number, which the ledger does not know.
            repairs = session.registry.heal(name, experiment, recorded if name == ours else {}, ended)
        except StageError as error:
            _log.warning("registry_unhealed", model=model, registered=name, error=str(error))
            return
        for repair in repairs:
            data = {"registered": name, "deleted": list(repair.deleted), "terminated": list(repair.terminated)}
            with session.ledger.write(session.name) as transaction:
                transaction.event("registry.repaired", model=model, job=repair.job, data=data)
