"""Tells the year as it passes: each event of the audit log as one line for people, in terms of 2013.

The sentences are those of `retraind.telling`; instants and windows in them, which are of the real clock,
are told as the dates and days that they stand for. `daemon.demo.screen` shows the lines.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from daemon.demo.audit import Event
from daemon.demo.pace import DAY, YEAR_ENDS, Pace
from retraind.telling import tell


class Tone(StrEnum):
    """What a line is about; the screen gives each its colour."""

    FIRED = "fired"
    JOB = "job"
    STEP = "step"
    GOOD = "good"
    BAD = "bad"
    ASIDE = "aside"


@dataclass(frozen=True)
class Line:
    """`date` is the day in 2013, as `Mar 04`."""

    date: str
    text: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.date}  {self.text}"


TOLD: Mapping[str, Tone] = {
    "trigger.fired": Tone.FIRED,
    "trigger.error": Tone.BAD,
    "trigger.recovered": Tone.ASIDE,
    "job.requested": Tone.JOB,
    "job.joined": Tone.ASIDE,
    "job.recovered": Tone.BAD,
    "stage.succeeded": Tone.STEP,
    "stage.failed": Tone.BAD,
    "gate.passed": Tone.GOOD,
    "gate.failed": Tone.BAD,
    "model.registered": Tone.STEP,
    "model.deployed": Tone.GOOD,
    "job.closed": Tone.BAD,
    "breaker.opened": Tone.BAD,
    "breaker.closed": Tone.ASIDE,
    "target.repaired": Tone.ASIDE,
    "target.failed": Tone.BAD,
    "audit.unwritable": Tone.BAD,
    "audit.repaired": Tone.ASIDE,
}
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_DURATION = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+(?!\w)")


@dataclass
class Teller:
    """Turns events into lines. Retrainings are numbered in the order of their request."""

    pace: Pace
    numbers: dict[str, int] = field(default_factory=dict)

    def line(self, event: Event) -> Line | None:
        """The event's line; None for an event that the story leaves out."""
        if event.event == "job.requested" and event.job:
            self.numbers.setdefault(event.job, len(self.numbers) + 1)
        if event.event not in TOLD or _told_otherwise(event):
            return None
        return Line(self.date(event.time), self._text(event), TOLD[event.event])

    def date(self, instant: datetime) -> str:
        """The day in 2013 that passed at the real `instant`, as `Mar 04`; after the year's end, its last day."""
        return f"{min(self.pace.date(instant), YEAR_ENDS - DAY):%b %d}"

    def name(self, job: str | None) -> str:
        """`retraining 3`, or the job's id if its request was never seen."""
        return f"retraining {self.numbers[job]}" if job in self.numbers else f"job {job}"

    def in_2013(self, sentence: str) -> str:
        """A trigger's sentence with real instants and windows as the dates and days that they stand for."""
        dated = _INSTANT.sub(lambda match: self.date(_instant(match[1], match[2])), sentence)
        return _DURATION.sub(lambda match: self._days(match[0]), dated)

    def _days(self, duration: str) -> str:
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(duration))
        return f"{seconds / self.pace.seconds_per_day:.0f}d"

    def _text(self, event: Event) -> str:
        if event.event == "job.requested":
            return f"{self.name(event.job)} is requested by {requested_by(event)}"
        sentence = tell(vars(event))
        if "sentence" in event.data:
            sentence = self.in_2013(sentence)
        if event.event == "stage.succeeded" and isinstance(rows := event.data.get("result", {}).get("rows"), int):
            sentence += f", {rows:,} rows"
        return f"{self.name(event.job)}: {sentence}" if event.job else sentence


def requested_by(event: Event) -> str:
    """Who asked for a job: the trigger, or a person."""
    causes = [str(cause["trigger"]) for cause in event.data.get("triggers", ())]
    return " and ".join(causes) if causes else "a person"


def _told_otherwise(event: Event) -> bool:
    """A version's own events tell of registering, deploying and the job's good end, and a firing that joins a job or
    waits is no news in itself."""
    if event.event == "job.closed":
        return bool(event.data.get("success"))
    if event.event == "stage.succeeded":
        return event.data.get("stage") in {"register", "deploy"}
    return event.event == "trigger.fired" and event.data.get("decision") not in {None, "request"}


def _instant(day: str, time: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC)
