"""`ingest`: resolves the window and materialises it, once per job; every later stage and attempt reuses the files."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retraind.config.policy import OnIncident
from retraind.config.recipe import recipe_hash
from retraind.config.training import Training
from retraind.errors import DataFailure, TransientFailure
from retraind.ledger import incidents, jobs
from retraind.nearest import did_you_mean
from retraind.states import JobState
from retraind.training_rows import holdout_begins
from workers.content import content_hash, file_hash
from workers.context import StageContext, StageResult
from workers.durable import making_once, remove, write_json
from workers.job_directory import WEIGHT, JobDirectory
from workers.sources import Rows, read_file, read_window, without


def run(context: StageContext) -> StageResult:
    """Materialises the window, or takes what an earlier attempt left. Ends the job as `skipped` where another job
    trained on the same data by the same recipe."""
    record = _recorded(context.files) or _materialise(context)
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
    """What another attempt recorded; None where none came so far, or somebody removed since what the record vouches
    for."""
    try:
        record: dict[str, Any] = json.loads(directory.ingested.read_text())
        found = [pq.read_metadata(path).num_rows for path in (directory.data, directory.train, directory.holdout)]
    except (OSError, ValueError, pa.ArrowException):
        return None
    return record if found == [record[name] for name in ("rows", "train_rows", "holdout_rows")] else None


def _data_hash(table: pa.Table, holdout: pa.Table, training: Training) -> str:
    """What tells this data from other data: the window's rows and, where it is a file's, the holdout's."""
    rows = content_hash(table)
    if training.holdout.file is None:
        return rows
    return hashlib.sha256(f"{rows} {content_hash(holdout)}".encode()).hexdigest()


def _materialise(context: StageContext) -> dict[str, Any]:
    """Reads the window and keeps it. Returns what is kept then: another attempt's, where that was faster."""
    rows, left_out = _sound(context)
    table = weighted(rows, context.model.training.data.window.half_life)
    train, holdout = split(table, rows.time, context.model.training)
    context.fence()
    kept = context.files
    if kept.window.exists() and _recorded(kept) is None:
        remove(kept.window)
    with making_once(kept.window) as directory:
        directory.mkdir()
        for path, part in ((kept.data, table), (kept.train, train), (kept.holdout, holdout)):
            pq.write_table(part, directory / path.name, compression="zstd")
        record = {
            "rows": table.num_rows,
            "train_rows": train.num_rows,
            "holdout_rows": holdout.num_rows,
            "columns": table.column_names,
            "features": list(rows.features),
            "left_out": left_out,
            "time": rows.time,
            "window_start": rows.window.start.isoformat() if rows.window.start else None,
            "window_end": rows.window.end.isoformat() if rows.window.end else None,
            "data_hash": _data_hash(table, holdout, context.model.training),
            "files": {path.name: file_hash(path) for path in sorted(directory.iterdir())},
        }
        write_json(directory / kept.ingested.name, record)
    whole = _recorded(kept)
    if whole is None:
        raise TransientFailure(f"{kept.window} went away while it was made")
    return whole


def _sound(context: StageContext) -> tuple[Rows, dict[str, Any]]:
    """The window's rows but those of incidents of the data, and what was left out: how many rows, of which spans."""
    window = read_window(context.model, context.job.requested_at)
    if window.table.num_rows == 0:
        raise DataFailure("the window has no labelled rows; nothing can be trained on it")
    spans = _spoilt(context)
    rows = without(window, spans)
    lost = window.table.num_rows - rows.table.num_rows
    if rows.table.num_rows == 0:
        raise DataFailure(
            f"all {lost:,} labelled rows of the window are of incidents of the data; nothing can be trained on "
            f"it until there are others, or `retraind clear {context.job.model}` says of an open one that it is right"
        )
    told = [[start.isoformat(), end.isoformat() if end else None] for start, end in spans] if lost else []
    return rows, {"rows": lost, "spans": told}


def _spoilt(context: StageContext) -> list[tuple[datetime, datetime | None]]:
    if context.model.policy.on_incident is OnIncident.IGNORE:
        return []
    with context.session.ledger.read() as connection:
        return incidents.spoilt(connection, context.job.model, context.model.triggers)


def weighted(rows: Rows, half_life: timedelta | None) -> pa.Table:
    """Adds the column of weights: a row this much older than the newest counts half."""
    if half_life is None:
        return rows.table
    if rows.time is None:
        raise DataFailure("window.half_life weighs rows by age and the data has no time; name its `timestamp` column")
    instants = rows.table[rows.time].cast(pa.int64()).to_numpy()
    ages = (instants.max() - instants) / 1e6
    weights = np.exp2(-ages / half_life.total_seconds())
    return rows.table.append_column(WEIGHT, pa.array(weights))


def split(table: pa.Table, time: str | None, training: Training) -> tuple[pa.Table, pa.Table]:
    """The rows to train on and those to judge on: the newest share, or a fixed file.

    Rows of one instant stay together, on the newer side: a model must not be judged on a moment that it
    learnt from. Rows without a time are split where they stand.
    """
    holdout = training.holdout
    if holdout.file is not None:
        return table, _fixed(holdout.file, table.column_names, training.data.target)
    cut = holdout_begins(table, time, holdout.share)
    if cut in {0, table.num_rows}:
        raise DataFailure(
            f"{table.num_rows} rows cannot be split so that a share of {holdout.share:g} of them, all newer than the "
            "rest, is kept for judging; take a longer window, or name a file under training.holdout"
        )
    return table.slice(0, cut), table.slice(cut)


def _fixed(path: str, columns: list[str], target: str) -> pa.Table:
    """The labelled rows of a fixed holdout, with those of the data's columns that it has."""
    table = read_file(path)
    if target not in table.column_names:
        raise DataFailure(
            f"the holdout {path} has no column {target!r}{did_you_mean(target, table.column_names)}, "
            "which is the target"
        )
    table = table.filter(pc.is_valid(table[target]))
    if table.num_rows == 0:
        raise DataFailure(f"the holdout {path} has no labelled rows; nothing can be judged on it")
    return table.select([name for name in columns if name in table.column_names])


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
