"""The trainer for scikit-learn estimators, and any with their interface, by import path."""

from pathlib import Path

from retraind.config.training import SklearnTrainer
from workers.trainers.base import Trained, TrainingTask, train_in_child, trained


def train(settings: SklearnTrainer, task: TrainingTask, model: Path) -> Trained:
    spec = {
        "estimator": settings.sklearn,
        "params": settings.params,
        "trusted_types": list(settings.trusted_types),
    }
    return trained(*train_in_child("train_sklearn", spec, task, model, settings.python))
