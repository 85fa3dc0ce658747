"""The recipe of a training: all that determines its outcome besides the data. Its hash tells one recipe from another.

Called by the workers: the same window and the same recipe are not trained twice, and each model
version is tagged with the recipe it came from.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from retraind.config.settings import Model
from retraind.config.training import CommandTrainer, FunctionTrainer, Training
from retraind.redaction import redact


def recipe_hash(model: Model, directory: Path | None = None) -> str:
    """SHA-256, in hexadecimal, of what determines a training of `model`.

    That is the source of the data with its columns, window, target, features, trainer, task and
    holdout. Triggers, policy, checks, gates, budget, queue and targets decide whether a challenger is
    trained or deployed, not what it becomes, and do not count. The content of a function's file and
    of each file that a trainer's command names counts, so that changed code is another recipe; what
    such files import does not. `directory` is where the command runs; None: only absolute paths in
    it are looked up. A password in a URL does not count.
    """
    recipe = _recipe(model, directory)
    text = json.dumps(recipe, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _recipe(model: Model, directory: Path | None) -> dict[str, Any]:
    training = model.training
    data = training.data.model_dump(mode="json")
    if isinstance(data["source"], dict) and data["source"].get("url"):
        data["source"]["url"] = redact(data["source"]["url"])
    return {
        "data": data,
        "predictions": _store(model),
        "trainer": training.trainer.model_dump(mode="json"),
        "code": _code(training, directory),
        "task": training.task,
        "holdout": training.holdout.model_dump(mode="json"),
    }


def _store(model: Model) -> dict[str, Any]:
    """Which rows and columns of the store are read; how fast it must answer does not count."""
    store = model.predictions.model_dump(mode="json", exclude={"timeout", "label_delay"})
    return {**store, "url": redact(store["url"])}


def _code(training: Training, directory: Path | None) -> dict[str, str]:
    trainer = training.trainer
    if isinstance(trainer, FunctionTrainer):
        names = [trainer.function.rpartition(":")[0]]
    elif isinstance(trainer, CommandTrainer):
        names = [*trainer.command, *(trainer.predict or ())]
    else:
        names = []
    digests = ((name, _digest(name, directory)) for name in names)
    return {name: digest for name, digest in digests if digest is not None}


def _digest(name: str, directory: Path | None) -> str | None:
    """The hash of that file's content. None: there is no such file to be read."""
    path = Path(name) if directory is None else directory / name
    try:
        if not path.is_absolute() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):  # a command's argument may be anything
        return None
