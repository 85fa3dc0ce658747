"""Jobs as people are told of them: in a list, and one in full.

Called by `retraind jobs`, `show` and the verbs that act on a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.reports.liveness import is_held, shown_state
from daemon.reports.looks import drawable
from retraind.ledger import Connection, jobs, looks, models, trail, work
from retraind.ledger.rows import Job
from retraind.states import STAGES, Stage
from retraind.telling import tell


@dataclass(frozen=True)
class JobReport:
    """One job in a list. None: not yet, or not at all. `seconds` runs until `closed_at`, or until now."""

    id: str
    model: str
    state: str
    open: bool
    actor: str
    reason: str
    requested_at: datetime
    closed_at: datetime | None
    seconds: float
    version: str | None
    error: str | None


@dataclass(frozen=True)
class CauseReport:
    """A firing that belongs to the job; `role` is cause or joined. `look` is what it came of; None: no longer kept."""

    trigger: str
    role: str
    at: datetime
    sentence: str
    numbers: Mapping[str, Any] | None
    look: int | None
    can_be_drawn: bool


@dataclass(frozen=True)
class DataReport:
    """What it was trained on: the window `[start, end)`, and hashes of the rows and of the recipe."""

    window_start: datetime | None
    window_end: datetime | None
    data_hash: str | None
    recipe_hash: str | None


@dataclass(frozen=True)
class StageReport:
    """One stage; `state` is waiting until it begins, then running, succeeded, failed or interrupted."""

    stage: str
    state: str
    attempt: int
    worker: str | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    result: Mapping[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class GateReport:
    """One gate's answer; figures are None where there was nothing to compare with."""

    gate: str
    passed: bool
    sentence: str | None
    challenger: float | None
    champion: float | None


@dataclass(frozen=True)
class VersionReport:
    """The model version that the job registered."""

    version: str
    uri: str
    directory: str
    metrics: Mapping[str, Any] | None
    registered_at: datetime


@dataclass(frozen=True)
class EventReport:
    """One event of the job, with its sentence."""

    seq: int
    time: datetime
    event: str
    actor: str
    sentence: str


@dataclass(frozen=True)
class LogReport:
    """The training log; `tail` holds its last lines."""

    path: str
    tail: list[str]


@dataclass(frozen=True)
class JobInFullReport:
    """Why it fired, on which data, its stages, gates and version, its log and its events."""

    job: JobReport
    forced: bool
    approved_by: str | None
    cancelled_by: str | None
    approval_expires_at: datetime | None
    metrics: Mapping[str, Any] | None
    causes: list[CauseReport]
    data: DataReport
    stages: list[StageReport]
    gates: list[GateReport]
    version: VersionReport | None
    log: LogReport | None
    events: list[EventReport]


def summary(job: Job, now: datetime) -> JobReport:
    """One line of the list."""
    return JobReport(
        id=job.id,
        model=job.model,
        state=shown_state(job, now),
        open=job.is_open,
        actor=job.actor,
        reason=job.reason,
        requested_at=job.requested_at,
        closed_at=job.closed_at,
        seconds=((job.closed_at or now) - job.requested_at).total_seconds(),
        version=job.version,
        error=job.error,
    )


def in_full(connection: Connection, job: Job, log: LogReport | None, now: datetime) -> JobInFullReport:
    """Everything the ledger knows of the job."""
    events = trail.of_job(connection, job.id)
    registered = models.version(connection, job.model, job.version) if job.version else None
    return JobInFullReport(
        job=summary(job, now),
        forced=job.forced,
        approved_by=job.approved_by,
        cancelled_by=job.cancelled_by,
        approval_expires_at=job.approval_expires_at,
        metrics=job.metrics,
        causes=causes(connection, job),
        data=DataReport(job.window_start, job.window_end, job.data_hash, job.recipe_hash),
        stages=_stages(connection, job, now),
        gates=[_gate(event) for event in events if event["event"].startswith("gate.")],
        version=VersionReport(
            registered.version,
            registered.uri,
            registered.directory,
            registered.metrics,
            registered.registered_at,
        )
        if registered
        else None,
        log=log,
        events=[EventReport(e["seq"], e["time"], e["event"], e["actor"], tell(e)) for e in events],
    )


def causes(connection: Connection, job: Job) -> list[CauseReport]:
    """The firings that led to the job, oldest first, each with its look."""
    return [_cause(connection, job, cause) for cause in jobs.causes(connection, job.id)]


def _cause(connection: Connection, job: Job, cause: Mapping[str, Any]) -> CauseReport:
    look = looks.of_firing(connection, job.model, cause["trigger"], cause["at"])
    return CauseReport(
        **cause, look=None if look is None else look.id, can_be_drawn=look is not None and drawable(look)
    )


def _stages(connection: Connection, job: Job, now: datetime) -> list[StageReport]:
    """Those that began; of an open job also those to come."""
    rows = {row.stage: row for row in work.stages_of(connection, job.id)}
    wanted = [stage for stage in STAGES if stage in rows or job.is_open]
    under_way = is_held(job, now)
    return [_stage(stage, rows.get(stage), now, under_way=under_way) for stage in wanted]


def _stage(stage: Stage, row: Any, now: datetime, *, under_way: bool) -> StageReport:
    if row is None:
        return StageReport(str(stage), "waiting", 0, None, None, None, None, None, None)
    seconds = ((row.ended_at or now) - row.started_at).total_seconds()
    return StageReport(
        stage=row.stage,
        state="interrupted" if row.state == "running" and not under_way else row.state,
        attempt=row.attempt,
        worker=row.worker,
        started_at=row.started_at,
        ended_at=row.ended_at,
        seconds=seconds,
        result=row.result,
        error=row.error,
    )


def _gate(event: Mapping[str, Any]) -> GateReport:
    data = event["data"]
    return GateReport(
        gate=str(data.get("gate")),
        passed=event["event"] == "gate.passed",
        sentence=data.get("sentence"),
        challenger=data.get("challenger"),
        champion=data.get("champion"),
    )


def read_log(path: Path, lines: int | None) -> LogReport | None:
    """The last `lines` lines of the log at `path`, all of it where None. None: there is no log.

    Only the end of a long file is read, and broken UTF-8 does no harm.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0 if lines is None else max(0, size - 1000 * lines))
            text = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return LogReport(str(path), text if lines is None else text[-lines:] if lines else [])
