"""Real trainings for a backtest: `workers.rehearsal` in a process of its own, once for each window and recipe."""

import json
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from daemon.backtest.history import History
from retraind.config.recipe import recipe_hash
from retraind.config.settings import Model
from retraind.errors import RetraindError
from retraind.guarded import Guarded

_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Asked:
    """One training: the window's rows that were there at `at`, by the recipe of `model` in the file `config`."""

    config: Path
    name: str
    model: Model
    at: datetime
    rows: pa.Table
    champion: Path | None  # its model directory
    first: bool  # nothing is compared and no gate is asked


@dataclass(frozen=True)
class Challenger:
    """What came of one. `prediction` and `score` are of all rows from `start` on; None: it failed, or has none."""

    outcome: str  # deployed, gate_failed or failed
    because: str | None
    start: int
    directory: Path
    seconds: float = 0.0
    metrics: dict[str, float | None] = field(default_factory=dict)
    importance: dict[str, Any] | None = None  # as the stage `evaluate` keeps it; None: no trigger asks
    prediction: pa.Array | None = None
    score: pa.Array | None = None


class Trainer:
    """Trains for every policy of a backtest: those that share a window share its model."""

    def __init__(self, history: History, directory: Path) -> None:
        self._history = history
        self._directory = directory
        self._made: dict[tuple[object, ...], Challenger] = {}
        self._features: Path | None = None
        self.seconds = 0.0  # of all trainings, each counted once

    @property
    def made(self) -> list[Challenger]:
        """Every model that there is, each once."""
        return [each for each in self._made.values() if each.prediction is not None]

    def train(self, asked: Asked) -> Challenger:
        """Raises RetraindError where the process ended without an answer: something is wrong with more than a model."""
        compared = asked.champion if asked.model.training.needs_champion and not asked.first else None
        recipe = recipe_hash(asked.model, asked.config.parent)
        gates = str(asked.model.training.gates) if not asked.first else ""
        key = (recipe, str(asked.model.training.checks), gates, asked.at, asked.rows.num_rows, compared)
        if key not in self._made:
            self._made[key] = self._train(asked, self._directory / f"{len(self._made) + 1:04}")
            self.seconds += self._made[key].seconds
        return self._made[key]

    def _train(self, asked: Asked, directory: Path) -> Challenger:
        directory.mkdir(parents=True)
        data, told, answered = (directory / name for name in ("asked.parquet", "spec.json", "result.json"))
        pq.write_table(asked.rows, data)
        start = self._history.row_at(asked.at)
        spec = {
            "config": str(asked.config),
            "model": asked.name,
            "job": f"backtest-{directory.name}",
            "directory": str(directory),
            "data": str(data),
            "ahead": str(self._ahead()),
            "start": start,
            "champion": None if asked.champion is None else str(asked.champion),
            "first": asked.first,
        }
        told.write_text(json.dumps(spec))
        _run(told, answered, directory / "rehearsal.log")
        found: dict[str, Any] = json.loads(answered.read_text())
        if found["outcome"] == "failed":
            because = str(found["because"]).partition(" Its output is in ")[0]  # which goes with the backtest
            return Challenger("failed", because, start, directory)
        said = pq.read_table(found["predictions"]).combine_chunks()
        score = said["score"].combine_chunks() if "score" in said.column_names else None
        return Challenger(
            found["outcome"],
            found["because"],
            start,
            directory,
            float(found["seconds"]),
            found["metrics"],
            found["importance"],
            said["prediction"].combine_chunks(),
            score,
        )

    def _ahead(self) -> Path:
        """The features of all rows, written once."""
        if self._features is None:
            self._features = self._directory / "features.parquet"
            self._directory.mkdir(parents=True, exist_ok=True)
            pq.write_table(self._history.features(), self._features)
        return self._features


def _run(spec: Path, result: Path, log: Path) -> None:
    with log.open("ab") as output:
        call = [sys.executable, "-m", "workers.rehearsal", str(spec), str(result)]
        process = Guarded.start(call, grace_seconds=_GRACE_SECONDS, output=output)
        try:
            while not process.ended_within(_LOOK_SECONDS):
                continue
        finally:
            process.close()
    if not result.is_file():
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise RetraindError(f"a training of the backtest ended without an answer: {said[-1] if said else 'no output'}")
