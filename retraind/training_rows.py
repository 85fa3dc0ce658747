"""Which rows a training takes: the window's, but those of incidents of the data, and of them the older part.

Called by the workers, who train on them, and by a backtest, which trains on what was there at an instant.
"""

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retraind.config.training import TrainingData
from triggers.evidence import Window

INSTANT = pa.timestamp("us", "UTC")
NEWEST_SECONDS = 95_617_584_000  # the year 5000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def window_of(data: TrainingData, requested_at: datetime) -> Window:
    """The half-open window that a job requested at that instant takes. An expanding one has no start."""
    rolling = data.window.rolling
    return Window(None if rolling is None else requested_at - rolling, requested_at)


def outside(table: pa.Table, time: str, spans: Sequence[tuple[datetime, datetime | None]]) -> pa.Table:
    """The rows whose `time` lies in none of the half-open spans; None: a span has no end."""
    if not spans:
        return table
    instants = instants_of(table[time])
    kept = None
    for start, end in spans:
        beyond = pc.less(instants, pa.scalar(start, INSTANT))
        if end is not None:
            beyond = pc.or_(beyond, pc.greater_equal(instants, pa.scalar(end, INSTANT)))
        kept = beyond if kept is None else pc.and_(kept, beyond)
    return table.filter(kept)


def holdout_begins(table: pa.Table, time: str | None, share: float) -> int:
    """The first of the rows, oldest first, that are kept for judging: the newest `share` of them.

    Rows of one instant stay together, on the newer side: a model must not be judged on a moment that it
    learnt from. Rows without a time are split where they stand.
    """
    cut = math.floor(table.num_rows * (1 - share))
    if time is not None and 0 < cut < table.num_rows:
        instants = table[time].cast(pa.int64()).to_numpy()
        cut = np.searchsorted(instants, instants[cut], side="left")
    return int(cut)


def instants_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of times as instants. Times without a zone mean UTC, as in the predictions store; numbers count from
    1970, in seconds, milli-, micro- or nanoseconds, whichever puts the newest before the year 5000.

    Raises ArrowInvalid or ArrowNotImplementedError for anything else.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        newest = abs(pc.max(column).as_py() or 0)
        unit = next((unit for unit in ("s", "ms", "us") if newest < NEWEST_SECONDS * PER_SECOND[unit]), "ns")
        if pa.types.is_integer(kind):
            return column.cast(pa.int64()).cast(pa.timestamp(unit, "UTC")).cast(INSTANT, safe=False)
        microseconds = pc.round(pc.multiply(column.cast(pa.float64()), 1e6 / PER_SECOND[unit]))
        return microseconds.cast(pa.int64()).cast(INSTANT)
    if getattr(kind, "tz", None) is not None:
        return column.cast(INSTANT)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return column.cast(INSTANT)  # only takes texts with a zone, all of them
        except pa.ArrowInvalid:
            pass
    return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
