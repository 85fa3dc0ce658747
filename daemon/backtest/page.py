"""A backtest as one HTML file that needs nothing else: the timeline as a picture, and the tables below it."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from daemon.backtest import tables
from daemon.backtest.picture import timeline
from daemon.backtest.report import BacktestReport

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .7rem .3rem 0;
vertical-align: top; border-bottom: 1px solid #e4e4e4; } th { font-weight: 600; color: #555; white-space: nowrap; }
p.note { color: #555; margin: .2rem 0; }
"""


def write(report: BacktestReport, path: Path) -> None:
    """Writes the page, whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(page(report), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def page(report: BacktestReport) -> str:
    """The page's text."""
    title = f"Backtest of {report.model}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(tables.summary(report))}</p>",
        timeline(report),
        "<p class='note'>The band is the 99 % interval of the first policy's figure, the dashed line the bar. "
        "Shaded red: a loss; darker where no alarm told of it. A red mark is an alarm that no loss followed.</p>",
        _section("Policies", tables.POLICIES, tables.policies(report)),
        _section("Triggers", tables.TRIGGERS, tables.triggers(report)),
        _section("Losses", tables.LOSSES, tables.losses(report)),
        _section("Alarms", tables.ALARMS, tables.alarms(report)),
        _section("Retrainings", tables.JOBS, tables.jobs(report)),
        "<h2>Notes</h2>",
        *(f"<p class='note'>{escape(note)}</p>" for note in report.notes),
    ]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _section(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>None.</p>"
    head = "".join(f"<th>{escape(each)}</th>" for each in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
