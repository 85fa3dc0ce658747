"""Makes an MLflow model of files that only a command of the user's can predict with.

Spec: `files` (what the training command left), `command` (predicts), `directory` (where it runs),
`data` (Parquet), `features`, `model` (the directory to make). Result: `rows` that it was tried on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc

from . import frames
from .command_model import CommandModel
from .saving import register_by_value, requirements, signature

TRIED_ROWS = 20


def main(spec: Mapping[str, Any]) -> dict[str, Any]:
    rows = frames.read(spec["data"], spec["features"]).head(TRIED_ROWS)
    model = CommandModel(spec["command"], spec["directory"])
    described = signature(rows, lambda frame: model.ask(Path(spec["files"]), frame))
    register_by_value(CommandModel)
    mlflow.pyfunc.save_model(
        spec["model"],
        python_model=model,
        artifacts={"files": spec["files"]},
        signature=described,
        pip_requirements=requirements(names=("pyarrow",)),
    )
    return {"rows": len(rows)}
