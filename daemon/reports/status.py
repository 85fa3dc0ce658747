"""How everything stands: each model with its version, its holds, its open job and its triggers; who is alive.

Called by `retraind status`. Asks only the ledger and the audit log's own note, so that it answers when
the daemon, the broker or a predictions store is down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.policy import Standing, held
from daemon.reports.liveness import is_held, shown_state
from daemon.staleness import overdue
from retraind.audit import AuditLog
from retraind.config.settings import Model, Settings
from retraind.identity import is_gone, name_of
from retraind.ledger import Connection, Ledger, incidents, jobs, leases, looks, models, trail, work
from retraind.ledger.looks import TriggerRecord
from retraind.ledger.rows import Job


@dataclass(frozen=True)
class ProcessReport:
    """A daemon or worker that the ledger has heard of. `refused_messages` counts since a worker started."""

    id: str
    kind: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    alive: bool
    refused_messages: int
    broker_absent_since: datetime | None


@dataclass(frozen=True)
class DaemonReport:
    """Whether anything is being watched. `leader` is None when no daemon leads."""

    leading: bool
    leader: str | None


@dataclass(frozen=True)
class AuditReport:
    """How far the audit log's file is behind the ledger."""

    path: str
    ledger_seq: int
    behind_events: int


@dataclass(frozen=True)
class PauseReport:
    at: datetime
    by: str | None
    reason: str | None


@dataclass(frozen=True)
class BreakerReport:
    """Jobs in a row without a deployment; `until` is None while that does not yet hold new jobs off."""

    fruitless_jobs: int
    until: datetime | None


@dataclass(frozen=True)
class IncidentReport:
    """An open incident of the data. `column` is None where it is the whole table's; `acknowledged_by` is None while
    it holds the model back."""

    trigger: str
    kind: str
    column: str | None
    sentence: str
    since: datetime
    acknowledged_by: str | None


@dataclass(frozen=True)
class OpenJobReport:
    """The job under way. `stage` is None between stages; `waiting_until` is set before a retry."""

    id: str
    state: str
    reason: str
    requested_at: datetime
    stage: str | None
    since: datetime
    worker: str | None
    waiting_until: datetime | None
    approval_expires_at: datetime | None
    version: str | None


@dataclass(frozen=True)
class TriggerReport:
    """A trigger's last look, its answer and its next look; all None when it was never looked at."""

    name: str
    type: str
    action: str
    last_look_at: datetime | None
    outcome: str | None
    sentence: str | None
    decision: str | None
    next_look_at: datetime | None
    fired_at: datetime | None
    errors_in_a_row: int
    overdue_seconds: float | None


@dataclass(frozen=True)
class ModelReport:
    """One model. `held_because` says in words why a firing would not become a job just now."""

    model: str
    version: str | None
    deployed_at: datetime | None
    previous_version: str | None
    metrics: Mapping[str, Any] | None
    paused: PauseReport | None
    breaker: BreakerReport | None
    cooldown_until: datetime | None
    held_because: str | None
    incidents: list[IncidentReport]
    open_job: OpenJobReport | None
    triggers: list[TriggerReport]


@dataclass(frozen=True)
class StatusReport:
    time: datetime
    daemon: DaemonReport
    processes: list[ProcessReport]
    audit: AuditReport
    models: list[ModelReport]
    alarms: list[str]


def status(settings: Settings, ledger: Ledger, audit: AuditLog, now: datetime) -> StatusReport:
    """How everything stands at `now`. Raises LedgerError."""
    behind = audit.lag()
    with ledger.read() as connection:
        daemon = _daemon(connection, now)
        processes = alive_processes(connection, settings, now)
        log = AuditReport(str(settings.audit.path), trail.head(connection), behind)
        reports = [_model(connection, name, model, now) for name, model in settings.models.items()]
    return StatusReport(now, daemon, processes, log, reports, _alarms(daemon, processes, reports))


def alive_processes(connection: Connection, settings: Settings, now: datetime) -> list[ProcessReport]:
    """Every process heard of lately; `alive` when its heartbeat is younger than the length of a lease."""
    return [
        ProcessReport(
            row.id,
            row.kind,
            row.host,
            row.pid,
            row.started_at,
            row.seen_at,
            now - row.seen_at <= settings.lease.length,
            row.refused_messages,
            row.broker_absent_since,
        )
        for row in leases.processes(connection)
    ]


def _daemon(connection: Connection, now: datetime) -> DaemonReport:
    lease = leases.holder(connection, leases.LEADER)
    leading = lease is not None and lease.owner is not None and lease.until is not None and lease.until > now
    leading = leading and not is_gone(lease.owner)
    return DaemonReport(leading, name_of(lease.owner) if leading else None)


