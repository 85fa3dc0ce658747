"""What every trainer is told, and what it tells."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.durable import remove, replacing
from workers.job_directory import WEIGHT
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
    """A finished training. Its model stands in the job's directory."""

    flavour: str  # MLflow's name for the kind of model
    task: str | None  # what the model says of itself; None: nothing
    params: Mapping[str, Any]  # as trained, JSON-able
    seconds: float
    peak_bytes: int


@contextmanager
def new_model(task: TrainingTask) -> Iterator[Path]:
    """A directory to make for the model; it becomes the job's model when the block ends well. One from an earlier
    attempt goes first."""
    remove(task.around.directory.model)
    with replacing(task.around.directory.model) as directory:
        yield directory


def train_in_child(
    program: str, spec: Mapping[str, Any], task: TrainingTask, python: str | None
) -> tuple[dict[str, Any], Finished]:
    """Runs a training program of `workers/runner` with `spec` and the task's data, and keeps the model it made."""
    with new_model(task) as directory:
        common = {
            "data": str(task.around.directory.train),
            "target": task.target,
            "features": list(task.features),
            "weight": WEIGHT,
            "model": str(directory),
        }
        return run_program(program, {**common, **spec}, task.around, what="the training", log="train", python=python)


def trained(answer: Mapping[str, Any], finished: Finished) -> Trained:
    """A training program's answer as a value."""
    return Trained(answer["flavour"], answer["task"], answer["params"], finished.seconds, finished.peak_bytes)
