"""Has the registry agree with the ledger about a model's jobs: one version each, and no run left open."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from retraind.config.deploy import MlflowTarget
from retraind.errors import StageError
from retraind.ledger import jobs, models, trail
from workers.healing import Repair
from workers.session import Session

_log = structlog.get_logger(__name__)
REPAIRED = "registry.repaired"


def heal_registry(session: Session, model: str, fence: Callable[[], None]) -> None:
    """Removes what workers that had lost their job left in MLflow, and says so first, in an event for each job. A
    registry that does not answer is healed another time. Raises LeaseLost."""
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
        # Elsewhere than under its own name a version has another number, which the ledger does not know.
        known = recorded if name == ours else {}
        try:
            for repair in session.registry.repairs(name, experiment, known, ended):
                fence()
                _tell(session, model, name, repair)
                session.registry.mend(name, repair)
        except StageError as error:
            _log.warning("registry_unhealed", model=model, registered=name, error=str(error))
            return


def _tell(session: Session, model: str, name: str, repair: Repair) -> None:
    """Before it is done, and once: whoever is killed over it leaves it to be found again, and it is told already."""
    data = {"registered": name, "deleted": list(repair.deleted), "terminated": list(repair.terminated)}
    with session.ledger.write(session.name) as transaction:
        told = [each["data"] for each in trail.of_job(transaction.connection, repair.job) if each["event"] == REPAIRED]
        if not any(_covers(before, data) for before in told):
            transaction.event(REPAIRED, model=model, job=repair.job, data=data)


def _covers(told: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether all of `data` was told: of what was to be done, a part may be done."""
    same_name = told["registered"] == data["registered"]
    return same_name and all(set(data[kind]) <= set(told[kind]) for kind in ("deleted", "terminated"))
