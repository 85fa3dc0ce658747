"""`evaluate`: challenger and champion predict the same rows now, in a child process, and the gates are asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retraind.errors import UnknownFailure
from retraind.ledger import models
from retraind.ledger.rows import Version
from retraind.states import JobState, Stage
from triggers.metrics import METRICS, metric_value
from workers import importance
from workers.content import must_be_recorded
from workers.context import StageContext, StageResult
from workers.gates import Figures, ask
from workers.job_directory import JobDirectory
from workers.model_files import files_of, must_be, remove_compiled
from workers.program import run_program
from workers.stages.train import surroundings

MOST_CLASSES = 20  # whole numbers with more values than this are counted or measured, not told apart


def run(context: StageContext) -> StageResult:
    """Ends the job as `gate_failed` where a gate was not met."""
    directory = context.files
    directory.kill_leftovers()
    must_be_recorded(directory.holdout, context.done[Stage.INGEST])
    champion = _champion(context)
    task = _task(context, directory)
    answers = _predict(context, directory, champion, task)
    challenger_figures = _figures(context, directory, answers, "challenger", task)
    if challenger_figures is None:
        raise _speechless("the challenger cannot predict", answers["challenger"], directory)
    champion_figures = _figures(context, directory, answers, "champion", task) if champion else None
    if champion is not None and champion_figures is None and context.model.training.needs_champion:
        what = f"the champion, version {champion.version}, cannot predict the holdout to be compared with"
        raise _speechless(what, answers["champion"], directory)
    gates = ask(context.model.training.gates, challenger_figures, champion_figures)
    failed = [gate.sentence for gate in gates if not gate.passed]
    result = {
        "rows": answers["challenger"]["rows"],
        "task": task,
        "challenger": challenger_figures,
        "champion": champion_figures,
        "champion_version": champion.version if champion else None,
        "gates": [vars(gate) for gate in gates],
        "importance": importance.kept(context.model, answers["challenger"]),
    }
    return StageResult(
        result,
        columns={"metrics": dict(challenger_figures)},
        gates=gates,
        closes=JobState.GATE_FAILED if failed else None,
        because="; ".join(failed) or None,
    )


def _speechless(what: str, answer: Mapping[str, Any], directory: JobDirectory) -> UnknownFailure:
    said = str(answer["sentence"]).rstrip(".")
    return UnknownFailure(f"{what}: {said}. The output is in {directory.log('evaluate')}.")


def _champion(context: StageContext) -> Version | None:
    with context.session.ledger.read() as connection:
        return models.champions(connection, context.job.model).current


def _task(context: StageContext, directory: JobDirectory) -> str:
    """What the training said, else what the target looks like."""
    told = context.done[Stage.TRAIN].get("task")
    if told:
        return str(told)
    target = context.model.training.data.target
    return task_of(pq.read_table(directory.data, columns=[target]).column(0))


def task_of(target: pa.ChunkedArray) -> str:
    """Numbers with fractions, or of very many values, are regressed; anything else is a class."""
    if not (pa.types.is_integer(target.type) or pa.types.is_floating(target.type) or pa.types.is_decimal(target.type)):
        return "classification"
    values = pc.unique(target.drop_null()).cast(pa.float64())
    whole = bool(pc.all(pc.equal(values, pc.floor(values))).as_py())
    return "classification" if whole and len(values) <= MOST_CLASSES else "regression"


def _predict(
    context: StageContext, directory: JobDirectory, champion: Version | None, task: str
) -> dict[str, dict[str, Any]]:
    challenger = must_be(directory.model, context.done[Stage.TRAIN].get("digest"), "the challenger")
    asked = {"challenger": {"model": str(challenger), "output": str(_output(directory, "challenger"))}}
    if champion is not None:
        model = files_of(context.session, champion, directory.champion(champion.version))
        asked["champion"] = {"model": str(model), "output": str(_output(directory, "champion"))}
    spec = {
        "data": str(directory.holdout),
        "features": list(context.done[Stage.INGEST]["features"]),
        "task": task,
        "models": asked,
        "importance": importance.question(context.model),
    }
    python = getattr(context.model.training.trainer, "python", None)
    for each in asked.values():
        remove_compiled(Path(each["model"]))
    answer, _ = run_program(
        "predict", spec, surroundings(context), what="the evaluation", log="evaluate", python=python
    )
    answers: dict[str, dict[str, Any]] = answer["models"]
    return answers


def _output(directory: JobDirectory, name: str) -> Path:
    return directory.scratch(f"{name}.parquet")


def _figures(
    context: StageContext, directory: JobDirectory, answers: dict[str, dict[str, Any]], name: str, task: str
) -> Figures | None:
    """None where the model did not predict."""
    answer = answers[name]
    if not answer["ok"]:
        return None
    actual = pq.read_table(directory.holdout, columns=[context.model.training.data.target]).column(0)
    return figures_of(actual, pq.read_table(_output(directory, name)), answer["positive"], task)


def figures_of(actual: pa.ChunkedArray, output: pa.Table, positive: object, task: str) -> Figures:
    """Every metric of the task that can be computed, of predictions as the program `predict` writes them."""
    truth, prediction = actual.to_numpy(), output.column(0).to_numpy()
    score = output.column(1).to_numpy() if output.num_columns > 1 else None
    figures: dict[str, float | None] = {}
    for metric in METRICS.values():
        if metric.task == task and (metric.needs != "scores" or score is not None):
            try:
                figures[metric.name] = metric_value(metric.name, truth, prediction, score, positive)
            except ValueError:  # more than two classes have no ROC AUC, log loss or Brier score here
                figures[metric.name] = None
    return figures
