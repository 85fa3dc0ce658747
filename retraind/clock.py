"""The clock that every process is handed: aware UTC for instants, monotonic seconds for durations."""

import time
from datetime import UTC, datetime
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


def rfc3339(instant: datetime) -> str:
    """`instant` (aware) in UTC with microseconds and `Z`: fixed width, so that text order is time order."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The instant that `rfc3339` wrote. Raises ValueError for other text."""
    return datetime.fromisoformat(text).astimezone(UTC)
