"""How a challenger is trained, by the kind of `training.trainer`: one file a kind, listed here.

Each offers `train(settings, task) -> Trained`: from the rows in `task.around.directory.train` it
makes the MLflow model directory `task.around.directory.model`. All code of the user's runs in a
child process group, never in the worker.
"""

from collections.abc import Callable, Mapping
from typing import Any

from retraind.config.training import CommandTrainer, FunctionTrainer, PluginTrainer, SklearnTrainer
from workers.trainers import command, function, plugin, sklearn
from workers.trainers.base import Trained, TrainingTask

TRAINERS: Mapping[type, Callable[[Any, TrainingTask], Trained]] = {
    SklearnTrainer: sklearn.train,
    FunctionTrainer: function.train,
    CommandTrainer: command.train,
    PluginTrainer: plugin.train,
}


def train(settings: Any, task: TrainingTask) -> Trained:
    """Trains a challenger as `settings` (one of the trainers' settings) says.

    Raises DataFailure, BudgetExceeded, TransientFailure, UnknownFailure or Interrupted; no model
    directory is left then.
    """
    return TRAINERS[type(settings)](settings, task)


__all__ = ["TRAINERS", "Trained", "TrainingTask", "train"]
