"""The trainer for what other packages bring: a function of the same kind as a user's own, found by its name in the
entry point group `retraind.trainers` of the worker's environment.

    [project.entry-points."retraind.trainers"]
    boosted = "our_package.training:train"
"""

from importlib.metadata import entry_points
from pathlib import Path

from retraind.config.training import FunctionTrainer, PluginTrainer
from retraind.errors import UnknownFailure
from retraind.nearest import did_you_mean
from workers.trainers import function
from workers.trainers.base import Trained, TrainingTask

GROUP = "retraind.trainers"


def train(settings: PluginTrainer, task: TrainingTask, model: Path) -> Trained:
    return function.train(FunctionTrainer(function=locate(settings.plugin), params=settings.params), task, model)


def locate(name: str) -> str:
    """`module:function` of the trainer called `name`. Raises UnknownFailure where no installed package has one."""
    known = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in known:
        raise UnknownFailure(
            f"trainer.plugin: no installed package brings a trainer {name!r}{did_you_mean(name, known)}; "
            f"install the package that does, or choose one of: {', '.join(sorted(known)) or 'none is installed'}."
        )
    return known[name]
