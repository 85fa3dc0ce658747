"""What the command prints: results on standard output, everything else on standard error.

On a terminal tables are drawn by rich and fit its width; in a pipe they are plain aligned text at
full width, without colour; with `--json` standard output carries JSON and nothing else.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from retraind.redaction import KeepsSecrets, redact, redact_data

GAP = "  "
_hidden: list[KeepsSecrets | None] = [None]  # of the one configuration that a call loads


def hide(settings: KeepsSecrets | None) -> None:
    """From now on the secrets of `settings` are hidden in whatever is written."""
    _hidden[0] = settings


def say(text: str = "") -> None:
    """A line of the result."""
    typer.echo(redact(text, _hidden[0]))


def tell_aside(text: str) -> None:
    """A line for the person that is no part of the result."""
    typer.echo(redact(text, _hidden[0]), err=True)


def on_terminal() -> bool:
    """True when standard output is a terminal."""
    return sys.stdout.isatty()


def show_json(report: Any) -> None:
    """`report` (a dataclass, or a list of them) as JSON: instants as RFC 3339, NaN as null."""
    data = redact_data(plain_data(report), _hidden[0])
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def plain_data(report: Any) -> Any:
    """`report` as JSON can hold it."""
    from retraind.ledger.chain import plain  # brings SQLAlchemy, which help does not need

    if isinstance(report, list | tuple):
        return [plain_data(item) for item in report]
    return plain(dataclasses.asdict(report) if dataclasses.is_dataclass(report) else report)  # type: ignore[arg-type]


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """A table. The last column is the one that wraps when a terminal is narrow."""
    if on_terminal():
        _draw(headers, rows, indent)
        return
    for line in aligned([headers, *rows]):
        say(indent + line)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with their columns aligned, one line each, without trailing blanks."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _draw(headers: Sequence[str], rows: Sequence[Sequence[str]], indent: str) -> None:
    from rich.console import Console  # a pipe does not need it
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="dim")
    for number, header in enumerate(headers):
        last = number == len(headers) - 1
        table.add_column(Text(header), no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(redact(cell, _hidden[0]), style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(Padding(table, (0, 0, 0, len(indent))))


_STYLES = {
    "fired": "bold yellow",
    "error": "bold red",
    "ok": "green",
    "warning": "yellow",
    "problem": "bold red",
    "deployed": "green",
    "failed": "red",
    "gate failed": "red",
    "awaiting approval": "bold yellow",
    "running": "cyan",
}


def heading(text: str) -> None:
    """A line that begins a part of the result: bold on a terminal."""
    typer.secho(redact(text, _hidden[0]), bold=True)


def now() -> datetime:
    """This instant, for ages in what is shown."""
    return datetime.now(UTC)


def words(state: str) -> str:
    """A state as people read it: `awaiting approval`."""
    return state.replace("_", " ")
