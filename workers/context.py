"""What a stage is handed, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from retraind.config.settings import Model
from retraind.ledger.rows import Job, Version
from retraind.states import JobState, Stage
from workers.job_directory import JobDirectory
from workers.lifeline import unfenced
from workers.session import Session


@dataclass(frozen=True)
class StageContext:
    """One attempt at one stage. `done` holds the results of the stages before it."""

    session: Session
    job: Job
    model: Model
    directory: Path  # the job's own, kept between stages and attempts
    done: Mapping[Stage, Mapping[str, Any]]
    now: datetime
    attempt: int
    should_stop: Callable[[], str | None]  # asked often; a reason means: end soon
    fence: Callable[[], None] = unfenced  # asked right before each outside write: raises LeaseLost, or renews the lease

    @property
    def files(self) -> JobDirectory:
        """The job's directory, as this attempt uses it."""
        return JobDirectory(self.directory, self.job.lease_token)


@dataclass(frozen=True)
class GateOutcome:
    """One gate's answer. Figures are None where there was nothing to compare with."""

    gate: str
    passed: bool
    sentence: str
    challenger: float | None
    champion: float | None


@dataclass(frozen=True)
class StageResult:
    """What is committed with the stage, in one transaction.

    `result` is kept (JSON-able) and handed to later stages; `columns` are set in the job's row;
    `closes` ends the job, as said in `because`.
    """

    result: Mapping[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)
    gates: Sequence[GateOutcome] = ()
    version: Version | None = None
    closes: JobState | None = None
    because: str | None = None
