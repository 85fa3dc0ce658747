"""The cron trigger: clock changes, missed instants, keys, and schedules that make no sense."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.cron import CronTrigger
from triggers.verdict import Outcome, Verdict

NEW_YORK, LONDON = "America/New_York", "Europe/London"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def instants(schedule: str, timezone: str, after: str, number: int) -> list[str]:
    trigger = CronTrigger(schedule=schedule, timezone=timezone)
    return [f"{instant:%m-%d %H:%M}" for instant in islice(trigger.instants(utc(after)), number)]


def look(trigger: CronTrigger, now: str, before: Verdict | None = None) -> Verdict:
    return trigger.evaluate(evidence(state=before.state if before else {}), utc(now))


@pytest.mark.parametrize(
    ("timezone", "schedule", "after", "expected"),
    [
        # New York skips 02:00 to 03:00 on 8 March 2026; 03:00 local is 07:00 UTC.
        (NEW_YORK, "30 2 * * *", "2026-03-07T00:00", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        (NEW_YORK, "0 2,3 * * *", "2026-03-07T12:00", ["03-08 07:00", "03-09 06:00", "03-09 07:00"]),
        (NEW_YORK, "0 2 * * 0", "2026-03-01T08:00", ["03-08 07:00", "03-15 06:00"]),
        # London skips 01:00 to 02:00 on 29 March 2026; 02:00 local is 01:00 UTC.
        (LONDON, "30 1 * * *", "2026-03-28T00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        # Santiago skips midnight on 6 September 2026.
        ("America/Santiago", "0 0 * * *", "2026-09-05T05:00", ["09-06 04:00", "09-07 03:00"]),
    ],
)
def test_a_skipped_hour_fires_once_right_after_the_gap(
    timezone: str, schedule: str, after: str, expected: list[str]
) -> None:
    assert instants(schedule, timezone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("timezone", "schedule", "after", "expected"),
    [
        # New York repeats 01:00 to 02:00 on 1 November 2026, first at 05:00 UTC.
        (NEW_YORK, "30 1 * * *", "2026-10-31T00:00", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        (NEW_YORK, "15,45 1 * * *", "2026-11-01T00:00", ["11-01 05:15", "11-01 05:45", "11-02 06:15"]),
        # London repeats 01:00 to 02:00 on 25 October 2026, first at 00:00 UTC.
        (LONDON, "30 1 * * *", "2026-10-24T00:00", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
    ],
)
def test_a_repeated_hour_fires_once_the_first_time(
    timezone: str, schedule: str, after: str, expected: list[str]
) -> None:
    assert instants(schedule, timezone, after, len(expected)) == expected


def test_asked_within_the_second_pass_of_a_repeated_hour_the_first_pass_does_not_come_back() -> None:
    assert instants("30 1 * * *", NEW_YORK, "2026-11-01T06:10", 1) == ["11-02 06:30"]


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("30 * * * *", "2026-11-01T04:10", ["11-01 04:30", "11-01 05:30", "11-01 06:30", "11-01 07:30"]),
        ("30 * * * *", "2026-03-08T05:10", ["03-08 05:30", "03-08 06:30", "03-08 07:30", "03-08 08:30"]),
        ("*/30 1 * * *", "2026-11-01T04:10", ["11-01 05:00", "11-01 05:30", "11-01 06:00", "11-01 06:30"]),
        ("*/30 2 * * *", "2026-03-08T05:10", ["03-09 06:00", "03-09 06:30"]),
    ],
)
def test_a_job_with_a_wildcard_follows_real_time_through_clock_changes(
    schedule: str, after: str, expected: list[str]
) -> None:
    assert instants(schedule, NEW_YORK, after, len(expected)) == expected


def test_through_a_whole_year_a_daily_job_fires_every_day_once() -> None:
    for timezone in (NEW_YORK, LONDON):
        trigger = CronTrigger(schedule="30 1 * * *", timezone=timezone)
        found = list(islice(trigger.instants(utc("2025-12-31T12:00")), 365))
        assert len({instant.date() for instant in found}) == 365
        assert all(timedelta(hours=23) <= b - a <= timedelta(hours=25) for a, b in pairwise(found))


def test_it_is_quiet_just_before_fires_at_and_fires_just_after_the_instant() -> None:
    trigger = CronTrigger(schedule="0 2 * * 0", timezone=NEW_YORK)
    first = look(trigger, "2026-03-10T00:00")
    assert first.outcome is Outcome.QUIET
    assert look(trigger, "2026-03-15T05:59:59.999", first).outcome is Outcome.QUIET
    at, after = look(trigger, "2026-03-15T06:00", first), look(trigger, "2026-03-15T06:00:00.001", first)
    assert at.outcome is after.outcome is Outcome.FIRED
    assert at.key == after.key == "2026-03-15T06:00:00Z"
    assert at.sentence == (
        "The scheduled instant Sunday 2026-03-15 02:00 America/New_York (2026-03-15 06:00 UTC) has come."
    )


def test_an_instant_fires_at_one_look_only() -> None:
    trigger = CronTrigger(schedule="0 * * * *")
    fired = look(trigger, "2026-03-10T01:00:10", look(trigger, "2026-03-10T00:30"))
    assert fired.fired
    again = look(trigger, "2026-03-10T01:00:20", fired)
    assert again.outcome is Outcome.QUIET
    assert again.numbers["next_due"] == "2026-03-10T02:00:00Z"


def test_instants_missed_while_nothing_looked_fire_once_for_the_latest() -> None:
    trigger = CronTrigger(schedule="0 2 * * *")
    fired = look(trigger, "2026-03-15T12:00", look(trigger, "2026-03-10T12:00"))
    assert fired.fired
    assert (fired.key, fired.numbers["instants"]) == ("2026-03-15T02:00:00Z", 5)
    assert "5 instants since 2026-03-11 02:00 UTC are made up for once" in fired.sentence
    assert look(trigger, "2026-03-15T12:01", fired).outcome is Outcome.QUIET


def test_a_year_of_missed_minutes_is_caught_up_with_at_once() -> None:
    trigger = CronTrigger(schedule="* * * * *")
    fired = look(trigger, "2026-03-15T12:00:30", look(trigger, "2025-03-15T12:00:30"))
    assert (fired.key, fired.numbers["instants"]) == ("2026-03-15T12:00:00Z", 1000)
    assert "1,000 or more instants" in fired.sentence


def test_catch_up_none_leaves_missed_instants_out_and_goes_on() -> None:
    trigger = CronTrigger(schedule="0 2 * * *", catch_up="none", grace="10m")
    first = look(trigger, "2026-03-10T12:00")
    assert look(trigger, "2026-03-11T02:10", first).fired
    late = look(trigger, "2026-03-11T02:10:01", first)
    assert late.outcome is Outcome.QUIET
    assert "catch_up is none" in late.sentence
    assert look(trigger, "2026-03-12T02:00", late).fired


def test_a_changed_schedule_starts_anew_and_misses_nothing_of_the_old_one() -> None:
    before = look(CronTrigger(schedule="0 2 * * *"), "2026-03-10T12:00")
    changed = look(CronTrigger(schedule="0 3 * * *"), "2026-03-15T12:00", before)
    assert changed.outcome is Outcome.QUIET
    assert changed.numbers["next_due"] == "2026-03-16T03:00:00Z"


def test_it_looks_next_when_due_and_once_more_soon_after_a_firing() -> None:
    trigger = CronTrigger(schedule="0 2 * * *")
    quiet = look(trigger, "2026-03-10T12:00")
    assert quiet.state is not None
    assert trigger.next_look(facts(), quiet.state, utc("2026-03-10T12:00")) == utc("2026-03-11T02:00")
    fired = look(trigger, "2026-03-11T02:00", quiet)
    assert fired.state is not None
    assert trigger.next_look(facts(), fired.state, utc("2026-03-11T02:00")) == utc("2026-03-11T02:01")
    assert trigger.next_look(facts(), {}, NOW) == NOW


def test_a_schedule_that_was_due_while_down_is_looked_at_on_start() -> None:
    trigger = CronTrigger(schedule="0 2 * * *")
    quiet = look(trigger, "2026-03-10T12:00")
    assert quiet.state is not None
    assert trigger.next_look(facts(), quiet.state, utc("2026-03-14T12:00")) == utc("2026-03-14T12:00")


@pytest.mark.parametrize(("short", "fields"), [("@weekly", "0 0 * * 0"), ("@HOURLY", "0 * * * *")])
def test_shorthands_are_known(short: str, fields: str) -> None:
    assert CronTrigger(schedule=short).schedule == fields


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("0 0 30 2 *", "day"),
        ("0 0 31 2,4 *", "day"),
        ("0 0 * 2 MON#5,7#6", "day-of-week"),
        ("0 25 * * *", "hour"),
        ("0 2 * *", "4 fields"),
        ("0 0 2 * * *", "6 fields"),
        ("daily", "1 field;"),
    ],
)
def test_a_schedule_that_never_fires_or_is_none_is_refused(schedule: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        CronTrigger(schedule=schedule)


def test_a_time_zone_that_is_none_and_a_look_every_are_refused() -> None:
    with pytest.raises(ValidationError, match="'Mars/Olympus' is not a time zone"):
        CronTrigger(schedule="0 2 * * *", timezone="Mars/Olympus")
    with pytest.raises(ValidationError, match="look_every has no use"):
        CronTrigger(schedule="0 2 * * *", look_every="1h")
