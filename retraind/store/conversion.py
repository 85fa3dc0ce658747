"""Turns a fetched column into the Arrow type of its kind, and refuses by name and value what does not fit."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from retraind.errors import StoreError
from retraind.store.columns import Kind
from retraind.store.timestamps import FIRST, LAST

ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("us", "UTC"),
}
_WORDS = {
    Kind.NUMBER: "a number",
    Kind.INTEGER: "a whole number",
    Kind.BOOLEAN: "0 or 1",
    Kind.TEXT: "text",
    Kind.TIME: "a time",
}


def converted(values: pa.Array, kind: Kind, where: str) -> pa.Array:
    """`values` as the type of `kind`. `where` names the column. Raises StoreError for a value of another kind."""
    wanted = ARROW_TYPES[kind]
    if values.null_count == len(values):  # the driver cannot tell the type of no values
        return pa.nulls(len(values), wanted)
    if _fits(values, kind):
        return values.cast(wanted, safe=kind is not Kind.NUMBER)
    raise misfit(_example(values, kind), kind, where)


def misfit(example: object, kind: Kind, where: str) -> StoreError:
    mend = "mend the rows, or leave the column out" if kind is not Kind.TEXT else "write one kind of value"
    return StoreError(f"{where} holds {example!r} where {_WORDS[kind]} is expected; {mend}")


def off_the_calendar(instants: pa.Array) -> pa.Array:
    """Of each instant (microseconds since 1970, or a timestamp of them): whether there is none that Python can hold."""
    ticks = instants.cast(pa.int64())
    on = pc.and_(pc.greater_equal(ticks, FIRST), pc.less_equal(ticks, LAST))
    return pc.invert(pc.fill_null(on, False))  # noqa: FBT003 - a value, not a switch


def _fits(values: pa.Array, kind: Kind) -> bool:
    types, found = pa.types, values.type
    whole = types.is_integer(found)
    fits = {
        Kind.NUMBER: whole or types.is_floating(found) or types.is_boolean(found),
        Kind.INTEGER: whole,
        Kind.BOOLEAN: types.is_boolean(found) or (whole and _only_zero_and_one(values)),
        Kind.TEXT: types.is_string(found) or types.is_large_string(found),
        Kind.TIME: types.is_timestamp(found),
    }
    return bool(fits[kind])


def _only_zero_and_one(values: pa.Array) -> bool:
    ends = pc.min_max(values).as_py()
    return bool(ends["min"] >= 0 and ends["max"] <= 1)


def _example(values: pa.Array, kind: Kind) -> object:
    """The first value that does not fit: among text that was expected to be numbers, the first that is none."""
    for value in values.drop_null().to_pylist():
        if not _passes(value, kind):
            return value
    return values.drop_null()[0].as_py()


def _passes(value: object, kind: Kind) -> bool:
    if kind is Kind.TEXT:
        return isinstance(value, str)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    if kind is Kind.BOOLEAN:
        return number in {0, 1}
    return kind is not Kind.INTEGER or number.is_integer()
