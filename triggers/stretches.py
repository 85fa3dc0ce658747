"""Labelled rows of a span, cut into parts by time, any run of which can be judged by itself.

Called by triggers that follow a metric through time. What `triggers.arrival` does for a window it does
here for each stretch: newer parts whose labels are still coming are left out, labels still to come are
counted against what older rows lead to expect, and rows are weighted for those like them without labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from triggers.arrival import Arrived, arrived_rows, arrived_sums, settled
from triggers.evidence import TIME, Arrival, Counts, Window

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Stretches:
    """Parts of a span, oldest first; `before` counts the rows of the time before it."""

    windows: Sequence[Window]
    counts: Sequence[Counts]
    before: Counts
    take: Callable[[int, int, Counts], Arrived]  # the first part, the one after the last, and what is older

    @classmethod
    def of_sums(cls, windows: Sequence[Window], arrivals: Sequence[Arrival], before: Counts) -> "Stretches":
        counts = [Counts(each.tally.rows + sum(each.unlabelled.values()), each.tally.rows) for each in arrivals]
        return cls(windows, counts, before, lambda first, last, older: arrived_sums(arrivals[first:last], older))

    @classmethod
    def of_rows(cls, windows: Sequence[Window], table: "pa.Table", before: Counts, weigh_by: str | None) -> "Stretches":
        """From rows, oldest first, with and without labels, with their `timestamp` and `actual`."""
        import numpy as np

        from triggers.columns import numbers

        times = numbers(table.column(TIME))
        inner = [(end - _EPOCH) / _MICROSECOND for end in (window.end for window in windows[:-1]) if end is not None]
        ends = [0, *np.searchsorted(times, inner, "left").tolist(), table.num_rows]
        actual = table.column("actual")
        sizes = [last - first for first, last in pairwise(ends)]
        missing = [actual.slice(first, size).null_count for first, size in zip(ends, sizes, strict=False)]
        counts = [Counts(size, size - lacking) for size, lacking in zip(sizes, missing, strict=True)]

        def take(first: int, last: int, older: Counts) -> Arrived:
            rows = table.slice(ends[first], ends[last] - ends[first])
            return arrived_rows(rows, Window(windows[first].start, windows[last - 1].end), weigh_by, older)

        return cls(windows, counts, before, take)

    def kept(self) -> int:
        """How many of the parts, from the oldest on, have the labels that older rows lead to expect."""
        return settled(self.counts, self.before)

    def arrived(self, first: int, last: int) -> Arrived:
        """The parts from the first to before the last, together."""
        older = [self.before, *self.counts[:first]]
        return self.take(first, last, Counts(sum(each.rows for each in older), sum(each.labelled for each in older)))
