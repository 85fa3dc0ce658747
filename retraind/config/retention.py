"""How long what is over is kept: in the ledger, on the disk, in the audit log's closed files."""

from datetime import timedelta

from pydantic import Field, field_validator, model_validator

from retraind.config.section import Section
from triggers.quantities import Duration, format_duration

LONGEST = timedelta(days=36_500)  # beyond, an instant so long ago is in no calendar


class Retention(Section):
    """How long what is over is kept. What a rollback, an open job or a trigger needs stays however old it is."""

    jobs: Duration = Field(
        default="365d",
        validate_default=True,
        description="How long a job stays after its end: in the ledger, and its directory with its logs.",
    )
    data: int = Field(
        default=20,
        ge=1,
        description="Newest jobs of a model whose data and models stay on disk meanwhile, besides those that served.",
    )
    looks: Duration = Field(default="90d", validate_default=True, description="How long looks are kept.")
    events: Duration = Field(
        default="365d",
        validate_default=True,
        description="How long events stay in the ledger, once they are in the audit log.",
    )
    audit: Duration = Field(
        default="730d", validate_default=True, description="How long closed files of the audit log are kept."
    )
    every: Duration = Field(
        default="1h", validate_default=True, description="Time between searches for what has been kept long enough."
    )

    @field_validator("jobs", "looks", "events", "audit")
    @classmethod
    def _is_in_the_calendar(cls, value: timedelta) -> timedelta:
        if value > LONGEST:
            raise ValueError(
                f"{format_duration(value)} is longer than a century; "
                f"write {format_duration(LONGEST)} to keep everything"
            )
        return value

    @model_validator(mode="after")
    def _history_outlives_jobs(self) -> "Retention":
        if self.events < self.jobs:
            raise ValueError(
                f"events ({format_duration(self.events)}) is shorter than jobs ({format_duration(self.jobs)}), "
                "so that a job would be kept without its history; write an events of at least jobs"
            )
        if self.audit < self.events:
            raise ValueError(
                f"audit ({format_duration(self.audit)}) is shorter than events ({format_duration(self.events)}), "
                "so that the log would end before the ledger; write an audit of at least events"
            )
        return self
