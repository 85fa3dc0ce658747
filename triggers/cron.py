"""Fires at the instants of a cron schedule, in a time zone, each instant once.

The rules around clock changes are Debian cron's. A job at a fixed time that the clock skips in
spring fires once, right after the gap; one that the clock shows twice in autumn fires once, the
first time. A job with `*` in its minute or hour follows real time: it fires in both passes of a
repeated hour, and an hour that does not exist passes without it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from triggers.base import Trigger
from triggers.evidence import Evidence, ModelFacts
from triggers.quantities import Duration
from triggers.verdict import Outcome, Verdict
from triggers.wording import age, count, instant

_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MOST_COUNTED = 1000
# Where the latest instant before now is looked for: nearest first, so that a schedule of every
# minute is not walked through from a year ago.
_LOOKBACKS = tuple(timedelta(days=days) for days in (0.05, 1, 32, 370, 366 * 9, 366 * 51))


class CronTrigger(Trigger):
    """Fires on a schedule."""

    type: Literal["cron"] = Field(default="cron", description="Which kind of trigger this is.")
    schedule: str = Field(
        description="Five cron fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, "
        "@monthly, @yearly."
    )
    timezone: str = Field(default="UTC", description="The time zone of the schedule, as America/New_York.")
    catch_up: Literal["once", "none"] = Field(
        default="once",
        description="What becomes of instants missed while nothing looked: made up for once, or left out.",
    )
    grace: Duration = Field(
        default="5m",
        validate_default=True,
        description="How late an instant may be noticed and still count as on time; only catch_up: none asks.",
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write one as Europe/Berlin or UTC") from None
        return value

    @field_validator("schedule")
    @classmethod
    def _fires_at_all(cls, value: str) -> str:
        fields = _SHORTHANDS.get(value.strip().lower(), value).split()
        if len(fields) != 5:
            raise ValueError(
                f"{value!r} has {count(len(fields), 'field')}; write five, as 0 2 * * 0 for Sundays at 02:00"
            )
        try:
            # Whether a schedule ever fires does not hang on the year it is asked in.
            next(CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC)))
        except CronSimError as error:
            told = str(error).removeprefix("Bad ")
            raise ValueError(f"{value!r} is not a cron schedule (look at its {told}); write it as 0 2 * * 0") from None
        except StopIteration:
            raise ValueError(f"{value!r} never fires: there is no such date; write one that exists") from None
        return " ".join(fields)

    @model_validator(mode="after")
    def _looks_when_due(self) -> "CronTrigger":
        if self.look_every is not None:
            raise ValueError("look_every has no use in a cron trigger, which looks when it is due; leave it out")
        if self.confirmations is not None:
            raise ValueError("confirmations have no use in a cron trigger: an instant comes once; leave them out")
        return self

    def instants(self, after: datetime) -> Iterator[datetime]:
        """The scheduled instants later than `after`, in UTC, in order, without end or until there are no more."""
        # cronsim drops the zone's fold: started within a repeated hour it may answer an instant of the first pass.
        last = after.astimezone(UTC)
        for local in CronSim(self.schedule, after.astimezone(ZoneInfo(self.timezone))):
            scheduled = local.astimezone(UTC)
            if scheduled > last:
                yield scheduled
                last = scheduled

    def evaluate(self, evidence: Evidence, now: datetime) -> Verdict:
        state = evidence.state
        due = self._next_due(state)
        if due is None or now < due:
            upcoming = due or next(self.instants(now), None)
            return Verdict(
                Outcome.QUIET,
                f"The next scheduled instant is {self._told(upcoming)}."
                if upcoming
                else f"The schedule {self.schedule} has no instants left.",
                {"next_due": _text(upcoming), "schedule": self.schedule, "timezone": self.timezone},
                self._state(upcoming, fired=False),
            )
        return self._due(due, now)

    def _due(self, due: datetime, now: datetime) -> Verdict:
        scheduled, passed = self._latest(due, now), self._passed(due, now)
        upcoming = next(self.instants(now), None)
        late = now - scheduled
        numbers = {
            "scheduled": _text(scheduled),
            "late_seconds": late.total_seconds(),
            "instants": passed,
            "next_due": _text(upcoming),
            "schedule": self.schedule,
            "timezone": self.timezone,
        }
        many = f"{passed:,}" if passed < _MOST_COUNTED else f"{_MOST_COUNTED:,} or more"
        if self.catch_up == "none" and late > self.grace:
            sentence = (
                f"The scheduled instant {self._told(scheduled)} was noticed {age(late)} late, and catch_up is none"
                f"{f'; {many} instants were missed' if passed > 1 else ''}."
            )
            return Verdict(Outcome.QUIET, sentence, numbers, self._state(upcoming, fired=False))
        sentence = f"The scheduled instant {self._told(scheduled)} has come."
        if passed > 1:
            sentence = (
                f"The scheduled instant {self._told(scheduled)} has come; {many} instants since {instant(due)} "
                "are made up for once."
            )
        elif late > self.grace:
            sentence = f"The scheduled instant {self._told(scheduled)} was missed and is made up for {age(late)} late."
        return Verdict(Outcome.FIRED, sentence, numbers, self._state(upcoming, fired=True), key=_text(scheduled))

    def next_look(self, facts: ModelFacts, state: Mapping[str, Any], now: datetime) -> datetime | None:
        if not state:
            return now
        # One more look soon after a firing: the latest answer, which `all` and `any` read, must not stay
        # `fired` until the next instant.
        soon = now + self.cadence() if state.get("fired") else None
        due = self._next_due(state)
        if due is not None:
            due = max(due, now)
        return min((moment for moment in (soon, due) if moment is not None), default=None)

    def _next_due(self, state: Mapping[str, Any]) -> datetime | None:
        """The next instant as stored; None at the first look, after a change of schedule, or with no instants left."""
        if (state.get("schedule"), state.get("timezone")) != (self.schedule, self.timezone):
            return None
        stored = state.get("next_due")
        return datetime.fromisoformat(stored) if stored else None

    def _state(self, upcoming: datetime | None, *, fired: bool) -> dict[str, Any]:
        return {
            "schedule": self.schedule,
            "timezone": self.timezone,
            "next_due": _text(upcoming),
            "fired": fired,
        }

    def _latest(self, due: datetime, now: datetime) -> datetime:
        """The latest instant not after `now`; `due` is one of them."""
        for lookback in _LOOKBACKS:
            start = now - lookback
            if start <= due:
                break
            latest = _last_until(self.instants(start), now)
            if latest is not None:
                return latest
        return _last_until(self.instants(due), now) or due

    def _passed(self, due: datetime, now: datetime) -> int:
        """How many instants have come since `due`, itself included; counted to a thousand."""
        number = 1
        for scheduled in self.instants(due):
            if scheduled > now or number >= _MOST_COUNTED:
                break
            number += 1
        return number

    def _told(self, scheduled: datetime) -> str:
        local = scheduled.astimezone(ZoneInfo(self.timezone))
        if self.timezone == "UTC":
            return f"{local:%A %Y-%m-%d %H:%M} UTC"
        return f"{local:%A %Y-%m-%d %H:%M} {self.timezone} ({instant(scheduled)})"


def _last_until(instants: Iterator[datetime], end: datetime) -> datetime | None:
    last = None
    for scheduled in instants:
        if scheduled > end:
            break
        last = scheduled
    return last


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
