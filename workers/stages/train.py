"""`train`: makes the challenger, in a child process group with a budget, from the rows that ingest kept for it."""

from retraind.config.settings import Settings
from retraind.config.training import Training
from retraind.redaction import redact_data
from retraind.states import Stage
from triggers.metrics import METRICS
from workers.content import must_be_recorded
from workers.context import StageContext, StageResult
from workers.model_files import model_digest
from workers.process import Limits
from workers.program import Surroundings
from workers.trainers import TrainingTask, train


def run(context: StageContext) -> StageResult:
    """Kills what an earlier attempt left running, then trains; takes the model of one that came so far."""
    context.files.kill_leftovers()
    must_be_recorded(context.files.train, context.done[Stage.INGEST])
    context.fence()
    training = context.model.training
    task = TrainingTask(
        around=surroundings(context),
        target=training.data.target,
        features=tuple(context.done[Stage.INGEST]["features"]),
        task=wanted_task(training),
    )
    made = train(training.trainer, task)
    result = {
        "flavour": made.flavour,
        "task": made.task or task.task,
        "params": redact_data(dict(made.params), context.session.settings),
        "digest": model_digest(context.files.model),
        "seconds": round(made.seconds, 3),
        "peak_bytes": made.peak_bytes,
    }
    return StageResult(result, columns={"trained_at": context.session.clock.now()})


def surroundings(context: StageContext) -> Surroundings:
    """Where the children of this attempt run, and within what bounds."""
    settings = context.session.settings
    return Surroundings(
        model=context.job.model,
        job=context.job.id,
        directory=context.files,
        project=settings.source_path.parent,
        limits=limits(settings, context.model.training),
        should_stop=context.should_stop,
        secrets=settings.secrets,
    )


def limits(settings: Settings, training: Training) -> Limits:
    """What one training, and one evaluation, may take."""
    return Limits(
        seconds=training.budget.time.total_seconds(),
        resident_bytes=training.budget.memory,
        grace_seconds=min(10.0, settings.workers.grace.total_seconds()),
    )


def wanted_task(training: Training) -> str | None:
    """Classification or regression, as configured or as the gates' metrics say; None: the model itself must tell."""
    if training.task is not None:
        return training.task
    tasks = {METRICS[gate.metric].task for gate in training.gates}
    return str(tasks.pop()) if len(tasks) == 1 else None
