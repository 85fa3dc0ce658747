"""A reference and the current data, compared over windows of several lengths.

Called by the drift trigger. The current rows are counted into buckets of a 28th of the window; the window,
the newest three sevenths and the newest seventh of it are sums of the same buckets. A short window sees a
large shift at once, a long one a small shift in time. All but the whole window are passed over where they
hold too few rows. The counts are made here of two tables (`Pair`), or were kept by whoever answers requests
(`KeptPair`): it makes no difference to what is found.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from triggers.buckets import Bucket, TimeBuckets
from triggers.cells import CellCounts
from triggers.comparison import compare
from triggers.evidence import TIME
from triggers.judging import Compared
from triggers.known import Known, Refused
from triggers.natural import natures
from triggers.profile import ReferenceProfile, WindowProfile, slots
from triggers.season import HOURS, Integers, Season

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUCKETS = 28
_LENGTHS = (28, 12, 4)  # in buckets: a week, three days and one day, where the window is a week


def width_of(window: timedelta) -> timedelta:
    """How long the buckets of a window are."""
    return max(window // _BUCKETS, _MICROSECOND)


def lengths_of(window: timedelta) -> tuple[timedelta, ...]:
    """How long the windows are that are compared, the longest first."""
    return (window, *(number * width_of(window) for number in _LENGTHS[1:]))


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
class Counted:
    """The rows of one window over a reference's cells, and how many lie in each hour of the week (168)."""

    length: timedelta | None  # None: its rows have no time
    rows: int
    counts: CellCounts
    hours: Integers


def summed(
    profile: ReferenceProfile, window: timedelta, now: datetime, newest_first: Iterable[tuple[datetime, Bucket]]
) -> tuple[Counted, ...]:
    """The windows that end at `now`, the longest first, as sums of buckets that come with their starts.

    The longest has all buckets, the others those that begin within them: one sum grows over all, so that no more
    than one is held in full.
    """
    total = np.zeros(slots(profile.layouts), dtype=np.int32)  # half the memory, and no window has as many rows
    hours, rows = np.zeros(HOURS, dtype=np.int64), 0
    open_lengths = list(lengths_of(window))
    found: list[Counted] = []

    def close() -> None:
        found.insert(0, Counted(open_lengths.pop(), rows, CellCounts.of(total.size, None, total), hours.copy()))

    for start, bucket in newest_first:
        while len(open_lengths) > 1 and start < now - open_lengths[-1]:
            close()
        bucket.counts.add_to(total)
        hours += bucket.hours
        rows += bucket.rows
    while open_lengths:
        close()
    return tuple(found)


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
        timed = self.timeless() is None
        lengths = lengths_of(outlook.window) if timed and outlook.natural else ()
        season = outlook.season if timed else None
        known = Known.of(self.reference, self.names, lengths, season, dated=season is not None)
        yield from _compared(known, self._windows(known.profile, outlook), outlook)

    def _windows(self, reference: ReferenceProfile, outlook: Outlook) -> Sequence[Counted]:
        if TIME not in self.current.column_names:
            whole = WindowProfile(reference.layouts)
            whole.add(self.current)
            counts = CellCounts.of(whole.total.size, None, whole.total)
            return [Counted(None, whole.rows, counts, np.zeros(HOURS, dtype=np.int64))]
        buckets = TimeBuckets(reference, width_of(outlook.window))
        buckets.fold(self.current, TIME)
        newest_first = ((start, buckets.bucket(start)) for start in reversed(buckets.starts))
        return summed(reference, outlook.window, outlook.now, newest_first)


@dataclass(frozen=True)
class KeptPair:
    """The same of sides that were counted before. The current one has times: it is the predictions store's."""

    names: tuple[str, ...]
    reference: Known | Refused
    current: tuple[Counted, ...] | Refused
    prediction: bool

    def rows(self) -> dict[str, int]:
        current = self.current.rows if isinstance(self.current, Refused) else self.current[0].rows
        return {"reference": self.reference.rows, "current": current}

    def short_of(self, rows: int) -> bool:
        return min(self.rows().values()) < rows

    def timeless(self) -> str | None:
        return None if isinstance(self.reference, Refused) or self.reference.timed else "reference"

    def compared(self, outlook: Outlook) -> Iterator[Compared]:
        if isinstance(self.reference, Refused):
            raise self.reference.error()
        if isinstance(self.current, Refused):
            raise self.current.error()
        yield from _compared(self.reference, self.current, outlook)


def pair_of(
    names: tuple[str, ...],
    reference: pa.Table | Known | Refused,
    current: pa.Table | tuple[Counted, ...] | Refused,
    *,
    prediction: bool,
) -> Pair | KeptPair:
    """The pair of two tables, or of two sides that were counted before."""
    if isinstance(reference, (Known, Refused)):
        return KeptPair(names, reference, current, prediction)
    return Pair(names, reference, current, prediction)


def unknown(pair: Pair | KeptPair, compared: Iterable[Compared], outlook: Outlook) -> str:
    """What was to be looked out for and could not be, as the end of a sentence; empty: nothing."""
    side = pair.timeless()
    lacking = ["season"] if outlook.season is not None and side is not None else []
    if outlook.natural and not any(each.natures for each in compared):
        lacking.append("natural variation")
    if not lacking:
        return ""
    because = f"the {side} has no times" if side else "the reference is too short to know"
    return f", without {' and '.join(lacking)} ({because})"


def _compared(known: Known, windows: Sequence[Counted], outlook: Outlook) -> Iterator[Compared]:
    for place, window in enumerate(windows):
        reference: ReferenceProfile | None = known.profile
        if known.dated is not None and outlook.season is not None:
            reference = known.dated.like(known.profile, window.hours, outlook.season)
            if reference is None or reference.counts.rows < outlook.min_rows:
                continue
        if reference is None or (place and window.rows < outlook.min_rows):
            continue
        shorter = [each.length for each in windows[place:] if each.length is not None]
        nature = {} if known.blocks is None else natures(known.blocks, shorter)
        rows = {"reference": reference.counts.rows, "current": window.rows}
        current = WindowProfile(known.profile.layouts, window.counts.dense(), window.rows)
        yield Compared(window.length, rows, list(compare(reference, current)), nature, reference, current)
