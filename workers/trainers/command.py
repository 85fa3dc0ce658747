"""The trainer for any command: it reads RETRAIND_DATA and leaves its model in RETRAIND_MODEL_DIR.

An MLflow model (a directory with `MLmodel`) is taken as it is. Anything else is wrapped into one whose
`predict` runs the command `trainer.predict`, so that it can be judged, registered and loaded like
every other model.
"""

import json
from pathlib import Path

from retraind import faults
from retraind.config.training import CommandTrainer
from retraind.errors import UnknownFailure
from workers.durable import remove
from workers.job_directory import WEIGHT
from workers.process import Finished, failure, run
from workers.program import run_program
from workers.trainers.base import Trained, TrainingTask


def train(settings: CommandTrainer, task: TrainingTask, model: Path) -> Trained:
    made = task.around.directory.scratch("made")
    remove(made)
    made.mkdir(parents=True)
    finished = _run(settings, task, made)
    files = sorted(path.name for path in made.iterdir())
    if not files:
        raise UnknownFailure(
            f"The training of {task.around.model} ended well and left nothing in RETRAIND_MODEL_DIR ({made}); "
            f"let the command write its model there. Its output is in {task.around.directory.log('train')}."
        )
    if "MLmodel" in files:
        with faults.around("trainer.made"):
            made.rename(model)
        return _trained("mlflow", finished)
    _wrap(settings, task, made, model)
    remove(made)
    return _trained("command", finished)


def environment(task: TrainingTask, made: Path) -> dict[str, str]:
    """What the command is told."""
    directory = task.around.directory
    return {
        "RETRAIND_MODEL": task.around.model,
        "RETRAIND_JOB": task.around.job,
        "RETRAIND_DATA": str(directory.train),
        "RETRAIND_HOLDOUT": str(directory.holdout),
        "RETRAIND_MODEL_DIR": str(made),
        "RETRAIND_TARGET": task.target,
        "RETRAIND_FEATURES": json.dumps(list(task.features)),
        "RETRAIND_TASK": task.task or "",
        "RETRAIND_WEIGHT": WEIGHT,
    }


def _run(settings: CommandTrainer, task: TrainingTask, made: Path) -> Finished:
    around = task.around
    command = around.command("the training", "train", list(settings.command), environment(task, made))
    finished = run(command, around.limits, around.should_stop)
    if finished.exit_code:
        raise failure(command, finished)
    return finished


def _wrap(settings: CommandTrainer, task: TrainingTask, made: Path, model: Path) -> None:
    if settings.predict is None:
        raise UnknownFailure(
            f"The training of {task.around.model} left files in RETRAIND_MODEL_DIR that are no MLflow model "
            "(there is no MLmodel file); save one with mlflow, or give trainer.predict, a command that predicts. "
            f"Its output is in {task.around.directory.log('train')}."
        )
    spec = {
        "files": str(made),
        "command": list(settings.predict),
        "directory": str(task.around.project),
        "data": str(task.around.directory.train),
        "features": list(task.features),
        "model": str(model),
    }
    what = "the load test of the challenger"
    run_program("wrap_command", spec, task.around, what=what, log="train", python=settings.python)


def _trained(flavour: str, finished: Finished) -> Trained:
    return Trained(flavour, None, {}, finished.seconds, finished.peak_bytes)
