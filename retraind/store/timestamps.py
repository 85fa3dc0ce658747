"""How a store writes time, and how a window is cut out of it exactly.

Databases compare what is stored: text as text, numbers as numbers. A time column therefore has two
sides: `raw`, as stored, which indexes hold and which narrows a search down; and `instant`, computed
by the database row by row, which decides. Both agree in order only where `in_order` says so.
"""

from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement

from retraind.config.predictions import TimestampFormat
from retraind.errors import StoreError
from triggers.evidence import Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Microseconds since 1970 of the years 1 to 9999, which Python's calendar has; databases know others.
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
ZONE_MARGIN = timedelta(hours=15)  # local time is ahead of UTC by at most 14 h and behind it by at most 12 h
FIRST_MILLISECONDS = 1e11  # as seconds the year 5138, as milliseconds 1973
FIRST_MICROSECONDS = 1e14  # as milliseconds the year 5138, as microseconds 1973
SET_FORMAT = "predictions: {timestamps: ...}"


class TimeColumn(ABC):
    """The time of a row, in SQL."""

    in_order: bool  # raw values sort as their instants do
    read_here = False  # whether `written_time` is worth trying: what it cannot read, the database can

    def __init__(self, raw: ColumnElement[Any], instant: ColumnElement[Any]) -> None:
        self.raw = raw
        self.instant = instant

    @abstractmethod
    def within(self, window: Window) -> list[ColumnElement[bool]]:
        """Conditions, all of which hold for exactly the rows of the window, and for rows that `unreadable` shows."""

    @abstractmethod
    def place(self, start: datetime, width: timedelta) -> ColumnElement[int]:
        """Which stretch of `width` since `start` a row lies in, counted from 0; NULL where its time cannot be read.
        Rows before `start` are no matter of it."""

    @property
    def unreadable(self) -> ColumnElement[Any] | None:
        """The raw value of a row whose time cannot be read, else NULL. None: the database refuses such rows itself."""
        return None

    def shifted(self, raw: Any, days: int) -> Any:
        """For text: a raw value that sorts on the far side of everything less than `days - 1` days from `raw`."""
        return shifted_date(str(raw), days)


def shifted_date(text: str, days: int) -> str:
    """The date that `text` (ISO 8601) begins with, that many days on, as text; the first or last one there is."""
    try:
        return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        return "0001-01-01" if days < 0 else "9999-12-31~"


def shifted_instant(instant: datetime, by: timedelta) -> datetime | None:
    """None: off the calendar, where a bound excludes nothing."""
    try:
        return instant + by
    except OverflowError:
        return None


def epoch_unit(low: float, high: float, wanted: TimestampFormat, where: str) -> TimestampFormat:
    """Whether numbers from `low` to `high` are epoch seconds or milliseconds.

    Raises StoreError for a mixture, for finer units and for numbers that are no time of this calendar.
    """
    unit = _unit(low, high, wanted, where)
    if low * (1e3 if unit is TimestampFormat.MILLISECONDS else 1e6) < FIRST:
        raise unreadable_time(low, where)
    return unit


def _unit(low: float, high: float, wanted: TimestampFormat, where: str) -> TimestampFormat:
    if wanted is TimestampFormat.SECONDS:
        if abs(high) >= 253_402_300_800 or abs(low) >= 253_402_300_800:
            raise StoreError(
                f"{where} holds {_plain(high)}, which is no epoch seconds; write milliseconds in {SET_FORMAT}"
            )
        return wanted
    if max(abs(low), abs(high)) >= FIRST_MICROSECONDS:
        raise StoreError(
            f"{where} holds {_plain(high)}, finer than milliseconds; "
            "name a view that divides it, or write seconds or milliseconds"
        )
    if wanted is TimestampFormat.MILLISECONDS:
        return wanted
    if abs(low) < FIRST_MILLISECONDS <= abs(high):
        raise StoreError(
            f"{where} mixes epoch seconds ({_plain(low)}) and milliseconds ({_plain(high)}); write one of them, "
            f"or say which it is in {SET_FORMAT}"
        )
    return TimestampFormat.MILLISECONDS if abs(high) >= FIRST_MILLISECONDS else TimestampFormat.SECONDS


def refuse_format(wanted: TimestampFormat, found: str, where: str) -> StoreError:
    return StoreError(f"{where} holds {found}, not {wanted.value}; correct {SET_FORMAT}, or leave it at auto")


def unreadable_time(value: object, where: str) -> StoreError:
    return StoreError(
        f"{where} holds {value!r}, which is no time that can be read; write ISO 8601, as 2026-01-31T14:05:09Z, "
        "or epoch seconds or milliseconds"
    )


def _plain(value: float) -> str:
    return f"{value:.15g}"
