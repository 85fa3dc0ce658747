"""`train`: makes the challenger, in a child process group with a budget, from the rows that ingest kept for it."""

from retraind.states import Stage
from triggers.metrics import METRICS
from workers.context import StageContext, StageResult
from workers.job_directory import JobDirectory
from workers.process import Limits, kill_leftover
from workers.program import Surroundings
from workers.trainers import TrainingTask, train


def run(context: StageContext) -> StageResult:
    """Kills what an earlier attempt left running, then trains anew."""
    directory = JobDirectory(context.directory)
    kill_leftover(directory.group)
    training = context.model.training
    task = TrainingTask(
        around=surroundings(context),
        target=training.data.target,
        features=tuple(context.done[Stage.INGEST]["features"]),
        task=wanted_task(context),
    )
    made = train(training.trainer, task)
    result = {
        "flavour": made.flavour,
        "task": made.task or task.task,
        "params": dict(made.params),
        "seconds": round(made.seconds, 3),
        "peak_bytes": made.peak_bytes,
    }
    return StageResult(result, columns={"trained_at": context.session.clock.now()})


def surroundings(context: StageContext) -> Surroundings:
    """Where the children of this attempt run, and within what bounds."""
    settings = context.session.settings
    budget = context.model.training.budget
    limits = Limits(
        seconds=budget.time.total_seconds(),
        resident_bytes=budget.memory,
        grace_seconds=min(10.0, settings.workers.grace.total_seconds()),
    )
    return Surroundings(
        model=context.job.model,
        job=context.job.id,
        directory=JobDirectory(context.directory),
        project=settings.source_path.parent,
        limits=limits,
        should_stop=context.should_stop,
    )


def wanted_task(context: StageContext) -> str | None:
    """Classification or regression, as configured or as the gates' metrics say; None: the model itself must tell."""
    training = context.model.training
    if training.task is not None:
        return training.task
    tasks = {METRICS[gate.metric].task for gate in training.gates}
    return str(tasks.pop()) if len(tasks) == 1 else None
