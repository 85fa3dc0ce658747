"""A reference and the current data, compared over windows of several lengths.

Called by the drift trigger. The current rows are counted once into buckets of a 28th of the window;
the window, the newest three sevenths and the newest seventh of it are sums of the same buckets. A
short window sees a large shift at once, a long one a small shift in time. All but the whole window
are passed over where they hold too few rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from triggers.blocks import Blocks
from triggers.buckets import TimeBuckets
from triggers.cells import instants
from triggers.comparison import compare
from triggers.evidence import TIME
from triggers.judging import Compared
from triggers.natural import natures
from triggers.profile import ReferenceProfile, WindowProfile
from triggers.season import Season, number_of, strata, thinned

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUCKETS = 28
_LENGTHS = (28, 12, 4)  # in buckets: a week, three days and one day, where the window is a week


@dataclass(frozen=True)
class Outlook:
    """How a pair is to be compared: the window and where it ends, the fewest rows of either side, and what else than
    drift is looked out for."""

    window: timedelta
    now: datetime
    min_rows: int
    natural: bool
    season: Season | None


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

    def timeless(self) -> str | None:
        """Which side has no times; None: both have."""
        sides = {"reference": self.reference, "current data": self.current}
        return next((name for name, table in sides.items() if TIME not in table.column_names), None)

    def compared(self, outlook: Outlook) -> Iterator[Compared]:
        """The columns over each window that ends now, the longest first; of current data without times one.

        Empty: the reference has too little of the window's season. Raises ValueError naming a column
        that cannot be compared.
        """
        profile = ReferenceProfile.of(self.reference, self.names)
        timed = self.timeless() is None
        season = outlook.season if timed else None
        blocks = Blocks(self.reference, profile, season) if timed and outlook.natural else None
        windows = list(self._windows(profile, outlook))
        for place, (length, start, current) in enumerate(windows):
            reference = profile if season is None else self._like(profile, season, start)
            if reference is None or (place and current.rows < outlook.min_rows):
                continue
            if season is not None and reference.counts.rows < outlook.min_rows:
                continue
            shorter = [each for each, _, _ in windows[place:] if each is not None]
            nature = {} if blocks is None else natures(blocks, shorter)
            rows = {"reference": reference.counts.rows, "current": current.rows}
            yield Compared(length, rows, list(compare(reference, current)), nature, reference, current)

    def _windows(
        self, reference: ReferenceProfile, outlook: Outlook
    ) -> Iterator[tuple[timedelta | None, datetime, WindowProfile]]:
        """Each window's length (None: its rows have no time), where it begins, and its rows."""
        now, window = outlook.now, outlook.window
        if TIME not in self.current.column_names:
            whole = WindowProfile(reference.layouts)
            whole.add(self.current)
            yield None, now - window, whole
            return
        buckets = TimeBuckets(reference, max(window // _BUCKETS, timedelta(microseconds=1)))
        buckets.fold(self.current, TIME)
        start = now - window - buckets.width  # with the bucket that the window begins in
        yield window, start, buckets.over(start, now)
        for number in _LENGTHS[1:]:
            length = number * buckets.width
            yield length, now - length, buckets.over(now - length, now)

    def _like(self, profile: ReferenceProfile, season: Season, start: datetime) -> ReferenceProfile | None:
        """The reference with the mix of strata that the current rows since `start` have; None: it lacks one."""
        times, dated = instants(self.current.column(TIME))
        since = times[dated & (times >= (start - _EPOCH) // _MICROSECOND)]
        mix = np.bincount(strata(since, season), minlength=number_of(season))
        before, known = instants(self.reference.column(TIME))
        kept = thinned(strata(before[known], season), mix)
        if kept is None:
            return None
        rows = np.flatnonzero(known)[kept]
        counts = WindowProfile(profile.layouts)
        counts.add(self.reference.take(pa.Array.from_buffers(pa.int64(), rows.size, [None, pa.py_buffer(rows)])))
        return ReferenceProfile(profile.layouts, counts)
