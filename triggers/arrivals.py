"""Whether rows come as they do at this hour, a day and a week before: how many, and with what time stamps.

Called by `triggers.incident_watch`. Time stamps enter as ascending microseconds since 1970.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from triggers.incident_state import Incident, Kind
from triggers.wording import age, count, instant, percent, span

Instants = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_USUAL_ROWS = 50  # with fewer at the same hours before, a tenth of them may be chance
_FACTOR = 10  # holidays and campaigns make several times fewer or more
_MANY_ROWS = 1000  # ten times nothing is nothing
_FINE = 8  # parts of the span: that rows have stopped is seen within one of them
_AHEAD = timedelta(minutes=5)  # clocks differ by so much
_FUTURE = 0.01  # of the rows; a single device with a wrong clock is not the table's incident
_FEWEST_FUTURE = 10
_AT_ONCE = 0.5  # of the rows at one instant
_SELDOM_AT_ONCE = 0.1  # where so many came at one instant before, they come in batches
_DIFFER = 0.95  # of the time stamps: rows are told apart by them


@dataclass(frozen=True)
class Arrivals:
    """The time stamps of a span before `now` (and after it, where there are such), and of such spans before.

    `before` holds those of the span a day and a week earlier, each moved by as much to lie beside it.
    """

    now: datetime
    length: timedelta
    times: Instants
    before: Sequence[Instants]

    def incidents(self) -> list[Incident]:
        """Those of clocks, or, without any, that of the number of rows."""
        clock = self._future() or self._at_once()
        if clock is not None:
            return [clock]
        return [found for found in (self._many(), *map(self._few, (self.length, self.length / _FINE))) if found][:1]

    @property
    def expects_rows(self) -> bool:
        """Whether as many came a day and a week before that none at all would be an incident."""
        return self._usual(self.length)[0] >= _USUAL_ROWS

    @property
    def dated(self) -> bool:
        """Whether rows are told apart by their time stamps, by what came before."""
        return all(
            each.size >= _USUAL_ROWS and np.unique(each).size >= _DIFFER * each.size for each in self.before
        ) and bool(self.before)

    def _future(self) -> Incident | None:
        """A hundredth of the rows, and ten, more than five minutes ahead."""
        ahead = int(np.count_nonzero(self.times > microseconds(self.now + _AHEAD)))
        if ahead < max(_FEWEST_FUTURE, _FUTURE * self.times.size):
            return None
        furthest = _EPOCH + int(self.times[-1]) * _MICROSECOND
        told = f"{ahead:,} of {count(self.times.size, 'row')} have time stamps in the future"
        sentence = f"{told}, the furthest {instant(furthest)}, {age(furthest - self.now)} ahead"
        numbers = {"ahead": ahead, "rows": int(self.times.size), "furthest": furthest.isoformat()}
        return Incident(Kind.CLOCK, None, sentence, numbers)

    def _at_once(self) -> Incident | None:
        """Half of the rows at one instant, where at most a tenth came at one before."""
        if not self.before or min(self.times.size, *(each.size for each in self.before)) < 2 * _USUAL_ROWS:
            return None
        usual = max(_largest_share(each)[0] for each in self.before)
        share, moment = _largest_share(self.times)
        if share < _AT_ONCE or usual > _SELDOM_AT_ONCE:
            return None
        at = instant(_EPOCH + moment * _MICROSECOND)
        told = f"{percent(share)} of {count(self.times.size, 'row')} have the same time stamp, {at}"
        numbers = {"share": share, "usual": usual, "rows": int(self.times.size)}
        return Incident(Kind.CLOCK, None, f"{told}, where {percent(usual)} are usual: the clock stands still", numbers)

    def _few(self, length: timedelta) -> Incident | None:
        """A tenth of the fewest that came a day or a week before."""
        least, _ = self._usual(length)
        rows = self._rows(self.times, length)
        if least < _USUAL_ROWS or rows > least / _FACTOR:
            return None
        return self._volume(rows, length)

    def _many(self) -> Incident | None:
        """Ten times the most that came a day or a week before, and a thousand rows."""
        least, most = self._usual(self.length)
        rows = self._rows(self.times, self.length)
        if least < _USUAL_ROWS or rows < max(_FACTOR * most, _MANY_ROWS):
            return None
        return self._volume(rows, self.length)

    def _volume(self, rows: int, length: timedelta) -> Incident:
        least, most = self._usual(length)
        were = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        told = f"{count(rows, 'row')} came in the last {span(length)}, where {were} came at the same hours before"
        numbers = {"rows": rows, "usual_least": least, "usual_most": most, "seconds": length.total_seconds()}
        return Incident(Kind.VOLUME, None, told, numbers)

    def _usual(self, length: timedelta) -> tuple[int, int]:
        """The fewest and the most rows of the end of an earlier span; (0, 0) where none is known."""
        found = [self._rows(each, length) for each in self.before] or [0]
        return min(found), max(found)

    def _rows(self, times: Instants, length: timedelta) -> int:
        """How many lie in the last so much time."""
        edges = np.searchsorted(times, [microseconds(self.now - length), microseconds(self.now)], "left")
        return int(edges[1] - edges[0])


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _largest_share(times: Instants) -> tuple[float, int]:
    """The largest share of rows at one instant, and that instant."""
    found, counts = np.unique(times, return_counts=True)
    largest = int(np.argmax(counts))
    return float(counts[largest] / times.size), int(found[largest])
