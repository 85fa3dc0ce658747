"""The verbs that look and change nothing: status, jobs, show, looks, evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JobArgument, JsonOption, ModelArgument
from daemon.cli.session import known_model, session

LOG_LINES = 20


def status(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What is watched, what runs, and each trigger's last answer."""
    from daemon.cli.render_status import show_status
    from daemon.reports.status import status as gather

    with session(config) as opened:
        report = gather(opened.settings, opened.ledger, opened.audit, output.now())
    if as_json:
        output.show_json(report)
    else:
        show_status(report)


def jobs(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only the jobs of this model.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The jobs, newest first."""
    from daemon.cli.render_job import show_jobs
    from daemon.reports.jobs import summary
    from retraind.ledger import jobs as ledger_jobs

    with session(config) as opened, opened.ledger.read() as connection:
        if model is not None and not ledger_jobs.latest(connection, model, limit=1):
            known_model(opened.settings, model)  # the jobs of a model that was configured once can still be listed
        reports = [summary(job, output.now()) for job in ledger_jobs.latest(connection, model, limit)]
    if as_json:
        output.show_json(reports)
    else:
        show_jobs(reports)


def show(
    job: JobArgument,
    *,
    log: Annotated[bool, typer.Option("--log", help="The whole training log and nothing else.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One job in full: why, its data, stages, gates and events."""
    from daemon.cli.render_job import show_job, show_log
    from daemon.reports.jobs import in_full, read_log

    with session(config) as opened:
        found = opened.job(job)
        path = training_log(opened.settings.jobs_directory, found.id)
        report_log = read_log(path, None if log else LOG_LINES)
        with opened.ledger.read() as connection:
            report = in_full(connection, found, report_log, output.now())
    if as_json:
        output.show_json(report)
    elif log:
        show_log(report)
    else:
        show_job(report)


def looks(
    model: ModelArgument,
    trigger: Annotated[str | None, typer.Argument(metavar="TRIGGER", help="Only this trigger's.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The looks at a model's triggers, newest first: each answer, and what was decided about it."""
    from daemon.cli.render_job import show_looks
    from daemon.reports.looks import kept

    with session(config) as opened:
        reports = kept(opened.settings, opened.ledger, opened.known(model), trigger, limit)
    if as_json:
        output.show_json(reports)
    else:
        show_looks(reports)


def training_log(jobs_directory: Path, job: str) -> Path:
    """Where a job's training leaves what it prints."""
    return jobs_directory / job / "logs" / "train.log"


def evaluate(
    model: ModelArgument,
    trigger: Annotated[str | None, typer.Argument(metavar="TRIGGER", help="Only this trigger.")] = None,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model's triggers now, and fire nothing."""
    from daemon.cli.render_status import show_verdicts
    from daemon.reports.verdicts import verdicts

    with session(config) as opened:
        reports = verdicts(opened.settings, opened.ledger, opened.known(model), trigger, output.now())
    if as_json:
        output.show_json(reports)
    else:
        show_verdicts(reports)
    if any(report.outcome == "error" for report in reports):
        raise typer.Exit(1)
