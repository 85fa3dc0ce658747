"""Tallies, computed in the database: only counts and sums come back."""

from collections import Counter
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Subquery, and_, case, func, literal_column, not_, null, select

from retraind.errors import StoreError
from retraind.store.newest import beginning, newest_first
from retraind.store.source import Source, within
from triggers.evidence import Arrival, ArrivalRequest, TallyRequest, Window
from triggers.metrics import ErrorSums, Tally, class_label

_ZERO: ColumnElement[int] = literal_column("0")


def tally(rows: Source, request: TallyRequest) -> Tally:
    """The sums that `request` asks for. Raises StoreError."""
    if rows.settings.columns.actual is None:
        return Tally()
    return _classes(rows, request) if request.kind == "classes" else _errors(rows, request)


def arrivals(rows: Source, request: ArrivalRequest) -> tuple[Arrival, ...]:
    """What `request` asks for. Raises StoreError."""
    return tuple(_arrival(rows, part, request) for part in request.windows())


def _arrival(rows: Source, part: Window, request: ArrivalRequest) -> Arrival:
    asked = TallyRequest(part, request.kind, None, request.version)
    if request.kind == "classes":
        pairs = _pairs(rows, asked, labelled=False)
        unlabelled: Counter[str] = Counter()
        for prediction, actual, number in pairs:
            if actual is None:
                unlabelled[class_label(prediction)] += number
        return Arrival(Tally.of_pairs(pairs), dict(unlabelled))
    waiting = and_(rows.known("prediction"), not_(rows.known("actual")))
    statement = select(func.count()).select_from(rows.shape.clause)
    (number,) = rows.backend.session.row(statement.where(*within(rows, part, request.version), waiting))
    return Arrival(tally(rows, asked), {"": number} if number else {})


def _classes(rows: Source, request: TallyRequest) -> Tally:
    return Tally.of_pairs(_pairs(rows, request, labelled=True))


def _pairs(rows: Source, request: TallyRequest, *, labelled: bool) -> list[tuple[Any, Any, int]]:
    """(prediction, actual, rows); unless `labelled`, also rows without an actual, which is then None."""
    prediction, actual = _class(rows, "prediction"), _class(rows, "actual")
    if not labelled:
        actual = case((rows.known("actual"), actual), else_=null())
    judged = _judged(rows, request, [prediction.label("prediction"), actual.label("actual")], labelled=labelled)
    pair = (judged.c.prediction, judged.c.actual)
    found = rows.backend.session.read(select(*pair, func.count(), func.max(judged.c.unreadable)).group_by(*pair))
    predictions, actuals, counts, unreadable = (column.to_pylist() for column in found.columns)
    rows.refuse_unreadable(next((raw for raw in unreadable if raw is not None), None))
    return list(zip(predictions, actuals, counts, strict=True))


def _class(rows: Source, name: str) -> ColumnElement[Any]:
    field = rows.field(name)
    assert field is not None  # noqa: S101 - `tally` answers where there are no actuals
    value = rows.backend.value(rows.shape, field)
    kind = rows.backend.declared_kind(rows.shape, field)
    return value if kind is None else rows.backend.output(value, field, kind)


def _errors(rows: Source, request: TallyRequest) -> Tally:
    columns: list[ColumnElement[Any]] = []
    for name, text in (("prediction", "prediction_text"), ("actual", "actual_text")):
        field = rows.field(name)
        assert field is not None  # noqa: S101 - `tally` answers where there are no actuals
        odd = rows.backend.text_among_numbers(rows.shape, field)
        columns.append(rows.backend.number(rows.value(name)).label(name))
        columns.append((null() if odd is None else odd).label(text))
    judged = _judged(rows, request, columns)
    found = rows.backend.session.row(_sums(judged))
    *sums, unreadable, prediction_text, actual_text = found
    rows.refuse_unreadable(unreadable)
    for name, text in (("prediction", prediction_text), ("actual", actual_text)):
        if text is not None:
            raise StoreError(
                f"{rows.where(getattr(rows.settings.columns, name))} holds {text!r}, and errors are taken of numbers; "
                "mend the rows, or choose a metric for classes, as accuracy"
            )
    count, nonzero, *rest = sums
    absolute, squared, fourth, relative, relative_squared, actual, actual_squared = (float(each or 0) for each in rest)
    return Tally(
        errors=ErrorSums(
            count=count,
            absolute=absolute,
            squared=squared,
            fourth=fourth,
            nonzero=nonzero,
            relative=relative,
            relative_squared=relative_squared,
            actual=actual,
            actual_squared=actual_squared,
        )
    )


def _sums(judged: Subquery) -> ClauseElement:
    actual = judged.c.actual
    error = judged.c.prediction - actual
    relative = case((actual != _ZERO, error / actual), else_=null())
    return select(
        func.count(),
        func.count(relative),
        func.sum(func.abs(error)),
        func.sum(error * error),
        func.sum(error * error * error * error),
        func.sum(func.abs(relative)),
        func.sum(relative * relative),
        func.sum(actual),
        func.sum(actual * actual),
        func.max(judged.c.unreadable),
        func.max(judged.c.prediction_text),
        func.max(judged.c.actual_text),
    ).select_from(judged)


def _judged(
    rows: Source, request: TallyRequest, columns: list[ColumnElement[Any]], *, labelled: bool = True
) -> Subquery:
    """The rows to sum over: those with a prediction and, if `labelled`, an actual; all or the newest of them."""
    unreadable = rows.time.unreadable
    columns = [*columns, (null() if unreadable is None else unreadable).label("unreadable")]
    conditions = within(rows, request.window, request.version)
    conditions.append(rows.known("prediction"))
    if labelled:
        conditions.append(rows.known("actual"))
    if request.last is None:
        return select(*columns).where(*conditions).subquery()
    conditions += beginning(rows, conditions, request.last)
    return select(*columns).where(*conditions).order_by(*newest_first(rows)).limit(request.last).subquery()
