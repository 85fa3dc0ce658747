"""Backtests and tunings for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemon.backtest import tables
from daemon.backtest.report import BacktestReport, TuningReport
from daemon.cli import output
from triggers.wording import figure


def show_backtest(report: BacktestReport, page: Path | None) -> None:
    """The summary, then policies, triggers, losses and alarms as tables."""
    output.say(tables.summary(report))
    _part("Policies", tables.POLICIES, tables.policies(report))
    _part("Triggers", tables.TRIGGERS, tables.triggers(report))
    _part("Losses of performance", tables.LOSSES, tables.losses(report))
    _part("Alarms", tables.ALARMS, tables.alarms(report))
    _notes(report.notes)
    if page is not None:
        output.say(f"\nThe timeline is in {page.absolute()}")


def show_tuning(report: TuningReport) -> None:
    """What each candidate would have done, and the lines to paste."""
    told = f"{report.model}, {tables.day(report.since)} to {tables.day(report.until)}, judged by {report.metric}"
    output.say(told if report.bar is None else f"{told}; a loss is beyond {figure(report.bar)} ({report.bar_because}).")
    headers = ("TRIGGER", "ALARMS", "FALSE", "LOSSES FOUND", "MISSED", "IN BUDGET", "SETTINGS")
    rows = [
        [
            each.trigger,
            str(each.alarms),
            _number(each.false),
            _number(each.found),
            _number(each.missed),
            ("chosen" if each.chosen else "yes") if each.within_budget else "no",
            ", ".join(f"{name} {value}" for name, value in each.settings.items()),
        ]
        for each in report.candidates
    ]
    _part("Candidates", headers, rows)
    _notes(report.notes)
    if report.snippet is not None:
        output.say("\nTo paste under the model's triggers:\n")
        output.say(report.snippet.rstrip())


def _part(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    output.say()
    output.heading(title)
    if rows:
        output.show_table(headers, rows, indent="  ")
    else:
        output.say("  none")


def _notes(notes: Sequence[str]) -> None:
    if notes:
        output.say()
    for note in notes:
        output.say(f"note: {note}")


def _number(value: Any) -> str:
    return "-" if value is None else str(value)
