"""Trains a scikit-learn estimator (or any with its interface), named by its import path.

Spec: `data` (Parquet), `target`, `features`, `weight` (the column of weights, if there), `estimator`,
`params`, `trusted_types`, `model` (the directory to make). Result: `flavour`, `task` (null where the
estimator does not say), `rows`, `params` (all of the estimator's, as trained).
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import has_fit_parameter

from . import frames
from .boundary import Refusal, last_line
from .preparation import prepared


def main(spec: Mapping[str, Any]) -> dict[str, Any]:
    frame = frames.read(spec["data"], [*spec["features"], spec["target"]])
    weights = frames.weights(spec["data"], spec["weight"])
    features = frame[list(spec["features"])]
    estimator = build(spec["estimator"], spec["params"])
    model = prepared(estimator, features, spec["params"])
    model.fit(features, labels(frame[spec["target"]]), **_weighted(estimator, spec["estimator"], weights))
    from . import saving  # MLflow is slow to import, and what is wrong shows before it is needed

    saving.save_sklearn(model, spec["model"], features, spec["trusted_types"])
    return {
        "flavour": "sklearn",
        "task": "classification" if is_classifier(model) else "regression" if is_regressor(model) else None,
        "rows": len(frame),
        "params": {name: _plain(value) for name, value in estimator.get_params(deep=False).items()},
    }


def build(path: str, params: Mapping[str, Any]) -> Any:
    """The estimator that `path` names, with `params`. Refuses what is not there, with the nearest that is.

    `random_state` is 0 unless it is given: the same data must give the same model.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Refusal(
            f"trainer.sklearn: {module_name!r} cannot be imported in {sys.executable} ({last_line(error)}); "
            "install it there, or name another interpreter under trainer.python."
        ) from error
    kind = getattr(module, name, None)
    if kind is None:
        raise Refusal(f"trainer.sklearn: {module_name!r} has no {name!r}{_nearest(name, dir(module))}.")
    if not (isinstance(kind, type) and hasattr(kind, "fit") and hasattr(kind, "predict")):
        raise Refusal(f"trainer.sklearn: {path!r} is not an estimator: it has no fit and predict.")
    try:
        estimator = kind(**params)
    except TypeError as error:
        raise Refusal(f"trainer.params: {_unknown_parameter(kind, path, params) or last_line(error)}") from error
    known = estimator.get_params(deep=False)
    if "random_state" in known and known["random_state"] is None and "random_state" not in params:
        estimator.set_params(random_state=0)
    return estimator


def labels(target: pd.Series) -> Any:
    """The target as an estimator takes it: texts as plain objects, numbers and booleans as they are."""
    return target.to_numpy(dtype=object) if isinstance(target.dtype, pd.StringDtype) else target.to_numpy()


def _weighted(estimator: Any, path: str, weights: pd.Series | None) -> dict[str, Any]:
    if weights is None:
        return {}
    if not has_fit_parameter(estimator, "sample_weight"):
        raise Refusal(
            f"training.data.window.half_life weights the rows, and {path} takes no sample weights; "
            "remove half_life or choose another estimator."
        )
    return {"estimator__sample_weight": weights.to_numpy()}


def _unknown_parameter(kind: type, path: str, params: Mapping[str, Any]) -> str | None:
    try:
        known = kind._get_param_names()  # type: ignore[attr-defined]  # the only way without an instance
    except (AttributeError, RuntimeError):
        return None
    unknown = [name for name in params if name not in known]
    return f"{path} has no parameter {unknown[0]!r}{_nearest(unknown[0], known)}." if unknown else None


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _plain(value: Any) -> Any:
    """`value` if JSON can hold it, else as text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value
