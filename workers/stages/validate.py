"""`validate`: the data is what the configuration says it must be, or the job ends before training."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retraind.config.training import Checks
from retraind.errors import DataFailure
from retraind.nearest import did_you_mean
from retraind.states import Stage
from workers.content import must_be_recorded
from workers.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Raises DataFailure that lists every breach with its figures."""
    training = context.model.training
    ingested = context.done[Stage.INGEST]
    table = pq.read_table(must_be_recorded(context.files.data, ingested))
    features = ingested["features"]
    figures = examine(table, features, training.data.target)
    breaches = list(breached(table, figures, training.checks, training.data.target))
    if breaches:
        raise DataFailure("the training data was refused: " + "; ".join(breaches))
    return StageResult(figures)


def examine(table: pa.Table, features: list[str], target: str) -> dict[str, Any]:
    """The figures that the checks are about: rows, share of nulls per feature, the target's rate and values."""
    rows = table.num_rows
    return {
        "rows": rows,
        "null_shares": {name: round(_missing(table[name]) / rows, 6) if rows else None for name in features},
        "target_rate": _rate(table[target]),
        "target_values": pc.count_distinct(table[target]).as_py(),
    }


def _missing(column: pa.ChunkedArray) -> int:
    """Not a number is missing too: a model sees no difference."""
    return int(pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0)


def breached(table: pa.Table, figures: dict[str, Any], checks: Checks, target: str) -> Iterator[str]:
    """A sentence for each check that the data fails."""
    if figures["rows"] < checks.min_rows:
        yield f"{figures['rows']} rows, fewer than min_rows {checks.min_rows}"
    for name, share in figures["null_shares"].items():
        if share is not None and share > checks.max_null_share:
            yield f"{share:.1%} of {name!r} is missing, more than max_null_share {checks.max_null_share:.1%}"
    if figures["target_values"] < 2:
        yield f"the target {target!r} has {figures['target_values']} distinct values; there is nothing to learn"
    yield from _rate_breaches(figures["target_rate"], checks, target)
    yield from _type_breaches(table, checks)


def _rate_breaches(rate: float | None, checks: Checks, target: str) -> Iterator[str]:
    if checks.target_rate is None:
        return
    low, high = checks.target_rate
    if rate is None:
        yield f"target_rate is to be checked, and the target {target!r} has neither numbers nor two classes"
    elif not low <= rate <= high:
        yield f"the target's rate is {rate:.4g}, outside target_rate {low:g} to {high:g}"


def _type_breaches(table: pa.Table, checks: Checks) -> Iterator[str]:
    for name, wanted in checks.types.items():
        if name not in table.column_names:
            yield f"types names {name!r}, which is not in the data{did_you_mean(name, table.column_names)}"
        elif (found := kind_of(table.schema.field(name).type)) != wanted:
            yield f"{name!r} is a {found}, not a {wanted}"


def kind_of(kind: pa.DataType) -> str:
    """What a user calls a column of this type: number, category, boolean or time."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "time" if pa.types.is_temporal(kind) else "category"


def _rate(target: pa.ChunkedArray) -> float | None:
    """The mean of numbers or truth values; of two text classes the share of the one later in the alphabet."""
    kind = kind_of(target.type)
    if kind in {"number", "boolean"}:
        mean = pc.mean(target.cast(pa.float64())).as_py()
        return None if mean is None else float(mean)
    classes = sorted(value for value in pc.unique(target).to_pylist() if value is not None)
    if kind != "category" or len(classes) != 2:
        return None
    return float(pc.mean(pc.equal(target, classes[1]).cast(pa.float64())).as_py())
