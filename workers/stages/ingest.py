"""`ingest`: resolves the window and materialises it, once per job; every later stage and attempt reuses the files."""

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from retraind.tables import read_table

from retraind.config.recipe import recipe_hash
from retraind.config.training import Holdout
from retraind.errors import DataFailure
from retraind.ledger import jobs
from retraind.states import JobState
from workers.content import content_hash
from workers.context import StageContext, StageResult
from workers.durable import replacing, write_json
from workers.job_directory import WEIGHT, JobDirectory
from workers.sources import Rows, read_window


def run(context: StageContext) -> StageResult:
    """Materialises the window, or takes what an earlier attempt left. Ends the job as `skipped` where another job
    trained on the same data by the same recipe."""
    directory = JobDirectory(context.directory)
    record = _recorded(directory) or _materialise(context, directory)
    recipe = recipe_hash(context.model, context.session.settings.source_path.parent)
    columns = {
        "window_start": _instant(record["window_start"]),
        "window_end": _instant(record["window_end"]),
        "data_hash": record["data_hash"],
        "recipe_hash": recipe,
    }
    result = {**record, "recipe_hash": recipe}
    twin = _twin(context, columns)
    if twin is None:
        return StageResult(result, columns)
    return StageResult(result, columns, closes=JobState.SKIPPED, because=twin)


def _twin(context: StageContext, columns: dict[str, Any]) -> str | None:
    """A sentence naming the job and version that this training would repeat; None: it would be new, or is forced."""
    if context.job.forced:
        return None
    with context.session.ledger.read() as connection:
        other = jobs.twin(connection, context.job, columns["data_hash"], columns["recipe_hash"])
    if other is None:
        return None
    made = f"version {other.version}" if other.version else "no version"
    return (
        f"job {other.id} trained on the same data by the same recipe and made {made} ({other.state}); "
        "use --force to train all the same"
    )


def _recorded(directory: JobDirectory) -> dict[str, Any] | None:
    """What an earlier attempt recorded; None where it did not come so far. The record is written last."""
    try:
        record: dict[str, Any] = json.loads(directory.ingested.read_text())
    except (OSError, ValueError):
        return None
    return record


def _materialise(context: StageContext, directory: JobDirectory) -> dict[str, Any]:
    rows = read_window(context.model, context.job.requested_at)
    if rows.table.num_rows == 0:
        raise DataFailure("the window has no labelled rows; nothing can be trained on it")
    table = _weighted(rows, context.model.training.data.window.half_life)
    train, holdout = _split(table, context.model.training.holdout)
    for path, part in ((directory.data, table), (directory.train, train), (directory.holdout, holdout)):
        with replacing(path) as temporary:
            pq.write_table(part, temporary, compression="zstd")
    record = {
        "rows": table.num_rows,
        "train_rows": train.num_rows,
        "holdout_rows": holdout.num_rows,
        "columns": table.column_names,
        "features": list(rows.features),
        "time": rows.time,
        "window_start": rows.window.start.isoformat() if rows.window.start else None,
        "window_end": rows.window.end.isoformat() if rows.window.end else None,
        "data_hash": content_hash(table),
    }
    write_json(directory.ingested, record)
    return record


def _weighted(rows: Rows, half_life: timedelta | None) -> pa.Table:
    """Adds the column of weights: a row this much older than the newest counts half."""
    if half_life is None:
        return rows.table
    if rows.time is None:
        raise DataFailure("window.half_life weighs rows by age and the data has no time; name its `timestamp` column")
    instants = rows.table[rows.time].cast(pa.int64()).to_numpy()
    ages = (instants.max() - instants) / 1e6
    weights = np.exp2(-ages / half_life.total_seconds())
    return rows.table.append_column(WEIGHT, pa.array(weights))


def _split(table: pa.Table, holdout: Holdout) -> tuple[pa.Table, pa.Table]:
    """The rows to train on and those to judge on: the newest share, or a fixed file."""
    if holdout.file is not None:
        columns = [name for name in table.column_names if name != WEIGHT]
        fixed = read_table(holdout.file, None)
        return table, fixed.select([name for name in columns if name in fixed.column_names])
    cut = int(table.num_rows * (1 - holdout.share))
    if cut in {0, table.num_rows}:
        raise DataFailure(f"{table.num_rows} rows are too few to keep a share of {holdout.share:g} for judging")
    return table.slice(0, cut), table.slice(cut)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
