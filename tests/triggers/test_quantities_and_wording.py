"""Quantities as users write them, and figures as sentences write them."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter
from samples import NOW

from triggers.quantities import Duration, Rate, Size, format_duration, parse_duration, parse_size
from triggers.wording import age, count, figure, instant, listing, percent, span


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
        ("1h30m", timedelta(minutes=90)),
        ("200ms", timedelta(seconds=0.2)),
        ("1.5d", timedelta(hours=36)),
    ],
)
def test_a_duration_is_read_and_written_without_loss(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length
    assert parse_duration(format_duration(length)) == length
    adapter: TypeAdapter[timedelta] = TypeAdapter(Duration)
    assert adapter.validate_python(adapter.dump_python(length, mode="json")) == length


@pytest.mark.parametrize("value", ["", "7", 7, "7 days", "-3d", "0s", "d7", None, "9999999999w"])
def test_what_is_no_duration_is_refused_in_words(value: object) -> None:
    with pytest.raises(ValueError, match="write a"):
        parse_duration(value)


@pytest.mark.parametrize("size", [1, 1000, 1024, 16 * 2**20, 3 * 2**30 + 1])
def test_a_size_is_written_and_read_without_loss(size: int) -> None:
    adapter: TypeAdapter[int] = TypeAdapter(Size)
    written = adapter.dump_python(size, mode="json")
    assert adapter.validate_python(written) == size
    assert adapter.dump_python(size) == size


def test_sizes_are_binary_or_decimal_as_written_and_never_a_bare_number() -> None:
    assert (parse_size("1KiB"), parse_size("1KB"), parse_size("1.5 GiB")) == (1024, 1000, 3 * 2**29)
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(16)


def test_a_rate_is_read_and_written() -> None:
    assert Rate.parse("2 per 90d") == Rate(2, timedelta(days=90))
    assert str(Rate.parse("0.5 per 4w")) == "0.5 per 4w"
    with pytest.raises(ValueError, match="write a count per duration"):
        Rate.parse("0 per 90d")


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.8124, "0.812"), (12.345, "12.3"), (1911.6, "1,912"), (-0.5, "-0.500"), (0.00002, "2.0e-05"), (0, "0.000")],
)
def test_a_figure_has_three_digits_that_matter(value: float, written: str) -> None:
    assert figure(value) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0 %"), (0.001, "less than 1 %"), (0.964, "96 %"), (0.9999, "over 99 %"), (1, "100 %")],
)
def test_a_percentage_is_neither_none_nor_all_unless_it_is(share: float, written: str) -> None:
    assert percent(share) == written


def test_counts_spans_ages_instants_and_lists_read_as_people_write_them() -> None:
    assert (count(1, "row"), count(1912, "row"), count(2, "entry", "entries")) == ("1 row", "1,912 rows", "2 entries")
    assert (span(timedelta(days=7)), span(timedelta(minutes=90))) == ("7d", "1h30m")
    assert age(timedelta(days=3, hours=4, minutes=59)) == "3d4h"
    assert (age(timedelta(seconds=61.7)), age(timedelta(seconds=0.3))) == ("1m1s", "0s")
    assert instant(NOW) == "2026-03-20 12:00 UTC"
    assert instant(datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)) == "2026-01-01 00:00:05 UTC"
    assert (listing([]), listing(["a"]), listing(["a", "b"])) == ("", "a", "a and b")
    assert (listing(["a", "b", "c"]), listing(list("abcde"))) == ("a, b and c", "a, b, c and 2 more")
