"""Verdicts become decisions: every course with its reason, and every boundary."""

from datetime import UTC, datetime, time, timedelta

import pytest

from daemon.policy import Course, Memory, Standing, decide, held
from retraind.config.policy import Policy, QuietHours, WhenBusy
from triggers.base import Action
from triggers.confirmations import Confirmations
from triggers.verdict import Outcome, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRED = Verdict(Outcome.FIRED, "it fired.")
KEYED = Verdict(Outcome.FIRED, "it fired.", key="2026-03-01T12:00:00Z")


def course(
    verdict=FIRED, *, action=Action.RETRAIN, memory=None, policy=None, standing=None, trigger="drift", now=NOW
) -> Course:
    memory = memory or Memory([str(verdict.outcome)])
    return decide(trigger, action, verdict, memory, policy or Policy(), standing or Standing(), now).course


@pytest.mark.parametrize("outcome", [Outcome.QUIET, Outcome.INSUFFICIENT, Outcome.ERROR])
def test_only_a_firing_leads_to_anything(outcome):
    assert course(Verdict(outcome, "no.")) is Course.NOTHING


def test_a_firing_requests_a_job_when_nothing_holds_it_back():
    assert course() is Course.REQUEST


def test_a_member_of_a_combination_starts_nothing_by_itself():
    assert course(action=Action.NONE) is Course.NOTHING


@pytest.mark.parametrize(
    ("when_busy", "expected"),
    [(WhenBusy.COALESCE, Course.JOIN), (WhenBusy.QUEUE, Course.WAIT), (WhenBusy.SKIP, Course.SKIP)],
)
def test_a_firing_beside_an_open_job_goes_the_stated_way(when_busy, expected):
    standing = Standing(open_job="j", in_open_job=frozenset({"weekly"}))
    assert course(policy=Policy(when_busy=when_busy), standing=standing) is expected


def test_a_trigger_that_keeps_firing_joins_a_job_once():
    standing = Standing(open_job="j", in_open_job=frozenset({"drift"}))
    assert course(standing=standing) is Course.NOTHING


def test_a_trigger_that_keeps_firing_waits_once():
    standing = Standing(open_job="j", waiting=frozenset({"drift"}))
    assert course(policy=Policy(when_busy=WhenBusy.QUEUE), standing=standing) is Course.NOTHING


@pytest.mark.parametrize(("seconds", "expected"), [(-1, Course.HOLD), (0, Course.REQUEST), (1, Course.REQUEST)])
def test_cooldown_ends_on_its_boundary(seconds, expected):
    policy = Policy(cooldown="6h")
    standing = Standing(last_closed_at=NOW - timedelta(hours=6) - timedelta(seconds=seconds))
    assert course(policy=policy, standing=standing) is expected


def test_a_scheduled_firing_waits_for_a_hold_to_pass_and_is_not_lost():
    standing = Standing(hold_until=NOW + timedelta(hours=1))
    assert course(KEYED, standing=standing) is Course.WAIT
    assert course(FIRED, standing=standing) is Course.HOLD


@pytest.mark.parametrize(("minutes", "expected"), [(1, Course.HOLD), (0, Course.REQUEST)])
def test_the_breaker_holds_until_its_instant(minutes, expected):
    assert course(standing=Standing(hold_until=NOW + timedelta(minutes=minutes))) is expected


def test_an_incident_of_the_data_holds_whatever_fires_unless_the_policy_ignores_it():
    standing = Standing(incident="column x is gone")
    assert course(standing=standing) is Course.HOLD
    assert course(KEYED, standing=standing) is Course.WAIT
    assert course(policy=Policy(on_incident="ignore"), standing=standing) is Course.REQUEST
    assert course(action=Action.NOTIFY, standing=standing) is Course.NOTIFY
    assert held(Policy(), standing, NOW) == "an incident of the data is open: column x is gone"


def test_a_paused_model_starts_nothing_and_says_why():
    decision = decide(
        "drift", Action.RETRAIN, FIRED, Memory(["fired"]), Policy(), Standing(paused_because="migration"), NOW
    )
    assert decision.course is Course.HOLD
    assert "migration" in decision.because
    assert course(KEYED, standing=Standing(paused_because="migration")) is Course.SKIP


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        (["fired"], Course.HOLD),
        (["fired", "quiet", "fired"], Course.REQUEST),
        (["fired", "quiet", "quiet", "fired"], Course.HOLD),
        (["fired", "fired"], Course.REQUEST),
    ],
)
def test_two_of_three_looks_must_fire(recent, expected):
    assert course(memory=Memory(recent), policy=Policy(confirmations=Confirmations(2, 3))) is expected


def test_a_scheduled_firing_needs_no_confirmation():
    assert course(KEYED, policy=Policy(confirmations=Confirmations(2, 3))) is Course.REQUEST


@pytest.mark.parametrize(("action", "expected"), [(Action.NOTIFY, Course.NOTIFY), (Action.PROPOSE, Course.PROPOSE)])
def test_telling_triggers_speak_once_until_they_were_quiet(action, expected):
    assert course(action=action) is expected
    assert course(action=action, memory=Memory(["fired", "fired"], armed=False)) is Course.NOTHING


@pytest.mark.parametrize(
    ("hour", "minute", "quiet"), [(21, 59, False), (22, 0, True), (3, 0, True), (5, 59, True), (6, 0, False)]
)
def test_quiet_hours_span_midnight_in_their_own_zone(hour, minute, quiet):
    policy = Policy(quiet_hours=QuietHours(start=time(22), end=time(6), timezone="Asia/Tokyo"))
    now = datetime(2026, 3, 1, hour, minute, tzinfo=UTC) - timedelta(hours=9)
    assert (held(policy, Standing(), now) is not None) is quiet


def test_the_daily_cap_counts_the_last_24_hours():
    policy = Policy(daily_cap=2)
    old, young = NOW - timedelta(hours=24), NOW - timedelta(hours=23, minutes=59)
    assert course(policy=policy, standing=Standing(requested_at=[old, young])) is Course.REQUEST
    assert course(policy=policy, standing=Standing(requested_at=[young, young])) is Course.HOLD


def test_an_unwritable_audit_log_holds_decisions_where_it_is_required():
    assert course(standing=Standing(audit_unwritable=True)) is Course.HOLD
