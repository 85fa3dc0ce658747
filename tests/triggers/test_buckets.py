"""Time buckets: the same counts however the rows came, and after a restart."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.buckets import Folded, TimeBuckets
from triggers.comparison import compare
from triggers.profile import ReferenceProfile, WindowProfile

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Row = tuple[int | None, float | None, str | None, bool | None]
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-40, 40)),
        st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-9, 9), st.just(float("nan"))),
        st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=50,
)
REFERENCE = pa.table(
    {"number": [1.0, 2.0, 2.0, None, 7.5], "word": ["a", "a", None, "b", "b"], "flag": [True, False, None, True, True]}
)
PROFILE = ReferenceProfile.of(REFERENCE, REFERENCE.column_names)


def table_of(rows: list[Row]) -> pa.Table:
    hours, numbers, words, flags = zip(*rows, strict=True) if rows else ((), (), (), ())
    times = [None if hour is None else START + hour * HOUR for hour in hours]
    columns: dict[str, Any] = {
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "number": pa.array(numbers, pa.float64()),
        "word": pa.array(words, pa.string()),
        "flag": pa.array(flags, pa.bool_()),
    }
    return pa.table(columns)


def counted(rows: list[Row]) -> WindowProfile:
    window = WindowProfile(PROFILE.layouts)
    window.add(table_of(rows))
    return window


def same(one: WindowProfile, other: WindowProfile) -> bool:
    return one.rows == other.rows and one.total.tolist() == other.total.tolist()


@settings(max_examples=150, deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 6), st.sampled_from([HOUR, 6 * HOUR, DAY]))
def test_any_batches_in_any_order_give_the_counts_of_the_rows_themselves(
    rows: list[Row], random: Any, batches: int, width: timedelta
) -> None:
    buckets = TimeBuckets(PROFILE, width)
    shuffled = random.sample(rows, len(rows))
    folded = [buckets.fold(table_of(shuffled[batch::batches]), "time") for batch in range(batches)]
    dated = [row for row in rows if row[0] is not None]
    assert sum(each.rows for each in folded) == len(dated)
    assert sum(each.undated for each in folded) == len(rows) - len(dated)
    assert set(buckets.starts) == {start for each in folded for start in each.changed}
    for begin, end in ((-48, 48), (0, 24), (-24, 0)):
        inside = [row for row in dated if begin <= row[0] < end]
        assert same(buckets.over(START + begin * HOUR, START + end * HOUR), counted(inside))


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.integers(-30, 30))
def test_buckets_that_are_dropped_stay_dropped_and_their_late_rows_are_told(
    rows: list[Row], late: list[Row], oldest: int
) -> None:
    buckets = TimeBuckets(PROFILE, HOUR)
    buckets.fold(table_of(rows), "time")
    dropped = buckets.drop_before(START + oldest * HOUR)
    assert set(dropped) == {START + row[0] * HOUR for row in rows if row[0] is not None and row[0] < oldest}
    folded = buckets.fold(table_of(late), "time")
    assert folded.late == sum(row[0] is not None and row[0] < oldest for row in late)
    kept = [row for row in rows + late if row[0] is not None and row[0] >= oldest]
    assert same(buckets.over(START - 99 * HOUR, START + 99 * HOUR), counted(kept))


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=4), st.lists(st.integers(-30, 30), min_size=4, max_size=4))
def test_windows_that_slide_between_batches_are_the_sums_of_their_rows(
    batches: list[list[Row]], ends: list[int]
) -> None:
    buckets = TimeBuckets(PROFILE, HOUR)
    seen: list[Row] = []
    for batch, end in zip(batches, sorted(ends), strict=False):
        buckets.fold(table_of(batch), "time")
        buckets.drop_before(START + (end - 50) * HOUR)
        seen = [row for row in seen + batch if row[0] is not None and row[0] >= end - 50]
        for hours in (3, 24, 60):
            inside = [row for row in seen if row[0] is not None and end - hours <= row[0] < end]
            for _ in range(2):
                profile = buckets.over(START + (end - hours) * HOUR, START + end * HOUR)
                assert same(profile, counted(inside))
                profile.total += 1  # it is the caller's own


def test_so_many_lengths_of_window_are_told_apart() -> None:
    buckets = TimeBuckets(PROFILE, HOUR)
    buckets.fold(table_of([(hour, 1.0, "a", None) for hour in range(40)]), "time")
    for _ in range(2):
        assert [buckets.over(START, START + hours * HOUR).rows for hours in range(1, 30)] == list(range(1, 30))


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_a_restart_reads_stored_buckets_and_goes_on(rows: list[Row], more: list[Row]) -> None:
    buckets = TimeBuckets(PROFILE, HOUR)
    buckets.fold(table_of(rows), "time")
    stored = [buckets.to_bytes(start) for start in buckets.starts]
    again = TimeBuckets(ReferenceProfile.from_bytes(PROFILE.to_bytes()), HOUR)
    again.load(stored)
    assert [again.to_bytes(start) for start in again.starts] == stored
    for each in (buckets, again):
        each.fold(table_of(more), "time")
    assert same(buckets.over(START - 99 * HOUR, START + 99 * HOUR), again.over(START - 99 * HOUR, START + 99 * HOUR))


def test_only_whole_buckets_that_begin_inside_the_window_are_summed() -> None:
    buckets = TimeBuckets(PROFILE, 6 * HOUR)
    buckets.fold(table_of([(hour, 1.0, "a", None) for hour in range(48)]), "time")
    assert buckets.over(START + HOUR, START + 13 * HOUR).rows == 12
    assert buckets.over(START, START + 12 * HOUR).rows == 12
    assert buckets.over(START + DAY, START).rows == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_large_batches_are_counted_as_small_ones_are(threads: int) -> None:
    random = np.random.default_rng(1)
    reference = {
        "x": random.normal(0, 1, 3000),
        "n": random.integers(0, 50, 3000),
        "w": random.choice(list("abc"), 3000),
    }
    profile = ReferenceProfile.of(pa.table(reference), list(reference), threads=threads)
    rows = 20_000
    values = random.normal(0.1, 1, rows)
    values[::7] = np.nan
    table = pa.table(
        {
            "t": pa.array([START + minute * timedelta(minutes=1) for minute in range(rows)], pa.timestamp("us", "UTC")),
            "x": values,
            "n": random.integers(0, 60, rows),
            "w": random.choice(list("abcd"), rows),
        }
    )
    whole, parts = TimeBuckets(profile, 7 * DAY), TimeBuckets(profile, 7 * DAY)
    whole.fold(table, "t", threads=threads)
    for first in range(0, rows, 333):
        parts.fold(table.slice(first, 333), "t", threads=threads)
    everything = whole.over(START - 9 * DAY, START + 99 * DAY)
    assert same(everything, parts.over(START - 9 * DAY, START + 99 * DAY))
    assert everything.missing == {"x": len(values[::7]), "n": 0, "w": 0}
    some = whole.of_columns(["w", "x"], START - 9 * DAY, START + 99 * DAY)
    assert (some.rows, some.missing) == (everything.rows, {"w": 0, "x": len(values[::7])})
    assert all(np.array_equal(some.cells[name], everything.cells[name]) for name in ("w", "x"))
    edges = [*whole.starts, START + 99 * DAY]
    times = np.array(table["t"].to_pylist())
    for first, last in pairwise(edges):
        window = WindowProfile(profile.layouts)
        window.add(table.filter(pa.array((times >= first) & (times < last))))
        assert same(whole.over(first, last), window)


def test_one_set_of_buckets_serves_windows_of_several_lengths() -> None:
    random = np.random.default_rng(2)
    profile = ReferenceProfile.of(pa.table({"x": random.normal(0, 1, 2000)}), ["x"])
    buckets = TimeBuckets(profile, DAY)
    values = np.concatenate([random.normal(0, 1, 2700), random.normal(1, 1, 300)])
    times = [START + index * timedelta(minutes=14) for index in range(3000)]
    buckets.fold(pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": values}), "t")
    now = buckets.starts[-1] + DAY
    distances = [next(compare(profile, buckets.over(now - days * DAY, now))).ks for days in (2, 7, 28)]
    assert distances == sorted(distances, reverse=True)  # type: ignore[type-var]


def test_sparse_hours_take_little_memory_and_few_bytes() -> None:
    random = np.random.default_rng(3)
    profile = ReferenceProfile.of(pa.table({f"x{i}": random.normal(0, 1, 10_000) for i in range(4)}), ["x0", "x1"])
    buckets = TimeBuckets(profile, HOUR)
    times = pa.array([START + index * timedelta(minutes=1) for index in range(6000)], pa.timestamp("us", "UTC"))
    buckets.fold(pa.table({"t": times, **{f"x{i}": random.normal(0, 1, 6000) for i in range(2)}}), "t")
    assert len(buckets.starts) == 100
    assert buckets.nbytes < 5 * 2 * 6000 * 2
    assert sum(len(buckets.to_bytes(start)) for start in buckets.starts) < 100 * (60 * 2 * 3 + 300)


FOLD_IN_A_FRESH_PROCESS = """
import sys
from datetime import timedelta
import pyarrow as pa
from triggers.buckets import TimeBuckets
from triggers.profile import ReferenceProfile
table = pa.ipc.open_file(sys.argv[1]).read_all()
profile = ReferenceProfile.of(table, ["number", "word", "flag"])
buckets = TimeBuckets(profile, timedelta(days=1))
buckets.fold(table, "time")
again = TimeBuckets(ReferenceProfile.from_bytes(profile.to_bytes()), timedelta(days=1))
again.load(map(buckets.to_bytes, buckets.starts))
print([name for name in ("pandas", "scipy", "sklearn", "mlflow") if name in sys.modules])
"""


def test_folding_storing_and_loading_import_neither_pandas_nor_scipy(tmp_path: Path) -> None:
    table = table_of([(hour, 1.0, "a", True) for hour in range(50)])
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), table.schema) as file:
        file.write_table(table)
    command = [sys.executable, "-c", FOLD_IN_A_FRESH_PROCESS, str(tmp_path / "rows.arrow")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_rows_far_in_the_future_stand_in_their_own_bucket_and_in_no_window_until_then() -> None:
    buckets = TimeBuckets(PROFILE, DAY)
    future = pa.array([START, datetime(2126, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = table_of([(0, 1.0, "a", True)] * 2).set_column(0, "time", future)
    assert len(buckets.fold(rows, "time").changed) == 2
    assert buckets.over(START - DAY, START + DAY).rows == 1
    beyond = pa.array([2**62], pa.int64()).cast(pa.timestamp("us", "UTC"))
    assert buckets.fold(rows.slice(0, 1).set_column(0, "time", beyond), "time") == Folded((), 0, 0, 1)


def test_a_batch_with_a_column_that_cannot_be_counted_changes_nothing() -> None:
    buckets = TimeBuckets(PROFILE, DAY)
    rows = table_of([(0, 1.0, "a", True)])
    for table, told in (
        (rows.drop_columns("flag"), "column flag is not in the current data, which has time, number and word"),
        (rows.set_column(1, "number", pa.array(["far"])), "column number holds numbers in the reference and string"),
        (rows.drop_columns("time"), "column time is not in the current data"),
        (rows.set_column(0, "time", pa.array([5])), "column time holds int64 where times with a time zone are needed"),
    ):
        with pytest.raises(ValueError, match=told):
            buckets.fold(table, "time")
    assert buckets.starts == ()
    with pytest.raises(ValueError, match="is no time"):
        TimeBuckets(PROFILE, timedelta(0))


def test_stored_buckets_of_another_reference_or_width_or_damaged_are_refused() -> None:
    buckets = TimeBuckets(PROFILE, DAY)
    buckets.fold(table_of([(0, 1.0, "a", True)]), "time")
    data = buckets.to_bytes(START)
    other = ReferenceProfile.of(REFERENCE.slice(1), REFERENCE.column_names)
    for place, stored, told in (
        (TimeBuckets(other, DAY), data, "was counted over the reference .*; count its rows again"),
        (TimeBuckets(PROFILE, HOUR), data, "is 1 day, 0:00:00 wide, not 1:00:00"),
        (TimeBuckets(PROFILE, DAY), data[:-1], "cut short or damaged"),
        (TimeBuckets(PROFILE, DAY), data[:-1] + b"\x07", "cut short or damaged"),
        (TimeBuckets(PROFILE, DAY), PROFILE.to_bytes(), "does not begin with"),
    ):
        with pytest.raises(ValueError, match=told):
            place.load([stored])
        assert place.starts == ()
    with pytest.raises(KeyError):
        buckets.to_bytes(START + DAY)
