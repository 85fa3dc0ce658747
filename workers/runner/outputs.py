"""What a model's raw output says: classes or numbers, and the positive class's probability where there is one.

One reading for every kind of model, so that a network and a forest are judged alike:

- labels or numbers in one column are the prediction;
- for classification, fractions in one column are the positive class's probability (anything outside
  [0, 1] is taken for a logit), and two or more columns are one per class, probabilities or logits;
  the classes are then the whole numbers from 0 on;
- a table with a column `prediction`, and `score` if it has one, says so itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .boundary import Refusal


@dataclass(frozen=True)
class Output:
    """One value a row. `score` is the probability of the class `positive`; None where the model gives none."""

    prediction: np.ndarray
    score: np.ndarray | None = None
    positive: Any = None


def read_output(raw: Any, rows: int, task: str | None) -> Output:
    """The meaning of `raw`, a model's answer for so many rows. Refuses what has another length or is no table."""
    if isinstance(raw, pd.DataFrame) and "prediction" in raw.columns:
        score = raw["score"].to_numpy(dtype=float) if "score" in raw.columns else None
        return _checked(Output(_column(raw["prediction"]), score), rows)
    values = raw.to_numpy() if isinstance(raw, pd.DataFrame | pd.Series) else np.asarray(raw)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and task == "classification" and np.issubdtype(values.dtype, np.number):
        return _checked(_by_class(values.astype(float)), rows)
    if values.ndim != 1:
        raise Refusal(f"the model answers with a table of shape {values.shape}; one value a row is needed.")
    if task == "classification" and _are_fractions(values):
        return _checked(_by_score(values.astype(float)), rows)
    return _checked(Output(values), rows)


def of_classifier(model: Any, features: pd.DataFrame) -> Output:
    """Of an estimator with `classes_` and `predict_proba`: the score is the second of two classes'."""
    prediction = np.asarray(model.predict(features))
    classes = getattr(model, "classes_", None)
    if classes is None or len(classes) != 2:
        return _checked(Output(prediction), len(features))
    probabilities = np.asarray(model.predict_proba(features), dtype=float)
    return _checked(Output(prediction, probabilities[:, 1], np.asarray(classes)[1]), len(features))


def _by_class(values: np.ndarray) -> Output:
    if values.min() < 0 or not np.allclose(values.sum(axis=1), 1, atol=1e-3):
        shifted = np.exp(values - values.max(axis=1, keepdims=True))
        values = shifted / shifted.sum(axis=1, keepdims=True)
    score = values[:, 1] if values.shape[1] == 2 else None
    return Output(values.argmax(axis=1), score, 1)


def _by_score(values: np.ndarray) -> Output:
    if values.min() < 0 or values.max() > 1:
        values = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return Output((values >= 0.5).astype(int), values, 1)


def _are_fractions(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.floating) and bool((values != np.round(values)).any())


def _column(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=object) if isinstance(values.dtype, pd.StringDtype) else values.to_numpy()


def _checked(output: Output, rows: int) -> Output:
    if len(output.prediction) != rows:
        raise Refusal(f"the model answers {rows} rows with {len(output.prediction)} predictions.")
    for what, values in (("prediction", output.prediction), ("score", output.score)):
        if values is None:
            continue
        missing = int(pd.isna(values).sum())
        if missing:
            raise Refusal(f"the model gives no {what} (a missing value) for {missing} of {rows} rows.")
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise Refusal(f"the model gives an infinite {what} for {int(np.isinf(values).sum())} of {rows} rows.")
    return output
