"""How a `worth` trigger's verdict is told: its sentence and its numbers.

Called by `triggers.worth`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from triggers.evidence import Counts, ModelFacts
from triggers.verdict import Outcome, Verdict
from triggers.wording import age, count, figure, instant, span

if TYPE_CHECKING:
    from triggers.decay import Decay
    from triggers.waiting import Waiting
    from triggers.worth import WorthTrigger

_POINTS = 100  # in a whole unit of a metric
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Telling:
    """What is known before anything is judged. `start` is the first instant of the time judged, and the first day."""

    trigger: "WorthTrigger"
    facts: ModelFacts
    now: datetime
    start: datetime
    judged: Sequence[Counts]  # of the parts whose labels have come
    waiting: Sequence[Counts]  # of the newer ones, whose labels are still coming

    def error(self, why: str) -> Verdict:
        return Verdict(Outcome.ERROR, f"{why}.", self._numbers())

    def insufficient(self, why: str) -> Verdict:
        return Verdict(Outcome.INSUFFICIENT, f"{why}.", self._numbers())

    def no_gate(self) -> Verdict:
        """Nothing says what retraining would restore."""
        metric, version = self.trigger.metric, self.facts.version
        if version is None:
            return self.insufficient(
                f"No version has been deployed yet, so no gate has a figure of {metric} to restore"
            )
        return self.insufficient(
            f"Version {version} has no figure of {metric} from its gates for retraining to restore; "
            "write restores: start, or retrain to have one measured"
        )

    def too_few(self) -> Verdict:
        """No change could be told, whatever the figures."""
        least, step = f"{self.trigger.min_labels:,}", span(self.trigger.cadence())
        if self.trigger.restores == "start":
            lack = f"it takes {least} of the first {step} or more, and {least} after it, to tell a change"
        else:
            lack = f"{least} are needed"
        if self._labelled >= 2 * self.trigger.min_labels and len(self.judged) > 1:
            lack += f", and {self.trigger.metric} has to be defined on them"
        if left_out := sum(each.labelled for each in self.waiting):
            lack += f"; {left_out:,} more are of rows whose labels are still coming"
        return self.insufficient(f"There are only {self._where()}; {lack}")

    def verdict(self, decay: "Decay", waiting: "Waiting") -> Verdict:
        numbers = self._numbers() | self._figures(decay, waiting)
        known = f"on {self._where()}, at level {figure(self.trigger.level)} ({self.trigger.false_alarms})"
        if decay.least <= 0:
            return Verdict(Outcome.QUIET, f"{self._no_decay(decay)}, {known}.", numbers)
        outcome = Outcome.FIRED if waiting.worth else Outcome.QUIET
        return Verdict(outcome, f"{self._weighed(waiting)}: {self._decay(decay)}, {known}.", numbers)

    def _no_decay(self, decay: "Decay") -> str:
        metric, value = self.trigger.metric, figure(self._value(decay))
        if decay.loss <= 0:
            return f"{metric} is {value} and shows no sign of decay"
        sign = f"{_points(decay.loss)} worse than {figure(decay.before)}"
        since = f"since {self._day(decay.began)}" if decay.shape == "step" else f"after {self._length(decay.until)}"
        return f"{metric} is {value}, {sign} {since} and not beyond doubt"

    def _decay(self, decay: "Decay") -> str:
        value, before = figure(self._value(decay)), figure(decay.before)
        points = _points(decay.loss)
        higher = self.trigger.known.higher_is_better
        if decay.shape == "step":
            moved = "lower" if higher else "higher"
            return f"{self.trigger.metric} is {points} {moved} since {self._day(decay.began)}, {value} after {before}"
        moved = "fallen" if higher else "risen"
        length = self._length(decay.until)
        return f"{self.trigger.metric} has {moved} by {points} in {length}, from {before} to {value}"

    def _weighed(self, waiting: "Waiting") -> str:
        """What waiting costs, against what retraining does."""
        day, lost, price = _money(waiting.a_day), _money(waiting.lost), _money(waiting.retrain)
        length = age(timedelta(days=waiting.days))
        if (last := last_training(self.facts)) is not None and last >= self.start:
            length += " since the last training"
        told = f"Waiting another day costs {day}"
        since = f"in the {length} {lost} was lost"
        if waiting.lost > waiting.retrain:
            return f"{told}, and {since}, more than the {price} that retraining costs"
        if waiting.worth:
            average = f"{_money(waiting.average)} a day that the {length} come to"
            return f"{told}, more than the {average} if retrained now ({lost} lost, and {price} for retraining)"
        due = age(timedelta(days=waiting.due_in))
        return f"{told}, and {since}, less than the {price} that retraining costs; at this pace it is worth it in {due}"

    def _numbers(self) -> dict[str, Any]:
        trigger = self.trigger
        left_out = sum(each.rows for each in self.waiting)
        return {
            "metric": trigger.metric,
            "retrain": trigger.retrain,
            "point_per_day": trigger.point_per_day,
            "labelled": self._labelled,
            "min_labels": trigger.min_labels,
            "left_out": left_out,
            "level": trigger.level,
            "false_alarms": str(trigger.false_alarms),
            "start": self.start.isoformat(),
            "version": self.facts.version,
        }

    def _figures(self, decay: "Decay", waiting: "Waiting") -> dict[str, Any]:
        return {
            "value": self._value(decay),
            "restored": decay.before,
            "shape": decay.shape,
            "since": (self.start + decay.began * _DAY).isoformat(),
            "points": decay.loss * _POINTS,
            "least_points": decay.least * _POINTS,
            "dispersion": decay.dispersion,
            "costs_per_day": waiting.a_day,
            "lost": waiting.lost,
            "days": waiting.days,
            "average_per_day": waiting.average,
            "due_in_days": waiting.due_in if decay.loss > 0 else None,
        }

    def _value(self, decay: "Decay") -> float:
        """The metric at present, within its range."""
        known = self.trigger.known
        value = decay.before - decay.loss if known.higher_is_better else decay.before + decay.loss
        return min(max(value, known.lowest), known.highest)

    @property
    def _labelled(self) -> int:
        return sum(each.labelled for each in self.judged)

    def _where(self) -> str:
        rows, deployed, delay = count(self._labelled, "labelled row"), self.facts.deployed_at, self.facts.label_delay
        until = "" if delay is None else f", up to {age(delay)} ago"
        if deployed is not None and self.start <= deployed:
            return f"{rows} since version {self.facts.version} was deployed {age(self.now - deployed)} ago{until}"
        return (
            f"{rows} of {span(self.trigger.window)}{until}"
            if until
            else f"{rows} of the last {span(self.trigger.window)}"
        )

    def _day(self, day: float) -> str:
        return instant(self.start + day * _DAY)

    def _length(self, days: float) -> str:
        return age(timedelta(days=days))


def last_training(facts: ModelFacts) -> datetime | None:
    """When the model last changed or was to change; None: never."""
    return max((each for each in (facts.trained_at, facts.deployed_at) if each is not None), default=None)


def _points(loss: float) -> str:
    """`loss`, in units of the metric, as hundredths of it."""
    points = _POINTS * loss
    return f"{points:,.1f} points" if points >= 0.95 else f"{points:.2g} points"


def _money(amount: float) -> str:
    """`amount` to the whole unit from ten up, smaller ones with two digits behind the point."""
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.2f}"
