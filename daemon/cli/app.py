"""The whole command, put together: every verb, in the groups that `retraind --help` shows."""

from typing import Annotated

import typer

from daemon.cli import acting, auditing, backtesting, beginning, drawing, looking, moving, running
from daemon.cli.command import ConfigOption, DebugOption, Root, declare, version_option

Root.groups = (
    ("Begin", ("demo", "init", "check", "schema")),
    ("Run", ("up", "run", "worker", "healthcheck")),
    ("Look", ("status", "jobs", "show", "looks", "report", "evaluate", "backtest", "tune", "audit")),
    ("Act", ("trigger", "approve", "reject", "cancel", "rollback", "pause", "resume", "clear")),
    ("Keep", ("ledger",)),
)

app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=version_option, is_eager=True, help="Show the version and end.")
    ] = False,
    config: ConfigOption = None,
    debug: DebugOption = False,
) -> None:
    """retraind keeps production models fresh: it watches, decides with evidence, retrains, gates and deploys.

    `retraind COMMAND --help` tells more of each. Exit status: 0 done, 1 failed, 2 the configuration or the
    call is wrong.
    """


declare(app, (beginning.demo, beginning.init, beginning.check, beginning.schema))
declare(app, (running.up, running.run, running.worker, running.healthcheck))
declare(app, (looking.status, looking.jobs, looking.show, looking.looks, drawing.report, looking.evaluate))
declare(app, (backtesting.backtest, backtesting.tune))
declare(app, (acting.trigger, acting.approve, acting.reject, acting.cancel, acting.rollback))
declare(app, (acting.pause, acting.resume, acting.clear))

_audit = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help=auditing.HELP)
declare(_audit, (auditing.tail, auditing.verify))
app.add_typer(_audit, name="audit")

_ledger = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help=moving.HELP)
declare(_ledger, (moving.copy,))
app.add_typer(_ledger, name="ledger")
