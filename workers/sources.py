"""Reads a training window from wherever `training.data.source` says: store, files or a query."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from retraind.config.settings import Model
from retraind.config.training import FileSource, SqlSource
from retraind.errors import ConfigurationError, DataFailure, StoreBusy, StoreError, TransientFailure
from retraind.nearest import did_you_mean
from retraind.store import open_store
from retraind.store.sql import read_sql
from retraind.tables import read_table
from retraind.training_rows import INSTANT, instants_of, outside, window_of
from triggers.evidence import RowsRequest, Window


@dataclass(frozen=True)
class Rows:
    """A window's rows, oldest first where `time` names the time column; None: they have no time."""

    table: pa.Table
    features: tuple[str, ...]
    time: str | None
    window: Window


def read_window(model: Model, requested_at: datetime) -> Rows:
    """The labelled rows of the window. Raises TransientFailure where the store cannot answer just now, else
    DataFailure."""
    source = model.training.data.source
    window = window_of(model.training.data, requested_at)
    with _as_failures():
        if isinstance(source, FileSource):
            return tailored(read_file(source.csv or source.parquet or ""), model, source.timestamp, window)
        if isinstance(source, SqlSource):
            return _from_query(model, source, window)
        return _from_store(model, window)


def without(rows: Rows, spans: Sequence[tuple[datetime, datetime | None]]) -> Rows:
    """The rows that lie in none of the half-open spans; None: a span has no end. Rows without a time all stay."""
    if rows.time is None or not spans:
        return rows
    return replace(rows, table=outside(rows.table, rows.time, spans))


def read_file(pattern: str) -> pa.Table:
    """All columns of a file, or of all that a glob matches. Raises DataFailure where nothing can be read."""
    with _as_failures():
        return read_table(pattern)


@contextmanager
def _as_failures() -> Iterator[None]:
    """What the store and the files raise, by what it means for a job."""
    try:
        yield
    except StoreBusy as error:
        raise TransientFailure(str(error)) from error
    except (StoreError, ConfigurationError) as error:
        raise DataFailure(str(error)) from error


def _from_store(model: Model, window: Window) -> Rows:
    """Features joined with actuals. The prediction comes too, because drift is judged on it later, and so do the
    store's features that are not trained on any more: the champion may need them to be judged."""
    data, names = model.training.data, model.predictions.columns
    features = data.features or names.feature_names
    if not features:
        raise DataFailure(
            "there are no features to train on; name them in predictions.columns.features or training.data.features"
        )
    target = "actual" if data.target == names.actual else data.target
    columns = dict.fromkeys(["timestamp", *features, *names.feature_names, target, "prediction"])
    with open_store(model.predictions) as store:
        table = store.rows(RowsRequest(window, tuple(columns), labelled=True))
    if target != data.target:
        table = table.rename_columns([data.target if name == target else name for name in table.column_names])
    return Rows(table, tuple(features), "timestamp", window)


def _from_query(model: Model, source: SqlSource, window: Window) -> Rows:
    table = read_sql(source.url or model.predictions.url, source.sql, {"start": window.start, "end": window.end})
    return tailored(table, model, source.timestamp, window)


def tailored(table: pa.Table, model: Model, time: str | None, window: Window) -> Rows:
    """The rows of the window, labelled, in time order, with the columns that training needs.

    The features are those that are named, else the store's where the table has them, else every other column.
    """
    data = model.training.data
    named = data.features or _if_all_there(model.predictions.columns.feature_names, table)
    wanted = [name for name in (time, data.target, *named) if name is not None]
    for name in wanted:
        if name not in table.column_names:
            near = did_you_mean(name, table.column_names)
            raise DataFailure(f"the training data has no column {name!r}{near}; it has {', '.join(table.column_names)}")
    features = named or tuple(name for name in table.column_names if name not in {time, data.target})
    table = table.select(list(dict.fromkeys([*wanted, *features])))
    if time is not None:
        table = _in_window(table, time, window).sort_by(time)
    return Rows(table.filter(pc.is_valid(table[data.target])), tuple(features), time, window)


def _if_all_there(names: tuple[str, ...], table: pa.Table) -> tuple[str, ...]:
    return names if set(names) <= set(table.column_names) else ()


def _in_window(table: pa.Table, time: str, window: Window) -> pa.Table:
    try:
        instants = instants_of(table[time])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataFailure(f"the column {time!r} is not a time: {error}; name another in `timestamp`") from error
    table = table.set_column(table.column_names.index(time), time, instants)
    keep = pc.less(instants, pa.scalar(window.end, INSTANT))
    if window.start is not None:
        keep = pc.and_(keep, pc.greater_equal(instants, pa.scalar(window.start, INSTANT)))
    return table.filter(keep)
