"""A model whose `predict` runs a command: it loads wherever that command exists."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

SAID_CHARACTERS = 2000


class CommandModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow is not typed here
    """The command is told RETRAIND_DATA (Parquet with the features), RETRAIND_MODEL_DIR (what the training left) and
    RETRAIND_PREDICTIONS: the Parquet file it writes, with a column `prediction` and, if it can, `score`."""

    def __init__(self, command: Sequence[str], directory: str) -> None:
        self.command = list(command)
        self.directory = directory

    # MLflow reads the annotation of `model_input`: any other than DataFrame it takes for a schema to enforce.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        return self.ask(Path(context.artifacts["files"]), model_input)

    def ask(self, files: Path, rows: pd.DataFrame) -> pd.DataFrame:
        """The command's predictions for `rows`. Raises RuntimeError with what it said, where it makes none."""
        with tempfile.TemporaryDirectory() as folder:
            data, predictions = Path(folder) / "data.parquet", Path(folder) / "predictions.parquet"
            rows.to_parquet(data, index=False)
            finished = subprocess.run(
                self.command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=self.directory if Path(self.directory).is_dir() else None,
                env={
                    **os.environ,
                    "RETRAIND_DATA": str(data),
                    "RETRAIND_MODEL_DIR": str(files),
                    "RETRAIND_PREDICTIONS": str(predictions),
                },
            )
            said = (finished.stderr + finished.stdout).strip()[-SAID_CHARACTERS:] or "it printed nothing"
            if finished.returncode:
                raise RuntimeError(f"the command {self.command} ended with exit code {finished.returncode}: {said}")
            if not predictions.is_file():
                raise RuntimeError(f"the command {self.command} wrote no RETRAIND_PREDICTIONS ({predictions}): {said}")
            answer = pd.read_parquet(predictions)
        if "prediction" not in answer.columns:
            raise RuntimeError(
                f"the command {self.command} wrote predictions without a column 'prediction'; "
                f"they have {', '.join(map(str, answer.columns)) or 'none'}"
            )
        return answer[[name for name in ("prediction", "score") if name in answer.columns]]
