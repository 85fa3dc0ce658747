"""The clock that every process is handed: aware UTC for instants, monotonic seconds for durations."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from retraind import faults


class Clock(Protocol):
    def now(self) -> datetime:
        """This instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never stepped; only differences mean anything."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return faults.stepped(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()


class StepWatch:
    """Notices that the wall clock was stepped, by the monotonic clock beside it. Asked often, by one thread."""

    TOLERANCE_SECONDS = 2.0  # what a slewing clock, or a process that was off the processor, may differ by

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._difference()
        self._stepped_at: float | None = None

    def look(self) -> float:
        """The seconds by which the clock was stepped since the last look, negative for back; 0 where it was not."""
        offset = self._difference()
        step = offset - self._offset
        if abs(step) <= self.TOLERANCE_SECONDS:
            return 0.0
        self._offset, self._stepped_at = offset, self._clock.monotonic()
        return step

    def steady_for(self, seconds: float) -> bool:
        """True when no step was noticed for so long, or ever: those who live have written their instants anew since."""
        self.look()
        return self._stepped_at is None or self._clock.monotonic() - self._stepped_at >= seconds

    def _difference(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()


@lru_cache(maxsize=64)  # a transaction writes its one instant many times
def rfc3339(instant: datetime) -> str:
    """`instant` (aware) in UTC with microseconds and `Z`: fixed width, so that text order is time order."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{utc.isoformat(timespec='microseconds')[:-6]}Z"  # twenty times as fast as strftime


def parse_rfc3339(text: str) -> datetime:
    """The instant that `rfc3339` wrote. Raises ValueError for other text."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is off the calendar in UTC") from None
