"""Time buckets: a window that slides without its old rows being read again.

Rows are counted into buckets of a fixed width by their time, as they come: late and out of order
ones too. The profile of a window is the sum of its buckets, so one set of buckets serves windows of
several lengths, and a look costs the rows that are new. Each bucket is stored as bytes by itself;
after a restart the stored buckets are loaded, and no history is read.

The counts are the same however the rows were batched. Counting a row twice counts it twice: whoever
stores buckets stores with them which rows they hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa

from triggers.cells import CellCounts, Counts, Groups, instants
from triggers.encoding import pack, unpack
from triggers.profile import ReferenceProfile, WindowProfile, count_columns, edges, slots
from triggers.season import HOURS, Integers, hours_of_week

_MAGIC = b"retraind-bucket-2\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_SUMS = 8  # windows of so many lengths are asked for in turns


@dataclass(frozen=True)
class Folded:
    """What became of a batch's rows."""

    changed: tuple[datetime, ...]  # the starts of the buckets that now hold more rows, ascending
    rows: int  # counted
    late: int  # older than the oldest bucket that is kept, and not counted
    undated: int  # without a time, and not counted


@dataclass(frozen=True)
class Bucket:
    """The rows of one stretch of time. `hours`: how many lie in each hour of the week (168)."""

    rows: int
    counts: CellCounts
    hours: Integers

    def plus(self, other: "Bucket") -> "Bucket":
        return Bucket(self.rows + other.rows, self.counts.plus(other.counts), self.hours + other.hours)


@dataclass(frozen=True)
class _Sum:
    """A window's buckets, and the sum of their counts."""

    buckets: Mapping[int, Bucket]
    total: Counts


