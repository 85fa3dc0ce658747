"""Time in a SQLite table: ISO 8601 text or epoch numbers, turned into microseconds since 1970 by SQLite itself."""

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnClause, ColumnElement, and_, case, cast, func, literal_column, null, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from retraind.store.session import bound
from retraind.store.timestamps import EPOCH, MICROSECOND, ZONE_MARGIN, TimeColumn, shifted_instant
from triggers.evidence import Window


class SqliteTime(TimeColumn):
    """What text and numbers have in common: `instant` is NULL where the raw value cannot be read."""

    def within(self, window: Window) -> list[ColumnElement[bool]]:
        return [self.raw.is_not(None), *self._near(window), *self._exactly(window)]

    def _exactly(self, window: Window) -> list[ColumnElement[bool]]:
        """A condition with the instant in it once: SQLite computes it wherever it stands. An unreadable one passes."""
        start = None if window.start is None else microseconds(window.start)
        last = None if window.end is None else microseconds(window.end) - 1
        if start is not None and last is not None:
            inside = func.coalesce(self.instant, bound(start)).between(bound(start), bound(last))
            return [inside]
        if start is not None:
            return [func.coalesce(self.instant, bound(start)) >= bound(start)]
        return [func.coalesce(self.instant, bound(last)) <= bound(last)] if last is not None else []

    def place(self, start: datetime, width: timedelta) -> ColumnElement[int]:
        found: ColumnElement[int] = (self.instant - bound(microseconds(start))).op("/", precedence=8)(
            bound(width // MICROSECOND)
        )
        return found

    @abstractmethod
    def _near(self, window: Window) -> list[ColumnElement[bool]]:
        """Conditions on the raw value, for an index to use, that leave out no row of the window."""

    @property
    def unreadable(self) -> ColumnElement[Any]:
        return case((self.instant.is_(None), self.raw), else_=null())


class SqliteText(SqliteTime):
    """ISO 8601 text: date, date and time to the minute or second, with `T` or space, any fraction and any zone."""

    in_order = False  # `T` sorts behind space, `Z` behind a fraction, and zones not at all

    def __init__(self, raw: ColumnElement[Any]) -> None:
        super().__init__(raw, IsoMicroseconds(raw))
        self.read_here = True

    def within(self, window: Window) -> list[ColumnElement[bool]]:
        """Text that lies further inside than any zone could reach needs no reading, which takes SQLite far longer than
        all the rest: nearly all of a long window."""
        exactly = self._exactly(window)
        low = window.start and shifted_instant(window.start, ZONE_MARGIN)
        high = window.end and shifted_instant(window.end, -ZONE_MARGIN)
        inside = [] if low is None else [self.raw >= bound(_written(low + timedelta(seconds=1), "T"))]
        inside += [] if high is None else [self.raw < bound(_written(high, " "))]
        if not exactly or len(inside) < len([each for each in (window.start, window.end) if each is not None]):
            return [self.raw.is_not(None), *self._near(window), *exactly]
        return [self.raw.is_not(None), *self._near(window), or_(and_(*inside), *exactly)]

    def _near(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = []
        start = window.start and shifted_instant(window.start, -ZONE_MARGIN)
        end = window.end and shifted_instant(window.end, ZONE_MARGIN + timedelta(seconds=1))
        if start:  # a space sorts before a T, so that either separator passes
            conditions.append(self.raw >= bound(_written(start, " ")))
        if end:
            conditions.append(self.raw <= bound(_written(end, "T")))
        return conditions


class SqliteNumber(SqliteTime):
    """Epoch seconds or milliseconds, whole or not."""

    in_order = True

    def __init__(self, raw: ColumnElement[Any], per_second: int) -> None:
        self._per_second = per_second
        factor: ColumnElement[int] = literal_column(str(1_000_000 // per_second))
        instant = case(
            (func.typeof(raw) == literal_column("'integer'"), raw * factor),
            (func.typeof(raw) == literal_column("'real'"), cast(func.round(raw * factor), BigInteger)),
            else_=null(),
        )
        super().__init__(raw, instant)

    def _near(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = []
        if window.start is not None:
            conditions.append(self.raw >= bound((_seconds(window.start) - 1) * self._per_second))
        if window.end is not None:
            conditions.append(self.raw <= bound((_seconds(window.end) + 2) * self._per_second))
        return conditions


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def _seconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(seconds=1)


def _written(instant: datetime, separator: str) -> str:
    return instant.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat(sep=separator)


class IsoMicroseconds(ColumnElement[int]):
    """The microseconds since 1970 that a column's ISO 8601 text says, no zone meaning UTC; NULL for anything else.

    SQLite's own functions know no zones without a colon and round to milliseconds; so zones are
    respelt, and a fraction is taken apart and added. Digits beyond microseconds are rounded.
    """

    inherit_cache = False

    def __init__(self, text: ColumnElement[Any]) -> None:
        self.text = text
        self.type = BigInteger()


# The longest zone comes first; a text of 16 characters or less has none, and a date ends as `-05` does.
_ZONE = """CASE
    WHEN {x} GLOB '*[+-][0-9][0-9]:[0-9][0-9]' THEN substr({x}, -6)
    WHEN {x} GLOB '*[+-][0-9][0-9][0-9][0-9]' THEN substr({x}, -5, 3) || ':' || substr({x}, -2)
    WHEN {x} GLOB '*[+-][0-9][0-9]' THEN substr({x}, -3) || ':00'
    ELSE '' END"""
_RESPELT = """CASE
    WHEN length({x}) <= 16 THEN {x}
    WHEN {x} GLOB '*[+-][0-9][0-9][0-9][0-9]' THEN substr({x}, 1, length({x}) - 2) || ':' || substr({x}, -2)
    WHEN {x} GLOB '*[+-][0-9][0-9]' THEN {x} || ':00'
    ELSE {x} END"""
_MICROSECONDS = f"""CASE
    WHEN typeof({{x}}) <> 'text' OR {{x}} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN NULL
    WHEN substr({{x}}, 20, 1) <> '.' THEN CAST(strftime('%s', {_RESPELT}) AS INTEGER) * 1000000
    WHEN strftime('%s', {_RESPELT}) IS NULL THEN NULL
    ELSE CAST(strftime('%s', substr({{x}}, 1, 19) || {_ZONE}) AS INTEGER) * 1000000
        + CAST(round(CAST('0' || substr({{x}}, 20) AS REAL) * 1000000) AS INTEGER)
    END"""


@compiles(IsoMicroseconds)
def _write(element: IsoMicroseconds, compiler: SQLCompiler, **options: Any) -> str:
    """From a template, because the expression tree would take longer to write out than most windows to read. The
    column is the only thing put in, quoted by the dialect."""
    if not isinstance(element.text, ColumnClause):
        raise TypeError(f"only a column can be read as time, not {element.text!r}: a bound value would be repeated")
    return f"({_MICROSECONDS.format(x=compiler.process(element.text, **options))})"