def _model(connection: Connection, name: str, model: Model, now: datetime) -> ModelReport:
    row = models.standing(connection, name)
    both = models.champions(connection, name)
    last = models.last_deployment(connection, name)
    paused = PauseReport(row.paused_at, row.paused_by, row.pause_reason) if row.paused_at else None
    breaker = BreakerReport(row.fruitless_jobs, row.hold_until) if row.fruitless_jobs else None
    closed_at = jobs.last_closed_at(connection, name)
    cooldown = closed_at + model.policy.cooldown if closed_at and model.policy.cooldown else None
    broken = incidents.holding(connection, name, model.triggers)
    standing = Standing(
        incident=broken[0].open.incident.sentence if broken else None,
        hold_until=breaker.until if breaker else None,
        last_closed_at=closed_at,
        requested_at=jobs.requested_since(connection, name, now - timedelta(days=1)),
    )
    job = jobs.open_job(connection, name)
    records = {record.trigger: record for record in looks.records(connection, name)}
    return ModelReport(
        model=name,
        version=both.current.version if both.current else None,
        deployed_at=last.at if last and both.current else None,
        previous_version=both.previous.version if both.previous else None,
        metrics=both.current.metrics if both.current else None,
        paused=paused,
        breaker=breaker,
        cooldown_until=cooldown if cooldown and cooldown > now else None,
        held_because="the model is paused" if paused else held(model.policy, standing, now),
        incidents=[_incident(each) for each in incidents.open_of(connection, name, model.triggers)],
        open_job=_open_job(connection, job, now) if job else None,
        triggers=[_trigger(model, trigger, records.get(trigger), now) for trigger in model.triggers],
    )


def _incident(found: incidents.Found) -> IncidentReport:
    incident = found.open.incident
    return IncidentReport(
        trigger=found.trigger,
        kind=str(incident.kind),
        column=incident.column,
        sentence=incident.sentence,
        since=found.open.since,
        acknowledged_by=found.open.acknowledged_by,
    )


def _open_job(connection: Connection, job: Job, now: datetime) -> OpenJobReport:
    held = is_held(job, now)
    running = [stage for stage in work.stages_of(connection, job.id) if stage.state == "running"]
    stage = running[-1] if running and held else None
    return OpenJobReport(
        id=job.id,
        state=shown_state(job, now),
        reason=job.reason,
        requested_at=job.requested_at,
        stage=stage.stage if stage else None,
        since=stage.started_at if stage else job.updated_at,
        worker=name_of(job.lease_owner) if job.lease_owner and held else None,
        waiting_until=job.not_before,
        approval_expires_at=job.approval_expires_at,
        version=job.version,
    )


def _trigger(model: Model, name: str, record: TriggerRecord | None, now: datetime) -> TriggerReport:
    trigger = model.triggers[name]
    late = overdue(record, now) if record else None
    return TriggerReport(
        name=name,
        type=trigger.type,
        action=str(trigger.action),
        last_look_at=record.last_look_at if record else None,
        outcome=record.outcome if record else None,
        sentence=record.sentence if record else None,
        decision=record.decision if record else None,
        next_look_at=record.next_look_at if record else None,
        fired_at=record.fired_at if record else None,
        errors_in_a_row=record.errors if record else 0,
        overdue_seconds=late.total_seconds() if late else None,
    )


def _alarms(daemon: DaemonReport, processes: list[ProcessReport], reports: list[ModelReport]) -> list[str]:
    """What a person should act on, one sentence each."""
    alarms = []
    if not daemon.leading:
        alarms.append("no daemon is running: nothing is being watched; start `retraind up`, or `retraind run`")
    if not any(process.kind == "worker" and process.alive for process in processes):
        alarms.append("no worker is alive: jobs wait; start `retraind up`, or `retraind worker`")
    without_broker = [p for p in processes if p.alive and p.broker_absent_since is not None]
    if without_broker:
        names = ", ".join(f"the {process.kind} {process.pid} on {process.host}" for process in without_broker)
        alarms.append(
            f"the broker is absent for {names}: decisions are kept and their jobs wait; see that the broker runs"
        )
    for report in reports:
        stale = [trigger for trigger in report.triggers if trigger.overdue_seconds is not None]
        if daemon.leading and stale:
            names = ", ".join(trigger.name for trigger in stale)
            alarms.append(f"{report.model}: {names} should have been looked at and was not; see the daemon's log")
        broken = [each for each in report.incidents if each.acknowledged_by is None]
        if broken:
            mend = f"see to the data, or `retraind clear {report.model}` if it is right"
            alarms.append(f"{report.model}: {broken[0].sentence}; {mend}")
        failing = [trigger.name for trigger in report.triggers if trigger.errors_in_a_row]
        if failing:
            alarms.append(f"{report.model}: {', '.join(failing)} cannot answer")
    return alarms
