"""`policy:`: how verdicts become jobs, and jobs deployments."""

import re
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_core import core_schema

from retraind.config.section import Section
from triggers.quantities import Duration


class Approval(StrEnum):
    AUTO = "auto"  # a challenger that passes its gates is deployed
    MANUAL = "manual"  # ... when a person approves it


class WhenBusy(StrEnum):
    """What happens to a firing while the model has an open job."""

    COALESCE = "coalesce"  # it joins the open job and is recorded with it
    QUEUE = "queue"  # one more job follows when the open one ends
    SKIP = "skip"  # it is recorded as skipped


class QuietHours(Section):
    """A daily span, in a time zone, in which no job is started; firings wait for its end."""

    start: time = Field(alias="from")
    end: time = Field(alias="to")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write one as Europe/Berlin or UTC") from None
        return value


class Breaker(Section):
    """Opens after `after` jobs in a row without a deployment; holds off longer each time."""

    after: int = Field(default=3, ge=1)
    hold: Duration = Field(default="1d", validate_default=True, description="The first hold-off; each further one doubles.")
    longest: Duration = Field(default="14d", validate_default=True)


@dataclass(frozen=True)
class Confirmations:
    """`k of n`: a trigger must fire in `needed` of its last `looks` looks."""

    needed: int = 1
    looks: int = 1

    @classmethod
    def parse(cls, value: object) -> "Confirmations":
        """Raises ValueError unless `value` reads `K of N` with 1 <= K <= N."""
        if isinstance(value, cls):
            return value
        match = re.fullmatch(r"(\d+) of (\d+)", value.strip()) if isinstance(value, str) else None
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 100:
            raise ValueError(f"{value!r} is not a number of confirmations; write K of N, as 2 of 3")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.needed} of {self.looks}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["2 of 3"]}


class Retries(Section):
    """How a transient failure of a stage is retried: the delay doubles, with jitter."""

    attempts: int = Field(default=3, ge=1, description="Attempts at one stage, the first included.")
    delay: Duration = Field(default="10s", validate_default=True)


class Policy(Section):
    cooldown: Duration | None = Field(default=None, description="The shortest time between a job's end and the next job.")
    confirmations: Confirmations = Field(default=Confirmations(), description="K of the last N looks must fire.")
    rearm: int = Field(
        default=1, ge=1, description="Quiet looks in a row before a propose or notify trigger speaks again."
    )
    when_busy: WhenBusy = WhenBusy.COALESCE
    quiet_hours: QuietHours | None = None
    daily_cap: int | None = Field(default=None, ge=1, description="The most jobs in 24 hours.")
    breaker: Breaker = Breaker()
    approval: Approval = Approval.AUTO
    approval_expires: Duration = Field(default="24h", validate_default=True)
    retries: Retries = Retries()