class TimeBuckets:
    """Rows counted over a reference's cells, by time. Buckets begin at multiples of `width` since 1970, in UTC."""

    def __init__(self, reference: ReferenceProfile, width: timedelta) -> None:
        """Raises ValueError for a width of no time."""
        if width <= timedelta(0):
            raise ValueError(f"a bucket's width of {width} is no time; give at least a microsecond")
        self.reference = reference
        self.width = width
        self._ticks = width // _MICROSECOND
        self._oldest: int | None = None  # the number of the oldest bucket that is kept; None: all are
        self._buckets: dict[int, Bucket] = {}
        self._sums: dict[timedelta, _Sum] = {}  # by the window's length, the one asked for last at the end

    @property
    def starts(self) -> tuple[datetime, ...]:
        """Where the buckets that hold rows begin, ascending."""
        return tuple(self._start(number) for number in sorted(self._buckets))

    def bucket(self, start: datetime) -> Bucket:
        """The one that begins at `start`. Raises KeyError where it holds no rows."""
        return self._buckets[self._number(start)]

    @property
    def nbytes(self) -> int:
        """The memory that the buckets' counts take, in bytes."""
        return sum(bucket.counts.nbytes for bucket in self._buckets.values())

    def fold(self, table: pa.Table, timestamp: str, *, threads: int = 1) -> Folded:
        """Counts the rows of `table` into the buckets of their times, so many columns at a time.

        `timestamp` names the column of times, which have a time zone. Raises ValueError naming a
        column that is absent or of another type; then nothing is counted.
        """
        groups, hours, numbers, undated = self._grouped(table, timestamp)
        counted = count_columns(self.reference.layouts, table, groups, threads=threads)
        for place, (number, (first, last)) in enumerate(zip(numbers, groups.spans(), strict=True)):
            counts = CellCounts.joined([parts[place] for parts in counted])
            self._add(number, Bucket(last - first, counts, np.bincount(hours[first:last], minlength=HOURS)))
        late = table.num_rows - undated - groups.rows
        return Folded(tuple(map(self._start, numbers)), groups.rows, late, undated)

    def drop_before(self, instant: datetime) -> tuple[datetime, ...]:
        """Forgets the buckets that end at `instant` (aware) or earlier, and takes no rows of theirs from now on.

        Returns where those that held rows began.
        """
        oldest = self._number(instant)
        self._oldest = oldest if self._oldest is None else max(oldest, self._oldest)
        dropped = sorted(number for number in self._buckets if number < self._oldest)
        for number in dropped:
            del self._buckets[number]
        return tuple(map(self._start, dropped))

    def forget(self, start: datetime) -> None:
        """Forgets the bucket that begins at `start`, and takes rows of it again."""
        self._buckets.pop(self._number(start), None)

    def over(self, start: datetime, end: datetime) -> WindowProfile:
        """The profile of the whole buckets that begin in [start, end), both aware.

        The sum of the last window of the same length is kept, and only what came and went since is
        added and taken off: a look costs what is new.
        """
        wanted = self._within(start, end)
        held = self._sums.pop(end - start, None) or _Sum({}, np.zeros(slots(self.reference.layouts), dtype=np.int64))
        gone = [bucket for number, bucket in held.buckets.items() if wanted.get(number) is not bucket]
        come = [bucket for number, bucket in wanted.items() if held.buckets.get(number) is not bucket]
        if len(gone) + len(come) > len(wanted):
            gone, come = [], list(wanted.values())
            held.total[:] = 0
        for bucket in gone:
            bucket.counts.take_from(held.total)
        for bucket in come:
            bucket.counts.add_to(held.total)
        self._sums[end - start] = _Sum(wanted, held.total)
        while len(self._sums) > _MOST_SUMS:
            del self._sums[next(iter(self._sums))]
        return WindowProfile(self.reference.layouts, held.total.copy(), sum(bucket.rows for bucket in wanted.values()))

    def of_columns(self, names: Sequence[str], start: datetime, end: datetime) -> WindowProfile:
        """As `over`, of some of the columns only: it costs what they hold."""
        layouts, bounds = self.reference.layouts, edges(self.reference.layouts).tolist()
        spans = dict(zip(layouts, pairwise(bounds), strict=True))
        found = WindowProfile({name: layouts[name] for name in names})
        places = edges(found.layouts).tolist()
        for bucket in self._within(start, end).values():
            found.rows += bucket.rows
            for name, place in zip(names, places[:-1], strict=True):
                cells, counts = bucket.counts.part(*spans[name])
                found.total[place + cells] += counts
        return found

    def to_bytes(self, start: datetime) -> bytes:
        """The bucket that begins at `start`, to be stored. Raises KeyError where it holds no rows."""
        bucket = self._buckets[self._number(start)]
        header = {
            "reference": self.reference.content_hash,
            "start": self._number(start) * self._ticks,
            "width": self._ticks,
            "rows": bucket.rows,
        }
        hours = CellCounts.of(HOURS, None, bucket.hours).arrays()
        return pack(_MAGIC, {**header, "hours": len(hours)}, [*hours, *bucket.counts.arrays()])

    def load(self, stored: Iterable[bytes]) -> None:
        """Takes up buckets that `to_bytes` wrote, in place of any of the same time.

        Raises ValueError for bytes that are none, damaged, or of another reference or width. Buckets
        older than those that are kept are passed over.
        """
        for data in stored:
            start, bucket = self.unpacked(data)
            number = self._number(start)
            if self._oldest is None or number >= self._oldest:
                self._buckets[number] = bucket

    def unpacked(self, data: bytes) -> tuple[datetime, Bucket]:
        """The bucket that `to_bytes` wrote, and where it begins; not taken up. Raises ValueError as `load` does."""
        header, arrays = unpack(_MAGIC, data, "the stored bucket")
        if header["reference"] != self.reference.content_hash:
            raise ValueError(
                f"the stored bucket was counted over the reference {header['reference'][:12]}, "
                f"not over {self.reference.content_hash[:12]}; count its rows again"
            )
        if header["width"] != self._ticks:
            width = header["width"] * _MICROSECOND
            raise ValueError(f"the stored bucket is {width} wide, not {self.width}; count its rows again")
        hours = CellCounts.from_arrays(HOURS, arrays[: header["hours"]]).dense()
        counts = CellCounts.from_arrays(slots(self.reference.layouts), arrays[header["hours"] :])
        return self._start(header["start"] // self._ticks), Bucket(header["rows"], counts, hours)

    def add(self, start: datetime, more: Bucket) -> None:
        """Adds rows that were counted elsewhere over the same reference to the bucket that begins at `start`."""
        self._add(self._number(start), more)

    def _grouped(self, table: pa.Table, timestamp: str) -> tuple[Groups, Integers, list[int], int]:
        """The rows by bucket, each such row's hour of the week, each bucket's number, and how many are undated."""
        if timestamp not in table.column_names:
            raise ValueError(f"column {timestamp} is not in the current data")
        try:
            times, dated = instants(table.column(timestamp))
        except ValueError as error:
            raise ValueError(f"column {timestamp} {error}") from error
        numbers = times // self._ticks
        kept = dated if self._oldest is None else dated & (numbers >= self._oldest)
        groups, found = Groups.of_keys(numbers, kept)
        undated = int(dated.size - np.count_nonzero(dated))
        return groups, groups.ordered(hours_of_week(times)), found.tolist(), undated

    def _add(self, number: int, more: Bucket) -> None:
        held = self._buckets.get(number)
        self._buckets[number] = more if held is None else held.plus(more)

    def _within(self, start: datetime, end: datetime) -> dict[int, Bucket]:
        first, last = (-(-((edge - _EPOCH) // _MICROSECOND) // self._ticks) for edge in (start, end))
        return {number: bucket for number, bucket in self._buckets.items() if first <= number < last}

    def _number(self, instant: datetime) -> int:
        return (instant - _EPOCH) // _MICROSECOND // self._ticks

    def _start(self, number: int) -> datetime:
        return _EPOCH + number * self.width
