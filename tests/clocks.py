"""The clock that tests hand to what they test."""

from datetime import UTC, datetime, timedelta


class SetClock:
    """Stands still until moved."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.instant = start
        self.stepped = timedelta()

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return (self.instant - self.stepped).timestamp()

    def move(self, **delta: float) -> None:
        self.instant += timedelta(**delta)

    def step(self, **delta: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self.instant += timedelta(**delta)
        self.stepped += timedelta(**delta)
