"""The `all` and `any` triggers."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from pydantic import ValidationError
from samples import NOW, evidence, facts

from triggers.combination import AllTrigger, AnyTrigger
from triggers.evidence import Member, MembersRequest
from triggers.verdict import Outcome, Verdict

HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
FIRING = Member(Outcome.FIRED, NOW - HOUR)
QUIET = Member(Outcome.QUIET, None)
UNSEEN = Member(None, None)


def judge(trigger: AllTrigger | AnyTrigger, members: Mapping[str, Member], trained: timedelta = 60 * DAY) -> Verdict:
    return trigger.evaluate(evidence({"members": members}, trained_at=NOW - trained), NOW)


def test_all_fires_when_every_member_has_fired_and_any_when_one_has() -> None:
    both, one = {"drift": FIRING, "decay": FIRING}, {"drift": FIRING, "decay": QUIET}
    assert judge(AllTrigger(of=("drift", "decay")), both).fired
    assert judge(AllTrigger(of=("drift", "decay")), one).outcome is Outcome.QUIET
    assert judge(AnyTrigger(of=("drift", "decay")), one).fired


def test_at_least_asks_for_so_many_members() -> None:
    members = {"a": FIRING, "b": FIRING, "c": QUIET}
    assert judge(AnyTrigger(of=("a", "b", "c"), at_least=2), members).fired
    assert judge(AnyTrigger(of=("a", "b", "c"), at_least=3), members).outcome is Outcome.QUIET


@pytest.mark.parametrize(
    ("fired_at", "outcome"),
    [(NOW - DAY + MOMENT, Outcome.FIRED), (NOW - DAY, Outcome.FIRED), (NOW - DAY - MOMENT, Outcome.QUIET)],
)
def test_a_firing_that_has_ceased_counts_for_as_long_as_within_says(fired_at: object, outcome: Outcome) -> None:
    member = Member(Outcome.QUIET, fired_at)  # type: ignore[arg-type]
    assert judge(AnyTrigger(of=("drift",), within="1d"), {"drift": member}).outcome is outcome


def test_a_member_that_still_fires_counts_however_long_ago_it_was_asked() -> None:
    assert judge(AnyTrigger(of=("drift",), within="1h"), {"drift": Member(Outcome.FIRED, NOW - DAY)}).fired


@pytest.mark.parametrize(
    ("trained", "outcome"),
    [(HOUR + MOMENT, Outcome.FIRED), (HOUR, Outcome.QUIET), (HOUR - MOMENT, Outcome.QUIET)],
)
def test_a_firing_before_the_last_training_ended_counts_no_more(trained: timedelta, outcome: Outcome) -> None:
    assert judge(AnyTrigger(of=("drift",)), {"drift": FIRING}, trained).outcome is outcome


def test_members_that_cannot_say_yet_make_the_answer_insufficient() -> None:
    trigger = AllTrigger(of=("drift", "decay"))
    assert judge(trigger, {"drift": UNSEEN, "decay": UNSEEN}).outcome is Outcome.INSUFFICIENT
    verdict = judge(trigger, {"drift": FIRING, "decay": Member(Outcome.INSUFFICIENT, None)})
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.sentence == (
        "1 of 2 triggers fired (drift), and decay cannot say yet; "
        "it takes 2, each within 1d and since the last training."
    )
    assert judge(trigger, {"drift": UNSEEN, "decay": QUIET}).outcome is Outcome.QUIET


def test_it_asks_for_its_members_and_names_one_that_is_not_there() -> None:
    trigger = AllTrigger(of=("drift", "dekay"))
    assert trigger.requests(facts(), {}, NOW) == {"members": MembersRequest(("drift", "dekay"))}
    verdict = judge(trigger, {"drift": FIRING})
    assert verdict.outcome is Outcome.ERROR
    assert "no trigger named dekay" in verdict.sentence


def test_members_named_twice_and_too_many_wanted_are_refused() -> None:
    with pytest.raises(ValidationError, match="drift is named more than once"):
        AllTrigger(of=("drift", "drift"))
    with pytest.raises(ValidationError, match="at_least is 3, more than the 2 members"):
        AnyTrigger(of=("a", "b"), at_least=3)
    with pytest.raises(ValidationError):
        AllTrigger(of=())
