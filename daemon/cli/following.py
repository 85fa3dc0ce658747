"""`--wait`: follows a job, or the targets of a model, from the ledger until there is nothing more to wait for.

On a terminal a line at the bottom shows what runs and for how long; elsewhere only the events are
written. A wait never ends by itself while the job is open: Ctrl-C leaves, and the job goes on.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daemon.cli import output
from daemon.cli.session import Session

if TYPE_CHECKING:
    from retraind.ledger.rows import Job

LOOK_SECONDS = 0.5
CONVERGENCE_SECONDS = 120.0  # a worker that lives converges within seconds


def follow_job(opened: Session, job_id: str, *, quiet: bool) -> "Job":
    """Writes the job's events as they come; returns the job once it has ended or awaits approval.

    With `quiet` nothing is written to standard output.
    """
    from retraind.ledger import jobs, trail
    from retraind.states import JobState

    seen = 0
    _warn_without_workers(opened)
    with _bottom_line(quiet=quiet) as show:
        while True:
            with opened.ledger.read() as connection:
                events = trail.of_job(connection, job_id, seen)
                job = jobs.get(connection, job_id)
                doing = _doing(connection, job_id)
            assert job is not None  # noqa: S101  # jobs are never deleted
            seen = _write(events, seen, quiet=quiet)
            if not job.is_open or job.state == JobState.AWAITING_APPROVAL:
                return job
            show(f"{job.model}: {doing or output.words(job.state)}")
            time.sleep(LOOK_SECONDS)


def follow_targets(opened: Session, model: str, version: str, *, quiet: bool) -> bool:
    """Waits until every target of `model` shows `version`. False when one cannot, or nobody made it so in time."""
    from retraind.ledger import shown, trail

    expected = len(opened.settings.models[model].deploy)
    with opened.ledger.read() as connection:
        seen = trail.head(connection)
    _warn_without_workers(opened)
    deadline = time.monotonic() + CONVERGENCE_SECONDS
    with _bottom_line(quiet=quiet) as show:
        while time.monotonic() < deadline:
            with opened.ledger.read() as connection:
                rows = shown.of(connection, model)
                events = trail.beyond(connection, seen, model)
            seen = _write(events, seen, quiet=quiet)
            if any(event["event"] == "target.failed" for event in events):
                return False
            if len(rows) >= expected and all(row.version == version and row.error is None for row in rows):
                if not quiet:
                    output.say(f"every target of {model} shows version {version}")
                return True
            show(f"{model}: waiting for {expected} targets to show version {version}")
            time.sleep(LOOK_SECONDS)
    output.tell_aside(
        f"retraind: no worker made the targets of {model} show version {version} within "
        f"{CONVERGENCE_SECONDS:.0f} seconds; the daemon keeps asking for it: see `retraind status`"
    )
    return False


def _write(events: list[dict[str, Any]], seen: int, *, quiet: bool) -> int:
    """Writes the events; returns the seq of the last one."""
    from retraind.telling import tell

    for event in events:
        seen = event["seq"]
        if not quiet:
            output.say(f"{event['time']:%H:%M:%S}  {event['event']:<21} {tell(event)}")
    return seen


def _doing(connection: Any, job_id: str) -> str | None:
    from retraind.ledger import work
    from retraind.telling import span

    running = [stage for stage in work.stages_of(connection, job_id) if stage.state == "running"]
    if not running:
        return None
    return f"{running[-1].stage} for {span((output.now() - running[-1].started_at).total_seconds())}"


def _warn_without_workers(opened: Session) -> None:
    from daemon.reports.status import alive_processes

    with opened.ledger.read() as connection:
        processes = alive_processes(connection, opened.settings, output.now())
    if not any(process.alive and process.kind == "worker" for process in processes):
        output.tell_aside(
            "retraind: no worker is alive; this waits until one starts (`retraind up` or `retraind worker`)"
        )


@contextmanager
def _bottom_line(*, quiet: bool) -> Iterator[Any]:
    """Gives a function that sets the line at the bottom of a terminal; elsewhere it does nothing."""
    if quiet or not output.on_terminal():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console().status("") as status:
        yield lambda text: status.update(escape(text))
