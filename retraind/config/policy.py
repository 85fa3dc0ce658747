"""`policy:`: how verdicts become jobs, and jobs deployments."""

import re
from datetime import time
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from retraind.config.section import Section
from triggers.confirmations import Confirmations
from triggers.quantities import Duration, format_duration


class Approval(StrEnum):
    AUTO = "auto"  # a challenger that passes its gates is deployed
    MANUAL = "manual"  # ... when a person approves it


class WhenBusy(StrEnum):
    """What happens to a firing while the model has an open job."""

    COALESCE = "coalesce"  # it joins the open job and is recorded with it
    QUEUE = "queue"  # one more job follows when the open one ends
    SKIP = "skip"  # it is recorded as skipped


class OnIncident(StrEnum):
    """What an open incident of the data means for the model's jobs."""

    HOLD = "hold"  # none is started until it is over, or a person says go
    IGNORE = "ignore"  # it is told, and holds nothing


def parse_time_of_day(value: object) -> time:
    """The time that `value` writes as `HH:MM`. Raises ValueError for anything else, a bare number included."""
    if isinstance(value, time):
        return value
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a time of day; write hours and minutes, as 22:00")
    return time(int(match[1]), int(match[2]))


TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time_of_day),
    PlainSerializer(lambda value: value.strftime("%H:%M"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([01]?\d|2[0-3]):[0-5]\d$", "examples": ["22:00"]}),
]


class QuietHours(Section):
    """A daily span, in a time zone, in which no job is started; firings wait for its end."""

    start: TimeOfDay = Field(alias="from", description="When it begins, as `22:00`.")
    end: TimeOfDay = Field(alias="to", description="When it ends; before its begin means the next morning.")
    timezone: str = Field(default="UTC", description="The zone that both are read in, as `Europe/Berlin`.")

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write one as Europe/Berlin or UTC") from None
        return value

    @model_validator(mode="after")
    def _has_a_length(self) -> "QuietHours":
        if self.start == self.end:
            raise ValueError(
                "from and to are the same time; write the span's begin and end, as from: 22:00 and to: 06:00"
            )
        return self


class Breaker(Section):
    """Opens after `after` jobs in a row without a deployment; holds off longer each time."""

    after: int = Field(default=3, ge=1, description="Jobs in a row without a deployment that open it.")
    hold: Duration = Field(
        default="1d", validate_default=True, description="The first hold-off; each further one doubles."
    )
    longest: Duration = Field(default="14d", validate_default=True, description="The longest hold-off.")

    @model_validator(mode="after")
    def _grows(self) -> "Breaker":
        if self.longest < self.hold:
            raise ValueError(
                f"longest ({format_duration(self.longest)}) is shorter than hold ({format_duration(self.hold)}); "
                "write a longest of at least hold"
            )
        return self


class Retries(Section):
    """How a transient failure of a stage is retried: the delay doubles, with jitter."""

    attempts: int = Field(default=3, ge=1, description="Attempts at one stage, the first included.")
    delay: Duration = Field(
        default="10s", validate_default=True, description="The first delay; each further one doubles."
    )


class Policy(Section):
    """What becomes of a verdict, and of a challenger that passed its gates."""

    cooldown: Duration | None = Field(
        default=None, description="The shortest time between a job's end and the next job; by default none."
    )
    confirmations: Confirmations = Field(
        default=Confirmations(),
        description="`K of N`: of a trigger's last N looks, K must fire; a trigger's own `confirmations` go before it.",
    )
    rearm: int = Field(
        default=1, ge=1, description="Quiet looks in a row before a propose or notify trigger speaks again."
    )
    when_busy: WhenBusy = Field(
        default=WhenBusy.COALESCE,
        description="A firing while a job is open: `coalesce` joins it, `queue` has one more job follow, "
        "`skip` is recorded only.",
    )
    quiet_hours: QuietHours | None = Field(
        default=None, description="A daily span in which no job is started; by default none."
    )
    daily_cap: int | None = Field(default=None, ge=1, description="The most jobs in 24 hours; by default any number.")
    on_incident: OnIncident = Field(
        default=OnIncident.HOLD,
        description="An incident of the data that a drift trigger found: `hold` starts no job until it is over or "
        "`retraind clear` is given, `ignore` only tells.",
    )
    breaker: Breaker = Field(default=Breaker(), description="Holds off when jobs in a row end without a deployment.")
    approval: Approval = Field(
        default=Approval.AUTO,
        description="`auto` deploys a challenger that passes its gates; `manual` waits for a person.",
    )
    approval_expires: Duration = Field(
        default="24h", validate_default=True, description="How long a challenger waits for approval."
    )
    retries: Retries = Field(default=Retries(), description="How transient failures of a stage are retried.")

    def of_trigger(self, confirmations: Confirmations | None) -> "Policy":
        """The policy for a trigger with `confirmations` of its own; None: it has none."""
        return self if confirmations is None else self.model_copy(update={"confirmations": confirmations})
