"""Which firings were alarms, which of them a loss of performance followed, and which losses no alarm told of.

A trigger that fires at several looks in a row gave one alarm; a retraining in between begins another. An
alarm is followed by a loss where one is under way, or begins within four periods of it; a loss is missed where no
alarm came from four periods before its beginning until its end. Schedules, intervals and amounts of rows claim
nothing about performance and are not judged so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.backtest.outcome import Outcome, Scene
from daemon.backtest.performance import Loss, period_length
from daemon.backtest.report import AlarmReport, LossReport, TriggerReplayReport
from daemon.backtest.retraining import Retraining

_AHEAD = 4  # periods that an alarm may be early by
_MONTH = timedelta(days=365.25 / 12)
_CLAIM_NOTHING = frozenset({"cron", "interval", "volume", "file"})


@dataclass(frozen=True)
class Alarm:
    """The first look of several that fired."""

    trigger: str
    at: datetime
    sentence: str
    decision: str
    retrained: bool


def alarms(outcome: Outcome) -> list[Alarm]:
    """Of all triggers, oldest first."""
    found = [alarm for trigger, looks in outcome.looks.items() for alarm in _of_one(trigger, looks, outcome.made)]
    return sorted(found, key=lambda each: each.at)


def _of_one(trigger: str, looks: Sequence[Any], made: Sequence[Retraining]) -> list[Alarm]:
    begun = []
    before: datetime | None = None  # the last look, where it fired
    for look in looks:
        fired = look.outcome == "fired"
        if fired and (before is None or any(before <= each.at < look.at for each in made)):
            begun.append(look)
        before = look.at if fired else None
    ends = [*(look.at for look in begun[1:]), None][: len(begun)]
    caused = [at for each in made for name, at in each.fired if name == trigger]
    return [
        # A look that was held back, or waited, belongs to the job of a later one.
        Alarm(trigger, look.at, look.sentence, look.decision, any(_within(each, look.at, end) for each in caused))
        for look, end in zip(begun, ends, strict=True)
    ]


def _within(at: datetime, start: datetime, end: datetime | None) -> bool:
    return start <= at and (end is None or at < end)


def claims(outcome: Outcome, trigger: str) -> bool:
    """Whether the trigger's firing says something about the data or the performance."""
    return outcome.policy.model.triggers[trigger].type not in _CLAIM_NOTHING


def alarm_reports(outcome: Outcome, losses: Sequence[Loss], scene: Scene) -> list[AlarmReport]:
    """Every alarm, and whether a loss followed; None where it claims nothing."""
    ahead = _AHEAD * period_length(scene.since, scene.until)
    return [
        AlarmReport(
            outcome.policy.name,
            each.trigger,
            each.at,
            each.sentence,
            each.decision,
            each.retrained,
            any(_tells(each.at, loss, ahead) for loss in losses) if claims(outcome, each.trigger) else None,
        )
        for each in alarms(outcome)
    ]


def loss_reports(outcome: Outcome, losses: Sequence[Loss], scene: Scene) -> list[LossReport]:
    """Every loss, with the triggers that told of it."""
    ahead = _AHEAD * period_length(scene.since, scene.until)
    told = [each for each in alarms(outcome) if claims(outcome, each.trigger)]
    found = []
    for loss in losses:
        names = list(dict.fromkeys(each.trigger for each in told if _tells(each.at, loss, ahead)))
        found.append(LossReport(outcome.policy.name, loss.start, loss.end, loss.worst, names, missed=not names))
    return found


def trigger_reports(served: Any, scene: Scene) -> list[TriggerReplayReport]:
    """Each trigger of a served policy in figures."""
    outcome: Outcome | None = served.outcome
    if outcome is None:
        return []
    months = (scene.until - scene.since) / _MONTH
    reports = []
    for trigger, looks in outcome.looks.items():
        mine = [each for each in served.alarms if each.trigger == trigger]
        judged = claims(outcome, trigger)
        followed = sum(bool(each.followed) for each in mine)
        answers = [look.outcome for look in looks]
        reports.append(
            TriggerReplayReport(
                policy=outcome.policy.name,
                trigger=trigger,
                type=outcome.policy.model.triggers[trigger].type,
                looks=len(looks),
                alarms=len(mine),
                alarms_per_month=len(mine) / months,
                followed=followed if judged else None,
                false=len(mine) - followed if judged else None,
                insufficient=answers.count("insufficient"),
                errors=answers.count("error"),
            )
        )
    return reports


def _tells(at: datetime, loss: Loss, ahead: timedelta) -> bool:
    return loss.start - ahead <= at < loss.end
