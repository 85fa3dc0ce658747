"""The clock that tests hand to what they test."""

from datetime import UTC, datetime, timedelta


class SetClock:
    """Stands still until moved."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.instant = start

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    def move(self, **delta: float) -> None:
        self.instant += timedelta(**delta)
