"""What is newest: the newest rows of a window, how to order them and where it is enough to begin; the greatest key."""

from typing import Any

from sqlalchemy import ColumnElement, func, select

from retraind.store.session import bound
from retraind.store.source import Source


def newest_first(rows: Source) -> list[ColumnElement[Any]]:
    """An exact order; rows of one instant the later key first."""
    order = [rows.time.raw.desc()] if rows.time.in_order else [rows.time.instant.desc(), rows.time.raw.desc()]
    return [*order, *([rows.key.desc()] if rows.key is not None else [])]


def beginning(rows: Source, conditions: list[ColumnElement[bool]], last: int) -> list[ColumnElement[bool]]:
    """Conditions that leave out no row of the newest `last`, and spare the database computing every instant.

    Text is sorted without regard to zones: the true newest rows are written at most 28 h before the
    one that comes `last` in the text's own order.
    """
    if rows.time.in_order:
        return []
    raw = rows.time.raw
    oldest = select(raw.label("raw")).where(*conditions).order_by(raw.desc()).limit(1).offset(last - 1)
    found = rows.backend.session.records(oldest)
    return [raw >= bound(rows.time.shifted(found[0]["raw"], -2))] if found else []


def newest_key(rows: Source) -> int | None:
    """The greatest key; None: the table has none of whole numbers."""
    name = rows.shape.key or rows.settings.columns.id
    if name is None:
        return None
    (key,) = rows.backend.session.row(select(func.max(rows.shape.column(name))))
    return key if isinstance(key, int) else None
