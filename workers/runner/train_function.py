"""Trains with a function of the user's: `train(data, target, **params)` returns a fitted model.

Spec: `data` (Parquet), `target`, `features`, `weight` (the column of weights, if there), `function`
(`module:function` or `path.py:function`), `params`, `model` (the directory to make). Result:
`flavour`, `task` (null where it cannot be told), `rows`, `params`.

The function is given a DataFrame of the features and the target, oldest row first, and the target's
name; and `sample_weight`, where rows are weighted. What it may return: see `saving.save`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from . import frames
from .boundary import Refusal, last_line


def main(spec: Mapping[str, Any]) -> dict[str, Any]:
    data = frames.read(spec["data"], [*spec["features"], spec["target"]])
    weights = frames.weights(spec["data"], spec["weight"])
    code, function = load(spec["function"])
    arguments = {**spec["params"], **_weighted(function, spec["function"], weights)}
    _accepts(function, spec["function"], arguments)
    model = function(data.copy(), spec["target"], **arguments)
    from . import saving  # MLflow is slow to import, and what is wrong shows before it is needed

    flavour = saving.save(model, spec["model"], data[list(spec["features"])], code)
    return {"flavour": flavour, "task": _task(model), "rows": len(data), "params": dict(spec["params"])}


def load(reference: str) -> tuple[ModuleType, Callable[..., Any]]:
    """The user's module and the function in it. Refuses what is not there."""
    where, _, name = reference.rpartition(":")
    code = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    function = getattr(code, name, None)
    if not callable(function):
        raise Refusal(f"trainer.function: {where} has no function {name!r}.")
    return code, function


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Refusal(f"trainer.function: there is no file {path}.")
    sys.path.insert(0, str(path.parent.resolve()))  # its neighbours are imported as when it is run as a script
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Refusal(f"trainer.function: {path} is not Python source.")
    code = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = code
    spec.loader.exec_module(code)
    return code


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise  # the module is there, and what it imports is not
        raise Refusal(
            f"trainer.function: there is no module {name!r} in {Path.cwd()} or in {sys.executable} "
            f"({last_line(error)}); write module:function or path/to/file.py:function."
        ) from error


def _weighted(function: Callable[..., Any], reference: str, weights: pd.Series | None) -> dict[str, Any]:
    if weights is None:
        return {}
    parameters = inspect.signature(function).parameters
    if "sample_weight" not in parameters and not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        raise Refusal(
            f"training.data.window.half_life weights the rows, and {reference} takes no sample_weight; "
            "remove half_life or add the parameter."
        )
    return {"sample_weight": weights}


def _accepts(function: Callable[..., Any], reference: str, arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(function).bind(None, "", **arguments)
    except TypeError as error:
        raise Refusal(
            f"trainer.params: {reference} is called as train(data, target, **params) and does not take that: {error}."
        ) from error


def _task(model: Any) -> str | None:
    """What a scikit-learn estimator says of itself; None of anything else."""
    base = sys.modules.get("sklearn.base")
    if base is None or not isinstance(model, base.BaseEstimator):
        return None
    return "classification" if base.is_classifier(model) else "regression" if base.is_regressor(model) else None
