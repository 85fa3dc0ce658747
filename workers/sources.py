"""Reads a training window from wherever `training.data.source` says: store, files or a query."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from retraind.store.sql import read_sql
from retraind.tables import read_table

from retraind.config.settings import Model
from retraind.config.training import FileSource, SqlSource, TrainingData
from retraind.errors import DataFailure
from retraind.nearest import did_you_mean
from retraind.store import open_store
from triggers.evidence import RowsRequest, Window


@dataclass(frozen=True)
class Rows:
    """A window's rows, oldest first where `time` names the time column; None: they have no time."""

    table: pa.Table
    features: tuple[str, ...]
    time: str | None
    window: Window


def window_of(data: TrainingData, requested_at: datetime) -> Window:
    """The half-open window that a job requested at that instant takes. An expanding one has no start."""
    rolling = data.window.rolling
    return Window(None if rolling is None else requested_at - rolling, requested_at)


def read_window(model: Model, requested_at: datetime) -> Rows:
    """The labelled rows of the window. Raises StoreError, ConfigurationError or DataFailure."""
    data = model.training.data
    window = window_of(data, requested_at)
    if isinstance(data.source, FileSource):
        return _from_file(data, data.source, window)
    if isinstance(data.source, SqlSource):
        return _from_query(model, data.source, window)
    return _from_store(model, window)


def _from_store(model: Model, window: Window) -> Rows:
    """Features joined with actuals; the prediction comes too, because drift is judged on it later."""
    data = model.training.data
    features = data.features or model.predictions.columns.feature_names
    if not features:
        raise DataFailure(
            "there are no features to train on; name them in predictions.columns.features or training.data.features"
        )
    columns = dict.fromkeys(["timestamp", *features, data.target, "prediction"])
    with open_store(model.predictions) as store:
        table = store.rows(RowsRequest(window, tuple(columns), labelled=True))
    return Rows(table, tuple(features), "timestamp", window)


def _from_file(data: TrainingData, source: FileSource, window: Window) -> Rows:
    table = read_table(source.csv or source.parquet or "", None)
    return _tailored(table, data, source.timestamp, window)


def _from_query(model: Model, source: SqlSource, window: Window) -> Rows:
    bounds = {"start": window.start or datetime(1, 1, 1, tzinfo=UTC), "end": window.end}
    table = read_sql(source.url or model.predictions.url, source.sql, bounds)
    return _tailored(table, model.training.data, source.timestamp, window)


def _tailored(table: pa.Table, data: TrainingData, time: str | None, window: Window) -> Rows:
    """The rows of the window, labelled, in time order, with the columns that training needs."""
    wanted = [name for name in (time, data.target, *(data.features or ())) if name is not None]
    for name in wanted:
        if name not in table.column_names:
            near = did_you_mean(name, table.column_names)
            raise DataFailure(f"the training data has no column {name!r}{near}; it has {', '.join(table.column_names)}")
    features = data.features or tuple(name for name in table.column_names if name not in {time, data.target})
    table = table.select(list(dict.fromkeys([*wanted, *features])))
    if time is not None:
        table = _in_window(table, time, window).sort_by(time)
    return Rows(table.filter(pc.is_valid(table[data.target])), tuple(features), time, window)


def _in_window(table: pa.Table, time: str, window: Window) -> pa.Table:
    """Naive and textual times mean UTC, as in the predictions store."""
    try:
        instants = table[time].cast(pa.timestamp("us"))
        if getattr(table[time].type, "tz", None) is None:
            instants = pc.assume_timezone(instants, "UTC")
        else:
            instants = table[time].cast(pa.timestamp("us", "UTC"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataFailure(f"the column {time!r} is not a time: {error}; name another in `timestamp`") from error
    table = table.set_column(table.column_names.index(time), time, instants)
    keep = pc.less(instants, pa.scalar(window.end, pa.timestamp("us", "UTC")))
    if window.start is not None:
        keep = pc.and_(keep, pc.greater_equal(instants, pa.scalar(window.start, pa.timestamp("us", "UTC"))))
    return table.filter(keep)
