"""Reads a regressor's rows for an estimate of its errors without actuals: what is learned, judged and checked."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triggers.columns import chosen, kind_of, labels, numbers
from triggers.confidence import Estimate
from triggers.crosscheck import SHORTEST_SPAN, Check, TooFewRows, check, halves
from triggers.loss_estimation import LossModel, Regressed
from triggers.metrics import metric_value

_MOST_CATEGORIES = 200
_MOST_LEARNED = 20_000  # rows, and as many judged: a sample, evenly over the time
_FEWEST = 50


@dataclass(frozen=True)
class _Column:
    """How a column becomes numbers. `codes` None: it holds numbers already."""

    name: str
    codes: Mapping[str, int] | None

    @classmethod
    def of(cls, name: str, column: pa.ChunkedArray) -> "_Column":
        if kind_of(column) != "category":
            return cls(name, None)
        counts = Counter(label for label in labels(column).to_pylist() if label is not None)
        frequent = sorted(counts, key=lambda label: (-counts[label], label))[:_MOST_CATEGORIES]
        return cls(name, {label: code for code, label in enumerate(frequent)})

    def values(self, table: pa.Table) -> NDArray[np.float64]:
        """NaN where a value is missing, infinite, or a category that was not there to learn from."""
        try:
            if self.codes is None:
                found = numbers(table.column(self.name))
                return np.where(np.isfinite(found), found, np.nan)
            codes = self.codes
            told = labels(table.column(self.name)).to_pylist()
            return np.array([np.nan if each is None else codes.get(each, np.nan) for each in told], dtype=float)
        except ValueError as error:
            raise ValueError(f"column {self.name} {error}") from error


class RegressorEstimation:
    """The metric `name` of the rows `judged`, by a model of the error on the rows `past`.

    All tables hold the features and `prediction`, `past` and `settled` (rows of the judged window whose
    actuals have come) `actual` too; rows come in the order of time. Raises TooFewRows, and ValueError
    for columns that cannot be read.
    """

    method = "a model of the error"

    def __init__(self, name: str, features: Sequence[str], past: pa.Table, judged: pa.Table, settled: pa.Table) -> None:
        self.name = name
        self._columns = [_Column.of(each, past.column(each)) for each in (*features, "prediction")]
        if self._columns[-1].codes is not None:
            raise ValueError("column prediction holds classes where numbers are needed")
        self._past, self._settled = self._labelled(_thinned(past)), self._labelled(_thinned(settled))
        everything = self._inputs(_thinned(judged))
        self._judged = everything.taken(~np.isnan(everything.inputs[:, -1]))
        self._model = self._learn(self._past)
        self.learned, self.rows = self._past.size, self._judged.size

    def estimate(self, confidence: float) -> Estimate | None:
        return self._model.estimate(self._judged, confidence) if self.rows else None

    def realised(self) -> tuple[float | None, int]:
        """The metric on the settled rows (None: undefined), and how many they are."""
        return self._realised(self._settled), self._settled.size

    def out_of_reach(self) -> str | None:
        """Nothing: trees go on with the nearest that they know, and the checks tell whether that serves."""
        return None

    def checks(self) -> Iterator[Check]:
        older, spans = halves(self._past.size)
        earlier = self._learn(self._past.taken(older)) if spans else None
        for span in spans:
            yield from self._check(self._past.taken(span), earlier)
        if self._settled.size >= SHORTEST_SPAN:
            yield from self._check(self._settled, self._model)

    def _check(self, span: Regressed, model: LossModel | None) -> Iterator[Check]:
        if model is None:
            return
        found = check(span.size, self._realised(span), lambda confidence: model.estimate(span, confidence))
        if found is not None:
            yield found

    def _learn(self, rows: Regressed) -> LossModel:
        told = rows.size if self.name != "mape" or rows.actuals is None else int((rows.actuals != 0).sum())
        if told < _FEWEST:
            raise TooFewRows(f"only {told} labelled rows have an error to learn from, and it takes {_FEWEST}")
        return LossModel.learn(self.name, rows)

    def _realised(self, rows: Regressed) -> float | None:
        if rows.errors is None or rows.actuals is None or not rows.size:
            return None
        return metric_value(self.name, rows.actuals, rows.actuals + rows.errors)

    def _inputs(self, table: pa.Table) -> Regressed:
        columns = [each.values(table) for each in self._columns]
        return Regressed(np.column_stack(columns), tuple(each.codes is not None for each in self._columns))

    def _labelled(self, table: pa.Table) -> Regressed:
        inputs, actual = self._inputs(table), _Column("actual", None).values(table)
        errors = inputs.inputs[:, -1] - actual
        whole = Regressed(inputs.inputs, inputs.categorical, errors, actual)
        return whole.taken(np.isfinite(errors))


def _thinned(table: pa.Table) -> pa.Table:
    step = -(-table.num_rows // _MOST_LEARNED)
    return table if step < 2 else chosen(table, np.arange(table.num_rows) % step == 0)
