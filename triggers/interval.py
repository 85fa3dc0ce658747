"""Fires when the last training, whatever caused it and whatever came of it, is so long ago.

A model that was never trained is due at once: nobody who writes `every: 7d` wants to wait a week
for the first model. The firing repeats at each look until a training ends.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from triggers.base import Trigger
from triggers.evidence import Evidence, ModelFacts
from triggers.quantities import Duration
from triggers.verdict import Outcome, Verdict
from triggers.wording import age, instant, span


class IntervalTrigger(Trigger):
    """Fires so long after the last training."""

    type: Literal["interval"] = Field(default="interval", description="Which kind of trigger this is.")
    every: Duration = Field(description="The longest time between the end of one training and the start of the next.")

    def cadence(self) -> timedelta:
        """Time between looks while a training is due."""
        return self.look_every or min(timedelta(minutes=1), self.every)

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        trained_at = evidence.facts.trained_at
        numbers: dict[str, Any] = {"every_seconds": self.every.total_seconds(), "since_training_seconds": None}
        if trained_at is None:
            sentence = f"The model was never trained, and is to be trained every {span(self.every)}."
            return Verdict(Outcome.FIRED, sentence, numbers)
        since, due = now - trained_at, trained_at + self.every
        numbers["since_training_seconds"] = since.total_seconds()
        told = f"The last training ended {age(since)} ago ({instant(trained_at)})"
        if now >= due:
            return Verdict(Outcome.FIRED, f"{told}, and {span(self.every)} is the longest allowed.", numbers)
        return Verdict(Outcome.QUIET, f"{told}; the next is due {instant(due)}.", numbers)

    def next_look(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> datetime | None:
        if facts.trained_at is None:
            return now + self.cadence()
        due = facts.trained_at + self.every
        return due if due > now else now + self.cadence()
