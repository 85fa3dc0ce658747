"""The verbs by which a person acts: trigger, approve, reject, cancel, rollback, pause, resume, clear.

Each writes the ledger in one transaction, under the person's name, and then wakes a worker. A broker
that does not answer takes nothing back: the daemon announces later what stands in the ledger.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JobArgument, JsonOption, ModelArgument
from daemon.cli.session import Session, actor, session
from retraind.errors import BrokerUnreachable, Conflict

if TYPE_CHECKING:
    from retraind.config.policy import Breaker
    from retraind.ledger import Connection
    from retraind.ledger.rows import Job
    from retraind.queue import Queue

ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow it until it has ended.")]


def trigger(
    model: ModelArgument,
    *,
    reason: ReasonOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the model is paused, its data broken, or the same as before.")
    ] = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a retraining now."""
    from daemon.cli.following import follow_job
    from daemon.reports.actions import RequestReport
    from retraind.ledger import jobs

    with session(config) as opened:
        queue = _queue(opened)
        job, fresh = _request(opened, opened.known(model), reason or "no reason given", force=force)
        if not as_json:
            output.say(_answer(job, fresh=fresh, force=force))
        announced = _announce(lambda: queue.announce(job.id, actor())) if fresh else True
        if wait:
            job = follow_job(opened, job.id, quiet=as_json)
        else:
            with opened.ledger.read() as connection:
                job = jobs.get(connection, job.id) or job
    if as_json:
        output.show_json(RequestReport(job.model, job.id, fresh, announced, job.state))
    if wait and job.state not in {"deployed", "awaiting_approval"}:
        raise typer.Exit(1)


def _request(opened: Session, model: str, reason: str, *, force: bool) -> "tuple[Job, bool]":
    """The job, and whether it is new. Raises Conflict for a paused model, and for one whose data is broken."""
    from retraind.ledger import jobs, looks, models

    with opened.ledger.write(actor()) as transaction:
        connection = transaction.connection
        standing = models.standing(connection, model)
        open_job = jobs.open_job(connection, model)
        if open_job is None and standing.paused_at is not None and not force:
            because = f": {standing.pause_reason}" if standing.pause_reason else ""
            raise Conflict(
                f"model {model!r} is paused by {standing.paused_by}{because}; "
                f"`retraind resume {model}` ends that, --force asks all the same"
            )
        if open_job is None and not force:
            _refuse_broken(opened, connection, model)
        models.make_known(transaction, model)
        requested = jobs.request(transaction, model, reason=reason, forced=force)
        if requested is not None:
            looks.adopt(transaction, model, requested)  # what waited for a job has one now
        found = jobs.get(connection, requested) if requested else jobs.open_job(connection, model)
    if found is None:
        raise Conflict(f"another job of {model!r} ended this very moment; ask again")
    return found, requested is not None


def _refuse_broken(opened: Session, connection: "Connection", model: str) -> None:
    """Raises Conflict where an incident of the data holds the model's jobs."""
    from retraind.config.policy import OnIncident
    from retraind.ledger import incidents

    settings = opened.settings.models[model]
    broken = incidents.holding(connection, model, settings.triggers)
    if broken and settings.policy.on_incident is OnIncident.HOLD:
        raise Conflict(
            f"the data of model {model!r} is broken: {broken[0].open.incident.sentence}; "
            f"`retraind clear {model}` says that it is right, --force asks all the same"
        )


def _answer(job: "Job", *, fresh: bool, force: bool) -> str:
    if fresh:
        return f"job {job.id} is requested; `retraind show {job.id}` tells how it goes"
    aside = "; it was not forced, and --force cannot change that now" if force and not job.forced else ""
    return f"model {job.model!r} has an open job already: {job.id} ({output.words(job.state)}){aside}"


