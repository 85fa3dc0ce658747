"""The trainer for a Python function of the user's: `train(data, target, **params)` returns a fitted model."""

from pathlib import Path

from retraind.config.training import FunctionTrainer
from workers.trainers.base import Trained, TrainingTask, train_in_child, trained


def train(settings: FunctionTrainer, task: TrainingTask, model: Path) -> Trained:
    spec = {"function": settings.function, "params": settings.params}
    return trained(*train_in_child("train_function", spec, task, model, settings.python))
