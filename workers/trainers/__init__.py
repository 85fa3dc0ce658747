"""How a challenger is trained, by the kind of `training.trainer`: one file a kind, listed here.

Each offers `train(settings, task, model) -> Trained`: from the rows in `task.around.directory.train` it
makes the MLflow model directory `model`. All code of the user's runs in a child process group, never
in the worker.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retraind.config.training import CommandTrainer, FunctionTrainer, PluginTrainer, SklearnTrainer
from retraind.errors import TransientFailure
from retraind.ledger.chain import plain
from retraind.redaction import redact_data
from workers.durable import making_once, remove, write_json
from workers.trainers import command, function, plugin, sklearn
from workers.trainers.base import Trained, TrainingTask, recorded

TRAINERS: Mapping[type, Callable[[Any, TrainingTask, Path], Trained]] = {
    SklearnTrainer: sklearn.train,
    FunctionTrainer: function.train,
    CommandTrainer: command.train,
    PluginTrainer: plugin.train,
}


def train(settings: Any, task: TrainingTask) -> Trained:
    """The job's challenger, trained as `settings` (one of the trainers' settings) says, once per job.

    Where another attempt has trained it already, or does before this one ends, that one's model stays
    and is what is told: model and record are one directory, which is never replaced.

    Raises DataFailure, BudgetExceeded, TransientFailure, UnknownFailure or Interrupted; no model
    directory is left then.
    """
    directory = task.around.directory
    known = recorded(directory)
    if known is not None:
        return known
    remove(directory.challenger)  # one that somebody took files from
    with making_once(directory.challenger) as made:
        made.mkdir()
        done = TRAINERS[type(settings)](settings, task, made / directory.model.name)
        write_json(made / directory.trained.name, redact_data(plain(asdict(done)), task.around))
    kept = recorded(directory)
    if kept is None:
        raise TransientFailure(f"{directory.challenger} went away while it was made")
    return kept


__all__ = ["TRAINERS", "Trained", "TrainingTask", "train"]
