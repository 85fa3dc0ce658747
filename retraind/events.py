"""The names of all events, with their meaning: the audit log's vocabulary, and what alerts can ask for."""

from collections.abc import Mapping

from retraind.errors import FailureKind
from retraind.states import CLOSED_STATES, JobState

EVENTS: dict[str, str] = {
    "daemon.started": "A daemon started; data: host, pid, models.",
    "daemon.led": "A daemon took the lead.",
    "daemon.stopped": "A daemon stopped in good order.",
    "trigger.fired": "A trigger's evidence met its rule; data: trigger, sentence, numbers, decision.",
    "trigger.held": "A firing did not become a job now; data: trigger, reason.",
    "trigger.proposed": "A trigger asks a person to start a retraining; data: trigger, sentence.",
    "trigger.notified": "A trigger only tells; data: trigger, sentence.",
    "trigger.error": "A trigger began to fail; data: trigger, sentence.",
    "trigger.recovered": "A failing trigger answers again; data: trigger.",
    "trigger.stale": "A trigger has not been looked at for too long; data: trigger, seconds.",
    "data.incident": "A trigger found the data broken; data: trigger, kind, column, sentence, numbers, since.",
    "data.cleared": "An incident of the data is over, or a person said go; data: as data.incident, and reason.",
    "job.requested": "A retraining was decided; data: the triggers with their numbers, or the person's reason.",
    "job.joined": "A later firing joined the open job; data: trigger, sentence, numbers.",
    "job.queued": "The job was announced to the workers.",
    "job.started": "A worker claimed the job for the first time; data: worker.",
    "job.recovered": "A worker took over a job whose lease had run out; data: worker, stage, the lost owner.",
    "job.interrupted": "A worker gave the job back because it was asked to stop; data: stage.",
    "stage.started": "A stage began; data: stage, attempt.",
    "stage.succeeded": "A stage ended well; data: stage, seconds, its result.",
    "stage.failed": "A stage failed; data: stage, kind, error, attempt, and when it is retried.",
    "gate.passed": "A gate was met; data: gate, challenger, champion.",
    "gate.failed": "A gate was not met; data: gate, challenger, champion.",
    "model.registered": "The challenger became a model version; data: version, uri.",
    "job.awaiting_approval": "The challenger passed its gates; a person decides; data: version, expires.",
    "job.approved": "A person approved the deployment.",
    "job.closed": "The job ended; data: outcome, trigger, success, metrics, error, version.",
    "model.deployed": "A version became champion; data: version, previous, targets.",
    "model.rolled_back": "An earlier version is champion again; data: version, previous, reason.",
    "target.repaired": "A target showed another version than the ledger and was mended; data: target, found, version.",
    "target.failed": "A target could not be made to show the champion; data: target, version, error.",
    "registry.repaired": "MLflow had too much of a job and was mended; data: registered, deleted, terminated.",
    "model.paused": "A person paused the model; data: reason.",
    "model.resumed": "A person resumed the model.",
    "breaker.opened": "Jobs in a row ended without a deployment; data: jobs, until.",
    "breaker.closed": "A deployment closed the breaker.",
    "retention.pruned": "What had been kept long enough was removed; data: how many of what, and for events `through`.",
    "audit.unwritable": "The audit log could not be written; data: error.",
    "audit.repaired": "The audit log was mended from the ledger; data: what was wrong.",
}

_FAILURES = frozenset(f"failed.{kind}" for kind in FailureKind)
KNOWN_ALERT_NAMES = (
    frozenset(EVENTS) | {str(state) for state in CLOSED_STATES | {JobState.AWAITING_APPROVAL}} | _FAILURES
)


def alert_names(event: str, data: Mapping[str, object]) -> frozenset[str]:
    """The names under which an alert may ask for this event: its own, a job's new state, and for the failure that
    ends a job `failed.KIND`, so that each kind can reach those who mend it."""
    names = {event}
    if event == "job.closed":
        names.add(str(data.get("outcome")))
    if event == "job.awaiting_approval":
        names.add(str(JobState.AWAITING_APPROVAL))
    if event == "stage.failed" and not data.get("retry_at"):
        names.add(f"failed.{data.get('kind')}")
    return frozenset(names)
