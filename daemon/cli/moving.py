"""`retraind ledger`: the ledger as a whole."""

from typing import Annotated

import typer

from daemon.cli import output
from daemon.cli.command import ConfigOption, JsonOption
from daemon.cli.session import session
from retraind.errors import LedgerError

HELP = "The ledger as a whole: copy it, as a backup or to move to PostgreSQL."


def copy(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to: an empty database or a file that is not there.")],
    *,
    running: Annotated[
        bool, typer.Option("--running", help="Also while daemons and workers run: a backup, not a move.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the ledger, whole and as it stands at one instant."""
    from daemon.reports.actions import CopyReport
    from retraind import identity
    from retraind.ledger import Ledger, copying
    from triggers.wording import listing

    with session(config) as opened:
        alive = [identity.name_of(each) for each in copying.running(opened.ledger)]
        if alive and not running:
            raise LedgerError(
                f"the ledger is at work for {listing(alive)}, and what they do after the copy would not be in it; "
                "stop them to move, or write --running for a backup"
            )
        target = Ledger.open(url)
        try:
            counts = copying.copy(opened.ledger, target)
        finally:
            target.close()
        report = CopyReport(url, counts["jobs"], counts["events"], sum(counts.values()))
    if as_json:
        output.show_json(report)
    else:
        output.say(
            f"copied to {report.url}: {report.jobs:,} jobs, {report.events:,} events, {report.rows:,} rows in all"
        )
