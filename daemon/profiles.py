"""Keeps what drift triggers compare: references as counts, and the store's rows in buckets of time.

A look reads what is new. A reference is built once and kept by the hash of its content; buckets are kept beside
it, one file each, with a listing of how many rows each holds. Before a look the store is asked how many rows each
bucket has now (`PredictionsStore.census`): rows that came are folded in, and a bucket whose number does not add up
(rows came late under an old key, went, or moved) is counted anew from its rows. The files are a copy of what
the store says: one that is missing, damaged or of another version is made again.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from daemon.shelf import Damaged, Listing, Shelf
from retraind.store import PredictionsStore
from triggers.evidence import TIME, BucketsRequest, ProfileRequest, Request, RowsRequest, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from triggers.buckets import Bucket, TimeBuckets
    from triggers.known import Known, Refused
    from triggers.pairs import Counted

_log = structlog.get_logger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FEW = 6  # buckets: after a longer time new rows are read by time, not by key
_MOST_HELD = 4  # buckets in memory while many are counted


class Profiles:
    """Those of one model. `read` answers other requests; `stamp` tells one content of a request's rows from the next
    (None: there is none)."""

    def __init__(
        self,
        directory: Path,
        store: Callable[[], PredictionsStore],
        read: Callable[[Request], Any],
        stamp: Callable[[ProfileRequest], str | None],
    ) -> None:
        self._shelf = Shelf(directory)
        self._store = store
        self._read = read
        self._stamp = stamp

    def known(self, request: ProfileRequest) -> "Known | Refused | None":
        """The answer to a ProfileRequest. Raises what reading its rows raises."""
        stamp = self._stamp(request)
        if stamp is None:
            return None
        from triggers.known import Known, Refused

        name = _digest(repr(request))
        held = self._shelf.reference(name, stamp)
        if held is not None:
            try:
                return Known.from_bytes(held)
            except ValueError as error:
                _log.warning("profile_rebuilt", reason=str(error))
        table = self._read(request.rows)
        if table is None:
            return None
        try:
            dated = request.season is not None
            known = Known.of(table, request.names, request.lengths, request.season, dated=dated)
        except ValueError as error:
            return Refused(table.num_rows, str(error))
        self._shelf.keep_reference(name, stamp, known.to_bytes())
        return known

    def counted(self, request: BucketsRequest, known: "Known | Refused | None") -> "tuple[Counted, ...] | Refused":
        """The answer to a BucketsRequest over the reference that answers its own. Raises StoreError."""
        from triggers.known import Known, Refused

        if not isinstance(known, Known):
            return Refused(self._store().counts(request.rows).rows, "" if known is None else known.reason)
        try:
            return _Look(self._shelf, self._store(), request, known).windows()
        except ValueError as error:
            return Refused(self._store().counts(request.rows).rows, str(error))


class _Look:
    """One answer to a BucketsRequest."""

    def __init__(self, shelf: Shelf, store: PredictionsStore, request: BucketsRequest, known: "Known") -> None:
        from triggers.pairs import width_of

        self.shelf = shelf
        self.store = store
        self.request = request
        self.profile = known.profile
        self.width = width_of(request.window)
        assert request.rows.start is not None  # noqa: S101 - a BucketsRequest has both
        assert request.rows.end is not None  # noqa: S101
        self.start, self.end = request.rows.start, request.rows.end
        self.first = _EPOCH - (_EPOCH - self.start) // self.width * self.width  # the first bucket that is whole
        content = (self.profile.content_hash, self.width, request.version)
        self.name = _digest(repr(content))
        self.listing = shelf.listing(self.name) or Listing(self.profile.content_hash)

    def windows(self) -> "tuple[Counted, ...]":
        """Raises ValueError for rows that cannot be counted over the reference."""
        from triggers.pairs import summed

        for _ in range(2):
            self._catch_up()
            try:
                found = summed(self.profile, self.request.window, self.end, self._newest_first())
                break
            except Damaged:
                self._drop_damaged()
        else:
            raise Damaged(self.start, "buckets that were just written cannot be read again")
        self.shelf.sweep(self.end)
        return found

    def _catch_up(self) -> None:
        """Brings every whole bucket of the window up to what the store has now."""
        listing, whole = self.listing, Window(self.first, self.end)
        top = self.store.newest_key()
        census = self.store.census(whole, self.width, self.request.version)
        if (
            listing.until is not None and self.end < listing.until
        ):  # the clock was set back: it may hold what is to come
            listing.buckets = {each: held for each, held in listing.buckets.items() if each + self.width <= self.end}
        listing.buckets = {each: held for each, held in listing.buckets.items() if each >= self.first}
        fresh = self._buckets()
        if self._by_key(top):
            assert listing.key is not None  # noqa: S101 - as `_by_key` says
            for batch in self.store.arrived(self._rows(whole), listing.key, top or 0):
                self._fold(fresh, batch)
        differing = []
        for start in sorted({*census, *listing.buckets, *fresh.starts}):
            new = fresh.bucket(start).rows if start in fresh.starts else 0
            held = listing.buckets[start].rows if start in listing.buckets else 0
            adds_up = held + new == census.get(start, 0)
            if not adds_up or (new and not self._keep(start, fresh.bucket(start))):
                differing.append(start)
        self._recount(differing)
        listing.key, listing.until = top, self.end
        self.shelf.keep_listing(self.name, _digest(repr(self.request.reference)), listing, self.request.window)

    def _drop_damaged(self) -> None:
        for start in list(self.listing.buckets):
            try:
                self._stored(start)
            except Damaged as error:
                _log.warning("profile_rebuilt", reason=str(error))
                del self.listing.buckets[start]

    def _by_key(self, top: int | None) -> bool:
        """Whether keys tell the new rows of this look."""
        listing = self.listing
        if top is None or listing.key is None or listing.until is None or not listing.buckets:
            return False
        return listing.key < top and self.end - listing.until <= _FEW * self.width

    def _recount(self, starts: list[datetime]) -> None:
        """Counts these buckets from their rows, a run of neighbours at a time."""
        for start in starts:
            self.listing.buckets.pop(start, None)
        while starts:
            run = [starts.pop(0)]
            while starts and starts[0] == run[-1] + self.width:
                run.append(starts.pop(0))
            again = self._buckets()
            for batch in self.store.batches(self._rows(Window(run[0], min(run[-1] + self.width, self.end)))):
                self._fold(again, batch)
                for start in again.starts[:-_MOST_HELD]:
                    self._put(start, again)
            for start in again.starts:
                self._put(start, again)

    def _put(self, start: datetime, buckets: "TimeBuckets") -> None:
        """Moves a bucket to its file. What was put there of the same run is added to."""
        if not self._keep(start, buckets.bucket(start)):
            raise Damaged(start, "a bucket that was just written cannot be read again")
        buckets.forget(start)

    def _keep(self, start: datetime, bucket: "Bucket") -> bool:
        """Adds rows to the bucket's file. False: what stands there is damaged."""
        whole = self._buckets()
        whole.add(start, bucket)
        if start in self.listing.buckets:
            try:
                whole.add(start, self._stored(start))
            except Damaged as error:
                _log.warning("profile_rebuilt", reason=str(error))
                return False
        data = whole.to_bytes(start)
        self.listing.buckets[start] = self.shelf.keep_bucket(self.name, start, whole.bucket(start).rows, data)
        return True

    def _newest_first(self) -> "Iterator[tuple[datetime, Bucket]]":
        """Every bucket of the window: whole from its file, or in part from its rows."""
        parts = self._parts()
        starts = {start for start in self.listing.buckets if start not in parts}
        pieces = self._buckets()
        for start, spans in parts.items():
            for span in spans:
                for batch in self.store.batches(self._rows(span)):
                    self._fold(pieces, batch)
            if start in pieces.starts:
                starts.add(start)
        for start in sorted(starts, reverse=True):
            yield start, pieces.bucket(start) if start in parts else self._stored(start)

    def _parts(self) -> dict[datetime, list[Window]]:
        """The buckets of which not all rows are asked for, and the spans of each that are; empty: none of it."""
        found: dict[datetime, list[Window]] = {}
        start = self.first - self.width
        while start < self.end:
            bounds = max(start, self.start), min(start + self.width, self.end)
            spans = [bounds] if bounds[0] < bounds[1] else []
            for gone, back in self.request.without:
                spans = [part for span in spans for part in _without(span, gone, back)]
            if spans != [(start, bounds[1])]:
                found[start] = [Window(*span) for span in spans]
            start += self.width
        return found

    def _stored(self, start: datetime) -> "Bucket":
        data = self.shelf.bucket(self.name, start, self.listing.buckets[start])
        try:
            return self._buckets().unpacked(data)[1]
        except ValueError as error:
            raise Damaged(start, str(error)) from error

    def _buckets(self) -> "TimeBuckets":
        from triggers.buckets import TimeBuckets

        return TimeBuckets(self.profile, self.width)

    def _rows(self, window: Window) -> RowsRequest:
        names = tuple(dict.fromkeys((TIME, *self.profile.layouts)))
        return RowsRequest(window, names, version=self.request.version)

    def _fold(self, buckets: "TimeBuckets", batch: "pa.RecordBatch") -> None:
        import pyarrow as pa

        buckets.fold(pa.Table.from_batches([batch]), TIME)


def _without(
    span: tuple[datetime, datetime], gone: datetime, back: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """What is left of a span when the one from `gone` to `back` (None: open) is taken out."""
    start, end = span
    if back is not None and back <= gone:
        yield span
        return
    if start < min(gone, end):
        yield start, min(gone, end)
    if back is not None and max(back, start) < end:
        yield max(back, start), end


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
