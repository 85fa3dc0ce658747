"""Time in a Postgres table: its own types, ISO 8601 text or epoch numbers, as timestamptz."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import TIMESTAMP, BigInteger, ColumnElement, Double, cast, func, literal_column

from retraind.store.session import bound
from retraind.store.timestamps import EPOCH, MICROSECOND, ZONE_MARGIN, TimeColumn, shifted_instant
from triggers.evidence import Window

INSTANT = TIMESTAMP(timezone=True)


class PostgresTimestamp(TimeColumn):
    """timestamptz; or timestamp and date, which mean UTC (the session's time zone)."""

    in_order = True

    def __init__(self, raw: ColumnElement[Any], *, zoned: bool) -> None:
        self._zoned = zoned
        super().__init__(raw, raw if zoned else cast(raw, INSTANT))

    def within(self, window: Window) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [self.raw.is_not(None)]
        if window.start is not None:
            conditions.append(self.raw >= self._bound(window.start))
        if window.end is not None:
            conditions.append(self.raw < self._bound(window.end))
        return conditions

    def _bound(self, instant: datetime) -> ColumnElement[Any]:
        utc = instant.astimezone(UTC)
        return bound(utc if self._zoned else utc.replace(tzinfo=None))

    def place(self, start: datetime, width: timedelta) -> ColumnElement[int]:
        return _place(self.instant, start, width)


class PostgresText(TimeColumn):
    """Text that Postgres reads as a timestamptz: ISO 8601 and a little more. It refuses other text itself."""

    in_order = False

    def __init__(self, raw: ColumnElement[Any]) -> None:
        super().__init__(raw, cast(raw, INSTANT))

    def within(self, window: Window) -> list[ColumnElement[bool]]:
        """Dates alone narrow the search: how signs between digits sort is the collation's affair."""
        conditions: list[ColumnElement[bool]] = [self.raw.is_not(None)]
        if window.start is not None:
            early = shifted_instant(window.start, -ZONE_MARGIN)
            conditions += [self.raw >= bound(early.date().isoformat())] if early else []
            conditions.append(self.instant >= bound(window.start.astimezone(UTC)))
        if window.end is not None:
            late = shifted_instant(window.end, ZONE_MARGIN + timedelta(days=1))
            conditions += [self.raw < bound(late.date().isoformat())] if late else []
            conditions.append(self.instant < bound(window.end.astimezone(UTC)))
        return conditions

    def place(self, start: datetime, width: timedelta) -> ColumnElement[int]:
        return _place(self.instant, start, width)


class PostgresNumber(TimeColumn):
    """Epoch seconds or milliseconds, whole or not."""

    in_order = True

    def __init__(self, raw: ColumnElement[Any], per_second: int) -> None:
        self._per_second = per_second
        seconds = cast(raw, Double) / cast(literal_column(str(per_second)), Double)
        super().__init__(raw, func.to_timestamp(seconds))

    def within(self, window: Window) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [self.raw.is_not(None)]
        if window.start is not None:
            conditions.append(self.raw >= bound((_seconds(window.start) - 1) * self._per_second))
            conditions.append(self.instant >= bound(window.start.astimezone(UTC)))
        if window.end is not None:
            conditions.append(self.raw <= bound((_seconds(window.end) + 2) * self._per_second))
            conditions.append(self.instant < bound(window.end.astimezone(UTC)))
        return conditions

    def place(self, start: datetime, width: timedelta) -> ColumnElement[int]:
        return _place(self.instant, start, width)


def _seconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(seconds=1)


def _place(instant: ColumnElement[Any], start: datetime, width: timedelta) -> ColumnElement[int]:
    """In doubles, which hold microseconds of centuries exactly once they are rounded."""
    since = func.date_part(literal_column("'epoch'"), instant - bound(start.astimezone(UTC)))
    ticks = func.round(since * literal_column("1000000::float8"))
    return cast(func.floor(ticks / bound(float(width // MICROSECOND))), BigInteger)
