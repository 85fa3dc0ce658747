"""Windows are exact at their bounds, however a store writes time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from stores import ALWAYS, Database, database_fixture  # noqa: F401 - a fixture

from triggers.evidence import Counts, RowsRequest, TallyRequest, Window
from triggers.metrics import Tally

Write = Callable[[datetime, int], Any]
MICRO, SECOND = timedelta(microseconds=1), timedelta(seconds=1)
INDIA, SAMOA = timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11))


def naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def many_ways(instant: datetime, place: int) -> str:
    """Each row in another spelling: separators, zones, fractions."""
    return [
        naive(instant).isoformat(),
        naive(instant).isoformat(sep=" "),
        naive(instant).isoformat(timespec="microseconds") + "Z",
        instant.astimezone(INDIA).isoformat(sep=" "),
        instant.astimezone(SAMOA).isoformat(),
        instant.astimezone(INDIA).isoformat().replace("+05:30", "+0530"),
        instant.astimezone(SAMOA).isoformat(timespec="microseconds").replace("-11:00", "-11"),
    ][place % 7]


FORMATS: list[tuple[str, str, timedelta, Write]] = [
    ("sqlite", "TEXT", MICRO, lambda t, _: naive(t).isoformat()),
    ("sqlite", "TIMESTAMP", MICRO, lambda t, _: naive(t).isoformat(sep=" ")),
    ("sqlite", "DATETIME", MICRO, lambda t, _: naive(t).isoformat() + "Z"),
    ("sqlite", "TEXT", MICRO, lambda t, _: t.astimezone(INDIA).isoformat()),
    ("sqlite", "TEXT", MICRO, many_ways),
    ("sqlite", "INTEGER", SECOND, lambda t, _: int(t.timestamp())),
    ("sqlite", "REAL", MICRO, lambda t, _: t.timestamp()),
    ("sqlite", "", SECOND, lambda t, place: int(t.timestamp()) if place % 2 else t.timestamp()),
    ("sqlite", "INTEGER", timedelta(milliseconds=1), lambda t, _: round(t.timestamp() * 1000)),
    ("postgres", "timestamptz", MICRO, lambda t, _: t),
    ("postgres", "timestamp", MICRO, lambda t, _: naive(t)),
    ("postgres", "text", MICRO, lambda t, _: naive(t).isoformat() + "Z"),
    ("postgres", "varchar(40)", MICRO, many_ways),
    ("postgres", "integer", SECOND, lambda t, _: int(t.timestamp())),
    ("postgres", "double precision", MICRO, lambda t, _: t.timestamp()),
    ("postgres", "numeric", MICRO, lambda t, _: Decimal(round(t.timestamp() * 10**6)) / 10**6),
    ("postgres", "bigint", timedelta(milliseconds=1), lambda t, _: round(t.timestamp() * 1000)),
]


@pytest.mark.parametrize(
    ("declared", "step", "write", "database"),
    [(declared, step, write, kind) for kind, declared, step, write in FORMATS],
    indirect=["database"],
    ids=[f"{kind}-{declared}-{place}" for place, (kind, declared, *_) in enumerate(FORMATS)],
)
def test_a_window_takes_its_start_and_leaves_its_end(
    database: Database, declared: str, step: timedelta, write: Write
) -> None:
    start, end = datetime(2026, 1, 31, 22, tzinfo=UTC), datetime(2026, 2, 1, 3, 30, tzinfo=UTC)
    inside = [start, start + step, *(start + timedelta(minutes=11 * n) for n in range(1, 30)), end - step]
    outside = [start - step, start - timedelta(days=3), end, end + step, end + timedelta(days=3)]
    database.run(f"CREATE TABLE predictions (timestamp {declared}, prediction INTEGER, actual INTEGER)")
    database.run("CREATE INDEX by_time ON predictions (timestamp)")
    rows = [(write(t, n), n % 2, 1) for n, t in enumerate(inside)]
    rows += [(write(t, n), 7, 7) for n, t in enumerate(outside)]
    database.run("INSERT INTO predictions VALUES (?, ?, ?)", reversed(rows))
    window = Window(start, end)
    with database.store() as store:
        assert store.counts(window) == Counts(len(inside), len(inside))
        table = store.rows(RowsRequest(window, ("timestamp", "prediction")))
        assert table["timestamp"].to_pylist() == inside
        assert table["prediction"].to_pylist() == [n % 2 for n in range(len(inside))]
        small = [batch.num_rows for batch in store.batches(RowsRequest(window, ("prediction",)), batch_rows=10)]
        assert sum(small) == len(inside)
        assert max(small) <= 10
        assert store.tally(TallyRequest(window, "classes")) == Tally({("0", "1"): 16, ("1", "1"): 16})
        newest = store.rows(RowsRequest(window, ("timestamp",), last=5))
        assert newest["timestamp"].to_pylist() == inside[-5:]
        assert store.tally(TallyRequest(window, "classes", last=3)).rows == 3
        assert store.counts(ALWAYS) == Counts(len(rows), len(rows))
        assert store.counts(Window(start, None)).rows == len(inside) + 3
        assert store.counts(Window(None, end)).rows == len(inside) + 2
        assert store.span() == (start - timedelta(days=3), end + timedelta(days=3))
