"""A reference and the current data, compared over windows of several lengths.

Called by the drift trigger. The current rows are counted once into buckets of a 28th of the window;
the window, the newest three sevenths and the newest seventh of it are sums of the same buckets. A
short window sees a large shift at once, a long one a small shift in time. All but the whole window
are passed over where they hold too few rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from triggers.buckets import TimeBuckets
from triggers.comparison import compare
from triggers.evidence import TIME
from triggers.judging import Compared
from triggers.profile import ReferenceProfile, WindowProfile

_BUCKETS = 28
_LENGTHS = (28, 12, 4)  # in buckets: a week, three days and one day, where the window is a week


@dataclass(frozen=True)
class Pair:
    """Two tables and the columns to compare between them. Each may have its rows' times as a column `timestamp`."""

    names: tuple[str, ...]
    reference: pa.Table
    current: pa.Table
    prediction: bool

    def rows(self) -> dict[str, int]:
        return {"reference": self.reference.num_rows, "current": self.current.num_rows}

    def short_of(self, rows: int) -> bool:
        return min(self.rows().values()) < rows

    def compared(self, window: timedelta, now: datetime, min_rows: int) -> Iterator[Compared]:
        """The columns over each window that ends at `now`, the longest first; of current data without times one.

        Raises ValueError naming a column that cannot be compared.
        """
        reference = ReferenceProfile.of(self.reference, self.names)
        for length, current in self._windows(reference, window, now):
            if length in (None, window) or current.rows >= min_rows:
                rows = {"reference": reference.counts.rows, "current": current.rows}
                yield Compared(length, rows, list(compare(reference, current)))

    def _windows(
        self, reference: ReferenceProfile, window: timedelta, now: datetime
    ) -> Iterator[tuple[timedelta | None, WindowProfile]]:
        if TIME not in self.current.column_names:
            whole = WindowProfile(reference.layouts)
            whole.add(self.current)
            yield None, whole
            return
        buckets = TimeBuckets(reference, max(window // _BUCKETS, timedelta(microseconds=1)))
        buckets.fold(self.current, TIME)
        yield window, buckets.over(now - window - buckets.width, now)  # with the bucket that the window begins in
        for number in _LENGTHS[1:]:
            length = number * buckets.width
            yield length, buckets.over(now - length, now)
