"""One retraining as a backtest asks for it: the job's own stages on rows that are handed over, and nothing outside.

Run by `daemon.backtest` as `python -m workers.rehearsal SPEC RESULT`, two JSON files. The data is
checked, split, trained on and judged by the code of the stages `validate`, `ingest`, `train` and
`evaluate`; ledger, registry, store and deploy targets are left alone.

Spec: `config` (the file), `model`, `job`, `directory` (of the rehearsed job), `data` (Parquet: the window's
labelled rows), `ahead` (Parquet) and `start` (the first of its rows that is to be predicted), `champion` (a
model directory, or null) and `first` (no gate is asked). Result: `outcome` (deployed, gate_failed or
failed), `because`, and unless it failed `seconds` (of the training), `metrics`, `train_rows`, `predictions`
(Parquet) and, where a trigger of the model weighs by it, `importance` as the stage `evaluate` keeps it.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retraind.config.loading import load
from retraind.config.settings import Model, Settings
from retraind.errors import DataFailure, RetraindError, UnknownFailure
from triggers.evidence import TIME, Window
from workers import importance
from workers.gates import ask
from workers.job_directory import JobDirectory
from workers.program import Surroundings, run_program
from workers.sources import Rows
from workers.stages.evaluate import figures_of, task_of
from workers.stages.ingest import split, weighted
from workers.stages.train import limits, wanted_task
from workers.stages.validate import breached, examine
from workers.trainers import TrainingTask, train


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed, and where."""

    spec: Mapping[str, Any]
    settings: Settings
    model: Model
    directory: JobDirectory

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Rehearsal":
        settings = load(Path(spec["config"]), os.environ)
        return cls(spec, settings, settings.models[spec["model"]], JobDirectory(Path(spec["directory"])))

    @property
    def features(self) -> tuple[str, ...]:
        return self.model.training.data.features or self.model.predictions.columns.feature_names

    @property
    def around(self) -> Surroundings:
        return Surroundings(
            model=self.spec["model"],
            job=self.spec["job"],
            directory=self.directory,
            project=self.settings.source_path.parent,
            limits=limits(self.settings, self.model.training),
            secrets=self.settings.secrets,
        )


def rehearse(rehearsal: Rehearsal) -> dict[str, Any]:
    """The result. Raises RetraindError where a stage fails."""
    training, directory = rehearsal.model.training, rehearsal.directory
    holdout, rows = _prepare(rehearsal)
    task = TrainingTask(rehearsal.around, training.data.target, rehearsal.features, wanted_task(training))
    made = train(training.trainer, task)
    kind = made.task or task.task or task_of(pq.read_table(directory.data)[training.data.target])
    outputs, positive = _predict(rehearsal, holdout, kind)
    judged = holdout.num_rows
    actual = holdout[training.data.target]
    figures = {name: figures_of(actual, each.slice(0, judged), positive[name], kind) for name, each in outputs.items()}
    gates = [] if rehearsal.spec["first"] else ask(training.gates, figures["challenger"], figures.get("champion"))
    failed = [gate.sentence for gate in gates if not gate.passed]
    predictions = directory.path / "predictions.parquet"
    pq.write_table(outputs["challenger"].slice(judged), predictions)
    leans = _importance(rehearsal, kind)
    directory.sweep(ended=True)
    return {
        "outcome": "gate_failed" if failed else "deployed",
        "because": "; ".join(failed) or None,
        "seconds": made.seconds,
        "metrics": figures["challenger"],
        "train_rows": rows,
        "importance": leans,
        "predictions": str(predictions),
    }


def _prepare(rehearsal: Rehearsal) -> tuple[pa.Table, int]:
    """Checks the window and splits it. The holdout, and how many rows are left to train on."""
    training, directory = rehearsal.model.training, rehearsal.directory
    table = pq.read_table(rehearsal.spec["data"])
    if table.num_rows == 0:
        raise DataFailure("the window has no labelled rows; nothing can be trained on it")
    table = weighted(Rows(table, rehearsal.features, TIME, Window(None, None)), training.data.window.half_life)
    figures = examine(table, list(rehearsal.features), training.data.target)
    breaches = list(breached(table, figures, training.checks, training.data.target))
    if breaches:
        raise DataFailure("the training data was refused: " + "; ".join(breaches))
    older, holdout = split(table, TIME, training)
    directory.window.mkdir(parents=True, exist_ok=True)
    for path, part in ((directory.data, table), (directory.train, older), (directory.holdout, holdout)):
        pq.write_table(part, path)
    return holdout, older.num_rows


def _predict(rehearsal: Rehearsal, holdout: pa.Table, kind: str) -> tuple[dict[str, pa.Table], dict[str, object]]:
    """Challenger and, where a gate asks for it, champion, on the holdout and then on all that is ahead; and which class
    each takes for the positive one."""
    directory, spec = rehearsal.directory, rehearsal.spec
    features = list(rehearsal.features)
    ahead = pq.read_table(spec["ahead"], columns=features).slice(spec["start"])
    asked = directory.scratch("asked.parquet")
    asked.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([holdout.select(features), ahead], promote_options="permissive"), asked)
    models = {"challenger": str(directory.model)}
    if spec["champion"] is not None and rehearsal.model.training.needs_champion and not spec["first"]:
        models["champion"] = spec["champion"]
    answer, _ = run_program(
        "predict",
        {
            "data": str(asked),
            "features": features,
            "task": kind,
            "models": {
                name: {"model": path, "output": str(directory.scratch(f"{name}.parquet"))}
                for name, path in models.items()
            },
        },
        rehearsal.around,
        what="the evaluation",
        log="evaluate",
        python=getattr(rehearsal.model.training.trainer, "python", None),
    )
    for name, each in answer["models"].items():
        if not each["ok"]:
            raise UnknownFailure(f"the {name} cannot predict: {str(each['sentence']).rstrip('.')}")
    outputs = {name: pq.read_table(directory.scratch(f"{name}.parquet")) for name in models}
    return outputs, {name: answer["models"][name]["positive"] for name in models}


def _importance(rehearsal: Rehearsal, kind: str) -> dict[str, Any] | None:
    """How much the challenger leans on its features; None: no trigger asks. Shuffling takes as long as a training."""
    if not any(getattr(each, "weights", None) == "importance" for each in rehearsal.model.triggers.values()):
        return None
    directory = rehearsal.directory
    output = directory.scratch("judged.parquet")
    spec = {
        "data": str(directory.holdout),
        "features": list(rehearsal.features),
        "task": kind,
        "models": {"challenger": {"model": str(directory.model), "output": str(output)}},
        "importance": importance.question(rehearsal.model),
    }
    python = getattr(rehearsal.model.training.trainer, "python", None)
    answer, _ = run_program("predict", spec, rehearsal.around, what="the evaluation", log="evaluate", python=python)
    return importance.kept(rehearsal.model, answer["models"]["challenger"])


def main(spec: str, result: str) -> None:
    try:
        answer = rehearse(Rehearsal.of(json.loads(Path(spec).read_text())))
    except RetraindError as error:
        answer = {"outcome": "failed", "because": str(error)}
    Path(result).write_text(json.dumps(answer, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
