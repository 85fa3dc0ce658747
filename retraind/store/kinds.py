"""Finds out of what kind a column's values are where its declaration does not say: in SQLite and in JSON."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, literal_column, select

from retraind.errors import StoreError
from retraind.store.backend import Backend
from retraind.store.columns import Field, Kind, TableShape

Conditions = Sequence[ColumnElement[bool]]

_FEATURE_KINDS = {
    "integer": Kind.NUMBER,
    "real": Kind.NUMBER,
    "number": Kind.NUMBER,
    "boolean": Kind.NUMBER,  # of JSON: SQLite reads true as 1, and both stores should say the same
    "text": Kind.TEXT,
    "string": Kind.TEXT,
    "object": Kind.TEXT,
    "array": Kind.TEXT,
}
_LABEL_KINDS = {
    ("integer", "integer"): Kind.INTEGER,
    ("integer", "real"): Kind.NUMBER,
    ("real", "real"): Kind.NUMBER,
    ("text", "text"): Kind.TEXT,
}
_NULL: ColumnElement[str] = literal_column("'null'")


def kinds(
    backend: Backend, shape: TableShape, fields: Sequence[Field], only: Conditions, window: Conditions
) -> dict[str, Kind]:
    """The kind of every field, by name. A column without any value counts as numbers.

    A feature is what its first value in the table (under `only`) is, so that it keeps its kind from
    one window to the next. A class or target is judged by all its values in the window: whole
    numbers stay whole unless fractions stand beside them. Raises StoreError where no kind fits.
    """
    declared = {field.name: backend.declared_kind(shape, field) for field in fields}
    unknown = [field for field in fields if declared[field.name] is None]
    features = _of_features(backend, shape, [field for field in unknown if not field.is_label], only)
    labels = _of_labels(backend, shape, [field for field in unknown if field.is_label], [*only, *window])
    return {name: kind or features.get(name) or labels.get(name) or Kind.NUMBER for name, kind in declared.items()}


def _of_features(backend: Backend, shape: TableShape, fields: Sequence[Field], only: Conditions) -> dict[str, Kind]:
    if not fields:
        return {}
    firsts = []
    for field in fields:
        found = backend.value_type(backend.value(shape, field))
        firsts.append(select(found).where(*only, found != _NULL).limit(1).scalar_subquery())
    found_types = backend.session.row(select(*firsts))
    return {
        field.name: _known(_FEATURE_KINDS.get(found), found, shape, field)
        for field, found in zip(fields, found_types, strict=True)
        if found is not None
    }


def _of_labels(backend: Backend, shape: TableShape, fields: Sequence[Field], conditions: Conditions) -> dict[str, Kind]:
    if not fields:
        return {}
    ends = []
    for field in fields:
        found = func.nullif(backend.value_type(backend.value(shape, field)), _NULL)
        ends += [func.min(found), func.max(found)]
    row = backend.session.row(select(*ends).select_from(shape.clause).where(*conditions))
    pairs = zip(row[::2], row[1::2], strict=True)
    return {
        field.name: _known(_LABEL_KINDS.get(pair), " and ".join(pair), shape, field)
        for field, pair in zip(fields, pairs, strict=True)
        if pair != (None, None)
    }


def _known(kind: Kind | None, found: str, shape: TableShape, field: Field) -> Kind:
    if kind is None:
        raise StoreError(
            f"{shape.name}: column {field.column!r} holds {found}; write one kind of value, text or numbers"
        )
    return kind
