"""What a job asks about its challenger's features, and what it keeps of the answer.

Called by the stages `evaluate` and `register`. The measuring is done where the model is asked for its
predictions: `workers/runner/importance.py`.
"""

from collections.abc import Mapping
from typing import Any

from retraind.config.settings import Model

_SECONDS = 60.0
_SHARE_OF_BUDGET = 0.1
_UNUSED = {"increase": 0.0, "error": 0.0}


def question(model: Model) -> dict[str, Any]:
    """The part of a prediction program's spec that asks for the challenger's importance."""
    training = model.training
    seconds = min(_SECONDS, _SHARE_OF_BUDGET * training.budget.time.total_seconds())
    return {"of": "challenger", "target": training.data.target, "seconds": seconds}


def kept(model: Model, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded: the program's answer, or {`unknown`: why}. Features of the store that the training left out are
    known to be of no use to the model; those of other training data may go by other names."""
    found = dict(answer.get("importance") or {"unknown": "the model was not asked."})
    if "features" in found and model.training.data.source == "predictions":
        others = dict.fromkeys(model.predictions.columns.feature_names, _UNUSED)
        found["features"] = {**others, **found["features"]}
    return found


def table(importance: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What the registry is given to keep with the version; None: nothing is known."""
    return importance if importance is not None and "features" in importance else None
