"""Predicts the same rows with one or more saved models.

Spec: `data` (Parquet), `features`, `task` (or null), `models` (name -> {`model`: directory, `output`:
Parquet file to write}). Result: `models` (name -> {`ok`, `sentence` where not, `rows`, `positive`:
the class that `score` is the probability of}). An output has the columns `prediction` and, where the
model gives probabilities of two classes, `score`. One model that cannot be loaded or asked does not
keep the others from answering.

With `importance` ({`of`: name, `target`: column of the data, `seconds`}) the answer of that model also
holds `importance`: what `importance.measure` tells, or {`unknown`: why it is not known}.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.models import Model

from . import frames
from .boundary import Refusal, last_line
from .importance import Ask, measure
from .outputs import Output, of_classifier, read_output


def main(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"models": {name: _answer(name, each, spec) for name, each in spec["models"].items()}}


def _answer(name: str, each: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    try:
        ask, frame = opened(each["model"], spec["data"], spec["features"], spec["task"])
        output = ask(frame)
        write(output, each["output"])
    except Refusal as refusal:
        return {"ok": False, "sentence": refusal.sentence}
    except Exception as error:  # noqa: BLE001 - a model is the user's code, and may raise anything
        traceback.print_exc()
        return {"ok": False, "sentence": last_line(error)}
    positive = output.positive.item() if isinstance(output.positive, np.generic) else output.positive
    answer = {"ok": True, "rows": len(output.prediction), "positive": positive}
    wanted = spec.get("importance")
    if wanted is None or wanted["of"] != name:
        return answer
    return {**answer, "importance": _importance(ask, frame, spec)}


def _importance(ask: Ask, frame: pd.DataFrame, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing that goes wrong here keeps the model from being judged."""
    wanted = spec["importance"]
    try:
        actual = frames.read(spec["data"], [wanted["target"]])[wanted["target"]]
        return measure(ask, frame, actual, spec["task"], wanted["seconds"])
    except Refusal as refusal:
        return {"unknown": refusal.sentence}
    except Exception as error:  # noqa: BLE001 - as above
        traceback.print_exc()
        return {"unknown": last_line(error)}


def opened(directory: str, data: str, features: Sequence[str], task: str | None) -> tuple[Ask, pd.DataFrame]:
    """The model in `directory`, to be asked, and its inputs in `data`. Refuses a model whose inputs they lack."""
    if not (Path(directory) / "MLmodel").is_file():
        raise Refusal(f"there is no MLflow model in {directory}.")
    description = Model.load(directory)
    frame = frames.read(data, _inputs(description) or features)
    if "sklearn" in description.flavors:
        import mlflow.sklearn

        return _asking(mlflow.sklearn.load_model(directory), task), frame
    if backend := (description.metadata or {}).get("retraind.keras_backend"):
        os.environ.setdefault("KERAS_BACKEND", backend)  # Keras chooses when it is imported, and not by the model
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(directory, suppress_warnings=True)
    # The types were found in the training data: whole numbers then, floats once a value is missing. The model is asked
    # all the same; what it cannot take it says itself.
    model.metadata.signature = None
    return _asking(_unwrapped(model), task), frame


def write(output: Output, path: str) -> None:
    """Writes the output as Parquet."""
    columns = {"prediction": pa.array(pd.Series(output.prediction), from_pandas=True)}
    if output.score is not None:
        columns["score"] = pa.array(output.score.astype("float64"))
    pq.write_table(pa.table(columns), path)


def _asking(model: Any, task: str | None) -> Ask:
    return lambda frame: _ask(model, frame, task)


def _ask(model: Any, frame: pd.DataFrame, task: str | None) -> Output:
    if task != "regression" and hasattr(model, "predict_proba") and hasattr(model, "classes_"):
        return of_classifier(model, frame)
    return read_output(model.predict(frame), len(frame), task)


def _inputs(description: Model) -> list[str] | None:
    """The columns that the model was trained on, in their order; None where it does not say."""
    told = (description.metadata or {}).get("retraind.features")
    if told:
        return list(told)
    inputs = description.signature.inputs if description.signature is not None else None
    return None if inputs is None or inputs.is_tensor_spec() else list(inputs.input_names())


def _unwrapped(model: Any) -> Any:
    """The user's own object where `saving.FramePredictor` holds one, so that its probabilities can be asked for."""
    try:
        return model.unwrap_python_model().model
    except Exception:  # noqa: BLE001 - MLflow's answer to any other flavour, in a type of each version's own
        return model
