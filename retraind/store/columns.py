"""Which columns of the user's table hold what retraind calls by role and feature name, and of what kind they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, TableClause

from retraind.config.predictions import Columns, JsonFeatures
from retraind.errors import StoreError
from retraind.nearest import did_you_mean

ROLES = ("timestamp", "prediction", "score", "actual", "version")
LABELS = ("prediction", "actual")


class Kind(StrEnum):
    """What a column's values are, once read."""

    NUMBER = "number"  # float64
    INTEGER = "integer"  # int64: classes and targets only, a feature's numbers are all float64
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"  # timestamp[us, UTC]


@dataclass(frozen=True)
class TableShape:
    """A table or view as the database describes it. `declared` maps each column to its declared type, lower case."""

    name: str
    clause: TableClause
    declared: Mapping[str, str]
    key: str | None  # a column that tells rows of one instant apart; None: nothing does
    is_view: bool
    indexes: tuple[tuple[str, ...], ...]  # the columns of each index, in its order

    def column(self, name: str) -> ColumnElement[object]:
        return self.clause.c[name]


@dataclass(frozen=True)
class Field:
    """One column of an answer: what it is called there, and where it stands in the table."""

    name: str
    column: str
    json_key: str | None = None  # a feature inside a JSON column, by its key
    is_label: bool = False  # a class or target: its integers stay integers


def field_of(name: str, columns: Columns, shape: TableShape) -> Field | None:
    """The field behind a role, a feature, or the table's own name of a column. None: an actual that never comes.

    Raises StoreError for a name that is none of these, or whose column is not there.
    """
    if name == "actual" and columns.actual is None:
        return None
    role = getattr(columns, name) if name in ROLES else None
    if role is not None:
        never = ", or write `actual: null` there if actuals never come" if name == "actual" else ""
        return Field(name, _present(role, shape, f"columns: {{{name}: ...}}", never), is_label=name in LABELS)
    features = columns.features
    if name in columns.feature_names:
        if isinstance(features, JsonFeatures):
            return Field(name, _present(features.column, shape, "columns: {features: {json: ...}}"), json_key=name)
        return Field(name, _present(name, shape, "columns: {features: [...]}"))
    if name in shape.declared:
        return Field(name, name, is_label=name in (columns.prediction, columns.actual))
    if name in ROLES:
        raise StoreError(
            f"{shape.name}: nothing says which column is the {name}; "
            f"name it in predictions: {{columns: {{{name}: ...}}}}"
        )
    raise StoreError(f"{missing(name, shape)}; name a column of the table, or list {name!r} among the features")


def fixed_kinds(columns: Columns) -> dict[str, Kind]:
    """The kinds of the roles that are always of one kind, however the table declares them."""
    return {
        "timestamp": Kind.TIME,
        **({"version": Kind.TEXT} if columns.version is not None else {}),
        **({"score": Kind.NUMBER} if columns.score is not None else {}),
    }


def missing(column: str, shape: TableShape) -> str:
    return f"{shape.name} has no column {column!r}{did_you_mean(column, shape.declared)}"


def _present(column: str, shape: TableShape, setting: str, alternative: str = "") -> str:
    if column not in shape.declared:
        raise StoreError(f"{missing(column, shape)}; correct predictions: {{{setting}}}{alternative}")
    return column