def approve(job: JobArgument, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let a challenger that passed its gates be deployed."""
    from retraind.ledger import jobs
    from retraind.states import JobState

    with session(config) as opened:
        found = opened.job(job)
        changed = found.approved_by is None or found.state not in {JobState.DEPLOYING, JobState.DEPLOYED}
        queue = _queue(opened)
        if changed:
            with opened.ledger.write(actor()) as transaction:
                jobs.approve(transaction, found.id)
        announced = _announce(lambda: queue.announce(found.id, actor()))
        _decided(opened, found.id, changed=changed, announced=announced, as_json=as_json, said="is approved")


def reject(
    job: JobArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a challenger; the champion keeps serving."""
    from retraind.ledger import jobs
    from retraind.states import JobState

    with session(config) as opened:
        found = opened.job(job)
        changed = found.state != JobState.REJECTED
        if changed:
            with opened.ledger.write(actor()) as transaction:
                jobs.reject(transaction, found.id, _breaker(opened, found.model), reason)
        _decided(opened, found.id, changed=changed, announced=True, as_json=as_json, said="is rejected")


def cancel(
    job: JobArgument, *, reason: ReasonOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Stop a job; the champion keeps serving."""
    from retraind.ledger import jobs
    from retraind.states import JobState

    with session(config) as opened:
        found = opened.job(job)
        changed = found.state != JobState.CANCELLED
        if changed:
            because = reason or f"cancelled by {actor()}"
            with opened.ledger.write(actor()) as transaction:
                jobs.cancel(transaction, found.id, _breaker(opened, found.model), because)
        _decided(opened, found.id, changed=changed, announced=True, as_json=as_json, said="is cancelled")


def rollback(
    model: ModelArgument,
    *,
    reason: ReasonOption = None,
    wait: WaitOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the version before, in every target."""
    from daemon.cli.following import follow_targets
    from daemon.reports.actions import RollbackReport
    from retraind.ledger import models

    with session(config) as opened:
        opened.known(model)
        queue = _queue(opened)
        with opened.ledger.write(actor()) as transaction:
            old, new = models.rollback(transaction, model, reason or "no reason given")
        if not as_json:
            output.say(f"{model} goes back from version {old.version} to version {new.version}")
        announced = _announce(lambda: queue.converge(model))
        shown = follow_targets(opened, model, new.version, quiet=as_json) if wait else None
    if as_json:
        output.show_json(RollbackReport(model, old.version, new.version, announced, shown))
    if shown is False:
        raise typer.Exit(1)


def pause(
    model: ModelArgument,
    *,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold new jobs of a model back; a job under way goes on."""
    from retraind.ledger import models

    with session(config) as opened:
        opened.known(model)
        with opened.ledger.write(actor()) as transaction:
            changed = models.pause(transaction, model, reason or "")
    _paused(model, paused=True, changed=changed, as_json=as_json)


def resume(model: ModelArgument, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lift a pause, and close an open breaker."""
    from retraind.ledger import models

    with session(config) as opened:
        opened.known(model)
        with opened.ledger.write(actor()) as transaction:
            changed = models.resume(transaction, model)
    _paused(model, paused=False, changed=changed, as_json=as_json)


def clear(
    model: ModelArgument, *, reason: ReasonOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Say that the data is right: its open incidents hold the model no more."""
    from daemon.reports.actions import ClearedReport
    from retraind.ledger import incidents

    with session(config) as opened:
        triggers = opened.settings.models[opened.known(model)].triggers
        with opened.ledger.write(actor()) as transaction:
            cleared = incidents.clear(transaction, model, triggers, reason or "no reason given")
    sentences = [each.open.incident.sentence for each in cleared]
    if as_json:
        output.show_json(ClearedReport(model, sentences, bool(sentences)))
        return
    for sentence in sentences:
        output.say(f"{model} is held no more because {sentence}")
    if not sentences:
        output.say(f"no incident of the data holds {model}")


def _paused(model: str, *, paused: bool, changed: bool, as_json: bool) -> None:
    from daemon.reports.actions import PausedReport

    if as_json:
        output.show_json(PausedReport(model, paused, changed))
        return
    state = "paused: no new job starts" if paused else "watched and retrained again"
    output.say(f"{model} is {state}" if changed else f"{model} was {'paused' if paused else 'not paused'} already")


def _decided(opened: Session, job_id: str, *, changed: bool, announced: bool, as_json: bool, said: str) -> None:
    """Tells how the job stands after a person's decision."""
    from daemon.reports.actions import DecisionReport
    from retraind.ledger import jobs

    with opened.ledger.read() as connection:
        job = jobs.get(connection, job_id)
    assert job is not None  # noqa: S101  # jobs are never deleted, and it was there a moment ago
    if as_json:
        output.show_json(DecisionReport(job.id, job.model, job.state, changed, not job.is_open, announced))
    elif not changed:
        output.say(f"job {job.id} {said} already; it is {output.words(job.state)}")
    else:
        later = "; its worker ends it at the next step" if said == "is cancelled" and job.is_open else ""
        output.say(f"job {job.id} {said}{later}")


def _breaker(opened: Session, model: str) -> "Breaker":
    from retraind.config.policy import Policy

    configured = opened.settings.models.get(model)
    return (configured.policy if configured else Policy()).breaker


def _queue(opened: Session) -> "Queue":
    """Made before the decision, which then waits for nothing on its way to a worker."""
    from retraind.queue import Queue

    return Queue(opened.settings, opened.ledger).prepare()


def _announce(wake: Callable[[], None]) -> bool:
    """Wakes a worker. False, and a word on standard error, when the broker does not answer."""
    try:
        wake()
    except BrokerUnreachable as error:
        output.tell_aside(f"retraind: {error}; the request stands in the ledger, and the daemon announces it then")
        return False
    return True
