"""Windows are exact at their bounds, however a store writes time."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from stores import ALWAYS, START, Database, database_fixture, sqlite_fixture  # noqa: F401 - fixtures

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


def test_sqlite_reads_iso_text_as_python_does(sqlite_database: Database) -> None:
    """Over thousands of spellings, and to the microsecond."""
    chance = random.Random(7)
    written: list[tuple[str, int]] = []
    expected: dict[int, datetime] = {}
    for number in range(4000):
        offset = chance.choice([None, timedelta(0), timedelta(minutes=15 * chance.randint(-48, 56))])
        local = datetime(1990, 1, 1) + timedelta(microseconds=chance.randrange(60 * 365 * 86_400 * 10**6))  # noqa: DTZ001
        local = local.replace(microsecond=chance.choice([0, 1, 500_000, 999_999, local.microsecond]))
        kind = chance.choice(["auto", "auto", "milliseconds", "seconds", "minutes"])
        text = local.isoformat(sep=chance.choice("T "), timespec=kind)
        zone = "" if offset is None else _zone(offset, chance)
        written.append((text + zone, number))
        read = datetime.fromisoformat(text)
        expected[number] = (read - (offset or timedelta(0))).replace(tzinfo=UTC)
    sqlite_database.run("CREATE TABLE predictions (timestamp TEXT, prediction INTEGER)")
    sqlite_database.run("INSERT INTO predictions VALUES (?, ?)", written)
    with sqlite_database.store(columns={"actual": None}) as store:
        table = store.rows(RowsRequest(ALWAYS, ("timestamp", "prediction")))
        assert dict(zip(table["prediction"].to_pylist(), table["timestamp"].to_pylist(), strict=True)) == expected
        assert table["timestamp"].to_pylist() == sorted(expected.values())
        instants = sorted(expected.values())
        assert store.span() == (instants[0], instants[-1])
        for _ in range(20):
            start, end = sorted((chance.choice(instants), chance.choice(instants)))
            assert store.counts(Window(start, end)).rows == sum(start <= each < end for each in instants)
        newest = store.rows(RowsRequest(ALWAYS, ("timestamp",), last=50))
        assert newest["timestamp"].to_pylist() == instants[-50:]


def _zone(offset: timedelta, chance: random.Random) -> str:
    minutes = round(offset.total_seconds() / 60)
    if minutes == 0:
        return chance.choice(["Z", "+00:00", "+00", "+0000"])
    sign, (hours, rest) = "+" if minutes > 0 else "-", divmod(abs(minutes), 60)
    written = [f"{sign}{hours:02}:{rest:02}", f"{sign}{hours:02}{rest:02}"]
    return chance.choice([*written, f"{sign}{hours:02}"] if rest == 0 else written)


def test_dates_alone_are_their_midnight(database: Database) -> None:
    database.run(f"CREATE TABLE predictions (timestamp {database.of_both('TEXT', 'date')}, prediction INTEGER)")
    days = [datetime(2026, 1, 30, tzinfo=UTC) + timedelta(days=n) for n in range(4)]
    database.run("INSERT INTO predictions VALUES (?, ?)", [(day.date().isoformat(), n) for n, day in enumerate(days)])
    with database.store(columns={"actual": None}) as store:
        assert store.counts(Window(days[1], days[3])).rows == 2
        assert store.counts(Window(days[1] + MICRO, days[3])).rows == 1
        batches = store.batches(RowsRequest(ALWAYS, ("timestamp",)), batch_rows=2)
        assert [each for batch in batches for each in batch["timestamp"].to_pylist()] == days
        assert store.span() == (days[0], days[-1])


@pytest.mark.parametrize("zone", [INDIA, SAMOA])
def test_a_window_may_be_asked_for_in_any_zone(database: Database, zone: timezone) -> None:
    database.plain_table([(START.isoformat(), 1, 1), ((START + SECOND).isoformat(), 1, 1)])
    with database.store() as store:
        assert store.counts(Window(START.astimezone(zone), (START + SECOND).astimezone(zone))).rows == 1


def test_the_ends_of_the_calendar_are_bounds_like_others(database: Database) -> None:
    database.plain_table([(START.isoformat(), 1, 1)])
    with database.store() as store:
        ends = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        assert store.counts(ends).rows == 1
        assert store.counts(Window(ends.end, None)).rows == 0


def test_epoch_bounds_are_exact_before_1970(database: Database) -> None:
    database.run(
        f"CREATE TABLE predictions (timestamp {database.of_both('REAL', 'double precision')}, prediction INTEGER)"
    )
    instants = [datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC) + n * timedelta(seconds=0.75) for n in range(4)]
    database.run("INSERT INTO predictions VALUES (?, 1)", [(t.timestamp(),) for t in instants])
    with database.store(columns={"actual": None}, timestamps="seconds") as store:
        for n, instant in enumerate(instants):
            assert store.counts(Window(instant, None)).rows == len(instants) - n
            assert store.counts(Window(None, instant)).rows == n
