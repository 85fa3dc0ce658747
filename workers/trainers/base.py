"""What every trainer is told, and what it tells."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.job_directory import WEIGHT, JobDirectory
from workers.process import Finished
from workers.program import Surroundings, run_program


@dataclass(frozen=True)
class TrainingTask:
    """One training. The rows stand in `around.directory.train`."""

    around: Surroundings
    target: str
    features: tuple[str, ...]
    task: str | None  # classification or regression; None: not known


@dataclass(frozen=True)
class Trained:
    """A finished training; its model stands beside its record."""

    flavour: str  # MLflow's name for the kind of model
    task: str | None  # what the model says of itself; None: nothing
    params: Mapping[str, Any]  # as trained, JSON-able
    seconds: float
    peak_bytes: int


def recorded(directory: JobDirectory) -> Trained | None:
    """The training that made the job's model; None where there is no whole one."""
    try:
        found = Trained(**json.loads(directory.trained.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if directory.model.is_dir() else None


def train_in_child(
    program: str, spec: Mapping[str, Any], task: TrainingTask, model: Path, python: str | None
) -> tuple[dict[str, Any], Finished]:
    """Runs a training program of `workers/runner` with `spec` and the task's data, which makes `model`."""
    common = {
        "data": str(task.around.directory.train),
        "target": task.target,
        "features": list(task.features),
        "weight": WEIGHT,
        "model": str(model),
    }
    return run_program(program, {**common, **spec}, task.around, what="the training", log="train", python=python)


def trained(answer: Mapping[str, Any], finished: Finished) -> Trained:
    """A training program's answer as a value."""
    return Trained(answer["flavour"], answer["task"], answer["params"], finished.seconds, finished.peak_bytes)
