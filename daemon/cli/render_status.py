"""`status` and `evaluate` as text for people."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.cli.output import heading, say, show_table, words
from daemon.reports.status import IncidentReport, ModelReport, OpenJobReport, StatusReport, TriggerReport
from retraind.telling import ago, figures, instant, span
from triggers.wording import count

if TYPE_CHECKING:  # it brings the predictions store, which `status` does not need
    from daemon.reports.verdicts import VerdictReport


def show_status(report: StatusReport) -> None:
    """Alarms first, then who is alive, then each model with its triggers."""
    for alarm in report.alarms:
        say(f"! {alarm}")
    say(_alive(report))
    for model in report.models:
        say()
        heading(_title(model, report.time))
        for line in _lines(model, report.time):
            say(f"  {line}")
        if model.triggers:
            rows = [_trigger_row(trigger, report.time) for trigger in model.triggers]
            show_table(("TRIGGER", "TYPE", "LAST LOOK", "ANSWER", "NEXT LOOK", "WHY"), rows, indent="  ")
        else:
            say("  no triggers: it is retrained when `retraind trigger` asks for it")


def _alive(report: StatusReport) -> str:
    alive = [process for process in report.processes if process.alive]
    workers = [process for process in alive if process.kind == "worker"]
    leader = f"daemon: {report.daemon.leader} leads" if report.daemon.leading else "daemon: none"
    hosts = ", ".join(f"{process.host} (pid {process.pid})" for process in workers) or "none"
    behind = report.audit.behind_events
    log = f"{count(behind, 'event')} behind" if behind else f"up to date at event {report.audit.ledger_seq}"
    return f"{leader} · workers: {hosts} · audit log: {log}"


def _title(model: ModelReport, now: datetime) -> str:
    if model.version is None or model.deployed_at is None:
        return f"{model.model}: nothing deployed yet"
    return (
        f"{model.model}: version {model.version}, deployed {instant(model.deployed_at)} ({ago(model.deployed_at, now)})"
    )


def _lines(model: ModelReport, now: datetime) -> Iterator[str]:
    if model.metrics and (told := figures(model.metrics)):
        yield f"at its gates: {told}"
    if model.open_job is not None:
        yield from _job_lines(model.open_job, now)
    if model.paused is not None:
        reason = f": {model.paused.reason}" if model.paused.reason else ""
        since = ago(model.paused.at, now)
        yield f"paused by {model.paused.by} {since}{reason}; `retraind resume {model.model}` ends it"
    if model.breaker is not None:
        yield _breaker_line(model, now)
    for incident in model.incidents:
        yield _incident_line(model.model, incident)
    if model.held_because is not None and model.paused is None:
        yield f"no new job now: {model.held_because}"


def _incident_line(model: str, incident: IncidentReport) -> str:
    told = f"incident of the data since {instant(incident.since)}, found by {incident.trigger}: {incident.sentence}"
    if incident.acknowledged_by is not None:
        return f"{told}; {incident.acknowledged_by} said go"
    return f"{told}; `retraind clear {model}` says that the data is right"


def _breaker_line(model: ModelReport, now: datetime) -> str:
    assert model.breaker is not None  # noqa: S101  # the caller asked
    fruitless, until = model.breaker.fruitless_jobs, model.breaker.until
    jobs = f"{count(fruitless, 'job', 'jobs in a row')} ended without a deployment"
    if until is None or until <= now:
        return jobs
    return f"{jobs}: new ones are held until {instant(until)}; `retraind resume {model.model}` ends that"


def _job_lines(job: OpenJobReport, now: datetime) -> Iterator[str]:
    stage = f" {job.stage}" if job.stage else ""
    by = f" on {job.worker}" if job.worker else ""
    yield f"job {job.id}: {words(job.state)}{stage} for {span((now - job.since).total_seconds())}{by}"
    yield f"  because: {job.reason}"
    if job.waiting_until is not None and job.waiting_until > now:
        yield f"  tried again {ago(job.waiting_until, now)}"
    if job.state == "awaiting_approval":
        expires = f" (expires {ago(job.approval_expires_at, now)})" if job.approval_expires_at else ""
        yield f"  `retraind approve {job.id}` deploys version {job.version}{expires}; `retraind reject` refuses it"


def _trigger_row(trigger: TriggerReport, now: datetime) -> Sequence[str]:
    if trigger.last_look_at is None:
        return (trigger.name, trigger.type, "never looked at", "-", _next(trigger, now), "-")
    why = trigger.sentence or "-"
    if trigger.outcome == "fired" and trigger.decision:
        why = f"{why} ({trigger.decision})"
    last = ago(trigger.last_look_at, now)
    return (trigger.name, trigger.type, last, trigger.outcome or "-", _next(trigger, now), why)


def _next(trigger: TriggerReport, now: datetime) -> str:
    if trigger.next_look_at is None:
        return "when woken" if trigger.last_look_at else "-"
    if trigger.next_look_at <= now:
        return "now" if trigger.overdue_seconds is None else f"was due {ago(trigger.next_look_at, now)}"
    return ago(trigger.next_look_at, now)


def show_verdicts(reports: "Sequence[VerdictReport]") -> None:
    """Each trigger's answer, its sentence and what the daemon would do."""
    if not reports:
        say("the model has no triggers")
        return
    rows = [(r.trigger, r.type, r.outcome, _course(r), r.sentence) for r in reports]
    show_table(("TRIGGER", "TYPE", "ANSWER", "THE DAEMON WOULD", "WHY"), rows)


def _course(report: "VerdictReport") -> str:
    said = {
        "request": "start a job",
        "join": "join it to the open job",
        "wait": "wait",
        "hold": "hold it",
        "skip": "skip it",
        "propose": "propose a job",
        "notify": "notify",
        "nothing": "do nothing",
    }
    course = said.get(report.course, report.course)
    return course if report.course in {"request", "nothing"} else f"{course}: {report.because}"
