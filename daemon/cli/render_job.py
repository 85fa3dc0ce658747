"""`jobs`, `show` and `looks` as text for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daemon.cli.output import heading, say, show_table, words
from daemon.reports.jobs import JobInFullReport, JobReport, StageReport
from retraind.telling import figures, gate_sentence, instant, span
from triggers.quantities import format_size
from triggers.wording import figure, listing

if TYPE_CHECKING:
    from daemon.reports.looks import LookReport


def show_jobs(reports: Sequence[JobReport]) -> None:
    """One line each."""
    if not reports:
        say("no jobs yet")
        return
    rows = [
        (
            job.id,
            job.model,
            words(job.state),
            instant(job.requested_at),
            span(job.seconds),
            job.version or "-",
            _why(job),
        )
        for job in reports
    ]
    show_table(("JOB", "MODEL", "STATE", "REQUESTED", "TOOK", "VERSION", "WHY"), rows)


def _why(job: JobReport) -> str:
    asked = job.reason if job.actor == "daemon" else f"{job.actor}: {job.reason}"
    return f"{asked.rstrip('.')}; {job.error}" if job.error else asked


def show_looks(reports: Sequence["LookReport"]) -> None:
    """One line each."""
    if not reports:
        say("no looks are kept")
        return
    rows = [
        (str(look.look), look.trigger, instant(look.at), look.outcome, look.decision, look.sentence) for look in reports
    ]
    show_table(("LOOK", "TRIGGER", "AT", "ANSWER", "DECISION", "WHY"), rows)


def show_job(report: JobInFullReport) -> None:
    """Everything, in the order it happened."""
    job = report.job
    heading(f"{job.id}: {job.model}, {words(job.state)}" + (f", version {job.version}" if job.version else ""))
    for name, value in _facts(report):
        say(f"  {name:<13}{value}")
    if report.causes:
        _part("Why")
        show_table(
            ("TRIGGER", "ROLE", "AT", "LOOK", "SENTENCE"),
            [
                (
                    cause.trigger,
                    cause.role,
                    instant(cause.at),
                    "-" if cause.look is None else str(cause.look),
                    cause.sentence,
                )
                for cause in report.causes
            ],
            indent="  ",
        )
        if any(cause.can_be_drawn for cause in report.causes):
            say(f"  `retraind report {job.model} --job {job.id}` draws it")
    if report.stages:
        _part("Stages")
        headers = ("STAGE", "STATE", "ATTEMPT", "BEGAN", "TOOK", "WORKER", "RESULT")
        show_table(headers, [_stage_row(stage) for stage in report.stages], indent="  ")
    if report.gates:
        _part("Gates")
        rows = [("passed" if gate.passed else "failed", gate_sentence(vars(gate))) for gate in report.gates]
        show_table(("ANSWER", "GATE"), rows, indent="  ")
    if report.log is not None:
        _part(f"The end of {report.log.path}")
        for line in report.log.tail or ["(nothing was printed)"]:
            say(f"  {line}")
    _part("Events")
    events = [(instant(event.time), event.event, event.actor, event.sentence) for event in report.events]
    show_table(("TIME", "EVENT", "BY", "WHAT HAPPENED"), events, indent="  ")


def show_log(report: JobInFullReport) -> None:
    """The log alone, as it is."""
    if report.log is None:
        say(f"job {report.job.id} has no training log" + (" yet" if report.job.open else ""))
        return
    for line in report.log.tail:
        say(line)


def _part(title: str) -> None:
    say()
    heading(title)


def _facts(report: JobInFullReport) -> list[tuple[str, str]]:
    job, data, version = report.job, report.data, report.version
    took = f", ended {instant(job.closed_at)} after {span(job.seconds)}" if job.closed_at else ""
    facts = [("because", job.reason), ("requested", f"{instant(job.requested_at)} by {job.actor}{took}")]
    if report.forced:
        facts.append(("forced", "even on data trained on before"))
    if data.window_end is not None:
        start = instant(data.window_start) if data.window_start else "the beginning"
        facts.append(("data", f"from {start} to {instant(data.window_end)}, hash {(data.data_hash or '-')[:12]}"))
    if report.metrics:
        facts.append(("metrics", figures(report.metrics)))
    facts += [("leans on", told) for stage in report.stages if (told := _leans_on(stage.result or {}))]
    if version is not None:
        facts += [("version", f"{version.version}, {version.uri}"), ("files", version.directory)]
    if report.approved_by:
        facts.append(("approved by", report.approved_by))
    if report.cancelled_by:
        facts.append(("cancelled by", report.cancelled_by))
    if job.error:
        facts.append(("error", job.error))
    return facts


def _leans_on(result: Mapping[str, Any]) -> str:
    """The challenger's most important features, of an evaluation's result; empty: it is none."""
    importance = result.get("importance") or {}
    if "unknown" in importance:
        return f"not known: {importance['unknown']}"
    increases = {name: each["increase"] for name, each in importance.get("features", {}).items()}
    most = sorted((name for name, value in increases.items() if value > 0), key=lambda name: -increases[name])
    if not most:
        return "no feature" if increases else ""
    return f"{listing([f'{name} {figure(increases[name])}' for name in most])} ({importance['loss']} when shuffled)"


def _stage_row(stage: StageReport) -> Sequence[str]:
    took = span(stage.seconds) if stage.seconds is not None else "-"
    result = stage.error or _result(stage.result or {}) or "-"
    attempt = str(stage.attempt) if stage.attempt else "-"
    return (stage.stage, stage.state, attempt, instant(stage.started_at), took, stage.worker or "-", result)


_ELSEWHERE = frozenset({"data_hash", "recipe_hash", "window_start", "window_end", "seconds", "run", "time"})


def _result(result: Mapping[str, Any]) -> str:
    """What a stage's result says that no other part of the page does."""
    told = {name: value for name, value in result.items() if name not in _ELSEWHERE and value is not None}
    sizes = {name: format_size(value) for name, value in told.items() if name.endswith("_bytes")}
    return figures({name.removesuffix("_bytes"): sizes.get(name, value) for name, value in told.items()})
