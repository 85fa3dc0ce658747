"""The verbs that run processes: up, run, worker; and healthcheck, which asks after them."""

import socket
from importlib import import_module
from typing import Annotated, Literal

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption
from daemon.cli.session import load_settings, session
from retraind.privacy import refuse_writable

_LEAN = "retraind.lean"  # imported for its effect, before anything else


def up(*, config: ConfigOption = None) -> None:
    """All on one machine: embedded broker, a worker, the daemon."""
    settings = load_settings(config)
    refuse_writable(settings)
    from daemon.up import up as run_all  # what is wrong with the configuration is told before this second passes

    run_all(settings)


def run(*, config: ConfigOption = None) -> None:
    """The daemon alone, for service managers and containers."""
    import_module(_LEAN)
    settings = load_settings(config)
    from daemon.service import run as run_daemon

    raise typer.Exit(run_daemon(settings))


def worker(
    *,
    queues: Annotated[
        list[str] | None,
        typer.Option("--queues", "-q", metavar="NAME", help="Queues to take jobs from, as gpu or gpu,retraind."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Stages at a time; by default workers.concurrency.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """A Celery worker alone."""
    import_module(_LEAN)
    settings = load_settings(config)
    # The floors keep daemon and workers apart: only this verb starts a worker, and only by name.
    service = import_module("workers.service")
    names = [name for item in queues or () for name in item.split(",") if name]
    raise typer.Exit(service.run(settings, names, concurrency))


def healthcheck(
    *,
    kind: Annotated[
        Literal["daemon", "worker"] | None,
        typer.Option("--kind", help="Ask after this kind only.", show_default="either"),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Is a daemon or worker of this host alive? Exit 0 or 1."""
    from daemon.reports.status import alive_processes

    host = socket.gethostname()
    with session(config) as opened, opened.ledger.read() as connection:
        found = [p for p in alive_processes(connection, opened.settings, output.now()) if p.host == host]
    found = [process for process in found if kind is None or process.kind == kind]
    alive = [process for process in found if process.alive]
    if alive:
        output.say(", ".join(f"{process.kind} (pid {process.pid}) is alive" for process in alive))
        return
    wanted = kind or "daemon or worker"
    if not found:
        output.tell_aside(f"retraind: the ledger has not heard of a {wanted} on {host}")
    for process in found:
        silent = (output.now() - process.seen_at).total_seconds()
        output.tell_aside(f"retraind: {process.kind} (pid {process.pid}) has been silent for {silent:.0f} seconds")
    raise typer.Exit(1)
