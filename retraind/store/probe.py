"""What `retraind check` tells of a predictions store: whatever stops reading it, and advice."""

from collections.abc import Iterator

import pyarrow as pa

from retraind.config.predictions import JsonFeatures, Predictions
from retraind.errors import StoreError
from retraind.store.backend import Backend, leads
from retraind.store.chunks import reading
from retraind.store.columns import Kind, TableShape, field_of, missing
from retraind.store.contract import Problem
from retraind.store.source import Source, source
from triggers.evidence import RowsRequest, Window

_SAMPLE_ROWS = 1000


def probe(backend: Backend, settings: Predictions) -> list[Problem]:
    """Every missing column at once; formats and values only where the columns are there."""
    try:
        shape = backend.describe(settings.table)
        problems = list(_missing_columns(settings, shape))
        if not problems:
            rows = source(backend, settings, shape)
            problems = list(_of_values(rows)) if rows is not None else []
            problems += _advice(settings, shape)
    except StoreError as error:
        return [Problem(str(error))]
    return list(dict.fromkeys(problems))


def _missing_columns(settings: Predictions, shape: TableShape) -> Iterator[Problem]:
    columns = settings.columns
    for name in (*_roles(settings), *columns.feature_names):
        try:
            field_of(name, columns, shape)
        except StoreError as error:
            yield Problem(str(error))
            if name in columns.feature_names and isinstance(columns.features, JsonFeatures):
                break  # they all stand in that one column
    if columns.id is not None and columns.id not in shape.declared:
        yield Problem(f"{missing(columns.id, shape)}; correct predictions: {{columns: {{id: ...}}}}")
    for name in settings.only:
        if name not in shape.declared:
            yield Problem(f"{missing(name, shape)}; correct predictions: {{only: ...}}")


def _roles(settings: Predictions) -> tuple[str, ...]:
    columns = settings.columns
    asked = {"score": columns.score, "version": columns.version}
    return ("timestamp", "prediction", "actual", *(role for role, column in asked.items() if column is not None))


def _of_values(rows: Source) -> Iterator[Problem]:
    """Reads the newest rows as a trigger would; where that fails column by column, so that each gets its say."""
    settings = rows.settings
    names = (*_roles(settings), *settings.columns.feature_names)
    try:
        found = _newest(rows, names)
    except StoreError:
        for name in names:
            try:
                _newest(rows, (name,))
            except StoreError as error:
                yield Problem(str(error))
        return
    if found.num_rows == 0 and settings.only:
        only = ", ".join(f"{column} = {value!r}" for column, value in settings.only.items())
        yield Problem(f"{rows.shape.name} has no row with {only}; see predictions: {{only: ...}}", fatal=False)
    if found["actual"].null_count < found.num_rows:
        yield from _labels_that_never_meet(rows)


def _newest(rows: Source, names: tuple[str, ...]) -> pa.Table:
    return reading(rows, RowsRequest(Window(None, None), names, last=_SAMPLE_ROWS)).newest(_SAMPLE_ROWS).table


def _labels_that_never_meet(rows: Source) -> Iterator[Problem]:
    kinds = reading(rows, RowsRequest(Window(None, None), ("prediction", "actual"))).kinds
    if (kinds["prediction"] is Kind.TEXT) != (kinds["actual"] is Kind.TEXT):
        yield Problem(
            f"{rows.shape.name}: predictions are {kinds['prediction'].value} and actuals {kinds['actual'].value}, "
            "and classes are compared as text; see that both are written alike",
            fatal=False,
        )


def _advice(settings: Predictions, shape: TableShape) -> list[Problem]:
    column = settings.columns.timestamp
    if shape.is_view or any(leads(index, column, tuple(settings.only)) for index in shape.indexes):
        return []
    columns = ", ".join((*settings.only, column))
    return [
        Problem(
            f"{shape.name} has no index on {columns}, so that every look reads the whole table; "
            f"create one on ({columns})",
            fatal=False,
        )
    ]
