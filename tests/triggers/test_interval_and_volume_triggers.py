"""The interval and volume triggers, at their boundaries."""

from datetime import timedelta

import pytest
from samples import NOW, evidence, facts

from triggers.evidence import CountRequest, Counts, Window
from triggers.interval import IntervalTrigger
from triggers.verdict import Outcome
from triggers.volume import VolumeTrigger

WEEK, MOMENT = timedelta(days=7), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("since", "outcome"),
    [(WEEK - MOMENT, Outcome.QUIET), (WEEK, Outcome.FIRED), (WEEK + MOMENT, Outcome.FIRED)],
)
def test_an_interval_fires_from_the_instant_it_is_over(since: timedelta, outcome: Outcome) -> None:
    assert IntervalTrigger(every="7d").evaluate(evidence(trained_at=NOW - since), NOW).outcome is outcome


def test_a_model_that_was_never_trained_is_due_at_once() -> None:
    verdict = IntervalTrigger(every="7d").evaluate(evidence(trained_at=None), NOW)
    assert verdict.fired
    assert verdict.sentence == "The model was never trained, and is to be trained every 7d."


def test_an_interval_that_is_over_keeps_firing_until_a_training_ends() -> None:
    trigger, due = IntervalTrigger(every="7d"), evidence(trained_at=NOW - 2 * WEEK)
    first, second = trigger.evaluate(due, NOW), trigger.evaluate(due, NOW + timedelta(minutes=1))
    assert first.fired
    assert second.fired
    assert first.key is None
    assert trigger.evaluate(evidence(trained_at=NOW), NOW).outcome is Outcome.QUIET


def test_an_interval_is_looked_at_when_due_and_every_minute_from_then_on() -> None:
    trigger = IntervalTrigger(every="7d")
    assert trigger.next_look(facts(trained_at=NOW - timedelta(days=1)), {}, NOW) == NOW + timedelta(days=6)
    assert trigger.next_look(facts(trained_at=NOW - WEEK), {}, NOW) == NOW + timedelta(minutes=1)
    assert trigger.next_look(facts(trained_at=None), {}, NOW) == NOW + timedelta(minutes=1)
    assert IntervalTrigger(every="5s").next_look(facts(trained_at=None), {}, NOW) == NOW + timedelta(seconds=5)


def test_an_interval_says_how_long_ago_the_training_was_and_when_the_next_is_due() -> None:
    verdict = IntervalTrigger(every="7d").evaluate(evidence(trained_at=NOW - timedelta(days=3, hours=4)), NOW)
    assert verdict.sentence == (
        "The last training ended 3d4h ago (2026-03-17 08:00 UTC); the next is due 2026-03-24 08:00 UTC."
    )
    assert verdict.numbers == {"every_seconds": 604_800.0, "since_training_seconds": 273_600.0}


@pytest.mark.parametrize(
    ("rows", "outcome"), [(9_999, Outcome.QUIET), (10_000, Outcome.FIRED), (10_001, Outcome.FIRED)]
)
def test_a_volume_fires_from_the_row_that_reaches_it(rows: int, outcome: Outcome) -> None:
    verdict = VolumeTrigger(rows=10_000).evaluate(evidence({"counts": Counts(rows, 0)}), NOW)
    assert verdict.outcome is outcome
    assert verdict.numbers["rows"] == rows


def test_a_labelled_volume_counts_only_rows_with_an_actual() -> None:
    trigger = VolumeTrigger(rows=100, labelled=True)
    assert trigger.evaluate(evidence({"counts": Counts(5_000, 99)}), NOW).outcome is Outcome.QUIET
    fired = trigger.evaluate(evidence({"counts": Counts(5_000, 100)}), NOW)
    assert fired.fired
    assert fired.sentence == (
        "There are 100 labelled rows since the last training window ended (2026-01-18 12:00 UTC); 100 are enough."
    )


def test_a_volume_counts_from_the_end_of_the_last_training_window_or_from_the_beginning() -> None:
    trigger, end = VolumeTrigger(rows=10), NOW - timedelta(days=2)
    assert trigger.requests(facts(trained_until=end), {}, NOW) == {"counts": CountRequest(Window(end, NOW))}
    assert trigger.requests(facts(trained_until=None), {}, NOW) == {"counts": CountRequest(Window(None, NOW))}
    verdict = trigger.evaluate(evidence({"counts": Counts(3, 0)}, trained_until=None), NOW)
    assert verdict.sentence == "There are 3 rows and no training yet; 10 are needed."
