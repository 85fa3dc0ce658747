"""`retraind audit`: the audit log, read and proved."""

import time
from typing import Annotated, Any

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JsonOption
from daemon.cli.session import session
from retraind.errors import LedgerError

HELP = "The audit log: read its tail, prove it unchanged."
LOOK_SECONDS = 0.5


def tail(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new events come, until Ctrl-C.")] = False,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Only events of this model.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest events.")] = 20,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The audit log's own lines, one JSON object each.")] = False,
) -> None:
    """The newest events, one line each."""
    from daemon.cli.session import known_model
    from retraind.ledger import trail

    with session(config) as opened:
        with opened.ledger.read() as connection:
            seen = trail.head(connection)
            events = trail.newest(connection, lines, model)
        if model is not None and not events:
            known_model(opened.settings, model)
        _write(events, as_json=as_json)
        while follow:
            time.sleep(LOOK_SECONDS)
            try:
                with opened.ledger.read() as connection:
                    fresh = trail.beyond(connection, seen)
            except LedgerError as error:
                output.tell_aside(f"retraind: {error}")
                continue
            seen = fresh[-1]["seq"] if fresh else seen
            _write([event for event in fresh if model is None or event["model"] == model], as_json=as_json)


def _write(events: list[dict[str, Any]], *, as_json: bool) -> None:
    from retraind.audit.log import line_of
    from retraind.telling import tell

    for event in events:
        if as_json:
            output.say(line_of(event).decode().rstrip("\n"))
        else:
            where = event["model"] or "-"
            job = f" {event['job']}" if event["job"] else ""
            output.say(f"{event['time']:%Y-%m-%d %H:%M:%S}  {event['event']:<21} {where}{job}: {tell(event)}")


def verify(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Prove chain, segments and ledger against each other."""
    from daemon.reports.proof import proof
    from triggers.wording import count

    with session(config) as opened:
        report = proof(opened.settings.audit.path, opened.ledger)
    if as_json:
        output.show_json(report)
    else:
        for problem in report.problems:
            output.say(f"problem: {problem}")
        for note in report.notes:
            output.say(f"note: {note}")
        extent = f"{count(report.lines, 'event')} in {count(len(report.segments), 'file')}"
        proved = f", proved from {report.proved_from} to {report.last_seq}" if report.holds and report.lines else ""
        output.say(f"the audit log {'holds' if report.holds else 'does not hold'}: {extent}{proved}")
    if not report.holds:
        raise typer.Exit(1)
