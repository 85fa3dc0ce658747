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
    trained = [each.at for each in outcome.made]
    found = [alarm for trigger, looks in outcome.looks.items() for alarm in _of_one(trigger, looks, trained)]
    return sorted(found, key=lambda each: each.at)


def _of_one(trigger: str, looks: Sequence[Any], trained: Sequence[datetime]) -> list[Alarm]:
    made: list[Alarm] = []
    before: datetime | None = None  # the last look, where it fired
    for look in looks:
        if look.outcome == "fired":
            begins = before is None or any(before <= each < look.at for each in trained)
            retrained = look.job is not None
            if begins:
                made.append(Alarm(trigger, look.at, look.sentence, look.decision, retrained))
            elif retrained and not made[-1].retrained:  # it was held back until now
                made[-1] = Alarm(trigger, made[-1].at, made[-1].sentence, made[-1].decision, retrained=True)
        before = look.at if look.outcome == "fired" else None
    return made


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
