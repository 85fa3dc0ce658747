"""A predictions store as it stood at an instant: rows that were there, labels that had come.

Everything is read once, and every look of a replay is answered from memory. The answers are those of
`retraind.store.reader` on a table that ends at that instant (a property test holds the one against the other).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retraind.config.settings import Model
from retraind.errors import StoreError
from retraind.store import open_store
from retraind.store.contract import BATCH_ROWS, Problem
from triggers.columns import numbers
from triggers.evidence import TIME, Arrival, ArrivalRequest, Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import ErrorSums, Tally, class_label

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Predicted:
    """What a version said of the rows from `start` on: `prediction`, and `score` where it gives one."""

    version: str
    start: int
    prediction: pa.Array | None  # None: what was recorded stands
    score: pa.Array | None


class History:
    """A `retraind.store.PredictionsStore` that `move` takes through time."""

    def __init__(self, table: pa.Table, model: Model, name: str = "the history") -> None:
        """`table` holds all rows, oldest first, with `timestamp`, `prediction`, `actual` and whatever else is asked of
        it; rows without a time are not in it."""
        self.name = name
        self.table = table.combine_chunks()
        self.times: NDArray[np.int64] = self.table[TIME].cast(pa.int64()).to_numpy()
        self._recorded = self.table
        self._known = _valid(self.table["actual"])
        self._delay = model.predictions.label_delay or timedelta()
        self._tells_version = model.predictions.columns.version is not None
        self._begins: dict[str, int] = {}  # of each version, the first row that it may have predicted
        self._there = self._settled = 0
        self.now = _EPOCH

    @classmethod
    def read(cls, model: Model, until: datetime | None = None, others: Sequence[Model] = ()) -> "History":
        """All rows of the model's store up to `until`, with what the `others`, of the same store, need too.

        Raises StoreError.
        """
        columns = dict.fromkeys(chain(*(columns_of(each) for each in (model, *others))))
        with open_store(model.predictions) as store:
            request = RowsRequest(Window(None, until), tuple(columns))
            return cls(store.rows(request), model, store.name)

    def move(self, now: datetime) -> None:
        """From now on it is that instant: rows up to it are there, and labels of rows that are the label delay old."""
        self.now = now
        self._there = self._place(now, "right")
        self._settled = self._place(now - self._delay, "right")

    def anew(self) -> None:
        """As recorded, and at the beginning again."""
        self.table, self._begins = self._recorded, {}
        self.move(_EPOCH)

    def deploy(self, said: Predicted) -> None:
        """A version serves from its first row on. Where it was really trained its own predictions take the place of
        what was recorded."""
        self._begins[said.version] = said.start
        for name, values in (("prediction", said.prediction), ("score", said.score)):
            if values is not None and name in self.table.column_names:
                self._replace(name, said.start, values)

    def row_at(self, instant: datetime) -> int:
        """The first row that is not before `instant`."""
        return self._place(instant, "left")

    def features(self) -> pa.Table:
        """What is predicted from, of all rows."""
        return self.table.drop_columns(
            [name for name in ("actual", "prediction", "score") if name in self.table.column_names]
        )

    def counts(self, window: Window) -> Counts:
        start, stop = self._bounds(window, None)
        return Counts(stop - start, int(self._labelled(start, stop).sum()))

    def tally(self, request: TallyRequest) -> Tally:
        start, stop = self._bounds(request.window, request.version)
        judged = np.flatnonzero(self._labelled(start, stop) & self._predicted(start, stop)) + start
        return self._tally(judged if request.last is None else judged[-request.last :], request.kind)

    def arrivals(self, request: ArrivalRequest) -> tuple[Arrival, ...]:
        return tuple(self._arrival(part, request) for part in request.windows())

    def rows(self, request: RowsRequest) -> pa.Table:
        return self._between(*self._bounds(request.window, request.version), request)

    def batches(self, request: RowsRequest, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        yield from self.rows(request).to_batches(batch_rows)

    def census(self, window: Window, width: timedelta, version: str | None = None) -> dict[datetime, int]:
        """How many rows each stretch of `width` has, by where it begins, of those that have any."""
        start, stop = self._bounds(window, version)
        found, counts = np.unique(self.times[start:stop] // (width // _MICROSECOND), return_counts=True)
        return {_EPOCH + int(n) * width: int(rows) for n, rows in zip(found, counts, strict=True)}

    def newest_key(self) -> int | None:
        """Rows are numbered in the order of their times, which is that of their coming."""
        return self._there - 1 if self._there else None

    def arrived(
        self, request: RowsRequest, since: int, until: int, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """The rows asked for that are numbered above `since`, up to `until`."""
        start, stop = self._bounds(request.window, request.version)
        start, stop = max(start, since + 1), min(stop, until + 1)
        yield from self._between(start, max(start, stop), request).to_batches(batch_rows)

    def change_token(self) -> str:
        return f"{self._there} {self._settled}"

    def span(self) -> tuple[datetime, datetime] | None:
        """Of the whole history, whatever instant it is."""
        if not self.times.size:
            return None
        return _EPOCH + int(self.times[0]) * _MICROSECOND, _EPOCH + int(self.times[-1]) * _MICROSECOND

    def probe(self) -> list[Problem]:
        return []

    def rest(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self, instant: datetime, side: Any) -> int:
        return int(np.searchsorted(self.times, (instant - _EPOCH) // _MICROSECOND, side))

    def _bounds(self, window: Window, version: str | None) -> tuple[int, int]:
        """The first row of the window that is there, and the one after its last."""
        start = 0 if window.start is None else self._place(window.start, "left")
        stop = self._there if window.end is None else min(self._place(window.end, "left"), self._there)
        if version is not None and self._tells_version:
            start = max(start, self._begins.get(version, self._there))
        return start, max(start, stop)

    def _between(self, start: int, stop: int, request: RowsRequest) -> pa.Table:
        """The rows from `start` up to, not including, `stop`. Raises StoreError for a column that was not read."""
        missing = [name for name in request.columns if name not in self.table.column_names]
        if missing:
            raise StoreError(f"{self.name}: the replay has not read {', '.join(map(repr, missing))}")
        table = self.table.select(request.columns).slice(start, stop - start)
        if "actual" in request.columns and stop > self._settled:
            seen = max(self._settled - start, 0)
            column = table["actual"]
            hidden = pa.nulls(stop - start - seen, column.type)
            masked = pa.chunked_array([*column.slice(0, seen).chunks, hidden], column.type)
            table = table.set_column(table.column_names.index("actual"), "actual", masked)
        if request.labelled:
            table = table.filter(_bits(self._labelled(start, stop)))
        return table if request.last is None else table.slice(max(table.num_rows - request.last, 0))

    def _labelled(self, start: int, stop: int) -> NDArray[np.bool_]:
        found = self._known[start:stop].copy()
        found[max(self._settled - start, 0) :] = False
        return found

    def _predicted(self, start: int, stop: int) -> NDArray[np.bool_]:
        return _valid(self.table["prediction"].slice(start, stop - start))

    def _tally(self, rows: NDArray[np.int64], kind: str) -> Tally:
        taken = self.table.select(["prediction", "actual"]).take(_integers(rows))
        if kind == "classes":
            return Tally.of_pairs(_pairs(taken))
        return Tally(errors=error_sums(numbers(taken["prediction"]), numbers(taken["actual"])))

    def _arrival(self, part: Window, request: ArrivalRequest) -> Arrival:
        start, stop = self._bounds(part, request.version)
        labelled, predicted = self._labelled(start, stop), self._predicted(start, stop)
        tally = self._tally(np.flatnonzero(labelled & predicted) + start, request.kind)
        waiting = np.flatnonzero(predicted & ~labelled) + start
        return Arrival(tally, self._unlabelled(waiting, request.kind))

    def _unlabelled(self, rows: NDArray[np.int64], kind: str) -> Mapping[str, int]:
        if kind != "classes":
            return {"": rows.size} if rows.size else {}
        found: Counter[str] = Counter()
        for each in self.table["prediction"].take(_integers(rows)).value_counts().to_pylist():
            found[class_label(each["values"])] += each["counts"]
        return dict(found)

    def _replace(self, name: str, start: int, values: pa.Array) -> None:
        before = self.table[name].slice(0, start)
        if before.type != values.type:
            before = pa.chunked_array([pa.nulls(start, values.type)]) if not _fits(before, values.type) else before
            before = before.cast(values.type)
        column = pa.chunked_array([*before.chunks, values], values.type).combine_chunks()
        self.table = self.table.set_column(self.table.column_names.index(name), name, column)


def columns_of(model: Model) -> tuple[str, ...]:
    """The roles and features that triggers and training ask the store for, but the version."""
    names = model.predictions.columns
    score = ["score"] if names.score is not None else []
    asked = [getattr(trigger, "features", None) or () for trigger in model.triggers.values()]
    features = [*(model.training.data.features or ()), *names.feature_names, *chain(*asked)]
    return tuple(dict.fromkeys([TIME, *features, "actual", "prediction", *score]))


def _valid(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_valid(column).cast(pa.uint8()).to_numpy().astype(bool)
    return found


def _bits(rows: NDArray[np.bool_]) -> pa.Array:
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), rows.size, [None, bits])


def _integers(rows: NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), rows.size, [None, pa.py_buffer(np.ascontiguousarray(rows))])


def _pairs(table: pa.Table) -> Iterator[tuple[Any, Any, int]]:
    counted = table.group_by(["prediction", "actual"]).aggregate([([], "count_all")])
    names = ("prediction", "actual", "count_all")
    yield from zip(*(counted[name].to_pylist() for name in names), strict=True)


def error_sums(prediction: NDArray[np.float64], actual: NDArray[np.float64]) -> ErrorSums:
    """Of rows without missing values."""
    error, nonzero = prediction - actual, actual != 0
    relative = error[nonzero] / actual[nonzero]
    return ErrorSums(
        count=actual.size,
        absolute=float(np.abs(error).sum()),
        squared=float((error**2).sum()),
        fourth=float((error**4).sum()),
        nonzero=int(nonzero.sum()),
        relative=float(np.abs(relative).sum()),
        relative_squared=float((relative**2).sum()),
        actual=float(actual.sum()),
        actual_squared=float((actual**2).sum()),
    )


def _fits(column: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
